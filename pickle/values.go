package pickle

import (
	"cmp"
	"hash/maphash"
	"math"
	"math/big"
	"slices"
)

// What a pickle builds is nil, bool, int, float64, *big.Int, *global and the
// types below. None of them has behaviour. A pointer is the identity of a value:
// a pickle says of equal values whether they are one, and is written again with
// the same ones.
type (
	text struct{ s string }

	list struct {
		values []any
		seen   bool // by finish
	}

	dict struct {
		items []item
		seen  bool // by finish
	}

	// item is one key and value of a dict.
	item struct{ key, value any }

	// object is what a call, or a new instance, makes: an OrderedDict, a tensor,
	// or anything inert. It remembers how it was made.
	object struct {
		class    *global
		args     *tuple
		more     *more   // nil until something is put into the object
		tensor   *tensor // what the call stands for if the class rebuilds tensors
		instance bool    // made by NEWOBJ, not by a call
		seen     bool    // by finish
	}

	more struct {
		list     []any
		items    []item
		state    any
		hasState bool
	}

	// reference is the use of a storage: the result of a persistent id.
	reference struct {
		id      *tuple
		storage *storage
	}
)

// put returns the part of an object that holds what was put into it.
func (o *object) put() *more {
	if o.more == nil {
		o.more = &more{}
	}
	return o.more
}

// items returns the keys and values that were set in the object itself.
func (o *object) items() []item {
	if o.more == nil {
		return nil
	}
	return o.more.items
}

// state returns what BUILD gave the object, or nil.
func (o *object) state() any {
	if o.more == nil {
		return nil
	}
	return o.more.state
}

// argument returns argument i of the call that made the object, or nil.
func (o *object) argument(i int) any {
	if i >= o.args.Len() {
		return nil
	}
	return o.args.Get(i)
}

// dictItems returns the items of a dict, an OrderedDict or another mapping; ok
// is false for anything else. The caller must not change them.
func dictItems(v any) (items []item, ok bool) {
	switch v := v.(type) {
	case *dict:
		return v.items, true
	case *object:
		switch {
		case v.class.use == ordered || v.class.use == mapping && v.items() != nil:
			return v.items(), true
		case v.class.use == mapping: // Counter({...})
			items, _ = dictItems(v.argument(0))
			return items, true
		}
	}
	return nil, false
}

// dictLen returns the number of items of a dict, as [dictItems] lists them.
func dictLen(v any) (n int, ok bool) {
	items, ok := dictItems(v)
	return len(items), ok
}

// sequence returns the elements of a list or a tuple; ok is false for anything
// else.
func sequence(v any) (elements []any, ok bool) {
	switch v := v.(type) {
	case *list:
		return v.values, true
	case *tuple:
		return *v, true
	case *object:
		if v.class.use == sequences && v.more != nil {
			return v.more.list, true
		}
	}
	return nil, false
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

// finisher walks over what a pickle built, into each value once, on the way that
// a pickler takes.
type finisher struct {
	limit int
	seen  map[*tuple]bool
}

// finish checks how deep the containers under v nest, and leaves dicts with one
// item for each key, as Python has them: a repeated key keeps its place and takes
// the last value. The scan can do neither, because a pickle may put values into
// a container that already is in another one.
func finish(v any, limit int) error {
	f := finisher{limit: limit, seen: map[*tuple]bool{}}
	return f.visit(v, 0)
}

func (f *finisher) visit(v any, depth int) error {
	switch v := v.(type) {
	case *object:
		return f.object(v, depth)
	case *reference:
		return f.visit(v.id, depth)
	case *tuple:
		if flat(*v) || f.seen[v] {
			return nil
		}
		f.seen[v] = true
		return f.all(*v, depth)
	case *list:
		if v.seen {
			return nil
		}
		v.seen = true
		if flat(v.values) {
			return nil
		}
		return f.all(v.values, depth)
	case *dict:
		if v.seen {
			return nil
		}
		v.seen = true
		v.items = unique(v.items)
		return f.pairs(v.items, depth)
	}
	return nil
}

func (f *finisher) deep(depth int) error {
	return within("nesting of the pickle", "levels", "max-depth", uint64(depth), f.limit)
}

func (f *finisher) all(values []any, depth int) error {
	if err := f.deep(depth); err != nil {
		return err
	}
	for _, v := range values {
		if err := f.visit(v, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (f *finisher) pairs(items []item, depth int) error {
	if err := f.deep(depth); err != nil {
		return err
	}
	for _, it := range items {
		if err := f.visit(it.key, depth+1); err != nil {
			return err
		}
		if err := f.visit(it.value, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (f *finisher) object(o *object, depth int) error {
	if o.seen {
		return nil
	}
	o.seen = true
	if err := f.all(*o.args, depth); err != nil || o.more == nil {
		return err
	}
	o.more.items = unique(o.more.items)
	if err := f.all(o.more.list, depth); err != nil {
		return err
	}
	if err := f.pairs(o.more.items, depth); err != nil {
		return err
	}
	return f.visit(o.more.state, depth+1)
}

// flat reports whether none of the values can hold another one.
func flat(values []any) bool {
	for _, v := range values {
		switch v.(type) {
		case *object, *reference, *tuple, *list, *dict:
			return false
		}
	}
	return true
}

// unique returns the items of a Python dict into which all of the given ones were
// put, in a slice of its own only if there are fewer.
func unique(items []item) []item {
	if len(items) < 2 {
		return items
	}
	seed := maphash.MakeSeed()
	type place struct {
		hash uint64
		at   int
	}
	places := make([]place, len(items))
	for i, it := range items {
		places[i] = place{maphash.Comparable(seed, identity(it.key)), i}
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.at, b.at)) })
	repeats := 0
	first := make([]int32, len(items)) // first place of a key, or its own
	for i := range first {
		first[i] = int32(i)
	}
	for i := 1; i < len(places); i++ {
		for j := i - 1; j >= 0 && places[j].hash == places[i].hash; j-- {
			a, b := places[j].at, places[i].at
			if identity(items[a].key) == identity(items[b].key) {
				first[b] = first[a]
				repeats++
				break
			}
		}
	}
	if repeats == 0 {
		return items
	}
	out := make([]item, 0, len(items)-repeats)
	to := make([]int32, len(items))
	for i, it := range items {
		if at := first[i]; int(at) != i {
			out[to[at]].value = it.value
			continue
		}
		to[i] = int32(len(out))
		out = append(out, it)
	}
	return out
}

// identity returns what makes two keys of a dict one: for Python, True, 1 and 1.0
// are equal.
func identity(key any) any {
	switch k := key.(type) {
	case *text:
		return k.s
	case bool:
		if k {
			return 1
		}
		return 0
	case float64:
		if k == math.Trunc(k) && math.Abs(k) < 1<<53 {
			return int(k)
		}
	case *big.Int:
		return bigKey(k.Append(nil, 62))
	}
	return key
}

type bigKey string
