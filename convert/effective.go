package convert

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"lethe/model"
)

// Effective returns a state dict in which weights that PyTorch keeps in parts are
// what the network computes with, under their own names:
//
//   - weight_orig and weight_mask of torch.nn.utils.prune: their product;
//   - weight_g and weight_v of torch.nn.utils.weight_norm, or original0 and original1
//     of its parametrization: v, scaled to the norms g;
//   - weight_orig, weight_u and weight_v of torch.nn.utils.spectral_norm, or original,
//     0._u and 0._v of its parametrization: the quotient by the largest singular
//     value, as far as u and v tell it.
//
// Others stay as they are; without any of these sd itself is returned. The notes say
// what was computed.
func Effective(sd *model.StateDict) (*model.StateDict, []string, error) {
	made := map[string]*model.Tensor{} // by the first part
	dropped := map[string]bool{}       // the other parts
	called := map[string]string{}
	count := map[string]int{}
	for name := range sd.All() {
		for _, k := range kinds {
			stem, ok := strings.CutSuffix(name, k.parts[0])
			if !ok || stem == "" {
				continue
			}
			parts := make([]*model.Tensor, len(k.parts))
			for i, part := range k.parts {
				parts[i] = sd.Get(stem + part)
			}
			whole := stem
			if i := strings.LastIndex(stem, "parametrizations."); i >= 0 {
				whole = stem[:i] + stem[i+len("parametrizations."):]
			} else if strings.HasPrefix(k.parts[0], ".") {
				continue // a module that is called original
			}
			if slices.Contains(parts, nil) || sd.Get(whole) != nil {
				continue
			}
			t, err := k.compute(parts)
			if err != nil {
				return nil, nil, fmt.Errorf("%q: %w", whole, err)
			}
			if t == nil {
				continue
			}
			made[name], called[name] = t, whole
			for _, part := range k.parts[1:] {
				dropped[stem+part] = true
			}
			count[k.note]++
			break
		}
	}
	if len(made) == 0 {
		return sd, nil, nil
	}
	var entries []model.Entry
	for name, t := range sd.All() {
		if made[name] != nil {
			name, t = called[name], made[name]
		} else if dropped[name] {
			continue
		}
		entries = append(entries, model.Entry{Name: name, Tensor: t})
	}
	out, err := model.NewStateDict(entries...)
	var notes []string
	for _, k := range kinds {
		if n := count[k.note]; n > 0 && !slices.ContainsFunc(notes, func(s string) bool { return strings.HasSuffix(s, k.note) }) {
			notes = append(notes, fmt.Sprintf("%d weights are computed from their parts: %s", n, k.note))
		}
	}
	return out, notes, err
}

// kind is a way to keep a weight in parts, each a suffix of its name.
type kind struct {
	parts   []string
	note    string
	compute func(parts []*model.Tensor) (*model.Tensor, error) // nil if shapes do not fit
}

var kinds = []kind{
	{[]string{"_orig", "_mask"}, "the product with the mask of torch.nn.utils.prune", pruned},
	{[]string{"_g", "_v"}, "weight_norm", normed},
	{[]string{".original0", ".original1"}, "weight_norm", normed},
	{[]string{"_orig", "_u", "_v"}, "spectral_norm", spectral},
	{[]string{".original", ".0._u", ".0._v"}, "spectral_norm", spectral},
}

// numbers returns the elements of tensors, or nil if one is none of real numbers.
func numbers(parts []*model.Tensor) ([][]float32, error) {
	var out [][]float32
	for _, t := range parts {
		if !t.DType().IsFloat() {
			return nil, nil
		}
		v, err := t.Float32s()
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func pruned(parts []*model.Tensor) (*model.Tensor, error) {
	v, err := numbers(parts)
	if v == nil || !slices.Equal(parts[0].Shape(), parts[1].Shape()) {
		return nil, err
	}
	out := slices.Clone(v[0])
	for i, m := range v[1] {
		out[i] *= m
	}
	return model.Float32Tensor(parts[0].Shape(), out), nil
}

// normed scales the slices of v along the axis that g has to norms of g.
func normed(parts []*model.Tensor) (*model.Tensor, error) {
	x, err := numbers(parts)
	g, shape := parts[0].Shape(), parts[1].Shape()
	if x == nil || len(g) != 0 && len(g) != len(shape) {
		return nil, err
	}
	axis := slices.IndexFunc(g, func(n int) bool { return n != 1 })
	inner, size := 1, 1
	for i, n := range g {
		if i != axis && n != 1 || i == axis && n != shape[i] {
			return nil, nil
		}
	}
	if axis >= 0 {
		size = shape[axis]
		for _, n := range shape[axis+1:] {
			inner *= n
		}
	} else {
		inner = len(x[1])
	}
	if len(x[0]) != size || inner == 0 {
		return nil, nil
	}
	sums := make([]float64, size)
	for i, v := range x[1] {
		sums[i/inner%size] += float64(v) * float64(v)
	}
	out := make([]float32, len(x[1]))
	for i, v := range x[1] {
		at := i / inner % size
		out[i] = float32(float64(v) * float64(x[0][at]) / math.Sqrt(sums[at]))
	}
	return model.Float32Tensor(shape, out), nil
}

// spectral divides by the product of u, the weight as a matrix, and v. Its rows are
// the axis of the size of u: the first or, as for transposed convolutions, the second.
func spectral(parts []*model.Tensor) (*model.Tensor, error) {
	x, err := numbers(parts)
	shape := parts[0].Shape()
	if x == nil || len(shape) < 2 {
		return nil, err
	}
	w, u, v := x[0], x[1], x[2]
	if len(u) == 0 || len(v) == 0 || len(w)/len(u) != len(v) || len(w)%len(u) != 0 {
		return nil, nil
	}
	at := slices.Index(shape[:2], len(u))
	if at < 0 {
		return nil, nil
	}
	inner := len(w) / shape[0]
	if at == 1 {
		inner = len(w) / shape[0] / shape[1]
	}
	var sigma float64
	for i, e := range w {
		row, column := i/inner, i%inner
		if at == 1 {
			row, column = row%shape[1], row/shape[1]*inner+column
		}
		sigma += float64(u[row]) * float64(e) * float64(v[column])
	}
	out := make([]float32, len(w))
	for i, e := range w {
		out[i] = float32(float64(e) / sigma)
	}
	return model.Float32Tensor(shape, out), nil
}
