package ops

import "lethe/graph"

// gemmOp is alpha A B + beta C.
var gemmOp = &Operator{
	Name: "Gemm", Since: 1,
	inputs: []input{data("A", numbers), weight("B", numbers), weight("C", numbers).opt()},
	attrs:  []attr{floatAttr("alpha", 1), floatAttr("beta", 1), intAttr("transA", 0), intAttr("transB", 0), intAttr("broadcast", 0).until(6)},
	infer: func(f *inference) {
		a, b := f.input(0).shape, f.input(1).shape
		if a == nil || b == nil {
			f.set(0, f.input(0).dtype, f.unknowns(0, 2))
			return
		}
		if len(a) != 2 || len(b) != 2 {
			f.clash(a, b)
		}
		if f.flag("transA") {
			a = graph.Shape{a[1], a[0]}
		}
		if f.flag("transB") {
			b = graph.Shape{b[1], b[0]}
		}
		if a[1].Fixed() && b[0].Fixed() && !a[1].Equal(b[0]) {
			f.clash(f.input(0).shape, f.input(1).shape)
		}
		f.set(0, f.input(0).dtype, graph.Shape{a[0], b[1]})
	},
	eval: func(c *call) {
		a, b := c.input(0), c.input(1)
		if len(a.shape) != 2 || len(b.shape) != 2 {
			c.fail("shape %v cannot be multiplied by shape %v", a.shape, b.shape)
		}
		if c.flag("transA") {
			a = c.transpose(a, []int{1, 0})
		}
		if c.flag("transB") {
			b = c.transpose(b, []int{1, 0})
		}
		out := c.scaled(c.matmul(a, b), c.float("alpha"))
		if bias := c.input(2); bias != nil && bias.Len() > 0 {
			sum := addOf.apply(c, out, c.scaled(bias, c.float("beta")))
			out = c.reshaped(sum, out.shape)
		}
		c.set(0, out)
	},
}

// scaled returns a tensor times a number.
func (c *call) scaled(t *Tensor, by float64) *Tensor {
	if by == 1 {
		return t
	}
	return unary{
		real:     func(x float64) float64 { return x * by },
		signed:   func(x int64) int64 { return int64(float64(x) * by) },
		unsigned: func(x uint64) uint64 { return uint64(float64(x) * by) },
	}.apply(c, t)
}
