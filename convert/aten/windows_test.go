package aten

import (
	"errors"
	"math"
	"strings"
	"testing"

	"lethe/graph"
	"lethe/model"
)

// Numbers that no tensor has are refused, and nothing is as large as they are.
func TestHostileNumbers(t *testing.T) {
	const huge = math.MaxInt64
	for _, c := range []struct {
		op   string
		args []any
	}{
		{"aten.diag_embed", []any{"x", int64(math.MinInt64 + 1<<20)}},
		{"aten.diag_embed", []any{"x", int64(huge)}},
		{"aten.diagonal", []any{"x", int64(math.MinInt64), int64(0), int64(1)}},
		{"aten.unfold", []any{"x", int64(1), int64(huge), int64(1)}},
		{"aten.unfold", []any{"x", int64(1), int64(1), int64(math.MinInt64)}},
		{"aten.unfold", []any{"x", int64(1), int64(0), int64(1)}},
		{"aten.im2col", []any{"x", []int64{1 << 40, 1 << 40}, []int64{1, 1}, []int64{1 << 40, 1 << 40}, []int64{1, 1}}},
		{"aten.col2im", []any{"x", []int64{huge, huge}, []int64{1 << 32, 1 << 32}, []int64{1, 1}, []int64{0, 0}, []int64{1, 1}}},
		{"aten.one_hot", []any{"x", int64(math.MinInt64)}},
		{"aten.rot90", []any{"x", int64(1), []int64{huge, 0}}},
		{"aten.affine_grid_generator", []any{"x", []int64{1, 1, 1 << 40, 1 << 40}, false}},
		{"aten.embedding_bag", []any{"x", "x", "x", false, int64(huge)}},
		{"aten.linalg_householder_product", []any{"x", "x"}},
		{"aten.matrix_exp", []any{"x"}},
		{"aten.scatter", []any{"x", int64(huge), "x", "x"}},
		{"aten.index_put", []any{"x", []int64{1}, "x"}},
		{"aten.masked_fill", []any{"x", "x", 1.0}}, // a mask of real numbers
	} {
		p := newProgram()
		p.add(c.op, "y", []int{4}, c.args...)
		p.returns("y")
		_, err := Convert(&p.Program, Options{})
		var unsupported *model.UnsupportedError
		var format *model.FormatError
		if !errors.As(err, &unsupported) && !errors.As(err, &format) {
			t.Errorf("%s%v: the error is %v", c.op, c.args, err)
		}
		n := &Node{Op: c.op, Args: p.Nodes[0].Args}
		if err := Infer(n); err != nil && !errors.As(err, &unsupported) {
			t.Errorf("the sizes of %s%v: the error is %v", c.op, c.args, err)
		}
	}
	x := &Value{Name: "x", DType: model.Float32, Shape: graph.Sizes(1<<40, 1<<40)}
	p := Program{Inputs: []*Value{x}, Outputs: []Output{{"y", &Value{Name: "y", DType: model.Float32, Shape: graph.Sizes(1 << 40)}}}}
	p.Nodes = []*Node{{Op: "aten.diagonal", Args: []Arg{{"", x}}, Outputs: []*Value{p.Outputs[0].Value}}}
	if _, err := Convert(&p, Options{}); err == nil {
		t.Error("a diagonal of 2^40 elements is listed")
	}
}

// All constants together are bounded, and the refusal says so.
func TestConstantsBound(t *testing.T) {
	b := &builder{made: constantsMax}
	defer func() {
		if r, ok := recover().(refusal); !ok || !strings.Contains(r.what, "more than 256 MiB") {
			t.Errorf("it says: %v", r.what)
		}
	}()
	b.constant(model.Float32, []int{1}, make([]byte, 4))
	t.Error("one constant more is made")
}

// Pooling to sizes that do not divide those of the input: the windows are those
// that PyTorch takes, i*m/n rounded down to (i+1)*m/n rounded up, also where
// they overlap and have different lengths.
func TestUnevenPooling(t *testing.T) {
	for _, c := range []struct {
		op     string
		in, to []int // after batch and channels
		want   []float64
	}{
		{"aten.adaptive_max_pool1d", []int{4}, []int{3}, []float64{2, 3, 4, 6, 7, 8}},
		{"aten.adaptive_avg_pool1d", []int{4}, []int{3}, []float64{1.5, 2.5, 3.5, 5.5, 6.5, 7.5}},
		{"aten.adaptive_max_pool2d", []int{1, 4}, []int{1, 3}, []float64{2, 3, 4, 6, 7, 8}},
		{"aten.adaptive_max_pool2d", []int{4, 1}, []int{3, 2}, []float64{2, 2, 3, 3, 4, 4, 6, 6, 7, 7, 8, 8}},
		{"aten.adaptive_avg_pool3d", []int{4, 1, 1}, []int{3, 1, 2}, []float64{1.5, 1.5, 2.5, 2.5, 3.5, 3.5, 5.5, 5.5, 6.5, 6.5, 7.5, 7.5}},
		{"aten.adaptive_max_pool3d", []int{1, 4, 1}, []int{1, 3, 1}, []float64{2, 3, 4, 6, 7, 8}},
		{"aten.adaptive_max_pool1d", []int{4}, []int{8}, []float64{1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8}},
	} {
		var in, to []int64
		for i := range c.in {
			in, to = append(in, int64(c.in[i])), append(to, int64(c.to[i]))
		}
		p := newProgram()
		p.add("aten.view", "image", append([]int{1}, c.in...), "x", append([]int64{-1, 1}, in...))
		p.add(c.op, "pooled", append([]int{1}, c.to...), "image", to)
		p.add("aten.add", "y", append([]int{1}, c.to...), "pooled", 0.0)
		p.returns("y")
		expect(t, p.run(t), c.want...)
	}
}

// open gives the last axis of the input, and of values named, a size that is open.
func (p *program) open(names ...string) graph.Dim {
	length := graph.Symbol("length")
	for _, name := range append(names, "x") {
		s := p.values[name].Shape
		s[len(s)-1] = length
	}
	return length
}

// Pooling to a number of windows and padding by what other sizes leave, where
// the image has any size.
func TestOpenSizes(t *testing.T) {
	for op, want := range map[string][]float64{
		"aten.adaptive_avg_pool1d": {1.5, 2.5, 3.5, 5.5, 6.5, 7.5},
		"aten.adaptive_max_pool1d": {2, 3, 4, 6, 7, 8},
	} {
		p := newProgram()
		p.add("aten.unsqueeze", "image", []int{1, 4}, "x", int64(1))
		p.add(op, "pooled", []int{1, 3}, "image", []int64{3})
		p.returns("pooled")
		p.open("image")
		expect(t, p.run(t), want...)
	}
	p := newProgram()
	p.add("aten.constant_pad_nd", "y", []int{6}, "x", graph.Shape{}, -1.0)
	length := p.open()
	p.Nodes[0].Args[1].Value = graph.Shape{length.Div(graph.Size(4)), graph.Size(6).Sub(length).Sub(length.Div(graph.Size(4)))}
	p.returns("y")
	expect(t, p.run(t), -1, 1, 2, 3, 4, -1, -1, 5, 6, 7, 8, -1)
	p = newProgram()
	p.add("aten.unsqueeze", "image", []int{1, 4}, "x", int64(1))
	p.add("aten.adaptive_avg_pool1d", "pooled", []int{1, 65}, "image", []int64{65})
	p.returns("pooled")
	p.open("image")
	if _, err := Convert(&p.Program, Options{}); err == nil || !strings.Contains(err.Error(), "images of a fixed size") {
		t.Errorf("65 windows: %v", err)
	}
}

// Variances over, and rotations of, an axis of any size.
func TestOpenVarianceAndRoll(t *testing.T) {
	p := newProgram()
	p.add("aten.var", "y", []int{}, "x", []int64{1})
	p.returns("y")
	p.open()
	expect(t, p.run(t), float64(float32(5)/3), float64(float32(5)/3))
	for shift, want := range map[int64][]float64{1: {4, 1, 2, 3, 8, 5, 6, 7}, -1: {2, 3, 4, 1, 6, 7, 8, 5}, 7: {2, 3, 4, 1, 6, 7, 8, 5}, 8: {1, 2, 3, 4, 5, 6, 7, 8}} {
		p := newProgram()
		p.add("aten.roll", "y", []int{4}, "x", []int64{shift}, []int64{1})
		p.returns("y")
		p.open("y")
		expect(t, p.run(t), want...)
	}
}
