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

// String writes the path as Python does.
func (c *candidate) String() string {
	var b strings.Builder
	b.WriteString("checkpoint")
	for _, key := range c.path {
		fmt.Fprintf(&b, "[%.100q]", key)
	}
	return b.String()
}

// findStateDict returns the one dictionary under root that holds nothing but
// tensors, or else the one that holds any. No name is magic: whether "ema" or
// "model" is meant is the person's choice, so more than one is an error that
// lists them.
func findStateDict(root any) (*candidate, error) {
	var all []*candidate
	search(root, nil, map[any]bool{}, &all)
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
		if _, ok := root.(*tensor); ok {
			what = "the checkpoint is a single tensor, not a state dict"
		}
		return nil, &model.UnsupportedError{What: what, Advice: "save the weights with torch.save(model.state_dict(), path)"}
	}
	var b strings.Builder
	for i, c := range all[:min(len(all), 10)] {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%v (%d entries)", c, len(c.items))
	}
	if len(all) > 10 {
		fmt.Fprintf(&b, " and %d more", len(all)-10)
	}
	return nil, &model.UnsupportedError{What: "the checkpoint holds more than one state dict: " + b.String(),
		Advice: fmt.Sprintf("save the one that is meant, such as torch.save(torch.load(path)%s, other)", strings.TrimPrefix(all[0].String(), "checkpoint"))}
}

// search appends v and the dictionaries under its string keys to found, except
// the state of optimizers, which has tensors too and is told by param_groups.
func search(v any, path []string, seen map[any]bool, found *[]*candidate) {
	if _, ok := dictLen(v); !ok || seen[v] || len(path) > wrapping {
		return
	}
	seen[v] = true // before the items are listed: a file can name one dictionary a million times
	items, _ := dictItems(v)
	c := &candidate{path: path, items: items, pure: true}
	tensors := 0
	for _, it := range items {
		key, isString := it.key.(string)
		if key == "param_groups" {
			return
		}
		if _, isTensor := it.value.(*tensor); isTensor && isString {
			tensors++
		} else if !isString || key != "_extra_state" && !strings.HasSuffix(key, "._extra_state") {
			c.pure = false
		}
	}
	if tensors > 0 {
		*found = append(*found, c)
	}
	for _, it := range items {
		if key, isString := it.key.(string); isString {
			search(it.value, append(path[:len(path):len(path)], key), seen, found)
		}
	}
}
