package script

import (
	"slices"

	"lethe/file"
)

// run runs statements; returned tells that one of them was a return.
func (e *evaluator) run(env map[string]any, body []statement) (v any, returned bool) {
	for _, s := range body {
		e.spend(1)
		e.line = s.at()
		switch s := s.(type) {
		case *assignment:
			if s.value != nil {
				e.assign(env, s)
			}
		case *evaluation:
			e.eval(env, s.x)
		case *result:
			if s.x != nil {
				v = e.eval(env, s.x)
			}
			return v, true
		case *branch:
			condition := e.eval(env, s.condition)
			if _, isLiteral := s.condition.(*literal); !isLiteral {
				e.branched = true
			}
			body := s.no
			if e.truth(condition) {
				body = s.yes
			}
			if v, returned := e.run(env, body); returned {
				return v, true
			}
		case *loop:
			if v, returned := e.loop(env, s); returned {
				return v, true
			}
		case *context:
			if v, returned := e.with(env, s); returned {
				return v, true
			}
		}
	}
	return nil, false
}

// with runs a block between the two methods of a context such as torch.no_grad.
func (e *evaluator) with(env map[string]any, s *context) (v any, returned bool) {
	o := e.eval(env, s.of)
	if o, ok := o.(*file.Object); ok && o.Class == autocast && e.truth(e.attribute(o, "_enabled")) {
		e.unsupported("save the network without it", "a block under torch.autocast")
	}
	entered := e.method(o, "__enter__", nil, nil)
	if s.variable != "" {
		env[s.variable] = entered
	}
	v, returned = e.run(env, s.body)
	e.line = s.line
	e.method(o, "__exit__", []any{nil, nil, nil}, nil)
	return v, returned
}

const autocast = "__torch__.torch.amp.autocast_mode.autocast"

func (e *evaluator) loop(env map[string]any, s *loop) (v any, returned bool) {
	e.branched = true
	if s.variable == "" {
		for e.truth(e.eval(env, s.condition)) {
			e.spend(1)
			if v, returned := e.run(env, s.body); returned {
				return v, true
			}
			e.line = s.line
		}
		return nil, false
	}
	over := e.eval(env, s.condition)
	l, ok := over.(*list)
	if r, isRange := over.(span); isRange {
		for i := r.from; i < r.to; i++ {
			e.spend(1)
			env[s.variable] = i
			if v, returned := e.run(env, s.body); returned {
				return v, true
			}
		}
		return nil, false
	}
	if over == (unknown{}) {
		panic(stop{err: errUnknown})
	}
	if !ok {
		e.unsupported("", "a loop over %s", describe(over))
	}
	for i := 0; i < len(l.values); i++ {
		e.spend(1)
		env[s.variable] = l.values[i]
		if v, returned := e.run(env, s.body); returned {
			return v, true
		}
	}
	return nil, false
}

// span is what range returns.
type span struct{ from, to int64 }

func (e *evaluator) assign(env map[string]any, s *assignment) {
	v := e.eval(env, s.value)
	if !s.unpack {
		e.store(env, s.targets[0], v)
		return
	}
	values, ok := elements(v)
	if v == (unknown{}) {
		values, ok = slices.Repeat([]any{v}, len(s.targets)), true
	}
	if !ok || len(values) != len(s.targets) {
		e.bad("%s is unpacked into %d names", describe(v), len(s.targets))
	}
	for i, t := range s.targets {
		e.store(env, t, values[i])
	}
}

func (e *evaluator) store(env map[string]any, target expr, v any) {
	switch t := target.(type) {
	case *name:
		env[t.id] = v
	case *attribute:
		o, ok := e.eval(env, t.x).(*file.Object)
		if !ok {
			e.bad("an attribute of something else than a module is set")
		}
		if e.set[o] == nil {
			e.set[o] = map[string]any{}
		}
		e.set[o][t.name] = v
	case *subscript:
		e.setItem(e.eval(env, t.x), e.eval(env, t.index), v)
	}
}

// elements returns the elements of a list or tuple.
func elements(v any) ([]any, bool) {
	switch v := v.(type) {
	case *list:
		return v.values, true
	case *tuple:
		return v.values, true
	}
	return nil, false
}
