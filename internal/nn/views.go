package nn

import "slices"

// What changes nothing but the shape.

func inferSame(n *site) ([]shape, error) { return n.in[:1], nil }

// inferDropout is for evaluation, in which Dropout changes nothing.
func inferDropout(n *site) ([]shape, error) {
	if len(n.Outputs) > 1 && n.Outputs[1] != "" {
		return nil, unsupported("Dropout with a mask for an output is not supported")
	}
	return n.in[:1], nil
}

// inferCast takes numbers for what they are: values hold whole numbers and
// fractions alike, and only a Cast that would round them matters.
func inferCast(n *site) ([]shape, error) {
	const float, float16, double, bfloat16 = 1, 10, 11, 16
	switch to := n.Int("to", 0); to {
	case float, float16, double, bfloat16:
		return n.in[:1], nil
	default:
		return nil, unsupported("Cast to type %d is not supported", to)
	}
}

func inferReshape(n *site) ([]shape, error) {
	in := n.in[0]
	want, err := n.intsOr(1, "shape")
	if err != nil {
		return nil, err
	}
	out := shape{slices.Clone(want), -1}
	total, open := in.elements(), -1
	for i, d := range want {
		switch {
		case d == 0 && n.Int("allowzero", 0) == 0:
			if i >= len(in.dims) {
				return nil, misfit("Reshape of shape %v to %v", in, want)
			}
			out.dims[i] = in.dims[i]
			if i == in.batch {
				out.batch = i
			}
		case d == -1 && open < 0:
			open, out.dims[i] = i, 1
		case d < 1:
			return nil, misfit("Reshape of shape %v to %v", in, want)
		}
	}
	if open >= 0 {
		out.dims[open] = max(total/max(out.elements(), 1), 1)
	}
	if out.elements() != total {
		return nil, misfit("Reshape of shape %v to %v", in, want)
	}
	if in.batch >= 0 && out.batch < 0 {
		out.batch = batchAfter(in, out, open)
	}
	if in.batch >= 0 && (out.batch < 0 || product(in.dims[:in.batch]) != product(out.dims[:out.batch])) {
		return nil, unsupported("Reshape of shape %v to %v would mix samples", in, want)
	}
	return []shape{out}, only(n, "allowzero", "shape")
}

// batchAfter finds the axis that takes the batch in a Reshape: the one that is
// left open, if as much stands before it as before; or a 1 there, which is what
// a network that was exported for one sample has.
func batchAfter(in, out shape, open int) int {
	before := product(in.dims[:in.batch])
	if open >= 0 && product(out.dims[:open]) == before {
		return open
	}
	for i, d := range out.dims {
		if d == in.dims[in.batch] && product(out.dims[:i]) == before && open < 0 {
			return i
		}
	}
	return -1
}

func inferSqueeze(n *site) ([]shape, error) {
	in := n.in[0]
	list, err := n.intsOr(1, "axes")
	if err != nil {
		return nil, err
	}
	axes, err := axesOf(list, len(in.dims))
	if err != nil {
		return nil, err
	}
	if list == nil {
		for i, d := range in.dims {
			if d == 1 && i != in.batch {
				axes = append(axes, i)
			}
		}
	}
	out := shape{nil, -1}
	for i, d := range in.dims {
		if slices.Contains(axes, i) {
			if d != 1 || i == in.batch {
				return nil, misfit("Squeeze of axis %d of shape %v", i, in)
			}
			continue
		}
		if i == in.batch {
			out.batch = len(out.dims)
		}
		out.dims = append(out.dims, d)
	}
	return []shape{out}, only(n, "axes")
}

func inferUnsqueeze(n *site) ([]shape, error) {
	in := n.in[0]
	list, err := n.intsOr(1, "axes")
	if err != nil {
		return nil, err
	}
	rank := len(in.dims) + len(list)
	axes, err := axesOf(list, rank)
	if err != nil {
		return nil, err
	}
	out, at := shape{make([]int, rank), -1}, 0
	for i := range rank {
		if slices.Contains(axes, i) {
			out.dims[i] = 1
			continue
		}
		if at == in.batch {
			out.batch = i
		}
		out.dims[i] = in.dims[at]
		at++
	}
	return []shape{out}, only(n, "axes")
}
