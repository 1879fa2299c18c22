package ops

// cumsumOp is the sum of the elements up to each one along an axis.
var cumsumOp = cumulative("CumSum", 11, 0, func(a, b float64) float64 { return a + b })

func cumulative(name string, since int, start float64, f func(a, b float64) float64) *Operator {
	return &Operator{
		Name: name, Since: since,
		inputs: []input{data("x", numbers), constant("axis", indices)},
		attrs:  []attr{intAttr("exclusive", 0), intAttr("reverse", 0)},
		infer:  sameAsFirst,
		eval: func(c *call) {
			x := c.input(0)
			axis := c.axis(int(c.scalar(1, 0)), len(x.shape))
			exclusive, reverse := c.flag("exclusive"), c.flag("reverse")
			c.alongAxes(x, []int{axis}, func(row []float64) {
				sum := start
				for i := range row {
					j := i
					if reverse {
						j = len(row) - 1 - i
					}
					next := f(sum, row[j])
					if exclusive {
						row[j] = sum
					} else {
						row[j] = next
					}
					sum = next
				}
			})
		},
	}
}
