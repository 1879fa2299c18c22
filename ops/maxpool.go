package ops

import (
	"math"

	"lethe/model"
)

// maxpoolOp is the largest element of each window, and its index in the image.
var maxpoolOp = &Operator{
	Name: "MaxPool", outputs: 2,
	inputs: []input{data("X", floats|bytes8)},
	attrs:  windowAttrs(intAttr("ceil_mode", 0).from(10), intAttr("storage_order", 0).from(8)),
	infer:  inferPool,
	eval: func(c *call) {
		x, out, w := c.pool()
		indices := c.make(model.Int64, out.shape)
		at := indices.data.(vec[int64])
		switch d := x.data.(type) {
		case vec[float32]:
			maxPool(c, d, out.data.(vec[float32]), at, &w, float32(math.Inf(-1)))
		case vec[float64]:
			maxPool(c, d, out.data.(vec[float64]), at, &w, math.Inf(-1))
		case vec[int8]:
			maxPool(c, d, out.data.(vec[int8]), at, &w, math.MinInt8)
		case vec[uint8]:
			maxPool(c, d, out.data.(vec[uint8]), at, &w, 0)
		}
		c.set(0, out)
		if c.wants(1) {
			c.set(1, indices)
		}
	},
}

func maxPool[T number](c *call, x, out vec[T], at vec[int64], w *window, lowest T) {
	size, step := product(w.in), product(w.out)
	planes(x, out, w, func(plane int, in, out vec[T]) {
		positions(w.out, func(i int, pos []int) {
			best, index := lowest, -1
			w.taps(pos, func(image, _ int) {
				if v := in[image]; index < 0 || v > best || v != v {
					best, index = v, image
				}
			})
			out[i] = best
			if index >= 0 && c.flag("storage_order") {
				index = columnMajor(index, w.in)
			}
			at[plane*step+i] = int64(plane*size + max(index, 0))
		})
	})
}

// columnMajor returns the index of an element where the first axis varies
// fastest.
func columnMajor(index int, shape []int) int {
	pos := make([]int, len(shape))
	for i := len(shape) - 1; i >= 0; i-- {
		pos[i] = index % shape[i]
		index /= shape[i]
	}
	at := 0
	for i := len(shape) - 1; i >= 0; i-- {
		at = at*shape[i] + pos[i]
	}
	return at
}
