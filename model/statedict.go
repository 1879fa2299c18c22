package model

import (
	"fmt"
	"iter"
	"maps"
	"slices"
)

// StateDict is an ordered, immutable map from names to tensors, as PyTorch's
// Module.state_dict returns it: parameters and buffers together.
type StateDict struct {
	names   []string
	tensors map[string]*Tensor
}

// Entry is one name and its tensor.
type Entry struct {
	Name   string
	Tensor *Tensor
}

// NewStateDict returns a state dict with the entries in the given order. A
// repeated name is a [FormatError].
func NewStateDict(entries ...Entry) (*StateDict, error) {
	s := &StateDict{tensors: make(map[string]*Tensor, len(entries))}
	for _, e := range entries {
		if _, dup := s.tensors[e.Name]; dup {
			return nil, &FormatError{Format: "state dict", Offset: -1, Reason: fmt.Sprintf("%q occurs twice", e.Name)}
		}
		s.names = append(s.names, e.Name)
		s.tensors[e.Name] = e.Tensor
	}
	return s, nil
}

// Len returns the number of entries.
func (s *StateDict) Len() int { return len(s.names) }

// Names returns the names in order; the slice is the caller's.
func (s *StateDict) Names() []string { return slices.Clone(s.names) }

// Get returns the tensor of a name, or nil.
func (s *StateDict) Get(name string) *Tensor { return s.tensors[name] }

// All iterates over the entries in order.
func (s *StateDict) All() iter.Seq2[string, *Tensor] {
	return func(yield func(string, *Tensor) bool) {
		for _, name := range s.names {
			if !yield(name, s.tensors[name]) {
				return
			}
		}
	}
}

// With returns a state dict in which name has another tensor; everything else
// is shared. A new name goes to the end. To replace many, use [StateDict.WithAll]:
// each call copies the index.
func (s *StateDict) With(name string, t *Tensor) *StateDict {
	return s.WithAll(Entry{name, t})
}

// WithAll returns a state dict in which the entries have other tensors, in time
// linear in the entries of both; everything else is shared. New names go to the
// end, in the order given. Of entries of the same name the last counts.
func (s *StateDict) WithAll(entries ...Entry) *StateDict {
	c := &StateDict{names: slices.Clip(s.names), tensors: make(map[string]*Tensor, len(s.tensors)+len(entries))}
	maps.Copy(c.tensors, s.tensors)
	for _, e := range entries {
		if _, ok := c.tensors[e.Name]; !ok {
			c.names = append(c.names, e.Name)
		}
		c.tensors[e.Name] = e.Tensor
	}
	return c
}

// Aliases returns the names of entries that are the same elements of the same
// storage, laid out the same way, as an entry before them, each with the first name.
func (s *StateDict) Aliases() map[string]string {
	type view struct {
		storage *Storage
		as      string
	}
	first, aliases := map[view]string{}, map[string]string{}
	for name, t := range s.All() {
		if t.Len() == 0 {
			continue
		}
		at := view{t.Storage(), fmt.Sprint(t.DType(), t.Shape(), t.Strides(), t.Offset())}
		if known, ok := first[at]; ok {
			aliases[name] = known
		} else {
			first[at] = name
		}
	}
	return aliases
}
