package ops

import (
	"slices"

	"lethe/model"
)

// topkOp is the k largest or smallest elements along an axis with their indices,
// the lower index first where they are equal. Up to opset 9, k is an attribute.
var topkOp = &Operator{
	Name: "TopK", outputs: 2,
	inputs: []input{data("X", numbers), constant("K", set(int64Type)).from(10)},
	attrs: []attr{noDefault("k", intKind).must().until(9), intAttr("axis", -1),
		intAttr("largest", 1).from(11), intAttr("sorted", 1).from(11)},
	infer: func(f *inference) {
		x := f.input(0)
		if x.shape == nil {
			f.set(0, x.dtype, nil)
			f.set(1, model.Int64, nil)
			return
		}
		shape := slices.Clone(x.shape)
		axis := f.axis(f.int("axis"), len(shape))
		k, ok := sizesOf([]int{f.int("k")}), true
		if f.opset >= 10 {
			k, ok = f.inDims(1)
		}
		if ok && len(k) == 1 {
			shape[axis] = k[0]
		} else {
			shape[axis] = f.unknown(0, axis)
		}
		f.set(0, x.dtype, shape)
		f.set(1, model.Int64, shape)
	},
	eval: func(c *call) {
		x := c.input(0)
		axis := c.axis(c.int("axis"), len(x.shape))
		n := x.shape[axis]
		k := c.int("k")
		if c.opset >= 10 {
			k = int(c.scalar(1, 0))
		}
		if k < 0 || k > n {
			c.fail("%d elements are asked for, and there are %d", k, n)
		}
		sign := -1
		if c.opset >= 11 && !c.flag("largest") {
			sign = 1
		}
		moved := c.axesLast(x, []int{axis})
		v := c.floats(moved)
		shape := append(slices.Clone(moved.shape[:len(moved.shape)-1]), k)
		out := c.like(x, shape)
		at := make([]int, out.Len())
		for i := range product(shape[:len(shape)-1]) {
			order := make([]int, n)
			for j := range order {
				order[j] = j
			}
			row := v[i*n : (i+1)*n]
			slices.SortStableFunc(order, func(a, b int) int { return sign * compare(row[a], row[b]) })
			for j, from := range order[:k] {
				at[i*k+j] = from
				out.data.copyFrom(i*k+j, moved.data, i*n+from, 1)
			}
		}
		result := slices.Clone(x.shape)
		result[axis] = k
		c.set(0, c.axesBack(out, result, []int{axis}))
		c.set(1, c.axesBack(c.fromInts(shape, at), result, []int{axis}))
	},
}

// compare orders numbers, NaN above all others.
func compare(a, b float64) int {
	switch {
	case a == b || a != a && b != b:
		return 0
	case a < b || b != b:
		return -1
	}
	return 1
}
