package verify

import (
	"bytes"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"lethe/graph"
	"lethe/model"
	"lethe/onnxio"
)

func encode(t testing.TB, g *graph.Graph, sd *model.StateDict) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := onnxio.Encode(&b, g, sd, onnxio.EncodeOptions{}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// before returns a graph with one more node at its input.
func before(g *graph.Graph, n graph.Node) *graph.Graph {
	n.Name, n.Outputs = "first", []string{"first"}
	n.Inputs = append([]string{g.Inputs[0].Name}, n.Inputs...)
	h := *g
	h.Nodes = append([]graph.Node{n}, g.Nodes...)
	h.Nodes[1].Inputs = slices.Clone(h.Nodes[1].Inputs)
	h.Nodes[1].Inputs[0] = "first"
	return &h
}

func TestONNXParity(t *testing.T) {
	net, sd := lenet(t)
	b := encode(t, net.Graph(), sd)
	p, err := ONNX(b, NewNetwork(net.Graph(), sd))
	if err != nil {
		t.Fatal(err)
	}
	if p.Evaluator != 0 || p.OnnxGo == 0 || p.OnnxGo > 1e-5 || p.Skipped != "" || p.Samples != 4 {
		t.Errorf("got %+v", p)
	}
	again, err := ONNX(b, NewNetwork(net.Graph(), sd))
	if err != nil || *again != *p {
		t.Errorf("a second time: %+v, %v, want %+v", again, err, p)
	}
	if want := "logits of 4 random samples differ by 0 by our evaluator, "; !strings.HasPrefix(p.String(), want) {
		t.Errorf("got %q", p)
	}
}

func TestONNXMutants(t *testing.T) {
	net, sd := lenet(t)
	epsilon := *net.Graph()
	epsilon.Nodes = slices.Clone(epsilon.Nodes)
	epsilon.Nodes[1].Attrs = maps.Clone(epsilon.Nodes[1].Attrs)
	epsilon.Nodes[1].Attrs["epsilon"] = graph.Float(0.1)
	swapped := *net.Graph()
	swapped.Nodes = slices.Clone(swapped.Nodes)
	swapped.Nodes[2], swapped.Nodes[3] = graph.Node{Name: "a", Op: "MaxPool", Inputs: swapped.Nodes[2].Inputs, Outputs: []string{"a"}, Attrs: swapped.Nodes[3].Attrs},
		graph.Node{Name: "b", Op: "MaxPool", Inputs: []string{"a"}, Outputs: swapped.Nodes[3].Outputs, Attrs: graph.Attrs{"kernel_shape": graph.Ints(1, 1), "strides": graph.Ints(1, 1)}}
	for _, c := range []struct {
		name string
		g    *graph.Graph
		sd   *model.StateDict
	}{
		{"a weight of the first layer", net.Graph(), set(t, sd, "block1.0.weight", 12, add(0.01))},
		{"a weight in the middle", net.Graph(), set(t, sd, "fc1.weight", 4, add(0.5))},
		{"a bias of the last layer", net.Graph(), set(t, sd, "fc2.bias", 9, add(0.01))},
		{"a running mean", net.Graph(), set(t, sd, "block2.1.running_mean", 0, add(0.01))},
		{"epsilon", &epsilon, sd},
		{"a ReLU", &swapped, sd},
	} {
		p, err := ONNX(encode(t, c.g, c.sd), NewNetwork(net.Graph(), sd))
		var failed *FailedError
		if !errors.As(err, &failed) || len(failed.Failed) != 1 || failed.Failed[0].Name != "ONNX parity" {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		// Both opinions see it.
		if p.Evaluator <= Tolerance || p.OnnxGo <= Tolerance || p.Skipped != "" {
			t.Errorf("%s: %+v", c.name, p)
		}
	}
}

// Where the second opinion alone differs, the check fails all the same: onnx-go
// is known to read pads that are not symmetric as if they were.
func TestONNXSecondOpinionCounts(t *testing.T) {
	net, sd := flat(t, weights)
	g := before(net.Graph(), graph.Node{Op: "MaxPool", Attrs: graph.Attrs{
		"kernel_shape": graph.Ints(2, 2), "strides": graph.Ints(1, 1), "pads": graph.Ints(0, 0, 1, 1)}})
	p, err := ONNX(encode(t, g, sd), NewNetwork(g, sd))
	var failed *FailedError
	if !errors.As(err, &failed) || p.Evaluator != 0 || p.OnnxGo <= Tolerance {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestONNXSkipsWhatOnnxGoCannotRun(t *testing.T) {
	net, sd := flat(t, weights)
	bare := *net.Graph()
	bare.Nodes = slices.Clone(bare.Nodes)
	bare.Nodes[1].Inputs = bare.Nodes[1].Inputs[:2]
	sd = sd.With("k", model.Float32Tensor([]int{1, 1, 2, 2}, []float32{1, 2, 3, 4}))
	lopsided := before(net.Graph(), graph.Node{Op: "Conv", Inputs: []string{"k"}, Attrs: graph.Attrs{
		"kernel_shape": graph.Ints(2, 2), "strides": graph.Ints(1, 1), "pads": graph.Ints(1, 0, 0, 1)}})
	dilated := before(net.Graph(), graph.Node{Op: "MaxPool", Attrs: graph.Attrs{
		"kernel_shape": graph.Ints(2, 2), "strides": graph.Ints(1, 1), "pads": graph.Ints(1, 1, 1, 1), "dilations": graph.Ints(2, 2)}})
	for _, c := range []struct {
		name, want string
		g          *graph.Graph
	}{
		{"Gemm without C", "onnx-go: bad arity", &bare},
		{"Conv with lopsided pads", "onnx-go cannot run operator Conv: ", lopsided},
		{"MaxPool with dilations", "onnx-go cannot run operator ", dilated},
	} {
		p, err := ONNX(encode(t, c.g, sd), NewNetwork(c.g, sd))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !strings.HasPrefix(p.Skipped, c.want) || p.Evaluator != 0 || p.OnnxGo != 0 {
			t.Errorf("%s: got %+v", c.name, p)
		}
		if !strings.Contains(p.String(), "not measured by onnx-go ("+p.Skipped+")") {
			t.Errorf("%s: got %q", c.name, p)
		}
	}
}

// Our own evaluator's opinion counts where it is the only one.
func TestONNXFirstOpinionCounts(t *testing.T) {
	net, sd := flat(t, weights)
	g := *net.Graph()
	g.Nodes = slices.Clone(g.Nodes)
	g.Nodes[1].Inputs = g.Nodes[1].Inputs[:2] // onnx-go wants C
	p, err := ONNX(encode(t, &g, set(t, sd, "fc.weight", 0, add(0.01))), NewNetwork(&g, sd))
	var failed *FailedError
	if !errors.As(err, &failed) || p.Evaluator <= Tolerance || p.Skipped == "" {
		t.Errorf("got %+v, %v", p, err)
	}
}

// onnx-go panics while it runs, too, and its own machine would do so where no
// one can catch it.
func TestOnnxGoPanics(t *testing.T) {
	net, sd := flat(t, weights)
	out, err := onnxGo(encode(t, net.Graph(), sd), make([]float32, 16*5), []int{16, 5})
	if out != nil || err == nil || !strings.HasPrefix(err.Error(), "onnx-go panicked: ") {
		t.Errorf("got %v, %v", out, err)
	}
	for _, b := range []string{"", "junk", "\x3a\x00", "\x3a\x02\x0a\x00"} {
		if out, err := onnxGo([]byte(b), make([]float32, 4), []int{1, 1, 2, 2}); out != nil || err == nil {
			t.Errorf("%q: got %v, %v", b, out, err)
		}
	}
}

func TestONNXOfAnotherNetwork(t *testing.T) {
	three, threeSD := flat(t, weights)
	two, twoSD := flat(t, weights[:2])
	four, fourSD := flat(t, append(slices.Clone(weights), [4]float32{}))
	large, largeSD := lenet(t)
	wide := *three.Graph()
	wide.Inputs = []graph.Value{graph.TensorValue("input", model.Float32, graph.Batch(1, 1, 4))}
	for _, c := range []struct {
		name, want string
		b          []byte
	}{
		{"fewer classes", "the file takes inputs of shape [1 2 2] to 2 classes, the network [1 2 2] to 3", encode(t, two.Graph(), twoSD)},
		{"more classes", "the file takes inputs of shape [1 2 2] to 4 classes, the network [1 2 2] to 3", encode(t, four.Graph(), fourSD)},
		{"wider images", "the file takes inputs of shape [1 1 4] to 3 classes, the network [1 2 2] to 3", encode(t, &wide, threeSD)},
		{"larger images", "the file takes inputs of shape [1 28 28] to 10 classes, the network [1 2 2] to 3", encode(t, large.Graph(), largeSD)},
	} {
		var failed *FailedError
		if _, err := ONNX(c.b, NewNetwork(three.Graph(), threeSD)); !errors.As(err, &failed) || failed.Failed[0].Detail != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestONNXBrokenBytes(t *testing.T) {
	net, sd := flat(t, weights)
	good := encode(t, net.Graph(), sd)
	nan := encode(t, net.Graph(), set(t, sd, "fc.weight", 0, to(math.NaN())))
	var failed *FailedError
	for _, c := range []struct {
		name string
		b    []byte
	}{
		{"nothing", nil},
		{"half", good[:len(good)/2]},
		{"one byte too few", good[:len(good)-1]},
		{"text", []byte("this is not a model")},
		{"NaN", nan},
	} {
		p, err := ONNX(c.b, NewNetwork(net.Graph(), sd))
		if err == nil || p != nil || errors.As(err, &failed) || !strings.HasPrefix(err.Error(), "reading back the ONNX model: ") {
			t.Errorf("%s: %v, %v", c.name, p, err)
		}
	}
}

func TestApart(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, c := range []struct {
		a, b []float32
		want float64
	}{
		{[]float32{1, -4}, []float32{1, -4}, 0},
		{[]float32{0, 0}, []float32{0, 0}, 0},
		{[]float32{1, -4}, []float32{2, -4}, 0.25},
		{[]float32{1, 4}, []float32{1, -4}, 2},
		{[]float32{1e-9}, []float32{0}, math.Inf(1)},
		{[]float32{nan}, []float32{0}, math.Inf(1)},
		{[]float32{1}, []float32{nan}, math.Inf(1)},
		{[]float32{inf}, []float32{inf}, math.Inf(1)},
		{[]float32{0, 1}, []float32{inf, 1}, math.Inf(1)},
	} {
		if got := relativeDifference(c.a, c.b); got != c.want {
			t.Errorf("%v and %v: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}
