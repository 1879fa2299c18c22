package ops

import (
	"slices"

	"lethe/graph"
)

// affinegridOp is the grid of positions that affine matrices give, for
// GridSample.
var affinegridOp = &Operator{
	Name: "AffineGrid", Since: 20,
	inputs: []input{data("theta", floats), constant("size", set(int64Type))},
	attrs:  []attr{intAttr("align_corners", 0)},
	infer: func(f *inference) {
		size, ok := f.inDims(1)
		if !ok || len(size) < 3 {
			f.set(0, f.input(0).dtype, nil)
			return
		}
		f.set(0, f.input(0).dtype, slices.Concat(graph.Shape{size[0]}, size[2:], graph.Sizes(len(size)-2)))
	},
	eval: func(c *call) {
		theta := c.input(0)
		size, _ := c.inInts(1)
		axes := len(size) - 2
		if axes < 1 || !slices.Equal(theta.shape, []int{size[0], axes, axes + 1}) {
			c.fail("theta has shape %v, which is not a matrix of each sample for images of size %v", theta.shape, size)
		}
		shape := slices.Concat([]int{size[0]}, size[2:], []int{axes})
		out := make([]float64, c.size(shape))
		m := c.floats(theta)
		positions(shape[:axes+1], func(i int, pos []int) {
			for row := range axes {
				sum := m[(pos[0]*axes+row)*(axes+1)+axes]
				for column := range axes { // x is along the last axis
					n := size[len(size)-1-column]
					at := float64(2*pos[axes-column]+1)/float64(n) - 1
					if c.flag("align_corners") {
						at = 0
						if n > 1 {
							at = float64(2*pos[axes-column])/float64(n-1) - 1
						}
					}
					sum += m[(pos[0]*axes+row)*(axes+1)+column] * at
				}
				out[i*axes+row] = sum
			}
		})
		c.set(0, c.from(theta.dtype, shape, out))
	},
}
