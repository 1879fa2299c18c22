package nn

func inferFlatten(n *site) ([]shape, error) {
	in := n.in[0]
	axis := n.Int("axis", 1)
	if axis < 0 {
		axis += len(in.dims)
	}
	if axis < 0 || axis > len(in.dims) {
		return nil, misfit("Flatten along axis %d of %d dimensions", axis, len(in.dims))
	}
	if in.batch >= axis || in.batch > 0 && product(in.dims[:in.batch]) != 1 {
		return nil, unsupported("Flatten along axis %d of shape %v would mix samples", axis, in)
	}
	out := shape{[]int{product(in.dims[:axis]), product(in.dims[axis:])}, min(in.batch, 0)}
	return []shape{out}, only(n, "axis")
}
