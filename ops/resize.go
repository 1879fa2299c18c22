package ops

import (
	"math"
	"slices"

	"lethe/graph"
)

// resizeOp samples a tensor at other sizes: the nearest element, or a linear or
// cubic interpolation along each axis.
var resizeOp = &Operator{
	Name: "Resize", Since: 10,
	inputs: []input{data("X", numbers), constant("scales", floats).until(10), constant("roi", floats).opt().from(11),
		constant("scales", floats).opt().from(11), constant("sizes", set(int64Type)).opt().from(11)},
	attrs: []attr{
		stringAttr("mode", "nearest", "linear", "cubic"),
		stringAttr("coordinate_transformation_mode", "half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel",
			"tf_half_pixel_for_nn", "tf_crop_and_resize", "half_pixel_symmetric").from(11),
		stringAttr("nearest_mode", "round_prefer_floor", "round_prefer_ceil", "floor", "ceil").from(11),
		floatAttr("cubic_coeff_a", -0.75).from(11), intAttr("exclude_outside", 0).from(11), floatAttr("extrapolation_value", 0).from(11),
		intAttr("antialias", 0).from(18), intsAttr("axes").from(18),
		stringAttr("keep_aspect_ratio_policy", "stretch", "not_larger", "not_smaller").from(18),
	},
	infer: func(f *inference) {
		x := f.input(0)
		if x.shape == nil {
			f.set(0, x.dtype, nil)
			return
		}
		scales, sizes := 2, 3
		if f.opset < 11 {
			scales, sizes = 1, 4
		}
		axes := f.resized(len(x.shape))
		shape := slices.Clone(x.shape)
		set, ok := f.inDims(sizes)
		by, known := []float64(nil), false
		if v := f.input(scales).value; v != nil {
			by, known = v.Float64s()
		}
		for i, a := range axes {
			n, fixed := shape[a].Int()
			switch {
			case ok && i < len(set) && f.text("keep_aspect_ratio_policy") != "not_larger" && f.text("keep_aspect_ratio_policy") != "not_smaller":
				shape[a] = set[i]
			case known && i < len(by) && by[i] == math.Trunc(by[i]) && by[i] >= 0 && by[i] < largest:
				shape[a] = shape[a].Mul(graph.Size(int(by[i])))
			case known && i < len(by) && fixed && by[i] >= 0:
				shape[a] = graph.Size(scaledSize(n, by[i]))
			default:
				shape[a] = f.unknown(0, a)
			}
		}
		f.set(0, x.dtype, shape)
	},
	eval: func(c *call) {
		x := c.input(0)
		r := &resampling{c: c, mode: c.text("mode"), where: "asymmetric", nearest: "floor", cubic: -0.75}
		axes := c.resized(len(x.shape))
		scales, sizes := []float64(nil), []int(nil)
		if c.opset < 11 {
			scales, _ = c.inFloats(1)
		} else {
			r.where, r.nearest, r.cubic = c.text("coordinate_transformation_mode"), c.text("nearest_mode"), c.float("cubic_coeff_a")
			r.exclude, r.antialias = c.flag("exclude_outside"), c.flag("antialias")
			scales, _ = c.inFloats(2)
			sizes, _ = c.inInts(3)
		}
		roi, _ := c.inFloats(1)
		if r.where != "tf_crop_and_resize" {
			roi = nil
		}
		r.resize(x, axes, scales, sizes, roi)
	},
}

// resized returns the axes that Resize may change.
func (n *node) resized(rank int) []int {
	if n.has("axes") {
		return n.axes(n.ints("axes"), rank)
	}
	return n.padded(nil, 2*rank, rank)
}

// scaledSize is a size times a scale, rounded down. Scales are float32: a product
// that would be a whole number is one.
func scaledSize(n int, scale float64) int {
	v := math.Floor(float64(float32(float64(n) * scale)))
	if v != v || v > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(v)
}

// resampling says how elements are found.
type resampling struct {
	c         *call
	mode      string
	where     string // coordinate_transformation_mode
	nearest   string
	cubic     float64
	exclude   bool
	antialias bool
}

func (r *resampling) resize(x *Tensor, axes []int, scales []float64, sizes []int, roi []float64) {
	c := r.c
	if len(sizes) == 0 && len(scales) != len(axes) || len(sizes) != 0 && len(sizes) != len(axes) || roi != nil && len(roi) != 2*len(axes) {
		c.fail("there are %d scales, %d sizes and a region of %d numbers for %d axes; scales or sizes are needed, one for each axis, and of a region two", len(scales), len(sizes), len(roi), len(axes))
	}
	if len(sizes) > 0 {
		scales = make([]float64, len(axes))
		for i, a := range axes {
			scales[i] = float64(sizes[i]) / float64(x.shape[a])
		}
		if policy := c.text("keep_aspect_ratio_policy"); policy == "not_larger" || policy == "not_smaller" {
			by := slices.Min(scales)
			if policy == "not_smaller" {
				by = slices.Max(scales)
			}
			sizes = slices.Clone(sizes)
			for i, a := range axes {
				scales[i] = by
				sizes[i] = int(math.Floor(by*float64(x.shape[a]) + 0.5))
			}
		}
	}
	v, shape := c.floats(x), slices.Clone(x.shape)
	outside := make([][]bool, 0)
	for i, a := range axes {
		out := 0
		if len(sizes) > 0 {
			out = sizes[i]
		} else {
			if scales[i] < 0 || scales[i] != scales[i] {
				c.fail("a scale is %v; it must be positive", scales[i])
			}
			out = scaledSize(shape[a], scales[i])
		}
		next := slices.Clone(shape)
		next[a] = out
		c.size(next)
		if shape[a] == 0 && c.size(next) > 0 {
			c.fail("an axis of no elements of shape %v is resized to %d", shape, out)
		}
		var region []float64
		if roi != nil {
			region = []float64{roi[i], roi[len(axes)+i]}
		}
		beyond := make([]bool, out)
		if out != shape[a] || scales[i] != 1 || region != nil {
			v = r.along(v, shape, a, out, scales[i], region, beyond)
		}
		shape = next
		outside = append(outside, beyond)
	}
	if roi != nil { // outside of the image stands a value of its own
		value := c.float("extrapolation_value")
		positions(shape, func(i int, pos []int) {
			for k, a := range axes {
				if outside[k][pos[a]] {
					v[i] = value
				}
			}
		})
	}
	c.set(0, c.from(x.dtype, shape, r.clamped(x, v)))
}

// clamped keeps rounded results of integers inside their type.
func (r *resampling) clamped(x *Tensor, v []float64) []float64 {
	if !integers.has(x.dtype) || r.mode == "nearest" {
		return v
	}
	lo, hi := intRange(x.dtype)
	for i, y := range v {
		v[i] = min(max(math.RoundToEven(y), lo), hi)
	}
	return v
}

// along resizes one axis.
func (r *resampling) along(v []float64, shape []int, axis, out int, scale float64, roi []float64, beyond []bool) []float64 {
	n, inner := shape[axis], product(shape[axis+1:])
	outer := product(shape[:axis])
	type tap struct {
		at int
		by float64
	}
	taps := make([][]tap, out)
	for i := range taps {
		x := r.coordinate(i, n, out, scale, roi)
		beyond[i] = roi != nil && (x < 0 || x > float64(n-1))
		r.weights(x, n, scale, func(at int, by float64) { taps[i] = append(taps[i], tap{at, by}) })
	}
	to := make([]float64, outer*out*inner)
	parallel(outer, func(o int) {
		for i, list := range taps {
			row := to[(o*out+i)*inner : (o*out+i+1)*inner]
			for _, t := range list {
				for j, y := range v[(o*n+t.at)*inner : (o*n+t.at+1)*inner] {
					row[j] += y * t.by
				}
			}
		}
	})
	return to
}

// coordinate returns where in the input an output lies.
func (r *resampling) coordinate(i, n, out int, scale float64, roi []float64) float64 {
	x := float64(i)
	switch r.where {
	case "asymmetric":
		return x / scale
	case "align_corners":
		if length := scale * float64(n); length != 1 {
			return x * float64(n-1) / (length - 1)
		}
		return 0
	case "pytorch_half_pixel":
		if scale*float64(n) <= 1 {
			return 0
		}
	case "tf_half_pixel_for_nn":
		return (x + 0.5) / scale
	case "half_pixel_symmetric":
		center := float64(n) / 2
		return center*(1-float64(out)/(scale*float64(n))) + (x+0.5)/scale - 0.5
	case "tf_crop_and_resize":
		if out > 1 {
			return roi[0]*float64(n-1) + x*(roi[1]-roi[0])*float64(n-1)/float64(out-1)
		}
		return 0.5 * (roi[0] + roi[1]) * float64(n-1)
	}
	return (x+0.5)/scale - 0.5
}

// weights calls f with the elements that a coordinate is made of.
func (r *resampling) weights(x float64, n int, scale float64, f func(at int, by float64)) {
	if r.mode == "nearest" {
		var at float64
		switch r.nearest {
		case "floor":
			at = math.Floor(x)
		case "ceil":
			at = math.Ceil(x)
		case "round_prefer_ceil":
			at = math.Floor(x + 0.5)
		default:
			at = math.Ceil(x - 0.5)
		}
		f(min(max(int(at), 0), n-1), 1)
		return
	}
	kernel, reach := func(d float64) float64 { return max(0, 1-math.Abs(d)) }, 1.0
	if r.mode == "cubic" {
		kernel, reach = func(d float64) float64 { return cubic(math.Abs(d), r.cubic) }, 2
	}
	narrow := 1.0
	if r.antialias && scale < 1 {
		narrow = scale
	}
	lo, hi := int(math.Floor(x-reach/narrow))+1, int(math.Floor(x+reach/narrow))
	if x == math.Floor(x) && narrow == 1 {
		lo, hi = int(x)-int(reach)+1, int(x)+int(reach)
	}
	sum := 0.0
	each := func(do func(at int, by float64)) {
		for at := lo; at <= hi; at++ {
			by := kernel((float64(at) - x) * narrow)
			if r.exclude && (at < 0 || at >= n) {
				by = 0
			}
			do(at, by)
		}
	}
	each(func(_ int, by float64) { sum += by })
	each(func(at int, by float64) {
		if by != 0 {
			f(min(max(at, 0), n-1), by/sum)
		}
	})
}

// cubic is the kernel of cubic convolution (Keys 1981) at a distance.
func cubic(d, a float64) float64 {
	switch {
	case d <= 1:
		return ((a+2)*d-(a+3))*d*d + 1
	case d < 2:
		return ((a*d-5*a)*d+8*a)*d - 4*a
	}
	return 0
}
