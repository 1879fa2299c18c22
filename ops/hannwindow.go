package ops

import (
	"math"

	"lethe/graph"
)

// hannwindowOp is the window of Hann.
var hannwindowOp = cosineWindow("HannWindow", 0.5, 0.5, 0)

// cosineWindow is a - b cos(2 pi i/n) + c cos(4 pi i/n).
func cosineWindow(name string, a, b, d float64) *Operator {
	return &Operator{
		Name: name, Since: 17,
		inputs: []input{constant("size", indices)},
		attrs:  []attr{intAttr("output_datatype", 1), intAttr("periodic", 1)},
		infer: func(f *inference) {
			n := f.unknown(0, 0)
			if v, ok := f.inDims(0); ok && len(v) == 1 {
				n = v[0]
			}
			f.set(0, f.elementType("output_datatype"), graph.Shape{n})
		},
		eval: func(c *call) {
			n := int(c.scalar(0, 0))
			v := make([]float64, c.size([]int{n}))
			period := float64(n)
			if !c.flag("periodic") {
				period = max(1, float64(n-1))
			}
			for i := range v {
				angle := 2 * math.Pi * float64(i) / period
				v[i] = a - b*math.Cos(angle) + d*math.Cos(2*angle)
			}
			c.set(0, c.from(c.elementType("output_datatype"), []int{n}, v))
		},
	}
}
