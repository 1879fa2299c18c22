package nn

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"lethe/graph"
	"lethe/model"
	"lethe/ops"
)

// Whatever a node says, it is refused by an error or runs, forward and back.
func TestOddNodesNeverPanic(t *testing.T) {
	names := slices.Collect(maps.Keys(operators))
	names = slices.AppendSeq(names, maps.Keys(cells))
	names = slices.AppendSeq(names, maps.Keys(expansions))
	slices.Sort(names)
	r := rand.New(rand.NewPCG(11, 12))
	ran := 0
	for _, op := range names {
		for range 600 {
			g, sd := oddGraph(t, r, op)
			func() {
				defer func() {
					if p := recover(); p != nil {
						t.Errorf("%s of %q with %v: panic: %v", op, g.Nodes[0].Inputs, g.Nodes[0].Attrs, p)
					}
				}()
				n, err := Bind(g, sd)
				if err != nil {
					return
				}
				s, err := n.NewSession(17, 1, ops.Parameters(g))
				if err != nil {
					return
				}
				s.Step(17, func(_ int, x []float32) { clear(x) }, func(_ int, _, grad []float32) { clear(grad) })
				ran++
			}()
		}
	}
	if ran < 200 {
		t.Errorf("only %d of the nodes ran", ran)
	}
}

// oddGraph is a node of an operator with inputs and attributes drawn at random,
// and a layer that makes classes of what comes out.
func oddGraph(t *testing.T, r *rand.Rand, op string) (*graph.Graph, *model.StateDict) {
	t.Helper()
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	float := func(dims ...int) *model.Tensor {
		return model.Float32Tensor(dims, make([]float32, product(dims)))
	}
	sd, err := model.NewStateDict(
		model.Entry{Name: "w4", Tensor: float(6, 4, 3, 3)}, model.Entry{Name: "w2", Tensor: float(5, 4)}, model.Entry{Name: "w1", Tensor: float(4)},
		model.Entry{Name: "w0", Tensor: float()}, model.Entry{Name: "w3", Tensor: float(1, 8, 5)}, model.Entry{Name: "end", Tensor: float(2, r.IntN(3)*2+4)})
	if err != nil {
		t.Fatal(err)
	}
	g := &graph.Graph{
		Inputs:  []graph.Value{graph.TensorValue("x", model.Float32, graph.Batch(4, 5, 5)), graph.TensorValue("v", model.Float32, graph.Batch(5))},
		Outputs: []graph.Value{{Name: "logits"}}, Opsets: map[string]int{"": 23},
		Constants: map[string]*model.Tensor{
			"i0": int64Tensor([]int{}, int64(r.IntN(5)-2)), "i1": int64Tensor([]int{1}, int64(r.IntN(7)-3)),
			"i3": int64Tensor([]int{3}, int64(r.IntN(5)-2), -1, 4), "i8": int64Tensor([]int{8}, 0, 0, 1, 0, 0, 0, int64(r.IntN(4)-1), 1), "i": int64Tensor([]int{0}),
		},
	}
	n := graph.Node{Name: "odd", Op: op, Outputs: []string{"y"}, Attrs: graph.Attrs{}}
	for i := range 1 + r.IntN(5) {
		if i == 0 && r.IntN(4) > 0 {
			n.Inputs = append(n.Inputs, pick("x", "v"))
		} else {
			n.Inputs = append(n.Inputs, pick("x", "v", "w4", "w3", "w2", "w1", "w0", "i0", "i1", "i3", "i8", "i", "w1", "w2", ""))
		}
	}
	for range max(r.IntN(5)-2, 0) {
		k := int64(r.IntN(6) - 2)
		name := pick("axis", "group", "num_groups", "keepdims", "transB", "transA", "hidden_size", "ceil_mode", "kernel_shape", "strides", "pads", "dilations", "perm", "to", "mode")
		switch name {
		case "kernel_shape", "strides", "dilations":
			n.Attrs[name] = graph.Ints(k, int64(r.IntN(4)))
		case "pads":
			n.Attrs[name] = graph.Ints(k, 1, 0, int64(r.IntN(4)))
		case "perm":
			n.Attrs[name] = graph.Ints(0, k, 1, 2)
		case "mode":
			n.Attrs[name] = graph.String(pick("constant", "edge", "reflect", "odd"))
		default:
			n.Attrs[name] = graph.Int(k)
		}
	}
	if r.IntN(4) == 0 {
		n.Outputs = append(n.Outputs, "z")
	}
	out := "y"
	g.Nodes = append(g.Nodes, n)
	for i, op := range []string{"GlobalAveragePool", "Flatten"} {
		if r.IntN(3) > 0 {
			g.Nodes = append(g.Nodes, graph.Node{Name: op, Op: op, Inputs: []string{out}, Outputs: []string{fmt.Sprint("o", i)}})
			out = fmt.Sprint("o", i)
		}
	}
	if r.IntN(2) == 0 {
		g.Nodes = append(g.Nodes, graph.Node{Name: "end", Op: "Gemm", Inputs: []string{out, "end"}, Outputs: []string{"e"}, Attrs: graph.Attrs{"transB": graph.Int(1)}})
		out = "e"
	}
	g.Outputs[0].Name = out
	return g, sd
}

// What cannot be run is refused as a whole: every operator, how often, and where
// first.
func TestRefusalsAreListed(t *testing.T) {
	n := newNetwork(6, 5)
	x := n.op("Hardmax", nil, n.op("Tanh", nil, "x"))
	y := n.op("ReduceSum", nil, n.linear("x", 5, 4), n.ints(0)) // over the batch
	n.op("ReduceMean", nil, n.op("Mul", nil, y, n.linear("x", 5, 4)), n.ints(0))
	y = n.op("Cast", graph.Attrs{"to": graph.Int(onnxFloat)}, n.op("EyeLike", nil, n.op("Flatten", nil, "x")))
	n.op("Add", nil, n.op("Hardmax", nil, y), n.op("Flatten", nil, x))
	n.end("x", 30)
	sd, err := model.NewStateDict(n.entries...)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Bind(n.graph, sd)
	var unsupported *model.UnsupportedError
	if !errors.As(err, &unsupported) {
		t.Fatalf("the error is %v", err)
	}
	for _, want := range []string{`Hardmax 2 times, first at node "n1"`, `EyeLike at node "n`, `ReduceSum at node "n`, "over the batch", `ReduceMean at node "n`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error: %v", want, err)
		}
	}
}

// What depends on data is refused, with the reason; so are places of MaxPool that
// something else reads, and those of windows that overlap.
func TestRefusalsOfFlowAndPlaces(t *testing.T) {
	window := graph.Attrs{"kernel_shape": graph.Ints(2, 2), "strides": graph.Ints(2, 2)}
	for want, f := range map[string]func(n *network) string{
		"what If computes depends on the data": func(n *network) string {
			top := n.op("ReduceMax", graph.Attrs{"keepdims": graph.Int(0)}, "x")
			return n.op("If", graph.Attrs{"then_branch": body(nil, []string{"x"}), "else_branch": body(nil, []string{"x"})}, n.op("Greater", nil, top, n.number(1)))
		},
		"what Loop computes depends on the data, or it has more rounds": func(n *network) string {
			return n.op("Loop", graph.Attrs{"body": body([]string{"i", "c", "h"}, []string{"c", "h"})}, n.int(1<<40), "", "x")
		},
		"supported for MaxUnpool only": func(n *network) string {
			out := n.ops("MaxPool", window, 2, "x")
			return n.op("Mul", nil, out[0], n.op("Cast", graph.Attrs{"to": graph.Int(onnxFloat)}, out[1]))
		},
		"windows that do not overlap": func(n *network) string {
			attrs := graph.Attrs{"kernel_shape": graph.Ints(2, 2)}
			return n.op("MaxUnpool", attrs, n.ops("MaxPool", attrs, 2, "x")...)
		},
		"axis 3 had 7 elements and gets 6": func(n *network) string {
			return n.op("MaxUnpool", window, n.ops("MaxPool", window, 2, "x")...)
		},
		"is supported for the places that a MaxPool": func(n *network) string {
			return n.op("MaxUnpool", window, "x", n.op("Cast", graph.Attrs{"to": graph.Int(onnxInt64)}, "x"))
		},
		"has no axes to pool over": func(n *network) string {
			return n.op("MaxUnpool", window, n.ops("MaxPool", window, 2, n.op("Flatten", nil, "x"))...)
		},
	} {
		n := newNetwork(2, 8, 7)
		n.graph.Outputs = []graph.Value{{Name: n.op("Flatten", nil, f(n))}}
		sd, _ := model.NewStateDict()
		if _, err := Bind(n.graph, sd); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want one with %q", err, want)
		}
	}
}

// The classes may stand on an axis with others of one element behind it, as
// poolings leave them.
func TestClassesBeforeAxesOfOne(t *testing.T) {
	n := newNetwork(2, 5, 5)
	n.graph.Outputs = []graph.Value{{Name: n.op("GlobalAveragePool", nil, n.conv("x", 4, 2, 1, nil))}}
	net, _ := n.bind(t)
	if net.Classes() != 4 {
		t.Errorf("%d classes of 4", net.Classes())
	}
}
