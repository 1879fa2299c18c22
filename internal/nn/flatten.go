package nn

func inferFlatten(n *site) ([]shape, error) {
	in := n.in[0]
	axis := n.Int("axis", 1)
	if axis < 0 {
		axis += len(in.dims)
	}
	if axis < 0 || axis > len(in.dims) {
		return nil, misfit("Flatten divides at axis %d, and its input has %d dimensions", axis, len(in.dims))
	}
	batch := min(in.batch, 0)
	if in.batch >= axis {
		batch = 1
	}
	out, ok := in.reshaped([]int{product(in.dims[:axis]), product(in.dims[axis:])}, batch)
	if !ok {
		return nil, unsupported("Flatten along axis %d of shape %v would mix samples", axis, in)
	}
	return []shape{out}, only(n, "axis")
}
