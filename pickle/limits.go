package pickle

import (
	"cmp"

	"lethe/model"
)

// Options tell how to read a file. The zero value is right for a file from
// anywhere.
type Options struct {
	Limits Limits

	// Key chooses one of several state dicts: the keys that lead to it, joined
	// by slashes, such as "ema" or "model/encoder".
	Key string

	// Inert lets classes pass that are no part of a state dict, as a whole
	// pickled module has them. Nothing of them is run: their instances are
	// carried along, and a module's parameters and buffers are read out of it.
	Inert bool
}

// Limits bound what a file can make its reader do. They count things that cost
// memory beyond the size of the file; tensor data stays in the file and needs
// no limit. A zero means the default, a negative number that there is none. What
// exceeds a limit is a [model.LimitError].
type Limits struct {
	Members int // records of the archive; default 131,072
	Memory  int // bytes that reading the pickle may allocate; default 64 MiB, enough for some 13,000 tensors
	Depth   int // containers inside containers; default 100

	// Elements bounds what views may have in excess of their storages, summed
	// over the file; default 1,048,576. An expanded tensor repeats its storage
	// by a stride of 0, so its number of elements is only a number in the file.
	Elements int
}

func (l Limits) orDefaults() Limits {
	return Limits{
		Members:  cmp.Or(l.Members, 1<<17),
		Memory:   cmp.Or(l.Memory, 64<<20),
		Depth:    cmp.Or(l.Depth, 100),
		Elements: cmp.Or(l.Elements, 1<<20),
	}
}

// within reports got beyond limit.
func within(what string, got uint64, limit int) error {
	if limit >= 0 && got > uint64(limit) {
		return &model.LimitError{What: what, Got: got, Limit: uint64(limit)}
	}
	return nil
}
