package model_test

import (
	"fmt"
	"testing"

	"lethe/internal/vectors"
	"lethe/model"
)

// An edit of all tensors is linear in them: ten times as many take ten times the
// memory, which is counted, and not a hundred times. Tensors that are replaced one
// by one copy the index each time, as the same count shows.
func TestWithAllIsLinear(t *testing.T) {
	allocated := func(n int, edit func(sd *model.StateDict, entries []model.Entry)) uint64 {
		entries := make([]model.Entry, n)
		for i := range entries {
			entries[i] = model.Entry{fmt.Sprint(i), model.Float32Tensor([]int{1}, []float32{1})}
		}
		sd, err := model.NewStateDict(entries...)
		if err != nil {
			t.Fatal(err)
		}
		before := vectors.Allocated()
		edit(sd, entries)
		return vectors.Allocated() - before
	}
	all := func(sd *model.StateDict, entries []model.Entry) { sd.WithAll(entries...) }
	few, many := allocated(1000, all), allocated(10000, all)
	if many > 20*few || many > 10000*300 {
		t.Errorf("10,000 tensors take %d bytes, 1,000 take %d", many, few)
	}
	each := func(sd *model.StateDict, entries []model.Entry) {
		for _, e := range entries {
			sd = sd.With(e.Name, e.Tensor)
		}
	}
	if few, many := allocated(100, each), allocated(1000, each); many < 40*few {
		t.Errorf("one by one, 1,000 tensors take %d bytes and 100 take %d: this test no longer tells linear from quadratic", many, few)
	}
}
