package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"lethe/graph"
	"lethe/model"
)

// network is a test network under construction, with branches.
type network struct {
	r       *rand.Rand
	graph   *graph.Graph
	entries []model.Entry
	samples func(i int) float32 // nil: normal
}

// newNetwork returns a network with an input "x" of samples of a shape.
func newNetwork(dims ...int) *network {
	in := graph.TensorValue("x", model.Float32, graph.Batch(dims...))
	return &network{r: rand.New(rand.NewPCG(uint64(len(dims)), 7)), graph: &graph.Graph{
		Name: "test", Inputs: []graph.Value{in}, Constants: map[string]*model.Tensor{}, Opsets: map[string]int{"": 24},
	}}
}

func (n *network) input(name string, dims ...int) string {
	n.graph.Inputs = append(n.graph.Inputs, graph.TensorValue(name, model.Float32, graph.Batch(dims...)))
	return name
}

// op adds a node and returns the name of its output.
func (n *network) op(op string, attrs graph.Attrs, inputs ...string) string {
	return n.ops(op, attrs, 1, inputs...)[0]
}

func (n *network) ops(op string, attrs graph.Attrs, outputs int, inputs ...string) []string {
	name := fmt.Sprintf("n%d", len(n.graph.Nodes))
	node := graph.Node{Name: name, Op: op, Inputs: inputs, Attrs: attrs}
	for i := range outputs {
		node.Outputs = append(node.Outputs, fmt.Sprintf("%s_%d", name, i))
	}
	n.graph.Nodes = append(n.graph.Nodes, node)
	return node.Outputs
}

// weight adds an entry of normal numbers whose variance keeps sums near 1.
func (n *network) weight(dims ...int) string { return n.drawn(0, 1, dims...) }

// positive adds an entry of numbers from 0.5 on.
func (n *network) positive(dims ...int) string { return n.drawn(1, 0.5, dims...) }

func (n *network) drawn(mean, spread float64, dims ...int) string {
	v := make([]float32, product(dims))
	scale := spread / math.Sqrt(math.Max(float64(len(v))/float64(dims[0]), 1))
	for i := range v {
		v[i] = float32(scale * n.r.NormFloat64())
		if mean > 0 {
			v[i] = float32(mean + float64(spread*math.Abs(n.r.NormFloat64())))
		}
	}
	name := fmt.Sprintf("w%d", len(n.entries))
	n.entries = append(n.entries, model.Entry{Name: name, Tensor: model.Float32Tensor(dims, v)})
	return name
}

func (n *network) ints(v ...int64) string {
	name := fmt.Sprintf("c%d", len(n.graph.Constants))
	n.graph.Constants[name] = int64Tensor([]int{len(v)}, v...)
	return name
}

func (n *network) number(v float32) string {
	name := fmt.Sprintf("c%d", len(n.graph.Constants))
	n.graph.Constants[name] = model.Float32Tensor([]int{}, []float32{v})
	return name
}

func (n *network) conv(x string, m, c, k int, attrs graph.Attrs) string {
	return n.op("Conv", attrs, x, n.weight(m, c, k, k))
}

func (n *network) norm(x string, features int) string {
	return n.op("BatchNormalization", nil, x, n.positive(features), n.weight(features), n.weight(features), n.positive(features))
}

// linear is a fully connected layer with a bias on the last axis.
func (n *network) linear(x string, k, m int) string {
	return n.op("Add", nil, n.op("MatMul", nil, x, n.weight(k, m)), n.weight(m))
}

func (n *network) layerNorm(x string, features int) string {
	return n.op("LayerNormalization", nil, x, n.positive(features), n.weight(features))
}

// end makes the classes out of a value of size elements.
func (n *network) end(x string, size int) *network {
	if len(n.graph.Nodes) > 0 {
		x = n.op("Flatten", nil, x)
	}
	x = n.op("Gemm", graph.Attrs{"transB": graph.Int(1)}, x, n.weight(3, size), n.weight(3))
	n.graph.Outputs = []graph.Value{{Name: x}}
	return n
}

func (n *network) bind(t testing.TB) (*Net, *model.StateDict) {
	t.Helper()
	sd, err := model.NewStateDict(n.entries...)
	if err != nil {
		t.Fatal(err)
	}
	net, err := Bind(n.graph, sd)
	if err != nil {
		t.Fatal(err)
	}
	return net, sd
}

// input returns count samples.
func (n *network) draw(net *Net, count int) []float32 {
	x := samples(count, net.SampleSize())
	if n.samples != nil {
		for i := range x {
			x[i] = n.samples(i)
		}
	}
	return x
}

// image is a network of one operator between two convolutions, so that a
// gradient flows through it, and a normalization.
func image(channels int, f func(n *network, x string) (string, int)) *network {
	n := newNetwork(2, 9, 7)
	x := n.norm(n.conv("x", channels, 2, 3, graph.Attrs{"pads": graph.Ints(1, 1, 1, 1)}), channels)
	y, size := f(n, x)
	return n.end(y, size)
}

// tokens is a network of one operator behind a fully connected layer on 6 tokens
// of 10 features.
func tokens(f func(n *network, x string) (string, int)) *network {
	n := newNetwork(6, 5)
	y, size := f(n, n.linear("x", 5, 10))
	return n.end(y, size)
}

func (n *network) int(v int64) string {
	name := fmt.Sprintf("c%d", len(n.graph.Constants))
	n.graph.Constants[name] = int64Tensor([]int{}, v)
	return name
}

func bools(v ...bool) *model.Tensor {
	b := make([]byte, len(v))
	for i, x := range v {
		if x {
			b[i] = 1
		}
	}
	t, err := model.NewTensor(model.Bool, []int{len(v)}, nil, 0, model.BytesStorage(b))
	if err != nil {
		panic(err)
	}
	return t
}
