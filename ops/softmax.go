package ops

import "math"

// softmaxOp is the exponential divided by the sum of exponentials. Up to opset
// 12 all axes from one on are a row, later one axis.
var softmaxOp = rowwise("Softmax", softmaxRow)

func softmaxRow(row []float64) {
	top, sum := largestOf(row), 0.0
	for i, x := range row {
		row[i] = math.Exp(x - top)
		sum += row[i]
	}
	for i := range row {
		row[i] /= sum
	}
}

func rowwise(name string, f func(row []float64)) *Operator {
	return &Operator{
		Name:   name,
		inputs: []input{data("input", floats)},
		attrs:  []attr{intAttr("axis", 1).until(12), intAttr("axis", -1).from(13)},
		infer:  sameAsFirst,
		eval: func(c *call) {
			x := c.input(0)
			if c.opset >= 13 {
				c.alongAxes(x, []int{c.axis(c.int("axis"), len(x.shape))}, f)
				return
			}
			axis := c.split(len(x.shape))
			rows := c.reshaped(x, []int{product(x.shape[:axis]), product(x.shape[axis:])})
			c.set(0, c.reshaped(c.mapAxes(rows, []int{1}, f), x.shape))
		},
	}
}
