package ops

// triluOp keeps the upper or lower triangle of matrices.
var triluOp = &Operator{
	Name: "Trilu", Since: 14,
	inputs: []input{data("input", anything), constant("k", set(int64Type)).opt()},
	attrs:  []attr{intAttr("upper", 1)},
	infer:  sameAsFirst,
	eval: func(c *call) {
		x := c.input(0)
		if len(x.shape) < 2 {
			c.fail("the input has shape %v, which holds no matrices", x.shape)
		}
		k := int(c.scalar(1, 0))
		rows, columns := x.shape[len(x.shape)-2], x.shape[len(x.shape)-1]
		out := c.like(x, x.shape)
		for i := range product(x.shape[:len(x.shape)-1]) {
			first := min(max(i%max(rows, 1)+k, 0), columns) // of the upper triangle
			at, n := first, columns-first
			if !c.flag("upper") {
				at, n = 0, min(max(i%rows+k+1, 0), columns)
			}
			out.data.copyFrom(i*columns+at, x.data, i*columns+at, n)
		}
		c.set(0, out)
	},
}
