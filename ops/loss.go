package ops

import (
	"math"
	"slices"

	"lethe/graph"
)

var lossReduction = stringAttr("reduction", "mean", "none", "sum")

func inferLoss(f *inference) {
	if f.text("reduction") != "none" {
		f.set(0, f.input(0).dtype, graph.Sizes())
		return
	}
	f.set(0, f.input(0).dtype, f.input(1).shape)
}

// loss returns the loss of logarithms of the shape of input 0.
func (c *call) loss(logs []float64) *Tensor {
	x, target := c.input(0), c.input(1)
	if len(x.shape) < 2 || !slices.Equal(target.shape, without(x.shape, []int{1}, false, 0)) {
		c.fail("the labels have shape %v, which does not fit scores of shape %v", target.shape, x.shape)
	}
	classes, inner := x.shape[1], product(x.shape[2:])
	labels, _ := c.inInts(1)
	weights, weighted := c.inFloats(2)
	if weighted && len(weights) != classes {
		c.fail("there are %d weights, and the scores have %d classes", len(weights), classes)
	}
	out := make([]float64, len(labels))
	total, sum := 0.0, 0.0
	for i, label := range labels {
		if c.has("ignore_index") && label == c.int("ignore_index") {
			continue
		}
		if label < 0 || label >= classes {
			c.fail("a label is %d, and there are %d classes", label, classes)
		}
		w := 1.0
		if weighted {
			w = weights[label]
		}
		out[i] = -w * logs[(i/inner*classes+label)*inner+i%inner]
		sum += out[i]
		total += w
	}
	switch c.text("reduction") {
	case "none":
		return c.from(x.dtype, target.shape, out)
	case "sum":
		total = 1
	}
	if total == 0 {
		return c.from(x.dtype, []int{}, []float64{math.NaN()})
	}
	return c.from(x.dtype, []int{}, []float64{sum / total})
}
