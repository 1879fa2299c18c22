package script

import (
	"fmt"
	"strconv"
	"strings"

	"lethe/convert/aten"
	"lethe/file"
	"lethe/graph"
	"lethe/model"
)

// truth returns what a condition is.
func (e *evaluator) truth(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case *list:
		return len(v.values) > 0
	case *tuple:
		return len(v.values) > 0
	case *dict:
		return len(v.keys) > 0
	case scalar:
		return e.truth(v.value)
	case graph.Dim:
		if atLeast(v, 1) {
			return true
		}
		e.unsupported("give the number of samples with --batch N", "control flow that depends on whether %v is 0", v)
	case undecided:
		e.unsupported("give the number of samples with --batch N", "control flow that depends on the size of the batch: %s", string(v))
	case *aten.Value:
		if b, ok := e.element(v); ok {
			return e.truth(b)
		}
		e.unsupported("write the network without it, such as with torch.where", "control flow that depends on the values of a tensor")
	}
	if v == (unknown{}) {
		panic(stop{err: errUnknown})
	}
	e.bad("a condition is %s", describe(v))
	return false
}

// element returns the one element of a tensor that comes with the module and is
// no parameter.
func (e *evaluator) element(v *aten.Value) (any, bool) {
	t := e.known[v]
	if t == nil || t.Len() != 1 || t.DType().IsFloat() {
		return nil, false
	}
	return readNumber(t)
}

// eval returns what an expression is.
func (e *evaluator) eval(env map[string]any, x expr) any {
	e.spend(1)
	switch x := x.(type) {
	case *literal:
		return x.value
	case *name:
		v, ok := env[x.id]
		if !ok {
			e.line = x.line
			e.bad("the name %.100q is read before it has a value", x.id)
		}
		return v
	case *negation:
		switch v := e.eval(env, x.x).(type) {
		case int64:
			return -v
		case float64:
			return -v
		default:
			return e.operator("neg", []any{v}, nil)
		}
	case *sequence:
		values := make([]any, len(x.elements))
		for i, el := range x.elements {
			values[i] = e.eval(env, el)
		}
		if x.tuple {
			return &tuple{values: values}
		}
		return &list{values}
	case *mapping:
		d := &dict{}
		for i := range x.keys {
			e.setItem(d, e.eval(env, x.keys[i]), e.eval(env, x.values[i]))
		}
		return d
	case *subscript:
		e.line = x.line
		return e.item(e.eval(env, x.x), e.eval(env, x.index))
	case *attribute:
		e.line = x.line
		if full, ok := fullName(env, x); ok {
			return e.global(full)
		}
		return e.attribute(e.eval(env, x.x), x.name)
	case *apply:
		return e.apply(env, x)
	}
	e.bad("an expression of unknown kind")
	return nil
}

// missing is the value of a name that has none yet.
type missing struct{}

// fullName returns the dotted name of something global.
func fullName(env map[string]any, x expr) (string, bool) {
	switch x := x.(type) {
	case *name:
		switch x.id {
		case "torch", "ops", "__torch__", "CONSTANTS":
			_, shadowed := env[x.id]
			return x.id, !shadowed
		}
	case *attribute:
		if prefix, ok := fullName(env, x.x); ok {
			return prefix + "." + x.name, true
		}
	}
	return "", false
}

// global returns a constant of the code, or a reference to a function.
func (e *evaluator) global(full string) any {
	if n, ok := strings.CutPrefix(full, "CONSTANTS.c"); ok {
		i, err := strconv.Atoi(n)
		if err != nil || i < 0 || i >= len(e.script.Constants) {
			e.bad("the archive has no constant %.100s", full)
		}
		return e.take(e.script.Constants[i])
	}
	return reference(full)
}

// take returns a value of the archive as the evaluator has it.
func (e *evaluator) take(v any) any {
	if known, ok := e.taken[hashable(v)]; ok && hashable(v) != nil {
		return known
	}
	switch v := v.(type) {
	case *model.Tensor:
		return e.weightValue(v)
	case file.Tuple:
		return &tuple{values: e.takeAll(v)}
	case *file.List:
		l := &list{}
		e.taken[v] = l
		l.values = e.takeAll(v.Values)
		return l
	case *file.Dict:
		d := &dict{}
		e.taken[v] = d
		d.keys, d.values = e.takeAll(v.Keys), e.takeAll(v.Values)
		return d
	}
	return v
}

func hashable(v any) any {
	switch v.(type) {
	case *file.List, *file.Dict:
		return v
	}
	return nil
}

func (e *evaluator) takeAll(values []any) []any {
	e.spend(len(values))
	if e.depth++; e.depth > depthMax {
		e.limit("nesting of the values of the archive", "levels", e.depth, depthMax)
	}
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = e.take(v)
	}
	e.depth--
	return out
}

// attribute reads an attribute of a module or of a NamedTuple.
func (e *evaluator) attribute(v any, name string) any {
	switch v := v.(type) {
	case *file.Object:
		if value, ok := e.set[v][name]; ok {
			return value
		}
		if value, ok := v.Attrs[name]; ok {
			if name == "training" && e.opts.ForceEval {
				return false
			}
			return e.take(value)
		}
		if c := e.lookClass(v.Class); c != nil && c.finals[name] != nil {
			return e.eval(map[string]any{}, c.finals[name])
		}
		e.bad("an object of class %.100s has no attribute %.100q", v.Class, name)
	case *tuple:
		for i, n := range v.names {
			if n == name {
				return v.values[i]
			}
		}
	case *aten.Value, scalar:
		return e.property(v, name)
	case unknown:
		return v
	}
	e.bad("%s has no attribute %.100q", describe(v), name)
	return nil
}

// apply evaluates a call.
func (e *evaluator) apply(env map[string]any, x *apply) any {
	e.line = x.line
	if n, ok := x.f.(*name); ok {
		if v, isForm := e.form(env, x, n.id); isForm {
			return v
		}
	}
	if full, ok := fullName(env, x.f); ok {
		return e.callGlobal(full, env, x)
	}
	if a, ok := x.f.(*attribute); ok {
		receiver := e.eval(env, a.x)
		args, named := e.arguments(env, x)
		e.line = x.line
		return e.method(receiver, a.name, args, named)
	}
	f, ok := e.eval(env, x.f).(reference)
	if !ok {
		e.bad("something else than a function is called")
	}
	return e.callGlobal(string(f), env, x)
}

func (e *evaluator) arguments(env map[string]any, x *apply) (args []any, named map[string]any) {
	for i, a := range x.args {
		v := e.eval(env, a)
		if x.names[i] == "" {
			args = append(args, v)
			continue
		}
		if named == nil {
			named = map[string]any{}
		}
		named[x.names[i]] = v
	}
	return args, named
}

// form evaluates the calls that are part of the language.
func (e *evaluator) form(env map[string]any, x *apply, id string) (any, bool) {
	if _, shadowed := env[id]; shadowed {
		return nil, false
	}
	arg := func(i int) any {
		if i >= len(x.args) {
			e.bad("%s has too few arguments", id)
		}
		return e.eval(env, x.args[i])
	}
	switch id {
	case "annotate":
		v := arg(1)
		if n, ok := x.args[0].(*name); ok && n.id == "float" {
			if i, isInt := v.(int64); isInt {
				return float64(i), true
			}
		}
		return v, true
	case "unchecked_cast":
		return arg(1), true
	case "uninitialized":
		return missing{}, true
	case "getattr":
		s, ok := arg(1).(string)
		if !ok {
			e.bad("getattr without a name")
		}
		return e.attribute(arg(0), s), true
	case "isinstance":
		return e.isInstance(arg(0), x.args[1]), true
	case "range":
		switch n := e.integer(arg(0)).(type) {
		case int64:
			if len(x.args) == 2 {
				if to, ok := e.integer(arg(1)).(int64); ok {
					return span{n, to}, true
				}
			}
			if len(x.args) == 1 {
				return span{0, n}, true
			}
		}
		e.unsupported("give the number of samples with --batch N", "a loop whose length depends on the size of the batch")
	case "int":
		return e.integer(arg(0)), true
	case "float":
		return e.float(arg(0)), true
	case "bool":
		return e.truth(arg(0)), true
	case "str":
		return e.show(arg(0)), true
	default:
		e.bad("the function %.100q is not known", id)
	}
	return nil, true
}

// isInstance compares a value with an annotation.
func (e *evaluator) isInstance(v any, t expr) bool {
	if s, ok := t.(*sequence); ok {
		for _, x := range s.elements {
			if e.isInstance(v, x) {
				return true
			}
		}
		return false
	}
	base := t
	if s, ok := t.(*subscript); ok {
		base = s.x
	}
	n, ok := base.(*name)
	if !ok {
		e.unsupported("", "isinstance of a class")
	}
	switch v.(type) {
	case *aten.Value, scalar, unknown:
		return n.id == "Tensor"
	case *list:
		return n.id == "List"
	case *tuple:
		return n.id == "Tuple"
	case *dict:
		return n.id == "Dict"
	case int64, graph.Dim:
		return n.id == "int"
	case float64:
		return n.id == "float"
	case bool:
		return n.id == "bool"
	case string:
		return n.id == "str"
	case nil:
		return n.id == "NoneType" || n.id == "Optional"
	}
	return false
}

// method calls a method of a module.
func (e *evaluator) method(receiver any, name string, args []any, named map[string]any) any {
	if receiver == (unknown{}) {
		return receiver
	}
	o, ok := receiver.(*file.Object)
	if !ok {
		e.bad("%s has no method %.100q", describe(receiver), name)
	}
	if strings.HasPrefix(o.Class, "__torch__.torch.classes.") {
		return e.listed(func() any {
			panic(e.refuse(fmt.Sprintf("an object of the C++ class %.100s", o.Class), "save the network before it is quantized or compiled"))
		})
	}
	f := e.class(o.Class).methods[name]
	if f == nil {
		e.bad("the class %.100s has no method %.100q", o.Class, name)
	}
	outer := e.module
	if path, ok := e.paths[o]; ok {
		e.module = path
	}
	v := e.call(f, append([]any{o}, args...), named)
	e.module = outer
	return v
}

// callGlobal calls a function by its full name.
func (e *evaluator) callGlobal(full string, env map[string]any, x *apply) any {
	space, rest, _ := strings.Cut(full, ".")
	switch space {
	case "torch":
		args, named := e.arguments(env, x)
		e.line = x.line
		return e.listed(func() any { return e.operator(rest, args, named) })
	case "ops":
		args, named := e.arguments(env, x)
		e.line = x.line
		if op, ok := strings.CutPrefix(rest, "prim."); ok {
			return e.prim(op, args, named)
		}
		return e.listed(func() any {
			if op, ok := strings.CutPrefix(rest, "aten."); ok {
				return e.operator(op, args, named)
			}
			panic(e.refuse("operator "+rest, aten.Advice(rest)))
		})
	case "__torch__":
		args, named := e.arguments(env, x)
		e.line = x.line
		path, last := splitName(full)
		if last == "__new__" { // an object of a class without weights; its __init__ follows
			e.class(path)
			return &file.Object{Class: path}
		}
		u := e.unit(path)
		if u == nil {
			e.unsupported("", "the archive has no code for %.200s", full)
		}
		if f := u.functions[last]; f != nil {
			return e.call(f, args, named)
		}
		if c := u.classes[last]; c != nil && c.base == "NamedTuple" {
			if len(args) != len(c.fields) {
				e.bad("a %s is made of %d values, it has %d", last, len(args), len(c.fields))
			}
			return &tuple{args, c.fields}
		}
		e.unsupported("save a network of modules", "an object of class %.200s, which is made while the network runs", full)
	}
	e.bad("%.100s cannot be called", full)
	return nil
}
