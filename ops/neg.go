package ops

import "lethe/graph"

// negOp is -x.
var negOp = &Operator{
	Name: "Neg", Since: 1,
	inputs: []input{data("X", floats|signed)},
	infer:  sameAsFirst,
	eval: func(c *call) {
		x := c.input(0)
		if d, ok := x.data.(vec[graph.Dim]); ok {
			out := c.like(x, x.shape)
			for i, size := range d {
				out.data.(vec[graph.Dim])[i] = graph.Size(0).Sub(size)
			}
			c.set(0, out)
			return
		}
		unary{
			real:   func(x float64) float64 { return -x },
			signed: func(x int64) int64 { return -x },
		}.eval(c)
	},
}
