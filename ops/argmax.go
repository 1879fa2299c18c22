package ops

import (
	"lethe/graph"
	"lethe/model"
)

// argmaxOp is the index of the largest element along an axis.
var argmaxOp = extreme("ArgMax", func(x, best float64) bool { return x > best })

// extreme returns ArgMax or ArgMin. better reports whether an element takes the
// place of the best one so far.
func extreme(name string, better func(x, best float64) bool) *Operator {
	return &Operator{
		Name:   name,
		inputs: []input{data("data", numbers)},
		attrs:  []attr{intAttr("axis", 0), intAttr("keepdims", 1), intAttr("select_last_index", 0).from(12)},
		infer: func(f *inference) {
			x := f.input(0).shape
			if x == nil {
				f.set(0, model.Int64, nil)
				return
			}
			axis := f.axis(f.int("axis"), len(x))
			f.set(0, model.Int64, without(x, []int{axis}, f.flag("keepdims"), graph.Size(1)))
		},
		eval: func(c *call) {
			x := c.input(0)
			axis := c.axis(c.int("axis"), len(x.shape))
			n, last := x.shape[axis], c.flag("select_last_index")
			v := c.floats(c.axesLast(x, []int{axis}))
			out := make([]int, len(v)/max(n, 1))
			if n == 0 {
				c.fail("axis %d of shape %v has no elements", axis, x.shape)
			}
			for i := range out {
				row := v[i*n : (i+1)*n]
				for j, y := range row {
					if better(y, row[out[i]]) || last && y == row[out[i]] {
						out[i] = j
					}
				}
			}
			c.set(0, c.fromInts(without(x.shape, []int{axis}, c.flag("keepdims"), 1), out))
		},
	}
}
