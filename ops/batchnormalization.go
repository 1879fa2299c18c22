package ops

import (
	"math"
	"slices"
)

// standardize brings a row to mean 0 and variance 1.
func standardize(row []float64, epsilon float64) (mean, inverse float64) {
	mean = sumOf(row) / float64(len(row))
	variance := 0.0
	for i, x := range row {
		row[i] = x - mean
		variance += row[i] * row[i]
	}
	inverse = 1 / math.Sqrt(variance/float64(len(row))+epsilon)
	for i := range row {
		row[i] *= inverse
	}
	return mean, inverse
}

// perChannel returns y * scale + bias, where scale and bias have one element for
// each index of axis 1.
func (c *call) perChannel(y []float64, shape []int, scale, bias []float64) {
	channels, inner := shape[1], product(shape[2:])
	if len(scale) != channels || bias != nil && len(bias) != channels {
		c.fail("there are %d scales and %d biases, and the data has %d channels", len(scale), len(bias), channels)
	}
	parallel(len(y)/max(inner, 1), func(i int) {
		s, b := scale[i%channels], 0.0
		if bias != nil {
			b = bias[i%channels]
		}
		for j := i * inner; j < (i+1)*inner; j++ {
			y[j] = y[j]*s + b
		}
	})
}

// batchnormalizationOp normalizes each channel with statistics of the training
// data, or in training mode with those of the batch.
var batchnormalizationOp = &Operator{
	Name: "BatchNormalization", Since: 1, outputs: 5,
	inputs: []input{data("X", floats), weight("scale", floats), weight("B", floats), statistic("mean", floats), statistic("var", floats)},
	attrs: []attr{floatAttr("epsilon", 1e-5), floatAttr("momentum", 0.9),
		intAttr("spatial", 1).until(8), intAttr("is_test", 0).until(6), intsAttr("consumed_inputs").until(5), intAttr("training_mode", 0).from(14)},
	infer: func(f *inference) {
		x := f.input(0)
		f.set(0, x.dtype, x.shape)
		if len(x.shape) > 1 {
			for _, w := range f.in[1:] {
				if len(w.shape) == 1 && w.shape[0].Fixed() && x.shape[1].Fixed() && !w.shape[0].Equal(x.shape[1]) {
					f.clash(x.shape, w.shape)
				}
			}
		}
		for i := 1; i < len(f.n.Outputs); i++ {
			f.set(i, f.input(3).dtype, f.input(3).shape)
		}
	},
	eval: func(c *call) {
		x := c.input(0)
		if len(x.shape) < 2 {
			c.fail("data of shape %v has no channels", x.shape)
		}
		if c.opset < 9 && !c.flag("spatial") {
			c.unsupported("spatial=0")
		}
		training := c.flag("training_mode")
		if c.opset < 14 && len(c.n.Outputs) > 1 {
			c.unsupported("training mode, which is asked for by more than one output")
		}
		scale, _ := c.inFloats(1)
		bias, _ := c.inFloats(2)
		mean, _ := c.inFloats(3)
		variance, _ := c.inFloats(4)
		channels := x.shape[1]
		if len(mean) != channels || len(variance) != channels || len(scale) != channels || len(bias) != channels {
			c.fail("scale, bias, mean and variance have the shapes %v, %v, %v and %v; each must be one number for each channel of the data, %v", c.input(1).shape, c.input(2).shape, c.input(3).shape, c.input(4).shape, x.shape)
		}
		y := c.floats(x)
		if training {
			c.batchStatistics(y, x.shape, mean, variance)
		}
		factor, shift := make([]float64, channels), make([]float64, channels)
		for i := range channels {
			factor[i] = scale[i] / math.Sqrt(variance[i]+c.float("epsilon"))
			shift[i] = bias[i] - mean[i]*factor[i]
		}
		c.perChannel(y, x.shape, factor, shift)
		c.set(0, c.from(x.dtype, x.shape, y))
	},
}

// batchStatistics replaces mean and variance by those of the batch, and sets the
// running ones as outputs 1 and 2.
func (c *call) batchStatistics(y []float64, shape []int, mean, variance []float64) {
	momentum := c.float("momentum")
	running := [2][]float64{slices.Clone(mean), slices.Clone(variance)}
	channels, inner := shape[1], product(shape[2:])
	for i := range channels {
		sum, squares, n := 0.0, 0.0, 0
		each := func(f func(float64)) {
			for s := range shape[0] {
				for _, x := range y[(s*channels+i)*inner : (s*channels+i+1)*inner] {
					f(x)
				}
			}
		}
		each(func(x float64) { sum, n = sum+x, n+1 })
		mean[i] = sum / float64(n)
		each(func(x float64) { squares += (x - mean[i]) * (x - mean[i]) })
		variance[i] = squares / float64(n)
		running[0][i] = running[0][i]*momentum + mean[i]*(1-momentum)
		running[1][i] = running[1][i]*momentum + variance[i]*(1-momentum)
	}
	c.set(0, nil)
	c.set(1, c.from(c.input(3).dtype, c.input(3).shape, running[0]))
	c.set(2, c.from(c.input(4).dtype, c.input(4).shape, running[1]))
}
