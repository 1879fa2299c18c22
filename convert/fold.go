package convert

import (
	"math"
	"slices"
	"strings"

	"lethe/graph"
	"lethe/model"
)

// FoldBatchNorm returns a graph in which every BatchNormalization that directly
// follows a Conv has become part of that convolution, and the state dict with
// the weights for it: float32, under the convolution's names. A convolution
// without a bias gets one, named after its weight ("conv.weight" leads to
// "conv.bias"). What is folded is computed in float64 and rounded once, so that
// outputs differ from the original's by float32 rounding only.
//
// Neither g nor sd is changed. Entries that no node reads any more stay in the
// state dict. A BatchNormalization is left as it is where folding would change
// what something else reads (a shared weight, a second reader of the
// convolution's output) or would not give finite numbers. Errors come only from
// reading tensors.
func FoldBatchNorm(g *graph.Graph, sd *model.StateDict) (*graph.Graph, *model.StateDict, error) {
	out := *g
	out.Nodes = nil
	readers := countReaders(g)
	producer := map[string]int{} // value -> index in out.Nodes
	for _, n := range g.Nodes {
		if n.Op == "BatchNormalization" && n.Int("training_mode", 0) == 0 && len(n.Inputs) == 5 && len(n.Outputs) == 1 {
			if at, ok := producer[n.Inputs[0]]; ok && readers[n.Inputs[0]] == 1 && out.Nodes[at].Op == "Conv" {
				conv, folded, err := fold(&out.Nodes[at], &n, sd, readers)
				if err != nil {
					return nil, nil, err
				}
				if conv != nil {
					out.Nodes[at], sd = *conv, folded
					producer[n.Outputs[0]] = at
					continue
				}
			}
		}
		for _, value := range n.Outputs {
			producer[value] = len(out.Nodes)
		}
		out.Nodes = append(out.Nodes, n)
	}
	return &out, sd, nil
}

// countReaders counts how often each name is read; leaving the graph counts.
func countReaders(g *graph.Graph) map[string]int {
	readers := map[string]int{}
	for _, n := range g.Nodes {
		for _, in := range n.Inputs {
			readers[in]++
		}
	}
	for _, v := range g.Outputs {
		readers[v.Name]++
	}
	return readers
}

// fold returns conv with bn in it and the state dict with its new weights, or
// a nil node if the two cannot become one.
func fold(conv, bn *graph.Node, sd *model.StateDict, readers map[string]int) (*graph.Node, *model.StateDict, error) {
	weightName := conv.Inputs[1]
	tensor := sd.Get(weightName)
	if tensor == nil || !tensor.DType().IsFloat() || tensor.Len() == 0 || readers[weightName] != 1 {
		return nil, nil, nil
	}
	biasName, hasBias := strings.TrimSuffix(weightName, ".weight")+".bias", false
	if len(conv.Inputs) > 2 && conv.Inputs[2] != "" {
		biasName, hasBias = conv.Inputs[2], true
	}
	if hasBias && readers[biasName] != 1 || !hasBias && (readers[biasName] > 0 || sd.Get(biasName) != nil) {
		return nil, nil, nil
	}

	channels := tensor.Shape()[0]
	names := bn.Inputs[1:]
	if hasBias {
		names = append(slices.Clone(names), biasName)
	}
	vectors := make([][]float32, 5)
	vectors[4] = make([]float32, channels) // the bias of a convolution that has none
	for i, name := range names {
		t := sd.Get(name)
		if t == nil || !t.DType().IsFloat() || !slices.Equal(t.Shape(), []int{channels}) {
			return nil, nil, nil
		}
		var err error
		if vectors[i], err = t.Float32s(); err != nil {
			return nil, nil, err
		}
	}
	gamma, beta, mean, variance, bias := vectors[0], vectors[1], vectors[2], vectors[3], vectors[4]
	weight, err := tensor.Float32s()
	if err != nil {
		return nil, nil, err
	}

	// y = (conv(x) + bias - mean) * scale + beta with scale = gamma / sqrt(variance + epsilon).
	// The conversions keep the compiler from fusing a multiplication with an
	// addition, which would make the bits depend on the machine.
	epsilon := float64(bn.Float("epsilon", epsilon))
	perChannel := len(weight) / channels
	for c := range channels {
		scale := float64(gamma[c]) / math.Sqrt(float64(variance[c])+epsilon)
		bias[c] = float32(float64((float64(bias[c])-float64(mean[c]))*scale) + float64(beta[c]))
		for i := c * perChannel; i < (c+1)*perChannel; i++ {
			weight[i] = float32(float64(weight[i]) * scale)
		}
	}
	if !finite(weight) || !finite(bias) {
		return nil, nil, nil
	}

	folded := *conv
	folded.Inputs = []string{conv.Inputs[0], weightName, biasName}
	folded.Outputs = bn.Outputs
	sd = sd.With(weightName, model.Float32Tensor(tensor.Shape(), weight)).
		With(biasName, model.Float32Tensor([]int{channels}, bias))
	return &folded, sd, nil
}

func finite(v []float32) bool {
	return !slices.ContainsFunc(v, func(x float32) bool { return x-x != 0 })
}
