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
