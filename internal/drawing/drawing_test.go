package drawing

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"lethe/convert"
	"lethe/graph"
	"lethe/model"
	"lethe/pickle"
)

func lenet(t testing.TB) *Network {
	f, err := os.Open("../../fixtures/lenet-fashion.pt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	c, err := pickle.Decode(f, info.Size(), pickle.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := convert.Recognize(c.StateDict())
	if err != nil {
		t.Fatal(err)
	}
	n, err := New(g, c.StateDict())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTable(t *testing.T) {
	var b strings.Builder
	if err := lenet(t).Table(&b, func(s string) string { return s }); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(b.String()) {
		lines = append(lines, strings.TrimSpace(line))
	}
	const want = `LAYER     OPERATORS                         OUTPUT           PARAMETERS  READS
input     input                             N x 1 x 28 x 28  0
block1.0  Conv + BatchNormalization + Relu  N x 6 x 24 x 24  168
block1.3  MaxPool                           N x 6 x 12 x 12  0
block2.0  Conv + BatchNormalization + Relu  N x 16 x 8 x 8   2448
block2.3  MaxPool                           N x 16 x 4 x 4   0
flatten   Flatten                           N x 256          0
fc        Gemm + Relu                       N x 120          30840
fc1       Gemm + Relu                       N x 84           10164
fc2       Gemm                              N x 10           850
LeNet: 8 layers, 44,470 parameters`
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s", got)
	}
}

// residual has two blocks with a branch around each, a target of a Reshape that
// is computed of shapes, a weight that is transposed and read twice, and a name
// that is hostile.
func residual() (*graph.Graph, *model.StateDict) {
	w := func(shape ...int) *model.Tensor {
		n := 1
		for _, d := range shape {
			n *= d
		}
		t, err := model.FromFloat32s(model.Float32, shape, make([]float32, n))
		if err != nil {
			panic(err)
		}
		return t
	}
	node := func(name, op, out string, in ...string) graph.Node {
		return graph.Node{Name: name, Op: op, Inputs: in, Outputs: []string{out}}
	}
	sd, err := model.NewStateDict(model.Entry{Name: "a.0.lin.weight", Tensor: w(4, 4)}, model.Entry{Name: "a.0.lin.bias", Tensor: w(4)},
		model.Entry{Name: "a.1.lin.weight", Tensor: w(4, 4)}, model.Entry{Name: "h<b>\x1b.weight", Tensor: w(4, 2)})
	if err != nil {
		panic(err)
	}
	g := &graph.Graph{Name: "res", Inputs: []graph.Value{graph.TensorValue("x", model.Float32, graph.Batch(4))}, Nodes: []graph.Node{
		node("a.0.lin/t", "Transpose", "wt", "a.0.lin.weight"),
		node("a.0.lin/m", "MatMul", "m0", "x", "wt"),
		node("a.0.lin/b", "Add", "b0", "m0", "a.0.lin.bias"),
		node("act", "Relu", "r0", "b0"),
		node("join", "Add", "j0", "r0", "x"),
		node("", "MatMul", "m1", "j0", "a.1.lin.weight"),
		node("", "Add", "j1", "m1", "j0"),
		node("size", "Shape", "s", "j1"),
		node("back", "Reshape", "k", "j1", "s"),
		node("again", "MatMul", "m2", "k", "wt"),
		node("", "MatMul", "y", "m2", "h<b>\x1b.weight"),
	}}
	g.Outputs = []graph.Value{graph.TensorValue("y", model.Float32, graph.Batch(2))}
	return g, sd
}

func TestNew(t *testing.T) {
	g, sd := residual()
	n, err := New(g, sd)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range n.Layers {
		got = append(got, fmt.Sprint(l.Name, l.Operators, l.Output, l.Parameters, l.Inputs, l.module))
	}
	want := []string{
		"x[]N × 40 []",
		"a.0.lin[MatMul Add Relu]N × 420 [0]a.0.lin",
		"join[Add]N × 40 [1 0]a.0",
		"a.1.lin[MatMul]N × 416 [2]a.1.lin",
		"j1[Add Reshape]N × 40 [3 2]a.1", // the size is of shapes alone
		"a.0.lin[MatMul]N × 40 [4]a.0.lin",
		"h<b>\x1b[MatMul]N × 28 [5]h<b>\x1b",
	}
	if !slices.Equal(got, want) || n.Parameters != 44 {
		t.Errorf("%d parameters, layers\n%q, want\n%q", n.Parameters, got, want)
	}
	f := n.Fold(4)
	got = nil
	for _, l := range f.Layers {
		got = append(got, fmt.Sprint(l.Name, l.Holds, l.Parameters, l.Inputs))
	}
	if want := []string{"x0 0 []", "a.02 20 [0]", "a.12 16 [1]", "a.0.lin0 0 [2]", "h<b>\x1b0 8 [3]"}; !slices.Equal(got, want) {
		t.Errorf("folded %q, want %q", got, want)
	}
	var b strings.Builder
	if err := n.SVG(&b, Options{Changes: map[string]float64{"a.1.lin.weight": .25}}); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"h&lt;b&gt;\\x1b", ">L2 0.25<", `style="--h:75%"`, ">same<", `aria-label="res: 6 layers, 44 parameters"`} {
		if !strings.Contains(b.String(), s) {
			t.Errorf("no %s in the picture", s)
		}
	}
}

// check draws a network and looks for what no drawing may have: a layer before
// one that it reads, boxes over each other, text that is not an XML, or parameters
// that folding lost.
func check(t *testing.T, n *Network) {
	for _, limit := range []int{100, 10, 1} {
		f := n.Fold(limit)
		sum := int64(0)
		for i, l := range f.Layers {
			sum += l.Parameters
			for _, in := range l.Inputs {
				if in >= i {
					t.Fatalf("layer %d reads layer %d", i, in)
				}
			}
		}
		if sum != n.Parameters || f.inner() > limit {
			t.Fatalf("%d of %d parameters in %d layers, at most %d", sum, n.Parameters, f.inner(), limit)
		}
		if l, ok := place(f.Layers); ok {
			left, right := l.wide, 0.0
			for _, row := range l.rows {
				if len(row) > 0 {
					left, right = min(left, row[0].x-row[0].wide()/2), max(right, row[len(row)-1].x+row[len(row)-1].wide()/2)
				}
				for i := 1; i < len(row); i++ {
					if row[i].x-row[i-1].x < (row[i].wide()+row[i-1].wide())/2 {
						t.Fatalf("boxes over each other")
					}
				}
			}
			if len(f.Layers) > 0 && (math.Abs(left-margin) > .01 || math.Abs(l.wide-right-margin) > .01) {
				t.Fatalf("boxes from %g to %g in a picture %g wide", left, right, l.wide)
			}
		}
	}
	var b, again bytes.Buffer
	if err := n.SVG(&b, Options{}); err != nil {
		t.Fatal(err)
	}
	if err := n.SVG(&again, Options{}); err != nil || !bytes.Equal(b.Bytes(), again.Bytes()) {
		t.Fatal("another picture the second time", err)
	}
	d := xml.NewDecoder(&b)
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// A network of any size is drawn in a time and a size that have bounds.
func TestLarge(t *testing.T) {
	check(t, lenet(t))
	g := &graph.Graph{Inputs: []graph.Value{graph.TensorValue("v0", model.Float32, graph.Batch(4))}}
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 3000 {
		g.Nodes = append(g.Nodes, graph.Node{Op: "Sum", Inputs: []string{fmt.Sprintf("v%d", i), fmt.Sprintf("v%d", rnd.IntN(i+1)), "v0"}, Outputs: []string{fmt.Sprintf("v%d", i+1)}})
	}
	n, err := New(g, &model.StateDict{})
	if err != nil {
		t.Fatal(err)
	}
	check(t, n)
	// Inputs cannot be folded.
	for i := range 30_000 {
		g.Inputs = append(g.Inputs, graph.TensorValue(fmt.Sprintf("in%d", i), model.Float32, graph.Batch(4)))
	}
	if n, err = New(g, &model.StateDict{}); err != nil {
		t.Fatal(err)
	}
	if err := n.SVG(io.Discard, Options{}); err != nil {
		t.Fatal(err)
	}
}

// FuzzNetwork draws graphs whose names and edges are taken from bytes.
func FuzzNetwork(f *testing.F) {
	f.Add([]byte("a.b/c\x00\x01x\x02\x02y.z\x03\x01/q/q.0/r\x04\x09"))
	f.Add([]byte("\x1b<\xff\x00\x00.\x01\x00..\x01\x01/\x02\x00//\x03\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 {
			return
		}
		g := &graph.Graph{Inputs: []graph.Value{graph.TensorValue("v0", model.Float32, nil)}}
		names := bytes.Split(data, []byte{0})
		for i, name := range names {
			n := graph.Node{Name: string(name), Op: "Sum", Outputs: []string{fmt.Sprintf("v%d", i+1)}}
			for _, b := range name {
				switch {
				case b < 8:
					n.Inputs = append(n.Inputs, string(name)+".w")
				default:
					n.Inputs = append(n.Inputs, fmt.Sprintf("v%d", int(b)%(i+1)))
				}
			}
			g.Nodes = append(g.Nodes, n)
		}
		n, err := New(g, &model.StateDict{})
		if err != nil {
			return
		}
		check(t, n)
	})
}
