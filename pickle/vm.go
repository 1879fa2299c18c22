package pickle

import (
	"errors"
	"fmt"
	"strings"

	gopickle "github.com/nlpodyssey/gopickle/pickle"
	"github.com/nlpodyssey/gopickle/types"

	"lethe/model"
)

// This is the only file that knows gopickle. Its tuples, lists and dicts have
// names here; everything else that a pickle builds is of the types below.
type (
	tuple = types.Tuple
	list  = types.List
	dict  = types.Dict
)

func newTuple(elements ...any) *tuple { return types.NewTupleFromSlice(elements) }

// text is a string with an identity: a pickle says of equal strings whether
// they are one object, and is written again with the same ones.
type text struct{ s string }

// class is a global on the machine's stack.
type class struct {
	*global
	h handlers
}

// object is what a call, or a new instance, makes: an OrderedDict, a tensor, or
// anything inert. It remembers how it was made.
type object struct {
	class    *class
	args     []any
	instance bool // made by NEWOBJ, not by a call
	list     []any
	items    []item
	state    any
	hasState bool
	tensor   *tensor // what the call stands for if the class rebuilds tensors
	seen     bool    // by nesting
}

// item is one key and value of a dict.
type item struct{ key, value any }

// reference is the use of a storage: the result of a persistent id.
type reference struct {
	id      *tuple
	storage *storage
}

// handlers are what a running pickle can reach: the storages of its archive
// and the tensors over them.
type handlers interface {
	// use returns the storage of a persistent id.
	use(id *tuple) (*reference, error)
	// rebuild calls one of the functions that make tensors.
	rebuild(g *global, args []any) (*tensor, error)
}

// run executes the program that scan made of a pickle and returns the value at
// its end. A panic inside the machine is reported as a broken file; scan is
// meant to leave no way to get there.
func run(p *program, member string, h handlers) (root any, err error) {
	defer func() {
		if e := recover(); e != nil {
			root, err = nil, broken(member, -1, fmt.Sprintf("the pickle machine gives up: %.200v", e))
		}
	}()
	for _, c := range p.constants {
		if c, ok := c.(*class); ok {
			c.h = h
		}
	}
	u := gopickle.NewUnpickler(strings.NewReader(p.code))
	u.PersistentLoad = func(id any) (any, error) {
		if i, ok := id.(int); ok {
			return p.constants[i], nil
		}
		return h.use(id.(*tuple))
	}
	root, err = u.Load()
	if err != nil && !isTyped(err) {
		err = broken(member, -1, fmt.Sprintf("the pickle machine stops: %.200v", err))
	}
	return root, err
}

// isTyped tells whether an error already is one of model's.
func isTyped(err error) bool {
	var f *model.FormatError
	var u *model.UnsupportedError
	var l *model.LimitError
	return errors.As(err, &f) || errors.As(err, &u) || errors.As(err, &l)
}

// Call is the machine's REDUCE.
func (c *class) Call(args ...any) (any, error) {
	o := &object{class: c, args: args}
	var err error
	if c.use == rebuilds {
		o.tensor, err = c.h.rebuild(c.global, args)
	}
	return o, err
}

// PyNew is the machine's NEWOBJ.
func (c *class) PyNew(args ...any) (any, error) {
	return &object{class: c, args: args, instance: true}, nil
}

// PySetState is the machine's BUILD.
func (o *object) PySetState(state any) error {
	o.state, o.hasState = state, true
	return nil
}

// Set is the machine's SETITEM.
func (o *object) Set(key, value any) { o.items = append(o.items, item{key, value}) }

// Append is the machine's APPEND. The items of a set stand in the list that it
// is made from.
func (o *object) Append(v any) {
	if o.class.use == inert {
		o.args[0].(*list).Append(v)
		return
	}
	o.list = append(o.list, v)
}

// dictItems returns the items of a dict or an OrderedDict; ok is false for
// anything else. As in Python, a repeated key keeps its place and takes the
// last value.
func dictItems(v any) (items []item, ok bool) {
	n, ok := dictLen(v)
	if !ok {
		return nil, false
	}
	at := make(map[any]int, n)
	add := func(key, value any) {
		id := key
		if s, ok := key.(*text); ok {
			id = s.s
		}
		if i, dup := at[id]; dup {
			items[i].value = value
			return
		}
		at[id] = len(items)
		items = append(items, item{key, value})
	}
	switch d := v.(type) {
	case *dict:
		for _, e := range *d {
			add(e.Key, e.Value)
		}
	case *object:
		for _, e := range d.items {
			add(e.key, e.value)
		}
	}
	return items, true
}

// dictLen returns the number of items that were put into a dict or an
// OrderedDict; ok is false for anything else.
func dictLen(v any) (n int, ok bool) {
	switch d := v.(type) {
	case *dict:
		return d.Len(), true
	case *object:
		return len(d.items), d.class.use == ordered || d.class.use == mapping
	}
	return 0, false
}

// str returns the characters of a string; ok is false for anything else.
func str(v any) (s string, ok bool) {
	t, ok := v.(*text)
	if !ok {
		return "", false
	}
	return t.s, true
}

// asTensor returns the tensor that a value stands for, or nil.
func asTensor(v any) *tensor {
	if o, ok := v.(*object); ok {
		return o.tensor
	}
	return nil
}

// nesting checks how deep the containers under v nest on the way that a pickler
// takes: into each of them once. The scan cannot know, because a pickle may put
// values into a container that already is in another one.
func nesting(v any, depth, limit int, seen map[any]bool) error {
	var children []any
	switch v := v.(type) {
	case *object:
		if v.seen {
			return nil
		}
		v.seen = true
		children = append(append(children, v.args...), v.list...)
		for _, it := range v.items {
			children = append(children, it.key, it.value)
		}
		children = append(children, v.state)
	case *reference:
		children = *v.id
	case *tuple:
		children = *v
	case *list:
		children = *v
	case *dict:
		for _, e := range *v {
			children = append(children, e.Key, e.Value)
		}
	}
	if _, ok := v.(*object); !ok && len(children) > 0 {
		if flat(children) || seen[v] {
			return nil
		}
		seen[v] = true
	}
	if err := within("pickle nesting depth", uint64(depth), limit); err != nil {
		return err
	}
	for _, c := range children {
		if err := nesting(c, depth+1, limit, seen); err != nil {
			return err
		}
	}
	return nil
}

// flat tells whether none of the values can hold another one.
func flat(values []any) bool {
	for _, v := range values {
		switch v.(type) {
		case *object, *reference, *tuple, *list, *dict:
			return false
		}
	}
	return true
}
