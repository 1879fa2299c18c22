package aten

import (
	"slices"

	"lethe/graph"
	"lethe/model"
)

// movers only move elements, and have bfloat16 among their types since opset 13.
var movers = []string{"Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Concat", "Slice", "Split", "Gather", "Expand", "Tile", "Shape"}

// truths are operators whose outputs are truth values, counters those whose
// outputs are integers.
var (
	truths   = []string{"Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Not", "And", "Or", "Xor", "IsNaN", "IsInf"}
	counters = []string{"Shape", "ArgMax", "ArgMin"}
)

// widenBFloat16 makes every operator that computes with bfloat16 do so in
// float32, and rounds what it makes: that is what PyTorch does on a CPU, most
// operators of ONNX have no bfloat16 before opset 22, and runtimes have few of
// them after. Weights and values between operators stay in bfloat16.
func (v *converter) widenBFloat16() {
	code := onnxTypes[model.BFloat16]
	narrow := map[string]bool{}
	for _, in := range v.g.Inputs {
		narrow[in.Name] = in.DType == model.BFloat16
	}
	for name, t := range v.g.Constants {
		narrow[name] = t.DType() == model.BFloat16
	}
	for _, w := range v.program.Weights {
		if !w.Constant {
			narrow[w.Name] = w.Tensor.DType() == model.BFloat16
		}
	}
	var nodes []graph.Node
	wide := map[string]string{} // values of bfloat16 in float32
	for _, n := range v.g.Nodes {
		isNarrow := slices.ContainsFunc(n.Inputs, func(in string) bool { return narrow[in] })
		if n.Op == "Cast" {
			narrow[n.Outputs[0]] = n.Attrs["to"].Int() == code
			nodes = append(nodes, n)
			continue
		}
		if !isNarrow || slices.Contains(movers, n.Op) {
			for _, out := range n.Outputs {
				narrow[out] = isNarrow && !slices.Contains(counters, n.Op)
			}
			nodes = append(nodes, n)
			continue
		}
		for i, in := range n.Inputs {
			if !narrow[in] {
				continue
			}
			if wide[in] == "" {
				wide[in] = v.unique(in + "/float32")
				nodes = append(nodes, graph.Node{Op: "Cast", Name: n.Name, Inputs: []string{in}, Outputs: []string{wide[in]}, Attrs: attrs{"to": num(onnxTypes[model.Float32])}})
			}
			n.Inputs[i] = wide[in]
		}
		var casts []graph.Node
		if !slices.Contains(truths, n.Op) && !slices.Contains(counters, n.Op) {
			for i, out := range n.Outputs {
				if n.Op == "TopK" && i == 1 {
					continue
				}
				narrow[out] = true
				n.Outputs[i] = v.unique(out + "/float32")
				casts = append(casts, graph.Node{Op: "Cast", Name: n.Name, Inputs: []string{n.Outputs[i]}, Outputs: []string{out}, Attrs: attrs{"to": num(code)}})
			}
		}
		nodes = append(append(nodes, n), casts...)
	}
	v.g.Nodes = nodes
}
