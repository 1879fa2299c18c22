package arch_test

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"lethe/convert/arch"
	"lethe/convert/aten"
	"lethe/model"
)

// FuzzRecognize changes shapes, types and names of state dicts of known networks
// at random: whatever they are then, they are recognized or refused, and what is
// recognized can be converted or is refused as a whole.
func FuzzRecognize(f *testing.F) {
	dicts := shapes(f, "testdata/torchvision.json.gz")
	names := slices.Sorted(maps.Keys(dicts))
	for i := range names {
		f.Add(uint64(i), uint64(i))
	}
	f.Fuzz(func(t *testing.T, which, seed uint64) {
		rng := rand.New(rand.NewPCG(which, seed))
		sd := mutate(t, rng, dicts[names[which%uint64(len(names))]])
		opts := arch.Options{}
		if rng.IntN(2) == 0 {
			for range rng.IntN(5) {
				opts.Input = append(opts.Input, rng.IntN(40)-1)
			}
		}
		n, err := arch.Recognize(sd, opts)
		if err == nil {
			_, err = aten.Convert(n.Program, aten.Options{})
		}
		var unsupported *model.UnsupportedError
		var format *model.FormatError
		if err != nil && !errors.As(err, &unsupported) && !errors.As(err, &format) {
			t.Errorf("%T: %v", err, err)
		}
	})
}

// mutate changes up to four entries, or none.
func mutate(t *testing.T, rng *rand.Rand, sd *model.StateDict) *model.StateDict {
	names := sd.Names()
	changed := map[string]bool{}
	for range rng.IntN(5) {
		changed[names[rng.IntN(len(names))]] = true
	}
	var entries []model.Entry
	for name, tensor := range sd.All() {
		if changed[name] {
			shape, dtype := slices.Clone(tensor.Shape()), tensor.DType()
			switch rng.IntN(6) {
			case 0:
				continue
			case 1:
				shape = shape[:rng.IntN(len(shape)+1)]
			case 2:
				shape = append(shape, rng.IntN(4))
			case 3:
				if len(shape) > 0 {
					shape[rng.IntN(len(shape))] = rng.IntN(9)
				}
			case 4:
				dtype = model.Int64
			case 5:
				name += "x"
			}
			var err error
			if tensor, err = model.NewTensor(dtype, shape, make([]int, len(shape)), 0, tensor.Storage()); err != nil {
				t.Fatal(err)
			}
		}
		entries = append(entries, model.Entry{Name: name, Tensor: tensor})
	}
	out, err := model.NewStateDict(entries...)
	if err != nil {
		t.Skip(err)
	}
	return out
}
