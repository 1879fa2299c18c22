package onnxio_test

import (
	"fmt"
	"strings"
	"testing"

	"lethe/graph"
	"lethe/onnxio"
)

// sketch writes a graph in a few words a line.
func sketch(g *graph.Graph, indent string) string {
	var b strings.Builder
	for _, v := range g.Inputs {
		fmt.Fprintf(&b, "%sin %s %v%v\n", indent, v.Name, v.DType, v.Shape)
	}
	for _, n := range g.Nodes {
		fmt.Fprintf(&b, "%s%s.%s %s -> %s\n", indent, n.Domain, n.Op, strings.Join(n.Inputs, ","), strings.Join(n.Outputs, ","))
		for sub := range n.Subgraphs() {
			b.WriteString(sketch(sub, indent+"  "))
		}
	}
	for _, v := range g.Outputs {
		fmt.Fprintf(&b, "%sout %s %v%v\n", indent, v.Name, v.DType, v.Shape)
	}
	return b.String()
}

func TestGraphOfModels(t *testing.T) {
	want := map[string]string{
		"opset7.onnx": `
in x float32[1 4]
.Gemm x,w,b -> y
out y float32[1 3]
`,
		// The Constant nodes whose values are weights are gone, others stay.
		"constants.onnx": `
in x float32[N 4]
.Constant  -> two
.Constant  -> target
.Constant  -> yes
.MatMul x,weight -> m
.Add m,bias -> s
.Mul s,two -> d
local.Scaled d -> g
.Reshape g,target -> h
.If yes -> y
  .Mul h,else_w -> else
  out else float32[]
  .Mul h,then_w -> then
  out then float32[]
out y float32[N 3]
`,
		"sklearn_like.onnx": `
in X float64[X.0 4]
.Cast X -> cast_input
.MatMul cast_input,coefficient -> mul_result
.Add mul_result,intercepts -> add_result
.Relu add_result -> next_activations
.MatMul next_activations,coefficient1 -> mul_result1
.Add mul_result1,intercepts1 -> add_result1
.Softmax add_result1 -> probabilities
.ArgMax probabilities -> index
ai.onnx.ml.ArrayFeatureExtractor classes,index -> column
.Reshape column,shape_tensor -> output_label
out output_label int64[output_label.0]
out probabilities float32[probabilities.0 3]
`,
	}
	models(t, func(name string, _ []byte, file *onnxio.File) {
		g, err := file.Graph()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if got := "\n" + sketch(g, ""); want[name] != "" && got != want[name] {
			t.Errorf("%s: got%swant%s", name, got, want[name])
		}
		delete(want, name)
		switch name {
		case "constants.onnx":
			two := g.Nodes[0].Attrs["value"].Tensor()
			if v, err := two.Float32s(); err != nil || len(v) != 1 || v[0] != 2 {
				t.Errorf("constant two is %v, %v", v, err)
			}
			fn := g.Functions[0]
			if fn.Name != "Scaled" || fn.Domain != "local" || len(fn.Nodes) != 2 || fn.Opsets[""] != 17 || g.Opset("local") != 1 {
				t.Errorf("function %+v", fn)
			}
			if w := g.Weights(); fmt.Sprint(w) != "[weight bias]" {
				t.Errorf("weights %q", w)
			}
		case "sklearn_like.onnx":
			if w := g.Weights(); fmt.Sprint(w) != "[coefficient intercepts coefficient1 intercepts1]" || g.Constants["classes"] == nil {
				t.Errorf("weights %q", w)
			}
			if a := g.Nodes[7].Attrs; a["axis"].Int() != 1 || a["keepdims"].Kind() != graph.IntAttr {
				t.Errorf("attributes %v", a)
			}
		case "tf_like.onnx":
			if a := g.Nodes[1].Attrs; a["auto_pad"].Text() != "SAME_UPPER" || fmt.Sprint(a["kernel_shape"].Ints()) != "[3 3]" {
				t.Errorf("attributes %v", a)
			}
		}
	})
	if len(want) > 0 {
		t.Errorf("missing models: %v", want)
	}
}
