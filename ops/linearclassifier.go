package ops

import (
	"math"

	"lethe/graph"
	"lethe/model"
)

// linearclassifierOp is a linear layer, what follows it, and the label with the
// best score.
var linearclassifierOp = &Operator{
	Name: "LinearClassifier", Domain: "ai.onnx.ml", outputs: 2,
	inputs: []input{data("X", numbers)},
	attrs: []attr{
		noDefault("coefficients", graph.FloatsAttr).must(), noDefault("intercepts", graph.FloatsAttr), intAttr("multi_class", 0),
		noDefault("classlabels_ints", graph.IntsAttr), noDefault("classlabels_strings", graph.StringsAttr),
		stringAttr("post_transform", "NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"),
	},
	infer: func(f *inference) {
		dtype := model.Int64
		n := len(f.attr("classlabels_ints").Ints())
		if s := f.attr("classlabels_strings").Strings(); len(s) > 0 {
			dtype, n = model.String, len(s)
		}
		x := f.input(0).shape
		if len(x) != 2 {
			f.set(0, dtype, nil)
			return
		}
		f.set(0, dtype, x[:1])
		f.set(1, model.Float32, graph.Shape{x[0], graph.Size(n)})
	},
	eval: func(c *call) {
		x := c.input(0)
		if len(x.shape) == 1 {
			x = c.reshaped(x, []int{1, x.shape[0]})
		}
		labels := c.classLabels()
		weights, bias := c.attr("coefficients").Floats(), c.attr("intercepts").Floats()
		if len(x.shape) != 2 || x.shape[1] == 0 || len(weights)%x.shape[1] != 0 || labels.Len() == 0 {
			c.fail("there are %d coefficients, which do not fit data of shape %v", len(weights), x.shape)
		}
		n := len(weights) / x.shape[1]
		if len(bias) != 0 && len(bias) != n || n != labels.Len() && !(n == 1 && labels.Len() == 2) {
			c.fail("there are %d intercepts and %d labels, and the scores are %d", len(bias), labels.Len(), n)
		}
		v := c.floats(x)
		scores := make([]float64, 0, x.shape[0]*labels.Len())
		best := c.like(labels, x.shape[:1])
		for i := range x.shape[0] {
			row := make([]float64, n)
			for k := range n {
				if len(bias) > 0 {
					row[k] = float64(bias[k])
				}
				for j, y := range v[i*x.shape[1] : (i+1)*x.shape[1]] {
					row[k] += y * float64(weights[k*x.shape[1]+j])
				}
			}
			row = c.classScores(row, labels.Len())
			top := 0
			for k, s := range row {
				if s > row[top] {
					top = k
				}
			}
			best.data.copyFrom(i, labels.data, top, 1)
			scores = append(scores, row...)
		}
		c.set(0, best)
		c.set(1, c.from(model.Float32, []int{x.shape[0], labels.Len()}, scores))
	},
}

// classLabels returns the labels as a tensor.
func (c *call) classLabels() *Tensor {
	if s := c.attr("classlabels_strings").Strings(); len(s) > 0 {
		return Strings([]int{len(s)}, s)
	}
	n := c.attr("classlabels_ints").Ints()
	return Int64s([]int{len(n)}, n)
}

// classScores applies post_transform. One score for two classes is that of the
// second.
func (c *call) classScores(row []float64, classes int) []float64 {
	how := c.text("post_transform")
	if how == "LOGISTIC" {
		for i, s := range row {
			row[i] = sigmoid(s)
		}
	}
	if len(row) == 1 && classes == 2 {
		other := -row[0]
		if how == "LOGISTIC" {
			other = 1 - row[0]
		}
		row = []float64{other, row[0]}
	}
	switch how {
	case "SOFTMAX":
		softmaxRow(row)
	case "SOFTMAX_ZERO": // scores of zero stay what they are
		top, sum := largestOf(row), 0.0
		for i, s := range row {
			if s != 0 {
				row[i] = math.Exp(s - top)
				sum += row[i]
			}
		}
		for i := range row {
			if sum != 0 {
				row[i] /= sum
			}
		}
	}
	return row
}
