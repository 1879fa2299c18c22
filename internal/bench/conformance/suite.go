package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lethe/graph"
	"lethe/model"
	"lethe/onnxio"
	"lethe/ops"
)

// test is one model with the outputs that it must have.
type test struct {
	suite, name string
	model       string   // file
	sets        []string // folders with input_N.pb and output_N.pb
	light       string   // file with the output of a network whose input is counted up
	rtol, atol  float64
}

// suites of a folder like backend/test/data in the wheels of onnx.
var suites = []string{"node", "pytorch-converted", "pytorch-operator", "simple", "light"}

// find lists the tests of a suite in the order of their names.
func find(data, suite string) ([]test, error) {
	if suite == "light" {
		return findLight(data)
	}
	folders, err := filepath.Glob(filepath.Join(data, suite, "*", "model.onnx"))
	if err != nil {
		return nil, err
	}
	var tests []test
	for _, file := range folders {
		dir := filepath.Dir(file)
		t := test{suite: suite, name: filepath.Base(dir), model: file, rtol: 1e-3, atol: 1e-7}
		if b, err := os.ReadFile(filepath.Join(dir, "data.json")); err == nil {
			tolerance := struct{ Rtol, Atol *float64 }{&t.rtol, &t.atol}
			if err := json.Unmarshal(b, &tolerance); err != nil {
				return nil, fmt.Errorf("%s: %w", dir, err)
			}
		}
		if t.sets, err = filepath.Glob(filepath.Join(dir, "test_data_set_*")); err != nil {
			return nil, err
		}
		tests = append(tests, t)
	}
	return tests, nil
}

func findLight(data string) ([]test, error) {
	files, err := filepath.Glob(filepath.Join(data, "light", "*.onnx"))
	var tests []test
	for _, file := range files {
		base := strings.TrimSuffix(file, ".onnx")
		tests = append(tests, test{suite: "light", name: filepath.Base(base), model: file, light: base + "_output_0.pb", rtol: 1e-3, atol: 1e-7})
	}
	return tests, err
}

// run returns what is wrong with the outputs of a test, nil if nothing is, and
// the operators that it has.
func (t *test) run(ctx context.Context) (operators []string, err error) {
	b, err := os.ReadFile(t.model)
	if err != nil {
		return nil, err
	}
	f, err := onnxio.Decode(bytes.NewReader(b), int64(len(b)), onnxio.Options{})
	if err != nil {
		return nil, err
	}
	g, err := f.Graph()
	if err != nil {
		return nil, err
	}
	operators = operatorsOf(g)
	if t.light != "" {
		return operators, t.runLight(ctx, g, f.StateDict())
	}
	if len(t.sets) == 0 {
		return operators, errors.New("the test has no data")
	}
	for _, dir := range t.sets {
		inputs := map[string]*ops.Tensor{}
		for i, v := range g.Inputs {
			if v.Kind != graph.TensorKind {
				return operators, fmt.Errorf("input %s is not a tensor", v.Name)
			}
			if inputs[v.Name], err = readTensor(filepath.Join(dir, fmt.Sprintf("input_%d.pb", i)), v.DType); err != nil {
				return operators, err
			}
		}
		want := map[string]*ops.Tensor{}
		for i, v := range g.Outputs {
			if v.Kind != graph.TensorKind {
				return operators, fmt.Errorf("output %s is not a tensor", v.Name)
			}
			if want[v.Name], err = readTensor(filepath.Join(dir, fmt.Sprintf("output_%d.pb", i)), v.DType); err != nil {
				return operators, err
			}
		}
		if err := t.compare(ctx, g, f.StateDict(), inputs, want); err != nil {
			return operators, err
		}
	}
	return operators, nil
}

func operatorsOf(g *graph.Graph) []string {
	var names []string
	for _, n := range g.Nodes {
		names = append(names, strings.TrimPrefix(n.Domain+"."+n.Op, "."))
		for sub := range n.Subgraphs() {
			names = append(names, operatorsOf(sub)...)
		}
	}
	return names
}

// runLight runs a network on an input that counts from 0 up to 1.
func (t *test) runLight(ctx context.Context, g *graph.Graph, sd *model.StateDict) error {
	inputs := map[string]*ops.Tensor{}
	for _, v := range g.Inputs {
		shape := make([]int, len(v.Shape))
		n := 1
		for i, d := range v.Shape {
			if size, ok := d.Int(); ok {
				shape[i] = size
			} else {
				shape[i] = 1
			}
			n *= shape[i]
		}
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(float64(i) / float64(n))
		}
		inputs[v.Name] = ops.Float32s(shape, x)
	}
	want, err := readTensor(t.light, model.Float32)
	if err != nil {
		return err
	}
	return t.compare(ctx, g, sd, inputs, map[string]*ops.Tensor{g.Outputs[0].Name: want})
}

// compare runs a graph and compares its outputs, and what is inferred of them.
func (t *test) compare(ctx context.Context, g *graph.Graph, sd *model.StateDict, inputs, want map[string]*ops.Tensor) error {
	got, err := ops.Run(ctx, g, sd, inputs, ops.Options{})
	if err != nil {
		return err
	}
	for _, v := range g.Outputs {
		if err := t.same(got[v.Name], want[v.Name]); err != nil {
			return fmt.Errorf("output %s: %w", v.Name, err)
		}
	}
	return inferred(g, sd, inputs, got)
}

// same reports how two tensors differ, by the rule of ONNX's own test runner.
func (t *test) same(got, want *ops.Tensor) error {
	if got.DType() != want.DType() || !slices.Equal(got.Shape(), want.Shape()) {
		return fmt.Errorf("%v of shape %v, not %v of shape %v", got.DType(), got.Shape(), want.DType(), want.Shape())
	}
	if text, ok := want.Texts(); ok {
		if mine, _ := got.Texts(); !slices.Equal(mine, text) {
			return fmt.Errorf("%q, not %q", mine, text)
		}
		return nil
	}
	if ints, ok := want.Ints(); ok && t.atol < 0.5 {
		if mine, _ := got.Ints(); slices.Equal(mine, ints) {
			return nil
		}
	}
	a, _ := got.Float64s()
	b, _ := want.Float64s()
	rtol := t.rtol
	if want.DType() == model.BFloat16 {
		rtol = max(rtol, 0x1p-6)
	}
	for i, x := range a {
		y := b[i]
		if x == y || x != x && y != y {
			continue
		}
		if !(math.Abs(x-y) <= t.atol+rtol*math.Abs(y)) {
			return fmt.Errorf("element %d is %v, not %v", i, x, y)
		}
	}
	return nil
}

// inferred compares the types that are inferred with those of the values: once
// with the shapes that the model states, and once with a symbol for every size
// and the values of inputs that say how, such as axes, as constants.
func inferred(g *graph.Graph, sd *model.StateDict, inputs, got map[string]*ops.Tensor) error {
	for _, symbolic := range []bool{false, true} {
		h := g.Clone()
		symbols := map[string]int{}
		var rest []graph.Value
		constants := constantInputs(h)
		for _, v := range h.Inputs {
			shape := inputs[v.Name].Shape()
			if symbolic {
				if constants[v.Name] {
					t, err := inputs[v.Name].Model()
					if err == nil {
						if h.Constants == nil {
							h.Constants = map[string]*model.Tensor{}
						}
						h.Constants[v.Name] = t
						continue
					}
				}
				v.Shape = graph.Shape{}
				for i, d := range shape {
					name := fmt.Sprintf("%s_%d", v.Name, i)
					symbols[name] = d
					v.Shape = append(v.Shape, graph.Symbol(name))
				}
			} else {
				for i, d := range v.Shape {
					if name, ok := d.Symbol(); ok && i < len(shape) {
						symbols[name] = shape[i]
					}
				}
			}
			rest = append(rest, v)
		}
		h.Inputs = rest
		h.Types = nil
		facts, err := ops.Infer(h, sd)
		if err != nil {
			return fmt.Errorf("inference (symbolic %v): %w", symbolic, err)
		}
		for _, v := range h.Outputs {
			if err := fits(facts.Type(v.Name), got[v.Name], symbols); err != nil {
				return fmt.Errorf("inference (symbolic %v) of %s: %w", symbolic, v.Name, err)
			}
		}
	}
	return nil
}

// constantInputs returns the inputs of a graph that its nodes read for nothing
// but how they are to do what they do.
func constantInputs(g *graph.Graph) map[string]bool {
	constant := map[string]bool{}
	for _, v := range g.Inputs {
		uses := graph.NewIndex(g).Uses(v.Name)
		constant[v.Name] = len(uses) > 0
		for _, u := range uses {
			if u.Node == nil || u.Input < 0 || ops.RoleOf(g, u.Node, u.Input) != ops.Constant {
				constant[v.Name] = false
			}
		}
	}
	return constant
}

// fits reports what an inferred type says that is not so. Symbols without a value
// are sizes that nobody can know before.
func fits(t graph.Type, got *ops.Tensor, symbols map[string]int) error {
	if t.DType != model.Invalid && t.DType != got.DType() {
		return fmt.Errorf("it is said to be %v, but is %v", t.DType, got.DType())
	}
	if t.Shape == nil {
		return nil
	}
	if len(t.Shape) != len(got.Shape()) {
		return fmt.Errorf("its shape is said to be %v, but is %v", t.Shape, got.Shape())
	}
	for i, d := range t.Shape {
		if n, ok := d.Eval(symbols); ok && n != got.Shape()[i] {
			return fmt.Errorf("its shape is said to be %v, but is %v with %v", t.Shape, got.Shape(), symbols)
		}
	}
	return nil
}

// readTensor reads a file that holds one TensorProto. Some files call bfloat16
// what it is stored as, uint16.
func readTensor(name string, dtype model.DType) (*ops.Tensor, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if shape, texts, ok := stringTensor(b); ok {
		return ops.Strings(shape, texts), nil
	}
	// A model of one initializer, whose name is the last one that it gets.
	b = append(b, 8<<3|2, 1, 'x')
	tensor := append(binary.AppendUvarint([]byte{5<<3 | 2}, uint64(len(b))), b...)
	head := []byte{1 << 3, 8, 7<<3 | 2}
	whole := append(binary.AppendUvarint(head, uint64(len(tensor))), tensor...)
	f, err := onnxio.Decode(bytes.NewReader(whole), int64(len(whole)), onnxio.Options{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	t := f.StateDict().Get("x")
	if t == nil {
		return nil, fmt.Errorf("%s holds no tensor", filepath.Base(name))
	}
	if dtype == model.BFloat16 && t.DType() == model.Uint16 {
		if t, err = model.NewTensor(dtype, t.Shape(), nil, t.Offset(), t.Storage()); err != nil {
			return nil, err
		}
	}
	return ops.FromModel(t)
}

// stringTensor reads a TensorProto of strings; ok is false if it is another one.
func stringTensor(b []byte) (shape []int, texts []string, ok bool) {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, nil, false
		}
		b = b[n:]
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, nil, false
		}
		b = b[n:]
		var value []byte
		if tag&7 == 2 {
			if v > uint64(len(b)) {
				return nil, nil, false
			}
			value, b = b[:v], b[v:]
		} else if tag&7 != 0 {
			return nil, nil, false
		}
		switch tag {
		case 1 << 3:
			shape = append(shape, int(v))
		case 1<<3 | 2:
			for len(value) > 0 {
				d, n := binary.Uvarint(value)
				if n <= 0 {
					return nil, nil, false
				}
				shape, value = append(shape, int(d)), value[n:]
			}
		case 2 << 3:
			ok = v == 8
		case 6<<3 | 2:
			texts = append(texts, string(value))
		}
	}
	n, sized := model.Elements(shape)
	return shape, texts, ok && sized && n == len(texts)
}
