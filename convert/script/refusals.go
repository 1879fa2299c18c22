package script

import (
	"errors"
	"slices"
	"strings"

	"lethe/convert/aten"
	"lethe/file"
	"lethe/model"
)

// unknown is what a call makes that cannot be converted, and whatever is computed
// from it, while the refusals of a module are listed.
type unknown struct{}

// errUnknown ends the listing where the code depends on something unknown.
var errUnknown = errors.New("it depends on what cannot be converted")

// refusals evaluates a module once more, past what cannot be converted, and returns
// all of that, together with what the conversion refuses of the rest, as an
// [aten.UnsupportedError]. It returns nil if there is nothing of that kind.
func refusals(s *file.Script, opts Options) *aten.UnsupportedError {
	batch := opts.Batch
	if batch == 0 {
		batch = tracedBatch(s) // fewer sizes are open, and none is refused for that
	}
	e := newEvaluator(s, opts, batch)
	e.listing = true
	p, err := e.program()
	if err != nil {
		p = e.out // what was evaluated before
	}
	p.Unknown = e.unknown
	if p.Fixed == "" {
		p.Fixed = "parts of it cannot be converted"
	}
	if len(p.Unknown) == 0 {
		return nil
	}
	_, err = aten.Convert(p, aten.Options{ForceEval: opts.ForceEval})
	var list *aten.UnsupportedError
	if !errors.As(err, &list) {
		return nil
	}
	return list
}

// refusalsOr returns all that cannot be converted if err is of that kind and not
// all there is.
func refusalsOr(err error, s *file.Script, opts Options) error {
	var unsupported *model.UnsupportedError
	var shapes *ShapeError
	if !errors.As(err, &unsupported) || errors.As(err, &shapes) {
		return err
	}
	if list := refusals(s, opts); list != nil && len(list.Parts) > 1 {
		return list
	}
	return err
}

// refuse ends the evaluation with something that cannot be converted.
func (e *evaluator) refuse(what, advice string) stop {
	at := e.where()
	return stop{&model.UnsupportedError{What: what + " (" + at + ")", Advice: advice}, &aten.Unknown{What: what, Module: at, Advice: advice}}
}

// listed makes a call. While refusals are listed, one of the call is noted, and the
// call makes something unknown.
func (e *evaluator) listed(call func() any) (v any) {
	if !e.listing {
		return call()
	}
	depth, file, line, module := e.depth, e.file, e.line, e.module
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		s, ok := r.(stop)
		if !ok || s.part == nil && s.err != errUnknown {
			panic(r)
		}
		if s.part != nil {
			e.note(*s.part)
		}
		e.depth, e.file, e.line, e.module = depth, file, line, module
		v = unknown{}
	}()
	return call()
}

func (e *evaluator) note(part aten.Unknown) {
	e.spend(10)
	e.unknown = append(e.unknown, part)
}

// ofUnknown evaluates an operator of something unknown; ok is false if nothing is,
// or only an element of a list or dictionary that the operator changes.
func (e *evaluator) ofUnknown(op string, args []any, named map[string]any) (v any, ok bool) {
	if !e.listing || !anyUnknown(args) && !anyUnknown(valuesOf(named)) {
		return nil, false
	}
	if holders[op] && args[0] != (unknown{}) {
		return nil, false
	}
	if op == "__is__" || op == "__isnot__" {
		return op == "__isnot__", true
	}
	if aten.Parameters("aten."+op, "") == nil && !holders[op] && !questions[op] {
		e.note(*e.refuse("operator "+op, aten.Advice("aten."+op)).part)
	}
	return unknown{}, true
}

func anyUnknown(values []any) bool {
	return slices.ContainsFunc(values, func(v any) bool {
		list, ok := elements(v)
		return v == unknown{} || ok && slices.Contains(list, any(unknown{}))
	})
}

func words(s string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(s) {
		set[word] = true
	}
	return set
}

// holders are operators of lists and dictionaries, whose elements may be unknown.
var holders = words("append extend insert pop clear reverse copy list slice len __getitem__ _set_item keys values items update get")

// questions are operators that ask about a tensor, or about what was read out of
// one, and make no tensor.
var questions = words("size sym_size dim ndimension numel stride is_same_size get_device item Int Float Bool IntImplicit FloatImplicit ScalarImplicit " +
	"is_floating_point __contains__ __and__ __or__ __xor__ __not__ floordiv format str find tensor meshgrid broadcast_tensors __range_length __derive_index")
