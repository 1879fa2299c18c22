package layers

import (
	"container/heap"
	"fmt"
	"slices"
	"strings"
)

// Wiring chooses one alternative of everything that a description leaves open:
// for each slot one of its lists of layers, and what an activation and a pooling
// in it stand for.
type Wiring struct {
	Alternative, Activation, Pooling []int // of each slot
}

// Clone returns a copy.
func (w Wiring) Clone() Wiring {
	return Wiring{slices.Clone(w.Alternative), slices.Clone(w.Activation), slices.Clone(w.Pooling)}
}

// Fix returns the description with all choices made.
func (n *Net) Fix(w Wiring) *Net {
	out := &Net{Input: n.Input}
	for i, s := range n.Slots {
		for _, l := range s.Alternatives[w.Alternative[i]] {
			switch ops[l.Op].kind {
			case open:
				line := l.Line
				l = n.Activations[w.Activation[i]]
				l.Line = line
			case openWindow:
				l.Op = n.Poolings[w.Pooling[i]]
			}
			out.Slots = append(out.Slots, Slot{Alternatives: [][]Layer{{l}}, Line: s.Line})
		}
	}
	return out
}

// Wirings returns the wirings that fit the shapes, the regular ones first: those
// whose convolutions are padded alike, whose poolings are alike, and whose
// layers follow one another in the same order everywhere. All take the first
// activation and the first kind of pooling. There are at most limit, and none that is
// much more unusual than the first; more is true if others were left out. If none fits,
// the error names the layer that the best of them comes to.
func (n *Net) Wirings(shapes Shapes, limit int) (list []Wiring, more bool, err error) {
	if n.Input == nil {
		return nil, false, fmt.Errorf("the description does not give the shape of a sample: add input: [channels, height, width] at its top, or give images with --data")
	}
	e := &enumerator{net: n, shapes: shapes, dead: map[string]bool{}}
	if !e.alive(0, n.Input) {
		return nil, false, e.deepest
	}
	least := 0
	q := &frontier{{shape: n.Input, slot: -1}}
	for q.Len() > 0 {
		at := heap.Pop(q).(*step)
		if at.slot == len(n.Slots)-1 {
			if len(list) == 0 {
				least = at.cost
			}
			if len(list) == limit || at.cost > least+spread {
				return list, true, nil
			}
			list = append(list, at.wiring(len(n.Slots)))
			continue
		}
		e.expand(at, func(s *step) { heap.Push(q, s) })
		if q.Len() > frontierMax {
			return list, true, nil
		}
	}
	return list, false, nil
}

// spread is how much more unusual than the most regular wiring another may be.
const spread = 6

// frontierMax bounds the memory of the enumeration.
const frontierMax = 1 << 18

// step is an alternative that was chosen, behind others.
type step struct {
	prev        *step
	slot        int
	alternative int
	shape       []int // after it
	cost        int
	layers      []Layer
}

func (s *step) wiring(slots int) Wiring {
	w := Wiring{make([]int, slots), make([]int, slots), make([]int, slots)}
	for ; s.slot >= 0; s = s.prev {
		w.Alternative[s.slot] = s.alternative
	}
	return w
}

// frontier is a heap of steps: the cheapest first, and of these the farthest.
type frontier []*step

func (f frontier) Len() int { return len(f) }
func (f frontier) Less(i, j int) bool {
	if f[i].cost != f[j].cost {
		return f[i].cost < f[j].cost
	}
	if f[i].slot != f[j].slot {
		return f[i].slot > f[j].slot
	}
	return f[i].alternative < f[j].alternative
}
func (f frontier) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *frontier) Push(x any)   { *f = append(*f, x.(*step)) }
func (f *frontier) Pop() any {
	last := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return last
}

type enumerator struct {
	net     *Net
	shapes  Shapes
	dead    map[string]bool // by slot and shape before it: whether nothing fits from there
	deepest error           // why the alternatives fail that come farthest
	depth   int
}

// after returns the shape after a list of layers.
func after(in []int, list []Layer, shapes Shapes) ([]int, error) {
	for i := range list {
		out, err := list[i].After(in, shapes)
		if err != nil {
			return nil, err
		}
		in = out
	}
	return in, nil
}

// alive reports whether some choice from a slot on fits.
func (e *enumerator) alive(slot int, in []int) bool {
	if slot == len(e.net.Slots) {
		return true
	}
	key := fmt.Sprint(slot, in)
	if dead, known := e.dead[key]; known {
		return !dead
	}
	alive := false
	for _, a := range e.net.Slots[slot].Alternatives {
		out, err := after(in, a, e.shapes)
		if err != nil {
			if e.deepest == nil || slot > e.depth {
				e.deepest, e.depth = err, slot
			}
			continue
		}
		alive = e.alive(slot+1, out) || alive
	}
	e.dead[key] = !alive
	return alive
}

// expand calls push with every alternative of the next slot that can lead to the
// end.
func (e *enumerator) expand(at *step, push func(*step)) {
	slot := at.slot + 1
	for i, a := range e.net.Slots[slot].Alternatives {
		out, err := after(at.shape, a, e.shapes)
		if err != nil || !e.alive(slot+1, out) {
			continue
		}
		s := &step{prev: at, slot: slot, alternative: i, shape: out, layers: a}
		s.cost = at.cost + s.unusual(e.shapes)
		push(s)
	}
}

// unusual returns how far an alternative is from what is usual and from those
// before it.
func (s *step) unusual(shapes Shapes) (cost int) {
	for i := range s.layers {
		l := &s.layers[i]
		switch ops[l.Op].kind {
		case window, openWindow:
			if l.Size != both(2) || l.Stride != both(2) {
				cost++
			}
			if l.Ceil || l.Padding != [2]int{} && l.Size == both(2) || l.Stride == both(1) || l.Size == both(4) {
				cost += 2
			}
			if p := s.before(func(o *Layer) bool { return ops[o.Op].kind == ops[l.Op].kind }); p != nil && (p.Size != l.Size || p.Stride != l.Stride) {
				cost++
			}
		case target:
			cost += 2
		case plain:
			if l.Op == "dropout" {
				cost += 2
			}
		case flattening:
			if l.Last {
				cost += 2
			}
		case weighted:
			if l.Op == "conv" {
				cost += s.unusualConv(l, shapes)
			}
		}
	}
	if o := s.order(); o != "" {
		for p := s.prev; p != nil && p.slot >= 0; p = p.prev {
			if before := p.order(); before != "" && !compatible(o, before) {
				cost += 2
				break
			}
		}
	}
	return cost
}

func (s *step) unusualConv(l *Layer, shapes Shapes) (cost int) {
	k := kernel(l, shapes)
	same := [2]int{k[0] / 2, k[1] / 2}
	if l.Stride != both(1) {
		cost += 2
	}
	if l.Padding != same && l.Padding != [2]int{} {
		cost += 2
	}
	if p := s.before(func(o *Layer) bool { return o.Op == "conv" && kernel(o, shapes) == k }); p != nil && (p.Padding != l.Padding || p.Stride != l.Stride) {
		cost++
	}
	return cost
}

func kernel(l *Layer, shapes Shapes) (k [2]int) {
	if s := shapes(l.Module + ".weight"); len(s) == 4 {
		k = [2]int{s[2], s[3]}
	}
	return k
}

// before returns the last layer before this step of which is is true.
func (s *step) before(is func(*Layer) bool) *Layer {
	for p := s.prev; p != nil; p = p.prev {
		for i := range p.layers {
			if is(&p.layers[i]) {
				return &p.layers[i]
			}
		}
	}
	return nil
}

// order writes the layers that can change places as letters.
func (s *step) order() string {
	var b strings.Builder
	for i := range s.layers {
		switch l := &s.layers[i]; {
		case l.Op == "batch_norm":
			b.WriteByte('n')
		case l.Op == "prelu", l.Op == "activation", ops[l.Op].kind == plain && l.Op != "dropout":
			b.WriteByte('a')
		case l.Op == "pool" || ops[l.Op].kind == window:
			b.WriteByte('p')
		}
	}
	if b.Len() < 2 {
		return ""
	}
	return b.String()
}

// compatible reports whether the letters that two orders share stand in the same
// order.
func compatible(a, b string) bool {
	only := func(s, of string) string {
		return strings.Map(func(r rune) rune {
			if strings.ContainsRune(of, r) {
				return r
			}
			return -1
		}, s)
	}
	return only(a, b) == only(b, a)
}

// draftWirings is how many wirings a draft looks at for its alternatives.
const draftWirings = 400

// narrow leaves the alternatives that occur in some wiring, or is the error why
// there is none.
func (n *Net) narrow(shapes Shapes) error {
	list, _, err := n.Wirings(shapes, draftWirings)
	if err != nil {
		return err
	}
	for i := range n.Slots {
		s := &n.Slots[i]
		var used []int
		for _, w := range list {
			if a := w.Alternative[i]; !slices.Contains(used, a) {
				used = append(used, a)
			}
		}
		var left [][]Layer
		for _, a := range used { // the regular ones first
			left = append(left, s.Alternatives[a])
		}
		s.Alternatives = left
	}
	return nil
}

// Unusual returns how far a wiring is from a regular one, such as that which
// [Net.Wirings] returns first: a padding, a window or an order that is another
// than that before it counts, and so does another activation or kind of pooling.
func (n *Net) Unusual(w Wiring, shapes Shapes) (cost int) {
	at := &step{slot: -1}
	act, pool := -1, -1
	for i, s := range n.Slots {
		at = &step{prev: at, slot: i, layers: s.Alternatives[w.Alternative[i]]}
		cost += at.unusual(shapes)
		for _, l := range at.layers {
			switch ops[l.Op].kind {
			case open:
				if act >= 0 && act != w.Activation[i] {
					cost++
				}
				act = w.Activation[i]
			case openWindow:
				if pool >= 0 && pool != w.Pooling[i] {
					cost++
				}
				pool = w.Pooling[i]
			}
		}
	}
	return cost
}
