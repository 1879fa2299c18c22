package pickle

import (
	"cmp"

	"lethe/model"
)

// Options tell how to read a file. The zero value is right for a file from
// anywhere.
type Options struct {
	Limits Limits
}

// Limits bound what a file can make its reader do. They count things that cost
// memory beyond the size of the file; tensor data stays in the file and needs
// no limit. A zero means the default, a negative number that there is none. What
// exceeds a limit is a [model.LimitError].
type Limits struct {
	Members     int // records of the archive; default 131,072
	PickleBytes int // size of the pickle; default 64 MiB
	Opcodes     int // instructions of the pickle; default 2,097,152, some 60,000 tensors
	Depth       int // containers inside containers; default 100
	Memo        int // values that the pickle remembers; default 1,048,576
	Stack       int // values that wait to be used; default 65,536

	// Elements bounds what views may have in excess of their storages, summed
	// over the file; default 1,048,576. An expanded tensor repeats its storage
	// by a stride of 0, so its number of elements is only a number in the file.
	Elements int
}

func (l Limits) orDefaults() Limits {
	return Limits{
		Members:     cmp.Or(l.Members, 1<<17),
		PickleBytes: cmp.Or(l.PickleBytes, 64<<20),
		Opcodes:     cmp.Or(l.Opcodes, 1<<21),
		Depth:       cmp.Or(l.Depth, 100),
		Memo:        cmp.Or(l.Memo, 1<<20),
		Stack:       cmp.Or(l.Stack, 1<<16),
		Elements:    cmp.Or(l.Elements, 1<<20),
	}
}

// within reports got beyond limit.
func within(what string, got uint64, limit int) error {
	if limit >= 0 && got > uint64(limit) {
		return &model.LimitError{What: what, Got: got, Limit: uint64(limit)}
	}
	return nil
}
