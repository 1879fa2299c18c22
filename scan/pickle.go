package scan

import (
	"fmt"
	"hash/maphash"
)

// storageID is a storage that a pickle refers to by a persistent id.
type storageID struct {
	key  string
	size int64 // in bytes, -1 if it is not known
	item int64 // bytes of an element, 0 if it is not known
}

// stream is the outcome of one pickle.
type stream struct {
	ended    bool   // a STOP was read
	top      *value // what it returns
	end      int64  // where the next pickle starts
	effects  bool   // something in it is more than plain data
	steps    int    // instructions that were read
	failure  string // why it did not end
	cut      bool   // it failed because the part ends
	at       int64  // of the failure
	storages []storageID
}

// machine interprets the instructions of one pickle without running anything.
// It is at least as generous as the unpicklers of CPython (both of them), of
// Python 2 and of torch: it stops only where every one of them fails.
type machine struct {
	w       *walk
	p       part
	in      *input
	op      int64 // offset of the current instruction
	opcode  string
	proto   byte
	stack   []*value
	marks   []int
	high    int   // most values that were on the stack
	cost    int   // bytes of memory
	claimed int64 // elements that calls make because numbers say so
	memo    map[uint64]*value
	frame   int64 // end of the frame
	out     *stream
	quiet   bool      // findings are held back, because this may be no pickle at all
	held    []Finding // what quiet held back
	nested  []part    // pickles that a call would load
	globals map[[2]string]*global
	ids     map[string]bool
}

// failed ends a machine: no unpickler goes on from there.
type failed struct {
	why string
	cut bool
}

// pickle interprets one pickle that starts at offset at.
func (w *walk) pickle(p part, at int64, quiet bool) (*stream, *machine) {
	if w.last == nil || w.last.p.src != p.src {
		w.last = &input{w: w, p: p}
	}
	in := w.last
	in.p, in.pos = p, at
	m := &machine{w: w, p: p, in: in, memo: map[uint64]*value{}, out: &stream{}, quiet: quiet,
		globals: map[[2]string]*global{}, ids: map[string]bool{}}
	m.run()
	m.out.end = m.in.pos
	return m.out, m
}

func (m *machine) run() {
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(failed)
			if !ok {
				panic(r)
			}
			m.out.failure, m.out.cut, m.out.at = f.why, f.cut, m.op
		}
	}()
	for {
		m.op = m.in.pos
		code, ok := m.in.byte()
		if !ok {
			m.fail("the pickle ends without STOP", true)
		}
		if code == '.' {
			m.opcode = "STOP"
			m.out.top = m.pop()
			m.out.ended = true
			m.out.steps++
			return
		}
		m.step(code)
		m.out.steps++
	}
}

func (m *machine) fail(why string, cut bool) { panic(failed{why, cut}) }

// release reports what a quiet machine held back.
func (m *machine) release() {
	for _, f := range m.held {
		m.w.find(f)
	}
	m.held, m.quiet = nil, false
}

func (m *machine) find(level Level, k Kind, what, why string) {
	if level > Notice {
		m.out.effects = true
	}
	f := Finding{level, k, what, why, m.p.member, m.op, m.opcode}
	if !m.quiet {
		m.w.find(f)
		return
	}
	if len(m.held) < listMax {
		m.held = append(m.held, f)
	}
}

func (m *machine) push(v *value) {
	if m.stack = append(m.stack, v); len(m.stack) > m.high {
		m.high = len(m.stack)
		m.pay(8)
	}
}

// memoryMax bounds the memory of a machine, in bytes: some ten million
// containers at a time.
const memoryMax = 1 << 30

// pay adds to the memory that the machine takes.
func (m *machine) pay(bytes int) {
	if m.cost += bytes; m.cost > memoryMax {
		m.fail(fmt.Sprintf("reading the pickle takes more than the %d MiB that one may take", memoryMax>>20), false)
	}
}

func (m *machine) floor() int {
	if len(m.marks) == 0 {
		return 0
	}
	return m.marks[len(m.marks)-1]
}

// pop takes the value on top of the stack, above the last mark.
func (m *machine) pop() *value {
	v := m.top()
	m.stack = m.stack[:len(m.stack)-1]
	return v
}

func (m *machine) top() *value {
	if len(m.stack) == m.floor() {
		m.fail("an instruction needs a value, the stack has none", false)
	}
	return m.stack[len(m.stack)-1]
}

// popMark takes everything above the last mark, and the mark.
func (m *machine) popMark() []*value {
	if len(m.marks) == 0 {
		m.fail("an instruction needs a mark, the stack has none", false)
	}
	at := m.floor()
	top := m.stack[at:]
	m.stack, m.marks = m.stack[:at], m.marks[:len(m.marks)-1]
	return top
}

// number reads the argument of an instruction.
func (m *machine) number(bytes uint64) uint64 {
	n, ok := m.in.number(bytes)
	if !ok {
		m.fail("an instruction is cut short", true)
	}
	return n
}

func (m *machine) line() (string, bool) {
	s, whole, ok := m.in.line()
	if !ok {
		m.fail("an instruction is cut short", true)
	}
	return s, whole
}

// data reads n bytes of a string or of bytes.
func (m *machine) data(k kind, n uint64) {
	if n > uint64(m.in.left()) {
		m.fail("a string is longer than the file", true)
	}
	at := m.in.pos
	b, ok := m.in.take(n)
	if !ok {
		m.fail("a string is cut short", true)
	}
	v := &value{kind: k, n: at, size: int64(n)}
	if k == text && n <= textMax || k == blob && n <= 16 {
		v.known, v.s = true, string(b)
	}
	m.push(v)
}

// memoize stores the value on top.
func (m *machine) memoize(i uint64) {
	v := m.top()
	m.memo[i] = v
	if i > uint64(m.op)+1 && i < 1<<63 {
		m.find(Danger, KindSpelling, fmt.Sprintf("memo index %d", i), "is larger than any pickler writes here: unpicklers take memory for all indices below it")
	}
	m.pay(128 + len(v.s))
}

func (m *machine) recall(i uint64) {
	v := m.memo[i]
	if v == nil {
		m.fail("the memo has no such value", false)
	}
	m.push(v)
}

// memoLine reads the index of GET and PUT. plain is false if another unpickler
// could read another one.
func (m *machine) memoLine() (i uint64, s string, plain bool) {
	s, whole := m.line()
	i, plain, ok := index(s)
	if !ok || !whole {
		// Python 2 takes the text itself for the key.
		return textKey(s), s, false
	}
	return i, s, plain
}

// textKey is the index of a value under a text, beyond those of numbers.
func textKey(s string) uint64 { return 1<<63 | maphash.String(seed, s) }

var seed = maphash.MakeSeed()

// misspelled reports an index of the memo that is not plain digits.
func (m *machine) misspelled(s string, plain bool) {
	if !plain {
		m.find(Danger, KindSpelling, s, "the index of the memo is not written in plain digits: unpicklers read different numbers, and so different values")
	}
}

// valueSize is the memory of a value, in bytes.
const valueSize = 80

// args makes the tuple of what a call is given. If a function that is harmless
// only in a direct call is in it, made is that function.
func (m *machine) args(items []*value) *value {
	m.pay(valueSize + 8*len(items))
	v := &value{kind: tuple, items: append([]*value(nil), items...)}
	for _, x := range items {
		if g := x.direct(); g != nil {
			v.made = g
		}
	}
	return v
}

// direct returns the function that a value is or holds and that is harmless
// only in a direct call.
func (v *value) direct() *global {
	if v.made != nil && (v.kind == tuple || v.kind == class && v.made.direct) {
		return v.made
	}
	return nil
}

// hold looks at values that become part of another one: a function that is
// harmless only in a direct call must not get away.
func (m *machine) hold(vs ...*value) {
	for _, v := range vs {
		if g := v.direct(); g != nil {
			m.find(Danger, KindCall, g.String(), "is handed on as a value, so that other code may call it: "+g.why)
		}
	}
}

// keep is what a list has to remember: names of storages are strings, and all
// else that can be called or loaded is more than an atom.
func (m *machine) keep(v *value, vs []*value) {
	for _, x := range vs {
		if x.kind != atom {
			m.pay(16)
			v.items = append(v.items, x)
		}
	}
}

// extend adds values to a list or a set, by APPEND, APPENDS or ADDITEMS.
func (m *machine) extend(vs []*value) {
	m.hold(vs...)
	to := m.top()
	kept := to.kind
	if to.kind == object && to.made != nil && to.made.holds != atom {
		kept = to.made.holds
	}
	switch {
	case kept == list && m.opcode != "ADDITEMS":
		m.keep(to, vs)
	case kept == set && m.opcode == "ADDITEMS":
	case kept == array && m.opcode != "ADDITEMS":
	case len(vs) == 0 && m.opcode != "APPEND":
	default:
		m.method(to, map[string]string{"ADDITEMS": "add"}[m.opcode])
	}
}

// setItems stores keys with their values.
func (m *machine) setItems(vs []*value) {
	m.hold(vs...)
	to := m.top()
	if len(vs) == 0 || to.kind == dict || to.kind == object && to.made != nil && to.made.holds == dict {
		return
	}
	m.method(to, "__setitem__")
}

// method reports a call of a method by an instruction that fills a container.
func (m *machine) method(to *value, name string) {
	switch {
	case to.kind == atom || to.kind == text || to.kind == blob || to.kind == tuple || to.kind == frozen:
		m.fail(fmt.Sprintf("%s cannot be filled", to.describe()), false)
	case to.kind == object && to.made != nil && to.made.level == Unknown && !to.made.function:
		m.find(Unknown, KindGlobal, to.made.String(), to.made.why)
	case to.kind == tensor:
		m.find(Danger, KindState, to.describe(), "writes into a tensor while the file is read, which can write over memory")
	default:
		m.find(Danger, KindState, to.describe(), fmt.Sprintf("calls the method %s of %s, which is not a container that the pickle made", cmpOr(name, "append or extend"), to.describe()))
	}
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// build gives an object its state.
func (m *machine) build(state *value) {
	m.hold(state)
	to := m.top()
	switch to.kind {
	case class:
		m.find(Danger, KindState, to.describe(), "changes a class or a function for the whole process, not an object")
	case attr, external:
		m.find(Danger, KindState, to.describe(), "changes an object that the pickle did not make")
	case storage:
		m.find(Danger, KindState, to.describe(), "changes a storage that the loader made")
	case atom, text, blob, array, tuple, list, dict, set, frozen:
		if state.kind == atom {
			return
		}
		m.find(Unknown, KindState, to.describe(), "gives state to a plain value, which the loaders refuse")
	case object:
		m.buildObject(to, state)
	}
}
