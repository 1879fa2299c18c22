package pickle

import (
	"cmp"

	"lethe/model"
)

// Options say how to read a file. The zero value is right for a file from
// anywhere.
type Options struct {
	Limits Limits

	// Key chooses one of several state dicts: the keys that lead to it, joined
	// by slashes, such as "ema" or "model/encoder".
	Key string

	// Inert lets classes pass that are not part of a state dict, as a whole
	// pickled module has them. Nothing of them is run: their instances are
	// carried along, and a module's parameters and buffers are read out of it.
	Inert bool
}

// Limits bound what a file can make its reader do. They count things that cost
// memory beyond the size of the file; tensor data stays in the file and needs
// no limit. A zero means the default, a negative number that there is none. What
// exceeds a limit is a [model.LimitError].
type Limits struct {
	// Memory is how many bytes may be allocated for the pickle, for the directory
	// of an archive and for expanded tensors, garbage included; default 512 MiB,
	// enough for 150,000 parameters or a vocabulary of a million words.
	Memory int

	// Depth is how many containers may be inside each other; default 128.
	Depth int
}

func (l Limits) orDefaults() Limits {
	return Limits{Memory: cmp.Or(l.Memory, 512<<20), Depth: cmp.Or(l.Depth, 128)}
}

// within reports got, counted in unit, beyond the limit that a flag raises.
func within(what, unit, flag string, got uint64, limit int) error {
	if limit >= 0 && got > uint64(limit) {
		return &model.LimitError{What: what, Unit: unit, Flag: flag, Got: got, Limit: uint64(limit)}
	}
	return nil
}

// memory reports bytes beyond the limit on memory.
func memory(what string, got uint64, lim Limits) error {
	return within("memory for "+what, "bytes", "max-memory", got, lim.Memory)
}
