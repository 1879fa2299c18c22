package aten

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"lethe/graph"
)

// freeBatch gives the sizes of the batch a name in a program that was exported
// with a fixed batch: axis 0 of every input, and whatever follows from that in
// the tensors after it. The program does not change if it cannot be shown that
// every operator works on any number of samples; the error says why.
//
// A size is either fixed or a multiple of the batch. Sizes that the program
// writes out as numbers, such as those of zeros, may be either; they are settled
// by the first operator that needs one of the two.
func freeBatch(p *Program) (err error) {
	if len(p.Inputs) == 0 || len(p.Inputs[0].Shape) == 0 {
		return fmt.Errorf("it has no input with a batch")
	}
	size, ok := p.Inputs[0].Shape[0].Int()
	if !ok {
		return nil // free already
	}
	if p.Fixed != "" {
		return errors.New(p.Fixed)
	}
	if size < 1 {
		return fmt.Errorf("the batch is empty")
	}
	f := &freer{program: p, size: size, shapes: map[*Value][]extent{}}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case refusal:
			err = errors.New(r.what)
		case runtime.Error: // an axis or an element that is not there
			err = fmt.Errorf("%s has arguments that do not fit its tensors", f.node.Op)
		default:
			panic(r)
		}
	}()
	for _, in := range p.Inputs {
		shape := f.original(in)
		if len(shape) == 0 || shape[0].n != size {
			return fmt.Errorf("input %q has no batch of %d", in.Name, size)
		}
		shape[0].kind = batchSize
		f.shapes[in] = shape
	}
	for _, w := range p.Weights {
		f.shapes[w.Value] = f.original(w.Value)
	}
	for _, n := range p.Nodes {
		f.node = n
		f.follow(n)
	}
	for _, out := range p.Outputs {
		if shape := f.of(out.Value); len(shape) == 0 || f.kind(shape[0]) != batchSize {
			return fmt.Errorf("output %q does not begin with the batch", out.Name)
		}
	}
	for v, shape := range f.shapes {
		for i, e := range shape {
			if f.kind(e) == batchSize {
				v.Shape[i] = graph.Symbol(graph.BatchSymbol).Mul(graph.Size(e.n / size))
			}
		}
	}
	return nil
}

// extent is the size of an axis: n in the program as it was exported.
type extent struct {
	n    int
	kind sizeKind
	open *openKind // of one that may be either

	// before is how many elements of an axis that was merged with the batch count
	// before it: 7 in an axis of 7 steps of every sample. 0 means 1.
	before int
}

type sizeKind uint8

const (
	fixedSize sizeKind = iota
	batchSize          // a multiple of the batch
	openSize           // not settled yet
)

// openKind is what is settled of a size, and of all others that are the same.
type openKind struct {
	kind sizeKind
	same *openKind
}

// last returns what stands for all sizes that are the same.
func (o *openKind) last() *openKind {
	for o.same != nil {
		o = o.same
	}
	return o
}

// freer follows the batch through a program.
type freer struct {
	program *Program
	size    int // of the batch
	shapes  map[*Value][]extent
	node    *Node
}

func (f *freer) fail(format string, args ...any) {
	where := ""
	if f.node.Module != "" {
		where = " in " + f.node.Module
	}
	panic(refusal{what: fmt.Sprintf("%s%s: ", strings.TrimPrefix(f.node.Op, "aten."), where) + fmt.Sprintf(format, args...)})
}

// original returns the sizes that a tensor was exported with, all fixed.
func (f *freer) original(v *Value) []extent {
	shape := make([]extent, len(v.Shape))
	for i, d := range v.Shape {
		n, ok := d.Int()
		if !ok {
			panic(refusal{what: fmt.Sprintf("%q has a size that is not fixed", v.Name)})
		}
		shape[i] = extent{n: n}
	}
	return shape
}

func (f *freer) of(v *Value) []extent {
	if shape, ok := f.shapes[v]; ok {
		return shape
	}
	return f.original(v)
}

func (f *freer) kind(e extent) sizeKind {
	if e.open != nil {
		return e.open.last().kind
	}
	return e.kind
}

// literal returns a size that the program writes out as a number.
func (f *freer) literal(n int) extent {
	if n == 0 || n%f.size != 0 || f.size == 1 && n != 1 {
		return extent{n: n}
	}
	return extent{n: n, open: &openKind{kind: openSize}}
}

// same makes two sizes the same.
func (f *freer) same(a, b extent) extent {
	if a.n != b.n {
		f.fail("sizes %d and %d do not fit", a.n, b.n)
	}
	x, y := f.kind(a), f.kind(b)
	switch {
	case x == openSize && y == openSize:
		if x, y := a.open.last(), b.open.last(); x != y {
			x.same = y
		}
	case x == openSize:
		a.open.last().kind = y
	case y == openSize:
		b.open.last().kind = x
	case x != y:
		f.fail("a size of %d is the batch on one side and fixed on the other", a.n)
	case x == batchSize && max(a.before, 1) != max(b.before, 1):
		f.fail("two axes of size %d count their samples in another order", a.n)
	}
	return a
}

// broadcast returns the shape of several tensors that are repeated against each
// other.
func (f *freer) broadcast(shapes ...[]extent) []extent {
	var out []extent
	for _, s := range shapes {
		if len(s) > len(out) {
			out = append(make([]extent, len(s)-len(out)), out...)
		}
		lead := len(out) - len(s)
		for i, e := range s {
			o := &out[lead+i]
			switch {
			case o.n == 0 && o.open == nil, o.n == 1 && f.kind(*o) != batchSize && (e.n != 1 || f.kind(e) == batchSize):
				if o.open != nil && f.kind(*o) == openSize && e.n == 1 && f.kind(e) == batchSize {
					o.open.last().kind = batchSize
				}
				*o = e
			case e.n == 1 && f.kind(e) != batchSize && (o.n != 1 || f.kind(*o) == batchSize):
				if e.open != nil && f.kind(e) == openSize && o.n == 1 {
					e.open.last().kind = batchSize
				}
			default:
				f.same(*o, e)
			}
		}
	}
	return out
}

// follow finds the shapes of what a node makes.
func (f *freer) follow(n *Node) {
	name := strings.TrimSuffix(n.Op, "_")
	if !strings.HasPrefix(n.Op, "aten.") {
		f.fail("it is not known")
	}
	if r, _ := lookUp(n); r != nil && r.lower == nil {
		return
	}
	all := known()
	rule := all.batch[name]
	if r := all.batch[name+"."+n.Overload]; r != nil {
		rule = r
	}
	if rule == nil {
		rule = untouched
		if all.elementwise[name] || all.elementwise[synonyms[name]] {
			rule = pointwise
		}
	}
	rule(f, n)
	for _, out := range n.Outputs {
		if out == nil {
			continue
		}
		if shape, ok := f.shapes[out]; ok {
			if len(shape) != len(out.Shape) {
				f.fail("the output has %d axes, not %d", len(out.Shape), len(shape))
			}
			for i, d := range out.Shape {
				if !d.Is(shape[i].n) {
					f.fail("the output has the shape %v", out.Shape)
				}
			}
		}
	}
}

// arg returns an argument. One without a name has that of the schema.
func (f *freer) arg(n *Node, name string) any {
	r, _ := lookUp(n)
	for i, a := range n.Args {
		if a.Name == "" && r != nil && i < len(r.params) {
			a.Name = r.params[i].name
		}
		if a.Name == name {
			return a.Value
		}
	}
	return nil
}

// first returns the first tensor of a node.
func (f *freer) first(n *Node) *Value {
	for _, a := range n.Args {
		if v, ok := a.Value.(*Value); ok {
			return v
		}
	}
	f.fail("it has no tensor")
	return nil
}

// tensors returns all tensors of a node.
func tensors(n *Node) []*Value {
	var out []*Value
	for _, a := range n.Args {
		switch v := a.Value.(type) {
		case *Value:
			out = append(out, v)
		case []*Value:
			for _, x := range v {
				if x != nil {
					out = append(out, x)
				}
			}
		}
	}
	return out
}

func (f *freer) set(n *Node, shape []extent) {
	if len(n.Outputs) > 0 && n.Outputs[0] != nil {
		f.shapes[n.Outputs[0]] = shape
	}
}

// batched reports whether a shape depends on the batch.
func (f *freer) batched(shape []extent) bool {
	return slices.ContainsFunc(shape, func(e extent) bool { return f.kind(e) == batchSize })
}

// onlyFirst requires that nothing but axis 0 depends on the batch, and settles
// what is open about axis 0.
func (f *freer) onlyFirst(shape []extent) {
	if f.batched(shape[min(1, len(shape)):]) {
		f.fail("it mixes samples")
	}
}
