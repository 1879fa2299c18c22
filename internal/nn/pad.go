package nn

import "slices"

// padding returns how many elements a Pad adds before and behind each axis, and
// what.
func padding(n *site) (before, after []int, value float32, err error) {
	rank := len(n.in[0].dims)
	pads, err := n.intsOr(1, "pads", n.Ints("paddings")...)
	if err != nil {
		return nil, nil, 0, err
	}
	value = n.Float("value", 0)
	if n.has(2) {
		if n.consts[2] == nil {
			return nil, nil, 0, unsupported("Pad with a value that is computed is not supported")
		}
		v, err := numbers(n.consts[2])
		if err != nil || len(v) != 1 {
			return nil, nil, 0, misfit("Pad has a value that is not one number")
		}
		value = v[0]
	}
	axes := indices(rank)
	if n.has(3) {
		if axes, err = n.ints(3); err != nil {
			return nil, nil, 0, err
		}
	}
	if len(pads) != 2*len(axes) {
		return nil, nil, 0, misfit("Pad has the pads %v for %d axes: there must be two for each", pads, len(axes))
	}
	before, after = make([]int, rank), make([]int, rank)
	for i, a := range axes {
		a, err := axisOf(a, rank)
		if err != nil {
			return nil, nil, 0, err
		}
		before[a], after[a] = pads[i], pads[len(axes)+i]
	}
	return before, after, value, nil
}

func inferPad(n *site) ([]shape, error) {
	in := n.in[0]
	before, after, _, err := padding(n)
	if err != nil {
		return nil, err
	}
	out := in.as(slices.Clone(in.dims))
	for a := range before {
		if a == in.batch && (before[a] != 0 || after[a] != 0) {
			return nil, unsupported("Pad of the batch is not supported")
		}
		if max(before[a], after[a]) > maxElements || -min(before[a], after[a]) > maxElements {
			return nil, misfit("Pad has pads of %d and %d, which are out of range", before[a], after[a])
		}
		if out.dims[a] += before[a] + after[a]; out.dims[a] < 1 {
			return nil, misfit("Pad takes %v before and %v behind away from shape %v, which leaves nothing", before, after, in)
		}
	}
	switch mode := n.String("mode", "constant"); mode {
	case "constant", "edge", "reflect", "wrap":
	default:
		return nil, unsupported("Pad in mode %q is not supported", mode)
	}
	if n.String("mode", "constant") == "reflect" {
		for a, d := range in.dims {
			if before[a] >= d || after[a] >= d {
				return nil, misfit("Pad reflects %d and %d elements of an axis of %d, which has too few", before[a], after[a], d)
			}
		}
	}
	return []shape{out}, only(n, "mode", "pads", "paddings", "value")
}

func buildPad(b *builder) layer {
	before, _, value, err := padding(b.site())
	if err != nil {
		panic(err) // Bind has seen it
	}
	in, mode := b.in(0).dims, b.node.String("mode", "constant")
	steps := cSteps(in)
	from := []int32{0}
	for a, d := range b.outs[0].dims {
		next := make([]int32, 0, len(from)*d)
		for _, at := range from {
			for i := range d {
				src := i - before[a]
				switch {
				case at < 0 || (src < 0 || src >= in[a]) && mode == "constant":
					next = append(next, -1)
					continue
				case mode == "edge":
					src = min(max(src, 0), in[a]-1)
				case mode == "wrap":
					src = ((src % in[a]) + in[a]) % in[a]
				case src < 0:
					src = -src
				case src >= in[a]:
					src = 2*(in[a]-1) - src
				}
				next = append(next, at+int32(src*steps[a]))
			}
		}
		from = next
	}
	return newMove(b, []int{0}, [][]int32{from}, value)
}
