package pickle

import (
	"fmt"
	"strings"

	"lethe/model"
)

// wrapping is how many dictionaries a state dict may be wrapped in.
const wrapping = 8

// candidate is a dictionary that holds tensors.
type candidate struct {
	path  []string // keys that lead to it
	items []item
	pure  bool // holds nothing else
}

// key is what Options.Key calls the candidate.
func (c *candidate) key() string { return strings.Join(c.path, "/") }

// findStateDict returns the one dictionary under root that holds nothing but
// tensors, or else the one that holds any. No name is magic: whether "ema" or
// "model" is meant is the person's choice, so more than one is an error that
// lists them, unless key is one of them.
func findStateDict(root any, key string, lim Limits) (*candidate, error) {
	var all []*candidate
	if err := search(root, nil, map[any]bool{}, &all, lim); err != nil {
		return nil, err
	}
	if key != "" {
		for _, c := range all {
			if c.key() == key {
				return c, nil
			}
		}
		return nil, &model.UnsupportedError{What: fmt.Sprintf("the checkpoint has no state dict under the key %q", key), Advice: "it has " + listed(all)}
	}
	var pure []*candidate
	for _, c := range all {
		if c.pure {
			pure = append(pure, c)
		}
	}
	if len(pure) > 0 {
		all = pure
	}
	switch len(all) {
	case 1:
		return all[0], nil
	case 0:
		what := "the checkpoint holds no dictionary of tensors"
		if asTensor(root) != nil {
			what = "the checkpoint is a single tensor, not a state dict"
		}
		return nil, &model.UnsupportedError{What: what, Advice: "save the weights with torch.save(model.state_dict(), path)"}
	}
	return nil, &model.UnsupportedError{What: "the checkpoint holds more than one state dict: " + listed(all),
		Advice: fmt.Sprintf("choose one by its key (--key %s)", all[0].key())}
}

// listed writes the keys of candidates for a person.
func listed(all []*candidate) string {
	var b strings.Builder
	for i, c := range all[:min(len(all), 10)] {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%.100q (%d entries)", c.key(), len(c.items))
	}
	if len(all) > 10 {
		fmt.Fprintf(&b, " and %d more", len(all)-10)
	}
	if len(all) == 0 {
		return "none"
	}
	return b.String()
}

// search appends v and the dictionaries under its string keys to found, except
// the state of optimizers, which has tensors too and is told by param_groups. A
// whole module counts as the dictionary that its state_dict method returns.
func search(v any, path []string, seen map[any]bool, found *[]*candidate, lim Limits) error {
	if isModule(v) && !seen[v] {
		seen[v] = true
		w := moduleWalk{limit: lim.Members}
		err := w.visit(v, "", nil)
		*found = append(*found, &candidate{path: path, items: w.items, pure: true})
		return err
	}
	if _, ok := dictLen(v); !ok || seen[v] || len(path) > wrapping {
		return nil
	}
	seen[v] = true // before the items are listed: a file can name one dictionary a million times
	items, _ := dictItems(v)
	c := &candidate{path: path, items: items, pure: true}
	tensors := 0
	for _, it := range items {
		key, isString := str(it.key)
		if key == "param_groups" {
			return nil
		}
		if asTensor(it.value) != nil && isString {
			tensors++
		} else if !isString || key != "_extra_state" && !strings.HasSuffix(key, "._extra_state") {
			c.pure = false
		}
	}
	if tensors > 0 {
		*found = append(*found, c)
	}
	for _, it := range items {
		if key, isString := str(it.key); isString {
			if err := search(it.value, append(path[:len(path):len(path)], key), seen, found, lim); err != nil {
				return err
			}
		}
	}
	return nil
}
