package ops

import "math"

// lppoolOp is the p-norm of each window.
var lppoolOp = &Operator{
	Name: "LpPool", Since: 2,
	inputs: []input{data("X", floats)},
	attrs:  windowAttrs(intAttr("ceil_mode", 0).from(18), intAttr("p", 2)),
	infer:  inferPool,
	eval: func(c *call) {
		x, out, w := c.pool()
		p := float64(c.int("p"))
		if d, ok := x.data.(vec[float64]); ok {
			lpPool(d, out.data.(vec[float64]), &w, p)
		} else {
			lpPool(x.data.(vec[float32]), out.data.(vec[float32]), &w, p)
		}
		c.set(0, out.round(rounding{}))
	},
}

func lpPool[T real](x, out vec[T], w *window, p float64) {
	planes(x, out, w, func(_ int, in, out vec[T]) {
		positions(w.out, func(i int, pos []int) {
			sum := 0.0
			w.taps(pos, func(image, _ int) { sum += math.Pow(math.Abs(float64(in[image])), p) })
			out[i] = T(math.Pow(sum, 1/p))
		})
	})
}
