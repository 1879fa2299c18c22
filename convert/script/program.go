package script

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"lethe/convert/aten"
	"lethe/file"
	"lethe/graph"
	"lethe/model"
)

// Options say how a module is read.
type Options struct {
	// Input is the shape of a sample of every input, without the batch. Without
	// it, the shapes that the module was traced with count.
	Input [][]int

	// Types are the element types of the inputs, for code that does not say them;
	// [model.Invalid], or no list, is what the file says or what the input is used for.
	Types []model.DType

	// Batch is the number of samples in every batch; 0 leaves it open.
	Batch int

	// ForceEval takes every module for one in evaluation mode, whatever the file
	// says.
	ForceEval bool
}

// versionMax is the newest version of TorchScript's operators.
const versionMax = 10

// ShapeError says that a file does not tell the shapes of the inputs. It is a
// [model.UnsupportedError], too.
type ShapeError struct {
	Inputs []string
	Advice string // what to do
}

func (e *ShapeError) Error() string { return e.Unwrap().Error() }

// Unwrap returns the error with what to do.
func (e *ShapeError) Unwrap() error {
	return &model.UnsupportedError{What: fmt.Sprintf("the shape of the input is not known: the file does not say the sizes of %q", e.Inputs), Advice: e.Advice}
}

// Decode runs the forward method of a module with inputs whose elements are not
// known, and returns what it computes. Sizes that follow from the number of
// samples stay open; where the code has a number for it, as that of a traced
// module may, the program has the size that the module was traced with. Code
// that breaks the grammar is a [model.FormatError], code that needs too many
// steps a [model.LimitError], and what cannot be converted a
// [model.UnsupportedError].
func Decode(s *file.Script, opts Options) (*aten.Program, error) {
	if s.Version > versionMax {
		return nil, &model.UnsupportedError{What: fmt.Sprintf("TorchScript of version %d, known are those up to %d", s.Version, versionMax), Advice: "save the module with an older PyTorch"}
	}
	p, first, err := decode(s, opts, nil)
	if err == nil {
		return settleTypes(p, first, s, opts)
	}
	var unsupported *model.UnsupportedError
	if errors.As(err, &unsupported) {
		for _, integers := range choices(first.untyped) {
			if p, _, again := decode(s, opts, integers); again == nil {
				return p, nil
			}
		}
	}
	return nil, refusalsOr(err, s, opts)
}

// decode evaluates the module with inputs of the given types instead of floats. It
// returns the evaluator, too, which tells of which inputs nothing says the type.
func decode(s *file.Script, opts Options, types map[int]model.DType) (p *aten.Program, e *evaluator, err error) {
	e = newEvaluator(s, opts, opts.Batch)
	e.types = types
	p, err = e.program()
	var shapes *shapeError
	if err == nil || !errors.As(err, &shapes) {
		return p, e, err
	}
	// The code may have the size of the batch as a number.
	for _, n := range batches(s, e.branched) {
		e := newEvaluator(s, opts, n)
		e.types = types
		if fixed, again := e.program(); again == nil && beginWith(fixed.Outputs, n) {
			if e.branched {
				fixed.Fixed = "its code has branches"
			}
			return fixed, e, nil
		}
	}
	return nil, e, err
}

// choices returns which of the inputs without a type may be integers: each of
// them, and all.
func choices(untyped []int) []map[int]model.DType {
	var out []map[int]model.DType
	all := map[int]model.DType{}
	for _, i := range untyped {
		all[i] = model.Int64
		if len(untyped) <= 4 {
			out = append(out, map[int]model.DType{i: model.Int64})
		}
	}
	if len(untyped) > 1 {
		out = append(out, all)
	}
	return out
}

// beginWith reports whether axis 0 of all outputs has a size.
func beginWith(outputs []aten.Output, n int) bool {
	return !slices.ContainsFunc(outputs, func(o aten.Output) bool { return len(o.Value.Shape) == 0 || !o.Value.Shape[0].Is(n) })
}

// batches returns the numbers of samples that a module may have been traced with:
// the one that the file says or, for code without branches, likely ones.
func batches(s *file.Script, branched bool) []int {
	if n := tracedBatch(s); n > 0 {
		return []int{n}
	}
	if branched {
		return nil
	}
	return []int{1, 2, 4, 8, 16, 32, 64}
}

// tracedBatch returns the number of samples that a module was traced with, or 0.
func tracedBatch(s *file.Script) int {
	n := 0
	for _, in := range s.Inputs {
		if in.DType == model.Invalid || len(in.Shape) == 0 || n != 0 && in.Shape[0] != n {
			return 0
		}
		n = in.Shape[0]
	}
	return n
}

// shapeError is an operator whose arguments cannot be shown to fit.
type shapeError struct{ error }

func (e *shapeError) Unwrap() error { return e.error }

// program evaluates the module.
func (e *evaluator) program() (p *aten.Program, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case stop:
			if p, err = nil, r.err; e.listing && r.part != nil {
				e.unknown = append(e.unknown, *r.part)
			}
		default:
			panic(r)
		}
	}()
	root, ok := e.script.Root.(*file.Object)
	if !ok {
		return nil, &model.FormatError{Format: "TorchScript", Member: "data.pkl", Offset: -1, Reason: "it holds no module"}
	}
	e.listState(root)
	c := e.class(root.Class)
	f := c.methods["forward"]
	if f == nil {
		return nil, &model.UnsupportedError{What: fmt.Sprintf("the class %.100s has no method forward", root.Class), Advice: "save a module with torch.jit.save"}
	}
	e.out.Name = c.name
	args, err := e.inputs(f)
	if err != nil {
		return nil, err
	}
	e.outputs(e.call(f, append([]any{root}, args...), nil))
	place := map[string]int{}
	for i, w := range e.weightOrder {
		place[w.name] = i
	}
	slices.SortStableFunc(e.out.Weights, func(a, b aten.Weight) int { return place[a.Name] - place[b.Name] })
	return e.out, nil
}

// inputs makes the arguments of the forward method.
func (e *evaluator) inputs(f *function) ([]any, error) {
	shapes, err := e.inputShapes(f)
	if err != nil {
		return nil, err
	}
	var args []any
	given := 0
	for i := 1; i < len(f.params); i++ {
		if !isTensorType(f.types[i]) || f.values[i] != nil {
			if f.values[i] == nil && !isOptional(f.types[i]) {
				return nil, &model.UnsupportedError{What: fmt.Sprintf("the input %q, which is not a tensor", f.params[i]), Advice: "save a module whose inputs are tensors"}
			}
			var v any
			if f.values[i] != nil {
				v = e.eval(map[string]any{}, f.values[i])
			}
			args = append(args, v)
			continue
		}
		v := &aten.Value{Name: f.params[i], DType: shapes[given].DType, Shape: graph.Sizes(shapes[given].Shape...)}
		if v.DType == model.Invalid {
			e.untyped = append(e.untyped, given)
			if d, ok := e.types[given]; ok {
				v.DType = d
				e.noteGuess(v)
			} else {
				v.DType = e.floatType()
				e.guessed[v] = true
			}
		}
		if len(v.Shape) > 0 && e.free {
			v.Shape[0] = graph.Symbol(graph.BatchSymbol)
		} else if len(v.Shape) > 0 && e.batch > 0 {
			v.Shape[0] = graph.Size(e.batch)
		}
		given++
		e.out.Inputs = append(e.out.Inputs, v)
		args = append(args, v)
	}
	if given == 0 {
		return nil, &model.UnsupportedError{What: "the network has no input that is a tensor"}
	}
	return args, nil
}

func isOptional(t expr) bool {
	s, ok := t.(*subscript)
	if !ok {
		return false
	}
	n, ok := s.x.(*name)
	return ok && n.id == "Optional"
}

// isTensorType reports whether an annotation is Tensor, which is also what a
// missing one means.
func isTensorType(t expr) bool {
	n, ok := t.(*name)
	return t == nil || ok && n.id == "Tensor"
}

// inputShapes returns the types and shapes of the inputs that are tensors, with
// a batch.
func (e *evaluator) inputShapes(f *function) ([]file.Input, error) {
	var traced []file.Input
	var names []string
	for i := 1; i < len(f.params); i++ {
		if !isTensorType(f.types[i]) || f.values[i] != nil {
			continue
		}
		names = append(names, f.params[i])
		if i-1 < len(e.script.Inputs) {
			traced = append(traced, e.script.Inputs[i-1])
		}
	}
	known := len(names) > 0 && len(traced) == len(names) && !slices.ContainsFunc(traced, func(in file.Input) bool { return in.DType == model.Invalid })
	if e.opts.Input == nil {
		if !known {
			return nil, &ShapeError{names, "give pt2onnx the shape of one sample with --input, such as 3x224x224"}
		}
		e.free = e.batch == 0 && tracedBatch(e.script) > 0
		if !e.free && e.batch == 0 {
			e.out.Fixed = "its inputs do not begin with the same number of samples"
		}
		return traced, nil
	}
	if len(e.opts.Input) != len(names) {
		return nil, &model.UnsupportedError{What: fmt.Sprintf("the network has %d inputs (%q), --input has %d shapes", len(names), names, len(e.opts.Input)),
			Advice: "give as many shapes, with commas between them"}
	}
	e.free = e.batch == 0
	shapes := make([]file.Input, len(names))
	for i, sample := range e.opts.Input {
		shapes[i] = file.Input{Shape: append([]int{1}, sample...)}
		if known {
			shapes[i].DType = traced[i].DType
		}
		if i < len(e.opts.Types) && e.opts.Types[i] != model.Invalid {
			if d := shapes[i].DType; d != model.Invalid && d != e.opts.Types[i] {
				return nil, &model.UnsupportedError{What: fmt.Sprintf("the network was traced with %v for the input %q, --input says %v", d, names[i], e.opts.Types[i])}
			}
			shapes[i].DType = e.opts.Types[i]
		}
	}
	return shapes, nil
}

// floatType returns the type of the first weight that is not an integer.
func (e *evaluator) floatType() model.DType {
	for _, w := range e.weightOrder {
		if d := w.tensor.DType(); d.IsFloat() {
			return d
		}
	}
	return model.Float32
}

// outputs takes over what forward returns.
func (e *evaluator) outputs(v any) {
	e.leaves("", v, 0)
	if len(e.out.Outputs) == 0 && !e.listing {
		e.unsupported("save a module that returns tensors", "the network returns no tensor")
	}
}

func (e *evaluator) leaves(prefix string, v any, depth int) {
	if depth > 16 {
		e.unsupported("", "the result is nested more than 16 deep")
	}
	join := func(key string) string {
		if prefix == "" {
			return key
		}
		return prefix + "." + key
	}
	numbered := func(i int) string {
		if prefix == "" {
			return "output_" + strconv.Itoa(i)
		}
		return prefix + "." + strconv.Itoa(i)
	}
	e.spend(10)
	switch v := v.(type) {
	case *aten.Value:
		if prefix == "" {
			prefix = "output"
		}
		if len(e.out.Outputs) >= outputsMax {
			e.limit("outputs of the network", "tensors", len(e.out.Outputs)+1, outputsMax)
		}
		e.out.Outputs = append(e.out.Outputs, aten.Output{Name: prefix, Value: v})
	case *tuple:
		for i, x := range v.values {
			if len(v.names) > 0 {
				e.leaves(join(v.names[i]), x, depth+1)
			} else {
				e.leaves(numbered(i), x, depth+1)
			}
		}
	case *list:
		for i, x := range v.values {
			e.leaves(numbered(i), x, depth+1)
		}
	case *dict:
		for i, k := range v.keys {
			e.leaves(join(fmt.Sprint(k)), v.values[i], depth+1)
		}
	case scalar:
		e.leaves(prefix, e.tensorOf(v), depth)
	case nil, unknown:
	default:
		e.out.Notes = append(e.out.Notes, fmt.Sprintf("output %q is not a tensor and is left out", join("")))
	}
}
