package script

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"lethe/convert/aten"
	"lethe/file"
	"lethe/graph"
	"lethe/model"
)

// What the code may use at most.
const (
	stepsMax    = 2_000_000 // expressions and statements
	depthMax    = 200       // calls inside calls
	elementsMax = 1 << 20   // of a list or a string
	nodesMax    = 50_000    // of the program
	outputsMax  = 1000
)

// What the evaluator knows at the time of conversion: nil, bool, int64, float64,
// string, graph.Dim for an integer that depends on the batch, device, reference,
// *file.Object for a module, and these. A tensor is an *aten.Value.
type (
	list  struct{ values []any }
	tuple struct {
		values []any
		names  []string // of a NamedTuple
	}
	dict struct{ keys, values []any }

	// scalar is a tensor without axes whose element is known.
	scalar struct {
		dtype model.DType
		value any // bool, int64, float64 or graph.Dim
	}

	device    string
	reference string // the full name of a function or class
	undecided string // a truth value that depends on the batch, and how
)

// evaluator interprets the code of a module.
type evaluator struct {
	script   *file.Script
	opts     Options
	batch    int  // the number of samples, or 0
	free     bool // the number of samples is open
	branched bool // a condition was evaluated
	listing  bool // refusals are noted, and the evaluation goes on

	units       map[string]*unit
	weights     map[view]*weight
	weightOrder []*weight
	known       map[*aten.Value]*model.Tensor
	guessed     map[*aten.Value]bool // inputs of unknown type that nothing has read yet
	untyped     []int                // the numbers of inputs of unknown type
	types       map[int]model.DType  // what those of them are taken for, instead of floats
	asked       bool                 // the code asks for the type of a tensor
	paths       map[*file.Object]string
	taken       map[any]any                     // lists and dictionaries of the module
	set         map[*file.Object]map[string]any // attributes that the code has set
	counts      map[string]int

	out     *aten.Program
	unknown []aten.Unknown // what was noted
	steps   int
	budget  int // of steps
	depth   int
	module  string
	file    string
	line    int
}

// stop ends the evaluation; it does not leave this package. The part is what
// cannot be converted, if that is why.
type stop struct {
	err  error
	part *aten.Unknown
}

func newEvaluator(s *file.Script, opts Options, batch int) *evaluator {
	return &evaluator{
		script: s, opts: opts, batch: batch, budget: stepsMax, out: &aten.Program{}, units: map[string]*unit{}, weights: map[view]*weight{},
		known: map[*aten.Value]*model.Tensor{}, guessed: map[*aten.Value]bool{}, paths: map[*file.Object]string{}, taken: map[any]any{},
		set: map[*file.Object]map[string]any{}, counts: map[string]int{},
	}
}

// where says which line is evaluated.
func (e *evaluator) where() string {
	s := fmt.Sprintf("%s, line %d", e.file, e.line)
	if e.module != "" {
		s = fmt.Sprintf("module %.200s, %s", e.module, s)
	}
	return s
}

func (e *evaluator) unsupported(advice, format string, args ...any) {
	panic(e.refuse(fmt.Sprintf(format, args...), advice))
}

func (e *evaluator) broken(file string, line int, format string, args ...any) {
	panic(stop{err: broken(file, line, format, args...)})
}

// bad is an error in the code itself.
func (e *evaluator) bad(format string, args ...any) { e.broken(e.file, e.line, format, args...) }

func (e *evaluator) limit(what, unit string, got, limit int) {
	panic(stop{err: &model.LimitError{What: what, Unit: unit, Got: uint64(got), Limit: uint64(limit)}})
}

func (e *evaluator) spend(n int) {
	if e.steps += n; e.steps > e.budget {
		e.limit("evaluation of the TorchScript code", "steps", e.steps, e.budget)
	}
}

// unit returns a file of code, or nil if the archive does not have it.
func (e *evaluator) unit(path string) *unit {
	if u, ok := e.units[path]; ok {
		return u
	}
	e.spend(1)
	e.units[path] = nil
	if len(path) > 1024 || strings.Contains(path, "..") || strings.ContainsAny(path, `/\`) {
		return nil
	}
	name := strings.ReplaceAll(path, ".", "/") + ".py"
	src, err := e.script.Code(name)
	if err != nil {
		panic(stop{err: err})
	}
	if src == "" {
		return nil
	}
	u, err := parse("code/"+name, src)
	if err != nil {
		panic(stop{err: err})
	}
	e.units[path] = u
	return u
}

// splitName splits a full name into the file and the name in it.
func splitName(full string) (path, last string) {
	i := strings.LastIndexByte(full, '.')
	if i < 0 {
		return "", full
	}
	return full[:i], full[i+1:]
}

func (e *evaluator) lookClass(full string) *class {
	path, last := splitName(full)
	if u := e.unit(path); u != nil {
		return u.classes[last]
	}
	return nil
}

func (e *evaluator) class(full string) *class {
	c := e.lookClass(full)
	if c == nil {
		e.unsupported("save the module with torch.jit.save", "the archive has no code for the class %.200s", full)
	}
	return c
}

// call runs a function. Arguments that are not given have their defaults.
func (e *evaluator) call(f *function, args []any, named map[string]any) any {
	if e.depth++; e.depth > depthMax {
		e.limit("calls inside calls of the TorchScript code", "levels", e.depth, depthMax)
	}
	file, line := e.file, e.line
	e.file = f.file
	env := make(map[string]any, len(f.params)+8)
	for i, p := range f.params {
		value, given := named[p]
		switch {
		case i < len(args):
			value = args[i]
		case given:
		case f.values[i] != nil:
			e.line = f.line
			value = e.eval(nil, f.values[i])
		default:
			e.bad("%s is called without %q", f.name, p)
		}
		env[p] = value
	}
	if len(args) > len(f.params) {
		e.bad("%s is called with %d arguments, it has %d", f.name, len(args), len(f.params))
	}
	v, _ := e.run(env, f.body)
	e.file, e.line = file, line
	e.depth--
	return v
}

// describe names a value for a message.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case *aten.Value:
		return fmt.Sprintf("a tensor of shape %v", v.Shape)
	case *list:
		return fmt.Sprintf("a list of %d", len(v.values))
	case *tuple:
		return fmt.Sprintf("a tuple of %d", len(v.values))
	case *dict:
		return "a dictionary"
	case *file.Object:
		return fmt.Sprintf("an object of class %.100s", v.Class)
	case undecided:
		return string(v)
	case graph.Dim:
		return fmt.Sprintf("the size %v", v)
	case missing:
		return "a value that was never set"
	case unknown:
		return "something that cannot be converted"
	case int64, bool:
		return fmt.Sprint(v)
	case scalar:
		return describe(v.value)
	}
	return fmt.Sprintf("%.100v", v)
}

// node adds an operator on tensors to the program and returns what it makes.
func (e *evaluator) node(op, overload string, args []aten.Arg) []*aten.Value {
	if len(e.out.Nodes) >= nodesMax {
		e.limit("operators of the network", "nodes", len(e.out.Nodes)+1, nodesMax)
	}
	n := &aten.Node{Op: "aten." + op, Overload: overload, Args: args, Module: e.module}
	if err := aten.Infer(n); err != nil {
		s := stop{err: err}
		var u *model.UnsupportedError
		if errors.As(err, &u) {
			s = e.refuse(u.What, u.Advice)
		}
		s.err = &shapeError{s.err}
		panic(s)
	}
	for _, v := range n.Outputs {
		if v == nil {
			continue
		}
		v.Name = strings.Trim(op, "_")
		if c := e.counts[v.Name]; c > 0 {
			v.Name += "_" + strconv.Itoa(c)
		}
		e.counts[strings.Trim(op, "_")]++
	}
	e.out.Nodes = append(e.out.Nodes, n)
	return n.Outputs
}

func float64Of(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }

func integerOf(d model.DType, b []byte) int64 {
	var v uint64
	for i, x := range b {
		v |= uint64(x) << (8 * i)
	}
	if shift := 64 - 8*len(b); d != model.Uint8 && shift > 0 {
		return int64(v<<shift) >> shift
	}
	return int64(v)
}
