package job

import (
	"context"
	"slices"
	"testing"

	"lethe/dataset"
	"lethe/internal/network"
	"lethe/pickle"
)

// The samples of several classes are of each of them.
func TestSamples(t *testing.T) {
	ctx := context.Background()
	n, err := network.Open(ctx, "../../cmd/testdata/tiny/lenet.pt", nil, pickle.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	d, err := OpenData(ctx, DataSettings{Settings: dataset.Settings{Path: "../../cmd/testdata/tiny"}})
	if err != nil {
		t.Fatal(err)
	}
	of := func(class, n int) []int {
		images, _ := d.Train.Split(class)
		return slices.Repeat(images, n)[:n]
	}
	for _, set := range []*dataset.Set{d.Train.Subset(slices.Concat(of(0, 30), of(1, 30))), d.Train.Subset(of(1, 3))} {
		d.Test = set
		got := map[int]int{}
		all, err := Samples(d, n.Net, n.Net, []int{0, 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			got[s.Label]++
		}
		if want := set.Len(); want == 3 && got[1] != 3 || want == 60 && (got[0] != 12 || got[1] != 12) {
			t.Errorf("of %d images: %v", set.Len(), got)
		}
	}
}
