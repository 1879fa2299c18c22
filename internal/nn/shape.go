package nn

import (
	"encoding/binary"
	"fmt"
	"slices"

	"lethe/graph"
	"lethe/model"
)

// shape is the shape of a value of one sample. It has as many axes as ONNX
// counts: at the batch axis stands how many entries of that axis belong to one
// sample, 1 unless a Reshape moved sizes of the sample there, in front of the
// batch or behind it. Memory holds the elements of a sample in C order whatever
// the batch axis is.
type shape struct {
	dims  []int
	batch int // the batch axis, -1 for a value that is the same for all samples
	lead  int // sizes of the sample that stand before the batch in the batch axis; 0 is 1
}

// as returns other dimensions with the same batch axis.
func (s shape) as(dims []int) shape { return shape{dims, s.batch, s.lead} }

// before returns how many elements of a sample stand before the batch.
func (s shape) before() int { return product(s.dims[:s.batch]) * max(s.lead, 1) }

// reshaped returns the shape under other dimensions; ok is false if the batch
// would not be whole in the batch axis.
func (s shape) reshaped(dims []int, batch int) (out shape, ok bool) {
	if s.batch < 0 {
		return shape{dims: dims, batch: -1}, batch < 0
	}
	if batch < 0 {
		return shape{}, false
	}
	first := product(dims[:batch])
	lead := s.before() / max(first, 1)
	if lead*first != s.before() || dims[batch]%max(lead, 1) != 0 {
		return shape{}, false
	}
	if out = (shape{dims: dims, batch: batch}); lead > 1 {
		out.lead = lead
	}
	return out, true
}

// alike reports whether two shapes have the batch in the same place.
func (s shape) alike(t shape) bool { return s.batch == t.batch && max(s.lead, 1) == max(t.lead, 1) }

func (s shape) elements() int { return product(s.dims) }

// String shows a shape as ONNX writes it, N for the batch.
func (s shape) String() string {
	text := make([]string, len(s.dims))
	for i, d := range s.dims {
		text[i] = fmt.Sprint(d)
		if i == s.batch {
			if text[i] = "N"; d != 1 {
				text[i] = fmt.Sprintf("%d*N", d)
			}
			if s.lead > 1 && d/s.lead > 1 {
				text[i] = fmt.Sprintf("%d*N*%d", s.lead, d/s.lead)
			}
		}
	}
	return fmt.Sprint(text)
}

// axisOf returns the axis that a number means, negative ones counted from the
// end of rank axes.
func axisOf(a, rank int) (int, error) {
	if a < 0 {
		a += rank
	}
	if a < 0 || a >= rank {
		return 0, misfit("there is no axis %d in %d dimensions", a, rank)
	}
	return a, nil
}

// axesOf returns the axes that numbers mean, sorted.
func axesOf(list []int, rank int) ([]int, error) {
	var axes []int
	for _, a := range list {
		a, err := axisOf(a, rank)
		if err != nil {
			return nil, err
		}
		if slices.Contains(axes, a) {
			return nil, misfit("axis %d is given twice", a)
		}
		axes = append(axes, a)
	}
	slices.Sort(axes)
	return axes, nil
}

// broadcast returns the shape of an elementwise operation on two shapes.
func broadcast(a, b shape) (shape, error) {
	rank := max(len(a.dims), len(b.dims))
	out := shape{dims: make([]int, rank), batch: -1}
	for i := range rank {
		x, y := i-rank+len(a.dims), i-rank+len(b.dims)
		d, e := 1, 1
		if x >= 0 {
			d = a.dims[x]
		}
		if y >= 0 {
			e = b.dims[y]
		}
		inA, inB := x >= 0 && x == a.batch, y >= 0 && y == b.batch
		switch {
		case (inA || inB) && out.batch >= 0, inA && !inB && e != 1, inB && !inA && d != 1:
			return out, unsupported("shapes %v and %v meet at different batch axes", a, b)
		case d != e && (inA && inB || d != 1 && e != 1):
			return out, misfit("shapes %v and %v do not fit together", a, b)
		}
		if inA && inB && !(shape{lead: a.lead}).alike(shape{lead: b.lead}) {
			return out, unsupported("shapes %v and %v have their samples in different orders", a, b)
		}
		if inA || inB {
			out.batch, out.lead = i, max(a.lead, b.lead)
		}
		out.dims[i] = max(d, e)
	}
	return out, nil
}

// site is a node with what is known of its inputs before weights are looked at.
type site struct {
	*graph.Node
	net     *Net
	in      []shape
	given   []bool // false where an optional input is left out
	consts  []*model.Tensor
	weights []bool // true for what is a weight or a constant
	opset   int
	stated  *shape // of the first output, as package ops infers it; nil where it depends on the data
}

// has reports whether input i is there.
func (s *site) has(i int) bool { return i < len(s.given) && s.given[i] }

// fixed reports whether input i is a weight or a constant.
func (s *site) fixed(i int) bool { return s.has(i) && s.weights[i] }

// ints returns the integers of input i, which must be a constant.
func (s *site) ints(i int) ([]int, error) {
	if s.consts[i] == nil {
		return nil, unsupported("input %d of %s is computed from the data, not a constant", i, s.Op)
	}
	return tensorInts(s.consts[i])
}

// intsOr returns the integers of input i, those of an attribute where opsets
// before have it, or def.
func (s *site) intsOr(i int, attr string, def ...int) ([]int, error) {
	if s.has(i) {
		return s.ints(i)
	}
	return s.Ints(attr, def...), nil
}

func tensorInts(t *model.Tensor) ([]int, error) {
	b, err := t.Bytes()
	if err != nil {
		return nil, err
	}
	out := make([]int, t.Len())
	for i := range out {
		switch t.DType() {
		case model.Int64:
			out[i] = int(int64(binary.LittleEndian.Uint64(b[8*i:])))
		case model.Int32:
			out[i] = int(int32(binary.LittleEndian.Uint32(b[4*i:])))
		default:
			return nil, misfit("a constant holds %v where integers are needed", t.DType())
		}
	}
	return out, nil
}

// numbers returns the elements of a constant as float32, whatever their type:
// integers up to 2^24 are exact.
func numbers(t *model.Tensor) ([]float32, error) {
	if t.DType().IsFloat() {
		return t.Float32s()
	}
	b, err := t.Bytes()
	if err != nil {
		return nil, err
	}
	if t.DType() == model.Bool || t.DType() == model.Uint8 {
		out := make([]float32, t.Len())
		for i := range out {
			out[i] = float32(b[i])
		}
		return out, nil
	}
	ints, err := tensorInts(t)
	if err != nil {
		return nil, err
	}
	out := make([]float32, len(ints))
	for i, v := range ints {
		out[i] = float32(v)
	}
	return out, nil
}

func int64Tensor(dims []int, v ...int64) *model.Tensor {
	b := make([]byte, 0, 8*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint64(b, uint64(x))
	}
	t, err := model.NewTensor(model.Int64, dims, nil, 0, model.BytesStorage(b))
	if err != nil {
		panic(err) // as many bytes as the shape says
	}
	return t
}
