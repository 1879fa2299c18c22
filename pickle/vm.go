package pickle

import (
	"bytes"
	"errors"
	"fmt"

	gopickle "github.com/nlpodyssey/gopickle/pickle"
	"github.com/nlpodyssey/gopickle/types"

	"lethe/model"
)

// This is the only file that knows gopickle. The rest of the package sees its
// values through dictItems, dictLen and tupleItems.

// handlers are what a running pickle can reach: the storages of its archive
// and the tensors over them.
type handlers interface {
	// storage returns the storage of a persistent id.
	storage(id []any) (any, error)
	// rebuild calls one of the functions that make tensors.
	rebuild(g *global, args []any) (any, error)
}

// run executes a pickle that scan has accepted and returns the value at its
// end. A panic inside the machine is reported as a broken file; scan is meant
// to leave no way to get there.
func run(b []byte, member string, h handlers) (root any, err error) {
	defer func() {
		if p := recover(); p != nil {
			root, err = nil, broken(member, -1, fmt.Sprintf("the pickle machine gives up: %.200v", p))
		}
	}()
	u := gopickle.NewUnpickler(bytes.NewReader(b))
	u.FindClass = func(module, name string) (any, error) {
		g := lookup(module, name)
		if g == nil {
			return nil, unknown(module, name, member, -1)
		}
		return &class{g, h}, nil
	}
	u.PersistentLoad = func(id any) (any, error) {
		items, _ := tupleItems(id)
		return h.storage(items)
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

// class is a global on the machine's stack.
type class struct {
	*global
	h handlers
}

// Call is the machine's REDUCE.
func (c *class) Call(args ...any) (any, error) {
	switch c.use {
	case mapping:
		return types.NewDict(), nil
	case rebuilds:
		return c.h.rebuild(c.global, args)
	}
	return &object{}, nil
}

// PyNew is the machine's NEWOBJ.
func (c *class) PyNew(args ...any) (any, error) { return &object{}, nil }

// object stands for an instance of anything inert. Nothing of it is kept: the
// pickle itself is what is written again. The field gives every object its own
// address.
type object struct{ _ byte }

// PySetState is the machine's BUILD.
func (*object) PySetState(any) error { return nil }

// item is one key and value of a dict.
type item struct{ key, value any }

// dictItems returns the items of a dict or an OrderedDict; ok is false for
// anything else. As in Python, a repeated key keeps its place and takes the
// last value.
func dictItems(v any) (items []item, ok bool) {
	switch d := v.(type) {
	case *types.Dict:
		at := make(map[any]int, len(*d))
		for _, e := range *d {
			if i, dup := at[e.Key]; dup {
				items[i].value = e.Value
				continue
			}
			at[e.Key] = len(items)
			items = append(items, item{e.Key, e.Value})
		}
		return items, true
	case *types.OrderedDict:
		for e := d.List.Front(); e != nil; e = e.Next() {
			entry := e.Value.(*types.OrderedDictEntry)
			items = append(items, item{entry.Key, entry.Value})
		}
		return items, true
	}
	return nil, false
}

// dictLen returns the number of items that were put into a dict or an
// OrderedDict; ok is false for anything else.
func dictLen(v any) (n int, ok bool) {
	switch d := v.(type) {
	case *types.Dict:
		return d.Len(), true
	case *types.OrderedDict:
		return d.Len(), true
	}
	return 0, false
}

// tupleItems returns the elements of a tuple; ok is false for anything else.
func tupleItems(v any) (elements []any, ok bool) {
	t, ok := v.(*types.Tuple)
	if !ok {
		return nil, false
	}
	return *t, true
}
