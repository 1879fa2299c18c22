package ops

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"lethe/graph"
	"lethe/model"
)

// one is a graph of one node whose inputs are given; nil ones are left out.
func one(opset int, op string, attrs graph.Attrs, outputs int, in ...*Tensor) (*graph.Graph, map[string]*Tensor) {
	n := graph.Node{Name: "n", Op: op, Attrs: attrs}
	g := &graph.Graph{Opsets: map[string]int{"": opset}}
	values := map[string]*Tensor{}
	for i, t := range in {
		name := fmt.Sprint("in", i)
		if t == nil {
			n.Inputs = append(n.Inputs, "")
			continue
		}
		n.Inputs = append(n.Inputs, name)
		values[name] = t
		g.Inputs = append(g.Inputs, graph.TensorValue(name, t.dtype, graph.Sizes(t.shape...)))
	}
	for i := range outputs {
		name := fmt.Sprint("out", i)
		n.Outputs = append(n.Outputs, name)
		g.Outputs = append(g.Outputs, graph.Value{Name: name})
	}
	g.Nodes = []graph.Node{n}
	return g, values
}

// evalOne returns the outputs of one node.
func evalOne(opset int, op string, attrs graph.Attrs, outputs int, in ...*Tensor) ([]*Tensor, error) {
	g, values := one(opset, op, attrs, outputs, in...)
	got, err := Run(context.Background(), g, nil, values, Options{})
	if err != nil {
		return nil, err
	}
	var out []*Tensor
	for i := range outputs {
		out = append(out, got[fmt.Sprint("out", i)])
	}
	return out, nil
}

func f32(shape []int, v ...float32) *Tensor { return Float32s(shape, v) }
func i64(shape []int, v ...int64) *Tensor   { return Int64s(shape, v) }
func list(v ...int64) *Tensor               { return Int64s([]int{len(v)}, v) }
func scalar(v float32) *Tensor              { return Float32s(nil, []float32{v}) }

// count is a float32 tensor of 0, 1, 2 and so on.
func count(shape ...int) *Tensor {
	v := make([]float32, product(shape))
	for i := range v {
		v[i] = float32(i)
	}
	return Float32s(shape, v)
}

// is reports whether a tensor has a shape and elements, to within 1e-4.
func is(t *Tensor, shape []int, v ...float64) bool {
	got, ok := t.Float64s()
	return ok && slices.Equal(t.shape, shape) && slices.EqualFunc(got, v, func(a, b float64) bool {
		d := a - b
		return a == b || a != a && b != b || d < 1e-4 && d > -1e-4
	})
}

func typed(dtype model.DType, shape []int, v ...float64) *Tensor {
	c := &call{node: &node{n: &graph.Node{}}, limits: &limits{elements: 1 << 20}}
	return c.from(dtype, shape, v)
}

type wantCase struct {
	name  string
	opset int
	op    string
	attrs graph.Attrs
	in    []*Tensor
	shape []int
	want  []float64
}

func check(t *testing.T, cases []wantCase) {
	t.Helper()
	for _, c := range cases {
		got, err := evalOne(c.opset, c.op, c.attrs, 1, c.in...)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !is(got[0], c.shape, c.want...) {
			v, _ := got[0].Float64s()
			t.Errorf("%s: got %v %v, want %v %v", c.name, got[0].shape, v, c.shape, c.want)
		}
	}
}
