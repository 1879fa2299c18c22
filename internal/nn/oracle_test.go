package nn

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"lethe/convert"
	"lethe/graph"
	"lethe/internal/oracle"
	"lethe/model"
	"lethe/ops"
	"lethe/pickle"
)

// nodesForTorch returns the nodes of a graph, those of its bodies included, as JSON
// holds them.
func nodesForTorch(t *testing.T, g *graph.Graph) (nodes []any) {
	t.Helper()
	for _, m := range g.Nodes {
		attrs := map[string]any{}
		for name, a := range m.Attrs {
			switch a.Kind() {
			case graph.IntAttr:
				attrs[name] = a.Int()
			case graph.FloatAttr:
				attrs[name] = a.Float()
			case graph.StringAttr:
				attrs[name] = a.Text()
			case graph.IntsAttr:
				attrs[name] = a.Ints()
			case graph.GraphAttr:
				var inputs, outputs []string
				for _, v := range a.Graph().Inputs {
					inputs = append(inputs, v.Name)
				}
				for _, v := range a.Graph().Outputs {
					outputs = append(outputs, v.Name)
				}
				attrs[name] = map[string]any{"inputs": inputs, "outputs": outputs, "nodes": nodesForTorch(t, a.Graph())}
			default:
				t.Fatalf("attribute %s is %v", name, a.Kind())
			}
		}
		nodes = append(nodes, map[string]any{"op": m.Op, "inputs": m.Inputs, "outputs": m.Outputs, "attrs": attrs})
	}
	return nodes
}

// forTorch writes what PyTorch needs to compute the logits that g, which n was bound
// of, has for count samples and the gradient of the loss of step to a new folder. If chunk is not 0, batch
// normalization is in training mode on that many samples.
func forTorch(t *testing.T, g *graph.Graph, n *Net, sd *model.StateDict, x []float32, count, chunk int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	var c struct {
		Inputs    [][2]any `json:"inputs"`
		Nodes     []any    `json:"nodes"`
		Output    string   `json:"output"`
		Constants [][3]any `json:"constants"`
		Weights   [][2]any `json:"weights"`
		Params    []string `json:"params"`
		Chunk     int      `json:"chunk"`
	}
	for _, in := range g.Inputs {
		sizes, _ := in.Shape[1:].Ints()
		c.Inputs = append(c.Inputs, [2]any{in.Name, append([]int{count}, sizes...)})
	}
	c.Output, c.Params, c.Chunk = g.Outputs[0].Name, ops.Parameters(n.Graph()), chunk
	for name, k := range g.Constants {
		v, err := numbers(k)
		if err != nil {
			t.Fatal(err)
		}
		c.Constants = append(c.Constants, [3]any{name, k.Shape(), v})
	}
	c.Nodes = nodesForTorch(t, g)
	var weights []float32
	for _, name := range append(ops.Parameters(g), ops.Buffers(g)...) {
		v, err := sd.Get(name).Float32s()
		if err != nil {
			t.Fatal(err)
		}
		c.Weights, weights = append(c.Weights, [2]any{name, sd.Get(name).Shape()}), append(weights, v...)
	}
	var coefficients []float32
	for i := range count {
		for k := range n.Classes() {
			coefficients = append(coefficients, coefficient(i, k))
		}
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("case.json", b)
	for name, v := range map[string][]float32{"weights.f32": weights, "input.f32": x, "coefficients.f32": coefficients} {
		var b bytes.Buffer
		binary.Write(&b, binary.LittleEndian, v)
		write(name, b.Bytes())
	}
	return dir
}

// fromTorch reads float64 values that PyTorch left in a folder.
func fromTorch(t *testing.T, dir, name string) []float64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	v := make([]float64, len(b)/8)
	if _, err := binary.Decode(b, binary.LittleEndian, v); err != nil {
		t.Fatal(err)
	}
	return v
}

// relativeDifference returns the largest difference, relative to the largest magnitude in
// want.
func relativeDifference(t *testing.T, got []float32, want []float64) float64 {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d numbers, torch has %d", len(got), len(want))
	}
	var diff, top float64
	for i := range want {
		d := math.Abs(float64(got[i]) - want[i])
		if math.IsNaN(d) {
			return math.Inf(1)
		}
		diff, top = math.Max(diff, d), math.Max(top, math.Abs(want[i]))
	}
	if top == 0 {
		t.Fatal("torch returned nothing but zeros")
	}
	return diff / top
}

func agreeWithTorch(t *testing.T, n *Net, x []float32, count int, dir string) {
	t.Helper()
	logits, grad := fromTorch(t, dir, "logits.f64"), fromTorch(t, dir, "grad.f64")
	got, err := n.Logits(x, 2)
	if err != nil {
		t.Fatal(err)
	}
	// Measured: 9e-7 and, for the gradients, 5e-6 at most.
	if d := relativeDifference(t, got, logits); !(d < 5e-6) {
		t.Errorf("the logits differ by %.2g of the largest", d)
	}
	all, at := step(t, n, x, count, 2, ops.Parameters(n.Graph())), 0
	for _, p := range ops.Parameters(n.Graph()) {
		end := at + len(n.weights[p])
		if d := relativeDifference(t, all[at:end], grad[at:end]); !(d < 5e-5) {
			t.Errorf("the gradients of %s differ by %.2g of the largest", p, d)
		}
		at = end
	}
	if at != len(grad) {
		t.Errorf("%d elements of gradients, torch has %d", at, len(grad))
	}
}

// example is a network with what PyTorch makes of its input in a folder.
type example struct {
	net *Net
	sd  *model.StateDict
	x   []float32
	dir string
}

// ask lets PyTorch run count samples, whose mean is about mean, through networks
// and through the LeNet that it trained.
func ask(t *testing.T, networks map[string]*stack, count, chunk int, mean float32) map[string]example {
	t.Helper()
	python := oracle.Python(t, "torch")
	all := map[string]example{}
	args := []string{filepath.Join("testdata", "oracle.py")}
	add := func(name string, n *Net, sd *model.StateDict) {
		x := samples(count, product(n.InputShape()))
		for i := range x {
			x[i] += mean
		}
		all[name] = example{n, sd, x, forTorch(t, n.Graph(), n, sd, x, count, chunk)}
		args = append(args, all[name].dir)
	}
	for name, s := range networks {
		n, sd := s.bind(t)
		add(name, n, sd)
	}
	add(trained(t))
	oracle.Run(t, python, args...)
	return all
}

// Every operator and every attribute that nn honours computes what PyTorch
// computes, forward and backward, and so does the LeNet that PyTorch trained.
func TestOracle(t *testing.T) {
	const count = 83 // a full chunk, a part of one, and a part of a group
	for name, e := range ask(t, networks(), count, 0, 0) {
		t.Run(name, func(t *testing.T) { agreeWithTorch(t, e.net, e.x, count, e.dir) })
	}
}

// trained returns the LeNet of the fixtures.
func trained(t *testing.T) (string, *Net, *model.StateDict) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "fixtures", "lenet-fashion.pt"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := pickle.Decode(bytes.NewReader(b), int64(len(b)), pickle.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := convert.Recognize(c.StateDict())
	if err != nil {
		t.Fatal(err)
	}
	n, err := Bind(g, c.StateDict())
	if err != nil {
		t.Fatal(err)
	}
	return "fixture", n, c.StateDict()
}
