package pickle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	gopickle "github.com/nlpodyssey/gopickle/pickle"
	"github.com/nlpodyssey/gopickle/types"

	"lethe/model"
)

// This is the only file that knows gopickle.

// tuple is gopickle's: its REDUCE takes no other.
type tuple = types.Tuple

func newTuple(elements ...any) *tuple { return types.NewTupleFromSlice(elements) }

// handlers are what a running pickle can reach: the storages of its archive
// and the tensors over them.
type handlers interface {
	// use finds the storage of a persistent id.
	use(r *reference) error
	// rebuild calls one of the functions that make tensors.
	rebuild(g *global, args []any) (*tensor, error)
}

// call is the function of an object, for the machine's REDUCE.
type call struct {
	o *object
	h handlers
}

// Call is the machine's REDUCE.
func (c call) Call(args ...any) (result any, err error) {
	c.o.tensor, err = c.h.rebuild(c.o.class, args)
	return c.o, err
}

// run executes a program: it looks up the persistent ids of storages and calls
// what makes tensors, in the order of the pickle. A panic inside the machine is
// reported as a broken file; scan is meant to leave no way to get there.
func run(p *program, member string, h handlers) (err error) {
	defer func() {
		if e := recover(); e != nil {
			err = broken(member, -1, fmt.Sprintf("the pickle machine gives up: %.200v", e))
		}
	}()
	var current *reference
	u := gopickle.NewUnpickler(strings.NewReader(p.code))
	u.PersistentLoad = func(id any) (any, error) {
		i, ok := id.(int)
		if !ok {
			return current, h.use(current)
		}
		switch step := p.steps[i/2].(type) {
		case *reference:
			current = step
			return step.id, nil
		case *object:
			if i%2 == 0 {
				return call{step, h}, nil
			}
			return step.args, nil
		}
		return nil, errors.New("unknown step")
	}
	_, err = u.Load()
	if err != nil && !isTyped(err) {
		err = broken(member, -1, fmt.Sprintf("the pickle machine stops: %.200v", err))
	}
	return err
}

// assemble writes the program for the machine, at protocol 2: for a storage, its
// persistent id; for a tensor, the function, its arguments and REDUCE. What that
// returns is popped, because it already has its place in the tree.
func assemble(steps []any) string {
	var code strings.Builder
	code.Grow(16*len(steps) + 4)
	code.WriteString("\x80\x02")
	load := func(i int) {
		var b [6]byte
		b[0], b[5] = 'J', 'Q'
		binary.LittleEndian.PutUint32(b[1:], uint32(i))
		code.Write(b[:])
	}
	for i, step := range steps {
		load(2 * i)
		if _, ok := step.(*object); ok {
			load(2*i + 1)
			code.WriteString("R0")
		} else {
			code.WriteString("Q0")
		}
	}
	code.WriteString("N.")
	return code.String()
}

// isTyped reports whether an error already is one of model's.
func isTyped(err error) bool {
	var f *model.FormatError
	var u *model.UnsupportedError
	var l *model.LimitError
	return errors.As(err, &f) || errors.As(err, &u) || errors.As(err, &l)
}
