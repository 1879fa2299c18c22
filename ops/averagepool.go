package ops

// averagepoolOp is the mean of each window: of the elements inside the image, or
// with count_include_pad of those in the padding too.
var averagepoolOp = &Operator{
	Name:   "AveragePool",
	inputs: []input{data("X", floats)},
	attrs:  windowAttrs(intAttr("ceil_mode", 0).from(10), intAttr("count_include_pad", 0).from(7)),
	infer:  inferPool,
	eval: func(c *call) {
		x, out, w := c.pool()
		padded := c.flag("count_include_pad")
		if d, ok := x.data.(vec[float64]); ok {
			averagePool(d, out.data.(vec[float64]), &w, padded)
		} else {
			averagePool(x.data.(vec[float32]), out.data.(vec[float32]), &w, padded)
		}
		c.set(0, out.round(rounding{}))
	},
}

func averagePool[T real](x, out vec[T], w *window, padded bool) {
	planes(x, out, w, func(_ int, in, out vec[T]) {
		positions(w.out, func(i int, pos []int) {
			sum, count := 0.0, 0
			w.taps(pos, func(image, _ int) {
				sum += float64(in[image])
				count++
			})
			if padded {
				count = w.counted(pos)
			}
			out[i] = T(sum / float64(count))
		})
	})
}

// counted returns how many elements of a window lie in the image or its
// padding; with ceil_mode the last one can reach beyond.
func (w *window) counted(pos []int) int {
	count := 1
	for i, p := range pos {
		n := 0
		at := w.start(i, p)
		for range w.kernel[i] {
			if at < w.in[i]+w.after[i] {
				n++
			}
			at += w.dilation[i]
		}
		count *= n
	}
	return count
}
