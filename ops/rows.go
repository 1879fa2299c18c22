package ops

// alongAxes sets output 0 to a tensor of the type and shape of x whose elements
// along some axes f has changed, row by row, in float64.
func (c *call) alongAxes(x *Tensor, axes []int, f func(row []float64)) {
	c.set(0, c.mapAxes(x, axes, f))
}

func (c *call) mapAxes(x *Tensor, axes []int, f func(row []float64)) *Tensor {
	moved := c.axesLast(x, axes)
	n := 1
	for _, a := range axes {
		n *= x.shape[a]
	}
	v := c.floats(moved)
	if n > 0 {
		parallel(len(v)/n, func(i int) { f(v[i*n : (i+1)*n]) })
	}
	out := c.from(x.dtype, moved.shape, v)
	return c.axesBack(out, x.shape, axes)
}

// axesBack undoes [call.axesLast] for a tensor of the given shape.
func (c *call) axesBack(moved *Tensor, shape, axes []int) *Tensor {
	order := make([]int, 0, len(shape)) // where each axis of the result is in moved
	at := make([]int, len(shape))
	k := 0
	for i := range shape {
		if !contains(axes, i) {
			at[i] = k
			k++
		}
	}
	for _, a := range axes {
		at[a] = k
		k++
	}
	order = append(order, at...)
	return c.transpose(moved, order)
}

func contains(list []int, x int) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}
