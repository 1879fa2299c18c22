package verify

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"testing"

	"lethe/convert"
	"lethe/dataset"
	"lethe/graph"
	"lethe/internal/nn"
	"lethe/model"
	"lethe/pickle"
)

// lenet returns the base network of the commands' tests.
func lenet(t testing.TB) (*nn.Net, *model.StateDict) {
	t.Helper()
	b, err := os.ReadFile("../fixtures/lenet-fashion.pt")
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
	return bind(t, g, c.StateDict()), c.StateDict()
}

func bind(t testing.TB, g *graph.Graph, sd *model.StateDict) *nn.Net {
	t.Helper()
	net, err := nn.Bind(g, sd)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

func stateDict(t testing.TB, entries ...model.Entry) *model.StateDict {
	t.Helper()
	sd, err := model.NewStateDict(entries...)
	if err != nil {
		t.Fatal(err)
	}
	return sd
}

func entries(sd *model.StateDict) []model.Entry {
	var all []model.Entry
	for name, t := range sd.All() {
		all = append(all, model.Entry{Name: name, Tensor: t})
	}
	return all
}

// poke returns sd with other bits in element i of an entry.
func poke(t testing.TB, sd *model.StateDict, name string, i int, change func(bits uint32) uint32) *model.StateDict {
	t.Helper()
	old := sd.Get(name)
	b, err := old.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	at := b[i*old.DType().Size():]
	binary.LittleEndian.PutUint32(at, change(binary.LittleEndian.Uint32(at)))
	changed, err := model.NewTensor(old.DType(), old.Shape(), nil, 0, model.BytesStorage(b))
	if err != nil {
		t.Fatal(err)
	}
	return sd.With(name, changed)
}

// set returns sd with another value in element i of a float32 entry.
func set(t testing.TB, sd *model.StateDict, name string, i int, value func(float32) float32) *model.StateDict {
	t.Helper()
	return poke(t, sd, name, i, func(bits uint32) uint32 { return math.Float32bits(value(math.Float32frombits(bits))) })
}

func add(d float32) func(float32) float32 { return func(v float32) float32 { return v + d } }

func to(d float64) func(float32) float32 { return func(float32) float32 { return float32(d) } }

// flat is a network of one layer over images of 2 x 2 pixels: logits are the
// sums of the columns of w, [classes][4], whose pixels are lit.
func flat(t testing.TB, w [][4]float32) (*nn.Net, *model.StateDict) {
	t.Helper()
	g := &graph.Graph{
		Name:    "flat",
		Inputs:  []graph.Value{graph.TensorValue("input", model.Float32, graph.Batch(1, 2, 2))},
		Outputs: []graph.Value{graph.TensorValue("logits", model.Float32, graph.Batch(len(w)))},
		Nodes: []graph.Node{
			{Name: "flatten", Op: "Flatten", Inputs: []string{"input"}, Outputs: []string{"flatten"}, Attrs: graph.Attrs{"axis": graph.Int(1)}},
			{Name: "fc", Op: "Gemm", Inputs: []string{"flatten", "fc.weight", "fc.bias"}, Outputs: []string{"logits"}, Attrs: graph.Attrs{"transB": graph.Int(1)}},
		},
	}
	var rows []float32
	for _, row := range w {
		rows = append(rows, row[:]...)
	}
	sd := stateDict(t,
		model.Entry{Name: "fc.weight", Tensor: model.Float32Tensor([]int{len(w), 4}, rows)},
		model.Entry{Name: "fc.bias", Tensor: model.Float32Tensor([]int{len(w)}, make([]float32, len(w)))})
	return bind(t, g, sd), sd
}

// lit is an image of one lit pixel and its label.
type lit struct{ label, pixel int }

// images returns a set of images of 2 x 2 pixels, repeated.
func images(times int, all ...lit) *dataset.Set {
	s := &dataset.Set{Shape: []int{1, 2, 2}, Classes: 3}
	for range times {
		for _, im := range all {
			pixels := make([]uint8, 4)
			pixels[im.pixel] = 255
			s.Pixels, s.Labels = append(s.Pixels, pixels...), append(s.Labels, im.label)
		}
	}
	return s
}

// plain makes a lit pixel 1 and a dark one 0.
var plain = dataset.OneNorm(0, 1)

func failing(checks []Check) []string {
	var names []string
	for _, c := range checks {
		if !c.OK {
			names = append(names, c.Name)
		}
	}
	return names
}
