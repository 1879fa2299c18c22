package pickle

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"lethe/model"
)

// wrapping is how many dictionaries and lists a state dict may be wrapped in.
const wrapping = 8

// candidate is a dictionary, a list or a tuple that holds tensors, or a tensor
// that is all there is.
type candidate struct {
	path   []string // keys and indices that lead to it
	items  []item   // the tensors, by name
	named  bool     // a dictionary with strings as keys
	pure   bool     // holds nothing else
	module any      // that the tensors are the parameters and buffers of, or nil
}

// TopKey is what Options.Key calls the object of the pickle itself.
const TopKey = "."

// key is what Options.Key calls the candidate.
func (c *candidate) key() string {
	if len(c.path) == 0 {
		return TopKey
	}
	return strings.Join(c.path, "/")
}

// findStateDict returns the one place under root that holds tensors. Where
// there are several, one counts if all others are inside it and hold fewer
// tensors together, or if all but one are a few tensors beside it (the state of a
// random generator). No name is magic: whether "ema" or "model" is meant is the
// person's choice, so otherwise it is an error that lists them, unless key is one
// of them.
func findStateDict(root any, key string, lim Limits) (*candidate, error) {
	f := search{seen: map[any]bool{}, lim: lim}
	if err := f.visit(root, nil); err != nil {
		return nil, err
	}
	if key != "" {
		for _, c := range f.found {
			if c.key() == key {
				return c, nil
			}
		}
		return nil, &model.UnsupportedError{What: fmt.Sprintf("the checkpoint has no state dict under the key %q", key), Advice: "it has " + listed(f.found)}
	}
	if c := preferred(f.found); c != nil {
		return c, nil
	}
	if len(f.found) == 0 {
		return nil, &model.UnsupportedError{What: "the checkpoint holds no tensors" + f.instead(), Advice: f.advice()}
	}
	return nil, &model.UnsupportedError{What: "the checkpoint holds more than one state dict: " + listed(f.found),
		Advice: fmt.Sprintf("choose one by its key (--key %s)", largest(f.found).key())}
}

// few is how many times more tensors a candidate must have than those beside it
// to be taken without a question.
const few = 4

// preferred returns the candidate that needs no question, or nil.
func preferred(all []*candidate) *candidate {
	if len(all) == 0 {
		return nil
	}
	named, others := 0, 0 // tensors
	var dicts []*candidate
	for _, c := range all {
		if c.named {
			named += len(c.items)
			dicts = append(dicts, c)
		} else {
			others += len(c.items)
		}
	}
	if len(dicts) > 0 && others <= named { // lists beside state dicts are states of something else
		all = dicts
	}
	c := largest(all)
	rest, below := 0, true
	for _, o := range all {
		if o == c {
			continue
		}
		rest += len(o.items)
		below = below && o.under(c)
		if o.pure && len(o.items) > 1 && !o.under(c) && !c.under(o) {
			return nil // another state dict
		}
	}
	if below && rest < len(c.items) || rest*few <= len(c.items) {
		return c
	}
	return nil
}

// under reports whether c is inside o.
func (c *candidate) under(o *candidate) bool {
	return len(c.path) > len(o.path) && slices.Equal(c.path[:len(o.path)], o.path)
}

func largest(all []*candidate) *candidate {
	c := all[0]
	for _, o := range all {
		if len(o.items) > len(c.items) {
			c = o
		}
	}
	return c
}

// listed writes the keys of candidates for a person.
func listed(all []*candidate) string {
	var b strings.Builder
	for i, c := range all[:min(len(all), 10)] {
		if i > 0 {
			b.WriteString(", ")
		}
		tensors := "tensors"
		if len(c.items) == 1 {
			tensors = "tensor"
		}
		fmt.Fprintf(&b, "%.100q (%d %s)", c.key(), len(c.items), tensors)
	}
	if len(all) > 10 {
		fmt.Fprintf(&b, " and %d more", len(all)-10)
	}
	if len(all) == 0 {
		return "none"
	}
	return b.String()
}

// keyText returns what a key of a dictionary is called in a path and as the name
// of a tensor; ok is false if it has no name.
func keyText(key any) (name string, ok bool) {
	switch k := key.(type) {
	case *text:
		return k.s, true
	case int:
		return strconv.Itoa(k), true
	case *big.Int:
		if k.BitLen() <= 256 {
			return k.String(), true
		}
	}
	return "", false
}

// keyLabel returns a key for a person, whatever it is.
func keyLabel(key any) string {
	switch k := key.(type) {
	case *big.Int:
		if k.BitLen() > 128 {
			return fmt.Sprintf("a number of %d bits", k.BitLen())
		}
	case *tuple:
		parts := make([]string, 0, min(k.Len(), 8))
		for _, e := range (*k)[:min(k.Len(), 8)] {
			if _, nested := e.(*tuple); nested {
				parts = append(parts, "(...)")
			} else {
				parts = append(parts, keyLabel(e))
			}
		}
		return "(" + strings.Join(parts, ", ") + ")"
	case *object, *reference:
		return kind(k)
	case *global:
		return k.String()
	case nil:
		return "None"
	}
	if name, ok := keyText(key); ok {
		return name
	}
	return fmt.Sprint(key)
}

// search finds what holds tensors.
type search struct {
	seen   map[any]bool
	lim    Limits
	found  []*candidate
	arrays int // numpy arrays
}

func (f *search) instead() string {
	if f.arrays > 0 {
		return fmt.Sprintf(", but %d numpy arrays", f.arrays)
	}
	return ""
}

func (f *search) advice() string {
	if f.arrays > 0 {
		return "read them as tensors with --inert"
	}
	return "save the weights with torch.save(model.state_dict(), path)"
}

// visit appends v and what is inside it to found, except the state of
// optimizers, which has tensors too and is told by param_groups. A whole module
// counts as the dictionary that its state_dict method returns.
func (f *search) visit(v any, path []string) error {
	if isModule(v) && !f.seen[v] {
		f.seen[v] = true
		w := moduleWalk{lim: f.lim}
		err := w.visit(v, "", nil)
		if len(w.items) > 0 {
			f.found = append(f.found, &candidate{path: path, items: w.items, named: true, pure: true, module: v})
		}
		return err
	}
	if t := asTensor(v); t != nil && len(path) == 0 {
		f.found = []*candidate{{items: []item{{&text{"0"}, v}}}}
		return nil
	}
	if o, ok := v.(*object); ok && isArray(o) {
		f.arrays++
	}
	if f.seen[v] || len(path) > wrapping || !holdsContainers(v) {
		return nil
	}
	f.seen[v] = true
	_, isDict := dictItems(v)
	c := &candidate{path: path, named: isDict, pure: true}
	at := len(f.found)
	for key, value := range children(v) {
		if name, _ := str(key); name == "param_groups" && isDict {
			f.found = f.found[:at]
			return nil
		} else if name != "_extra_state" && !strings.HasSuffix(name, "._extra_state") && asTensor(value) == nil {
			c.pure = false
		}
		switch value.(type) {
		case *dict, *list, *tuple, *object:
		default:
			continue
		}
		name, named := keyText(key)
		switch {
		case !named:
		case asTensor(value) != nil:
			label, isText := key.(*text)
			if !isText {
				label, c.named = &text{name}, false
			}
			c.items = append(c.items, item{label, value})
		case holdsContainers(value) || isModule(value) || is(value, inert):
			if err := f.visit(value, append(path[:len(path):len(path)], name)); err != nil {
				return err
			}
		}
	}
	if len(c.items) > 0 {
		f.found = slices.Insert(f.found, at, c)
	}
	return nil
}

// holdsContainers reports whether a value is a dictionary, a list or a tuple with
// something in it that can be a tensor or hold one.
func holdsContainers(v any) bool {
	if items, ok := dictItems(v); ok {
		return slices.ContainsFunc(items, func(it item) bool { return canHold(it.value) })
	}
	elements, _ := sequence(v)
	return slices.ContainsFunc(elements, canHold)
}

func canHold(v any) bool {
	switch v.(type) {
	case *dict, *list, *tuple, *object:
		return true
	}
	return false
}

// tensorsIn counts the tensors under a value.
func tensorsIn(v any, seen map[any]bool) int {
	if asTensor(v) != nil {
		return 1
	}
	if !canHold(v) || seen[v] {
		return 0
	}
	seen[v] = true
	n := 0
	for _, value := range children(v) {
		n += tensorsIn(value, seen)
	}
	if o, ok := v.(*object); ok {
		for _, e := range *o.args {
			n += tensorsIn(e, seen)
		}
		n += tensorsIn(o.state(), seen)
	}
	return n
}
