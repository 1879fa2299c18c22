package convert_test

import (
	"math"
	"reflect"
	"testing"

	"lethe/convert"
	"lethe/graph"
	"lethe/model"
)

// pair returns Conv(1 -> 2, 1x1) followed by BatchNormalization, small enough
// to check by hand, and a hook to spoil it.
func pair(bias bool) (*graph.Graph, *model.StateDict) {
	inputs := []string{"input", "conv.weight"}
	entries := []model.Entry{
		{Name: "conv.weight", Tensor: model.Float32Tensor([]int{2, 1, 1, 1}, []float32{2, -3})},
		{Name: "bn.weight", Tensor: model.Float32Tensor([]int{2}, []float32{1, 4})},
		{Name: "bn.bias", Tensor: model.Float32Tensor([]int{2}, []float32{10, 20})},
		{Name: "bn.running_mean", Tensor: model.Float32Tensor([]int{2}, []float32{5, 1})},
		{Name: "bn.running_var", Tensor: model.Float32Tensor([]int{2}, []float32{3, 15})},
	}
	if bias {
		inputs = append(inputs, "conv.b")
		entries = append(entries, model.Entry{Name: "conv.b", Tensor: model.Float32Tensor([]int{2}, []float32{7, -1})})
	}
	sd, err := model.NewStateDict(entries...)
	if err != nil {
		panic(err)
	}
	return &graph.Graph{
		Name:    "pair",
		Inputs:  []graph.Value{graph.TensorValue("input", model.Float32, graph.Batch(1, 2, 2))},
		Outputs: []graph.Value{graph.TensorValue("out", model.Float32, graph.Batch(2, 2, 2))},
		Nodes: []graph.Node{
			{Name: "conv", Op: "Conv", Inputs: inputs, Outputs: []string{"c"}},
			{Name: "bn", Op: "BatchNormalization", Inputs: []string{"c", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"},
				Outputs: []string{"b"}, Attrs: graph.Attrs{"epsilon": graph.Float(1)}},
			{Name: "relu", Op: "Relu", Inputs: []string{"b"}, Outputs: []string{"out"}},
		},
	}, sd
}

func values(t *testing.T, sd *model.StateDict, name string) []float32 {
	t.Helper()
	v, err := sd.Get(name).Float32s()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestFoldBatchNorm(t *testing.T) {
	for _, c := range []struct {
		bias     bool
		biasName string
		want     []float32 // (bias - mean) * gamma / sqrt(var + 1) + beta
	}{
		{true, "conv.b", []float32{11, 18}},
		{false, "conv.bias", []float32{7.5, 19}},
	} {
		g, sd := pair(c.bias)
		before, _ := pair(c.bias)
		folded, weights, err := convert.FoldBatchNorm(g, sd)
		if err != nil {
			t.Fatal(err)
		}
		if len(folded.Nodes) != 2 || folded.Nodes[1].Op != "Relu" {
			t.Fatalf("nodes %v, want Conv and Relu", folded.Nodes)
		}
		conv := folded.Nodes[0]
		if !reflect.DeepEqual(conv.Inputs, []string{"input", "conv.weight", c.biasName}) || !reflect.DeepEqual(conv.Outputs, []string{"b"}) {
			t.Errorf("folded convolution %q -> %q", conv.Inputs, conv.Outputs)
		}
		if got := values(t, weights, "conv.weight"); !reflect.DeepEqual(got, []float32{1, -3}) {
			t.Errorf("weight %v, want [1 -3]", got)
		}
		if got := values(t, weights, c.biasName); !reflect.DeepEqual(got, c.want) {
			t.Errorf("bias %v, want %v", got, c.want)
		}
		if !reflect.DeepEqual(g, before) {
			t.Error("the graph that was given changed")
		}
		if got := values(t, sd, "conv.weight"); !reflect.DeepEqual(got, []float32{2, -3}) {
			t.Errorf("the state dict that was given changed: %v", got)
		}
	}
}

// Each case breaks one condition under which the two may become one.
func TestFoldBatchNormLeavesOthers(t *testing.T) {
	vector := func(x ...float32) *model.Tensor { return model.Float32Tensor([]int{len(x)}, x) }
	for name, spoil := range map[string]func(*graph.Graph, *model.StateDict) *model.StateDict{
		"training": func(g *graph.Graph, sd *model.StateDict) *model.StateDict {
			g.Nodes[1].Attrs["training_mode"] = graph.Int(1)
			return sd
		},
		"second reader": func(g *graph.Graph, sd *model.StateDict) *model.StateDict {
			g.Nodes = append(g.Nodes, graph.Node{Op: "Relu", Inputs: []string{"c"}, Outputs: []string{"d"}})
			return sd
		},
		"graph output": func(g *graph.Graph, sd *model.StateDict) *model.StateDict {
			g.Outputs = append(g.Outputs, graph.Value{Name: "c"})
			return sd
		},
		"not after a convolution": func(g *graph.Graph, sd *model.StateDict) *model.StateDict {
			g.Nodes[0].Op = "ConvTranspose"
			return sd
		},
		"first node": func(g *graph.Graph, sd *model.StateDict) *model.StateDict {
			g.Nodes = g.Nodes[1:]
			return sd
		},
		"shared weight": func(g *graph.Graph, sd *model.StateDict) *model.StateDict {
			g.Nodes = append(g.Nodes, graph.Node{Op: "Conv", Inputs: []string{"input", "conv.weight"}, Outputs: []string{"d"}})
			return sd
		},
		"shared bias": func(g *graph.Graph, sd *model.StateDict) *model.StateDict {
			g.Nodes = append(g.Nodes, graph.Node{Op: "Conv", Inputs: []string{"input", "w", "conv.b"}, Outputs: []string{"d"}})
			return sd
		},
		"bias is a statistic": func(g *graph.Graph, sd *model.StateDict) *model.StateDict {
			g.Nodes[0].Inputs[2] = "bn.bias"
			return sd
		},
		"new bias would take a name": func(g *graph.Graph, sd *model.StateDict) *model.StateDict {
			g.Nodes[0].Inputs = g.Nodes[0].Inputs[:2]
			return sd.With("conv.bias", vector(0, 0))
		},
		"weight is computed": func(g *graph.Graph, sd *model.StateDict) *model.StateDict {
			g.Nodes[0].Inputs[1] = "elsewhere"
			return sd
		},
		"integer weight": func(g *graph.Graph, sd *model.StateDict) *model.StateDict {
			return sd.With("conv.weight", typed(t, model.Int8, 2, 1, 1, 1))
		},
		"no channels": func(g *graph.Graph, sd *model.StateDict) *model.StateDict {
			return sd.With("conv.weight", zeros(0, 1, 1, 1))
		},
		"statistics of another size": func(g *graph.Graph, sd *model.StateDict) *model.StateDict {
			return sd.With("bn.running_var", vector(1, 1, 1))
		},
		"negative variance": func(g *graph.Graph, sd *model.StateDict) *model.StateDict {
			return sd.With("bn.running_var", vector(1, -2))
		},
		"overflow": func(g *graph.Graph, sd *model.StateDict) *model.StateDict {
			return sd.With("bn.weight", vector(1, math.MaxFloat32)).With("bn.running_var", vector(1, -0.5))
		},
	} {
		g, sd := pair(true)
		sd = spoil(g, sd)
		folded, weights, err := convert.FoldBatchNorm(g, sd)
		if err != nil || !reflect.DeepEqual(folded, g) || weights != sd {
			t.Errorf("%s: the graph became %v, error %v", name, folded.Nodes, err)
		}
	}
}
