package verify

import (
	"fmt"

	"lethe/dataset"
	"lethe/graph"
	"lethe/internal/learn"
	"lethe/internal/nn"
	"lethe/model"
	"lethe/ops"
)

// lacksUnseen says why nothing can be measured, or returns "".
func (a *auditor) lacksUnseen() string {
	if a.q.Test == nil {
		return "there are no test images"
	}
	forgotten, others := a.q.Test.Split(a.q.Classes...)
	switch {
	case len(forgotten) == 0:
		return fmt.Sprintf("none of the %d test images is of the class", a.q.Test.Len())
	case len(others) == 0:
		return "all test images are of the class"
	}
	return ""
}

func (a *auditor) lacksOthers() string {
	if _, others := a.q.Train.Split(a.q.Classes...); len(others) == 0 {
		return "all training images are of the class"
	}
	return ""
}

// lacksImages says which class has fewer training images than a measure takes.
func (a *auditor) lacksImages(images int) string {
	for c, have := range a.byClass {
		if len(have) < images && (len(have) > 0 || a.forgotten[c]) {
			return fmt.Sprintf("class %d has %d training images, it takes %d", c, len(have), images)
		}
	}
	return ""
}

func (a *auditor) lacksMembers() string {
	if n := len(a.memberPairs()[0]); n < folds {
		return fmt.Sprintf("there are %d pairs of training and test images of the class, it takes %d", n, folds)
	}
	return ""
}

// observe evaluates a network on all images that the measures share.
func (a *auditor) observe(net *nn.Net, sd *model.StateDict) (*observation, error) {
	s := &observation{net: net, sd: sd}
	var err error
	if s.featureNet, s.w, err = withoutLastLayer(net, sd); err != nil {
		return nil, err
	}
	rounded, err := changeWeights(net.Graph(), sd, roundInt8)
	if err != nil {
		return nil, err
	}
	coarse, err := nn.Bind(net.Graph(), rounded)
	if err != nil {
		return nil, err
	}
	if s.logits, err = a.outputs(net, a.q.Test, a.unseen); err != nil {
		return nil, err
	}
	if s.rounded, err = a.outputs(coarse, a.q.Test, a.unseen); err != nil {
		return nil, err
	}
	if s.inputs, err = a.features(s, a.q.Test, a.unseen); err != nil {
		return nil, err
	}
	s.probed, err = a.features(s, a.q.Train, a.probed)
	return s, err
}

// features returns the inputs of the last layer for the images of a set.
func (a *auditor) features(s *observation, set *dataset.Set, images []int) ([]float64, error) {
	v, err := a.outputs(s.featureNet, set, images)
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x)
	}
	return out, err
}

// withoutLastLayer returns the network without its last layer, and that layer as the
// weights of a [regression].
func withoutLastLayer(net *nn.Net, sd *model.StateDict) (*nn.Net, []float64, error) {
	head, err := ops.NewHead(net.Graph(), sd)
	if err != nil {
		return nil, nil, err
	}
	g := head.Graph.Clone()
	g.Outputs = []graph.Value{graph.TensorValue(head.Features, model.Float32, nil)}
	g.Prune()
	body, err := nn.Bind(g, sd)
	return body, head.Weights, err
}

// outputs evaluates a network on the images of a set, row by row.
func (a *auditor) outputs(net *nn.Net, set *dataset.Set, images []int) ([]float32, error) {
	return learn.Outputs(a.ctx, net, set, a.q.Norm, images, a.q.Threads)
}

// best returns the class with the largest of k logits in each row, the first of
// equals.
func best(logits []float32, k int) []int {
	out := make([]int, len(logits)/k)
	for i := range out {
		out[i] = learn.Best(logits[i*k : (i+1)*k])
	}
	return out
}

// logProbabilities returns the logarithm of the softmax of one row.
func logProbabilities(logits []float32) []float64 {
	logp := make([]float64, 2*len(logits))
	logp, p := logp[:len(logits)], logp[len(logits):]
	learn.LogSoftmax(logp, p, logits)
	return logp
}
