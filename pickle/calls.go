package pickle

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"lethe/model"
)

// class returns a global, which is made once.
func (s *scanner) class(module, name string) (*global, error) {
	if g := s.globals[[2]string{module, name}]; g != nil {
		return g, nil
	}
	g := lookup(module, name)
	if g == nil {
		g = &global{module: module, name: name, use: unlisted}
		if strings.HasPrefix(module, "cloudpickle") {
			return nil, &model.UnsupportedError{What: fmt.Sprintf("the pickle %s was written by cloudpickle, by value: the code of the model's class is inside (%v), and loading it runs that code", s.member, g),
				Advice: "load it only if you trust whoever made it, and save the weights alone with torch.save(model.state_dict(), path)"}
		}
		if runsCode(g.String()) {
			return nil, s.bad("pickle refers to %q, which could run code; the file is malicious or not a state dict", g.String())
		}
		s.unlisted = append(s.unlisted, g)
	}
	if g.use == refused {
		return nil, &model.UnsupportedError{What: fmt.Sprintf("the checkpoint has a tensor that is not a dense strided array (%v)", g),
			Advice: "convert it with PyTorch to a plain tensor first"}
	}
	s.globals[[2]string{module, name}] = g
	s.cost += globalCost
	return g, nil
}

func (s *scanner) global(module, name string) error {
	g, err := s.class(module, name)
	if err != nil {
		return err
	}
	s.push(g)
	return nil
}

// globalLines reads the two lines of a global.
func (s *scanner) globalLines() (*global, error) {
	module, err := s.line("the module of a global", nameMax)
	if err != nil {
		return nil, err
	}
	name, err := s.line("the name of a global", nameMax)
	if err != nil {
		return nil, err
	}
	if !utf8.ValidString(module + name) {
		return nil, s.bad("the name %q of a global is not UTF-8", module+"."+name)
	}
	return s.class(module, name)
}

// stackGlobal pushes a global whose names are strings on the stack.
func (s *scanner) stackGlobal() error {
	vs, err := s.pop(2)
	if err != nil {
		return err
	}
	module, isModule := str(vs[0])
	name, isName := str(vs[1])
	if !isModule || !isName {
		return s.bad("the module and the name of a global are %v and %v, not two strings", kind(vs[0]), kind(vs[1]))
	}
	if len(module) > nameMax || len(name) > nameMax {
		return s.bad("the name of a global has more than %d bytes", nameMax)
	}
	return s.global(module, name)
}

// call is REDUCE, the call of a function, or with instance NEWOBJ, a new
// instance of a class.
func (s *scanner) call(f, arguments any, instance bool) error {
	g, isGlobal := f.(*global)
	args, isTuple := arguments.(*tuple)
	if !isGlobal || !isTuple {
		return s.bad("a call of %v with %v, not of a global with a tuple", kind(f), kind(arguments))
	}
	if g.use == reconstructs && args.Len() == 3 {
		class, isClass := args.Get(0).(*global)
		if parent, _ := args.Get(1).(*global); isClass && parent != nil && parent.name == "object" && args.Get(2) == nil {
			return s.call(class, s.tuple(nil), true)
		}
	}
	if instance && g.use != inert && g.use != unlisted {
		return s.bad("an instance of %v is made, of which no checkpoint holds one", g)
	}
	o := s.object(g, args)
	if !flat(*args) { // finish does not look at it by itself
		s.cost -= visitCost
	}
	o.instance = instance
	switch g.use {
	case ordered:
		items, err := s.orderedItems(*args)
		if err != nil {
			return err
		}
		if items != nil {
			o.args, o.more = newTuple(), &more{items: items}
			s.cost += moreCost + tupleCost
		}
	case tagged:
		if args.Len() == 0 {
			return s.bad("%v is called without arguments", g)
		}
		s.push(args.Get(0))
		return nil
	case mapping, sequences, inert, unlisted:
	case reconstructs:
		// Of another base than object, such as dict: its value is an argument.
		s.unlisted = append(s.unlisted, g)
		o.class = &global{module: g.module, name: g.name, use: unlisted}
		s.cost += globalCost
	case rebuilds:
		s.cost += tensorCost + stepCost
		s.steps = append(grow(s, s.steps, 1), o)
	default:
		return s.bad("%v is called, which is not a function that a checkpoint calls", g)
	}
	s.push(o)
	return nil
}

// orderedItems returns what an OrderedDict is made from: Python 3 makes it
// empty, Python 2 of a list of lists of two.
func (s *scanner) orderedItems(args []any) ([]item, error) {
	if len(args) == 0 {
		return nil, nil
	}
	pairs, ok := args[0].(*list)
	if !ok || len(args) != 1 {
		return nil, s.bad("an OrderedDict is made from %v, not from a list of pairs", kind(args[0]))
	}
	vs := make([]any, 0, 2*len(pairs.values))
	s.cost += 64 * uint64(len(pairs.values))
	for _, p := range pairs.values {
		pair, ok := sequence(p)
		if !ok || len(pair) != 2 {
			return nil, s.bad("an OrderedDict is made from a list with %v, not of pairs", kind(p))
		}
		vs = append(vs, pair...)
	}
	return s.items(vs)
}

// build is BUILD, which gives an object its state. A tensor takes none that way:
// its state could be another storage.
func (s *scanner) build() error {
	vs, err := s.pop(1)
	if err != nil {
		return err
	}
	state := vs[0]
	to, err := s.peek()
	if err != nil {
		return err
	}
	_, isDict := state.(*dict)
	if !is(to, inert, unlisted) && (!is(to, ordered) || !isDict) {
		return s.bad("%v is given %v as its state, which it cannot take", kind(to), kind(state))
	}
	o := to.(*object)
	s.cost += moreCost
	o.put().state, o.more.hasState = state, true
	return nil
}

// persistentID pushes the value of a persistent id.
func (s *scanner) persistentID(id any) error {
	v, err := s.persistent(id)
	if f := (*model.FormatError)(nil); errors.As(err, &f) {
		return s.bad("%s", f.Reason)
	}
	if err != nil {
		return err
	}
	s.cost += storageCost
	if r, ok := v.(*reference); ok {
		s.cost += referenceCost + stepCost
		s.steps = append(grow(s, s.steps, 1), r)
	}
	s.push(v)
	return nil
}

// storageID is the persistent of a file whose persistent ids are all storages.
func storageID(id any) (any, error) {
	t, ok := id.(*tuple)
	if !ok {
		return nil, broken("", -1, fmt.Sprintf("a persistent id is %v, not a tuple", kind(id)))
	}
	return &reference{id: t}, nil
}
