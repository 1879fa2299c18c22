package convert_test

import (
	"math"
	"slices"
	"testing"

	"lethe/convert"
	"lethe/model"
)

func entry(name string, shape []int, v ...float32) model.Entry {
	return model.Entry{Name: name, Tensor: model.Float32Tensor(shape, v)}
}

// Weights in parts become what PyTorch computes of them; what only looks like one
// stays.
func TestEffective(t *testing.T) {
	for _, c := range []struct {
		title string
		in    []model.Entry
		names []string
		want  []float32 // of the first entry
	}{
		{"a mask", []model.Entry{entry("a.weight_orig", []int{2, 2}, 1, 2, 3, 4), entry("a.weight_mask", []int{2, 2}, 1, 0, 0, 1), entry("a.bias", []int{1}, 5)},
			[]string{"a.weight", "a.bias"}, []float32{1, 0, 0, 4}},
		{"norms of rows", []model.Entry{entry("a.weight_g", []int{2, 1}, 10, 2), entry("a.weight_v", []int{2, 2}, 3, 4, 0, 1)},
			[]string{"a.weight"}, []float32{6, 8, 0, 2}},
		{"norms of columns", []model.Entry{entry("a.weight_g", []int{1, 2}, 10, 2), entry("a.weight_v", []int{2, 2}, 3, 0, 4, 1)},
			[]string{"a.weight"}, []float32{6, 0, 8, 2}},
		{"the norm of all, as a parametrization", []model.Entry{entry("a.parametrizations.weight.original0", nil, 10), entry("a.parametrizations.weight.original1", []int{1, 2}, 3, 4)},
			[]string{"a.weight"}, []float32{6, 8}},
		{"a singular value", []model.Entry{entry("a.weight_orig", []int{2, 3}, 2, 0, 0, 0, 1, 6), entry("a.weight_u", []int{2}, 1, 0), entry("a.weight_v", []int{3}, 1, 0, 0)},
			[]string{"a.weight"}, []float32{1, 0, 0, 0, 0.5, 3}},
		{"a singular value of the second axis, as a parametrization",
			[]model.Entry{entry("parametrizations.weight.original", []int{2, 3}, 2, 0, 0, 0, 1, 6), entry("parametrizations.weight.0._u", []int{3}, 0, 0, 1), entry("parametrizations.weight.0._v", []int{2}, 0, 1)},
			[]string{"weight"}, []float32{float32(2) / 6, 0, 0, 0, float32(1) / 6, 1}},
		{"a mask of another shape", []model.Entry{entry("a.weight_orig", []int{1, 2}, 1, 2), entry("a.weight_mask", []int{2}, 1, 0)},
			[]string{"a.weight_orig", "a.weight_mask"}, []float32{1, 2}},
		{"a weight beside its parts", []model.Entry{entry("a.weight_orig", []int{1}, 1), entry("a.weight_mask", []int{1}, 0), entry("a.weight", []int{1}, 7)},
			[]string{"a.weight_orig", "a.weight_mask", "a.weight"}, []float32{1}},
		{"norms of another number", []model.Entry{entry("a.weight_g", []int{3, 1}, 1, 2, 3), entry("a.weight_v", []int{2, 2}, 3, 4, 0, 1)},
			[]string{"a.weight_g", "a.weight_v"}, []float32{1, 2, 3}},
		{"vectors of another length", []model.Entry{entry("a.weight_orig", []int{2, 2}, 1, 2, 3, 4), entry("a.weight_u", []int{4}, 1, 0, 0, 0), entry("a.weight_v", []int{1}, 1)},
			[]string{"a.weight_orig", "a.weight_u", "a.weight_v"}, []float32{1, 2, 3, 4}},
	} {
		sd, err := model.NewStateDict(c.in...)
		if err != nil {
			t.Fatal(err)
		}
		out, notes, err := convert.Effective(sd)
		if err != nil || !slices.Equal(out.Names(), c.names) {
			t.Errorf("%s: %v, %v, want %v", c.title, out, err, c.names)
			continue
		}
		if said := len(notes) == 1; said != (len(c.names) < len(c.in)) {
			t.Errorf("%s: the notes are %q", c.title, notes)
		}
		got, err := out.Get(c.names[0]).Float32s()
		if err != nil || len(got) != len(c.want) {
			t.Fatal(got, err)
		}
		for i, w := range c.want {
			if math.Abs(float64(got[i]-w)) > 1e-6 {
				t.Errorf("%s: %v, want %v", c.title, got, c.want)
			}
		}
	}
}
