package pickle

import (
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"lethe/model"
)

// program is what is left of a pickle when everything that needs no file has been
// built: the tree, and the storages and tensors in it that the machine makes.
type program struct {
	root     any
	steps    []any // *reference and *object, in the order of the pickle
	code     string
	size     int // bytes of the pickle that were read
	protocol int
	cost     uint64 // bytes that scanning and running it allocate, at most
}

// persistent makes the value of a persistent id, before the machine runs.
type persistent func(id any) (any, error)

// scanner checks a pickle instruction by instruction and builds what it
// describes: everything that the virtual machine would trip over is found here,
// with its byte offset, and paid for before it is allocated.
type scanner struct {
	b      string
	pos    int // of the next byte
	op     int // of the current instruction
	member string
	lim    Limits
	inert  bool
	binary bool // an instruction that protocol 0 does not have

	stack []any
	marks []int // heights of the stack
	memo  []any
	first uint64 // number of the first value in the memo: cPickle of Python 2 counts from 1

	persistent persistent
	globals    map[[2]string]*global
	unlisted   []*global // classes that are not in the list
	latin1     *text     // the string, once bytes need it
	steps      []any
	cost       uint64
}

// What is allocated for the things that a pickle can ask for, in bytes, beside
// the slices that grow, which charge what they take. TestMemory holds them to it.
const (
	textCost      = 16
	numberCost    = 8
	tupleCost     = 24 + 24 // without its elements
	visitCost     = 240     // entries of the maps of finish and of search
	listCost      = 64
	dictCost      = 64
	objectCost    = 64
	moreCost      = 96
	globalCost    = 512
	referenceCost = 32
	stepCost      = 96 // the program and the machine
	tensorCost    = 384
	storageCost   = 448
	uniqueCost    = 72 // per item of a dict: what unique takes for repeated keys
	base          = 8192
)

// grow returns a slice with room for n more elements, and charges what that
// takes. Beyond the limit it returns one that lacks the old elements: the scan
// ends before anyone looks at them.
func grow[T any](s *scanner, slice []T, n int) []T {
	if cap(slice)-len(slice) >= n {
		return slice
	}
	var element T
	room := max(2*cap(slice), len(slice)+n)
	size := uint64(room) * uint64(unsafe.Sizeof(element))
	s.cost += size + size/8 + 16 // size classes
	if s.lim.Memory >= 0 && s.cost > uint64(s.lim.Memory) {
		return make([]T, 0, n)
	}
	bigger := make([]T, len(slice), room)
	copy(bigger, slice)
	return bigger
}

// scan accepts exactly the pickles whose values Lethe can hold: the opcodes of
// protocols 0 to 5 that torch.save and Python 2 emit, globals of the closed list
// (or with inert, classes of the user), arguments of the right kinds, and one
// value at the end. It adds up the memory that running them takes, and stops
// where that is more than the limit.
func scan(b, member string, lim Limits, inert bool, p persistent) (*program, error) {
	s := &scanner{b: b, member: member, lim: lim, inert: inert, persistent: p, globals: map[[2]string]*global{}, cost: base}
	protocol := 0
	if len(b) >= 2 && b[0] == 0x80 {
		if b[1] < 2 || b[1] > 5 {
			return nil, &model.UnsupportedError{What: fmt.Sprintf("pickle of protocol %d, supported are 0 to 5", b[1]), Advice: "save it again with torch.save and its default pickle_protocol"}
		}
		s.pos, protocol = 2, int(b[1])
	}
	for {
		if err := s.affordable(); err != nil {
			return nil, err
		}
		s.op = s.pos
		code, err := s.take(1)
		if err != nil {
			return nil, err
		}
		if code[0] == '.' {
			break
		}
		if err := s.step(code[0]); err != nil {
			return nil, err
		}
	}
	if len(s.stack) != 1 || len(s.marks) != 0 {
		return nil, s.bad("the pickle stops with %d values and %d marks on the stack, not with one value", len(s.stack), len(s.marks))
	}
	if len(s.unlisted) > 0 && !s.inert {
		return nil, s.refuse()
	}
	if protocol == 0 && s.binary {
		protocol = 1
	}
	return &program{s.stack[0], s.steps, assemble(s.steps), s.pos, protocol, s.total()}, s.affordable()
}

// total returns the cost so far: the pickle itself, too.
func (s *scanner) total() uint64 { return s.cost + uint64(s.pos) }

func (s *scanner) affordable() error {
	if s.lim.Memory < 0 || s.total() <= uint64(s.lim.Memory) {
		return nil
	}
	return memory("the pickle", s.total(), s.lim)
}

// refuse names the classes that are not part of a state dict. They are valid,
// but to make instances of them would mean to run their code.
func (s *scanner) refuse() error {
	var names []string
	for _, g := range s.unlisted[:min(len(s.unlisted), 5)] {
		names = append(names, fmt.Sprintf("%.100q", g.String()))
	}
	if rest := len(s.unlisted) - len(names); rest > 0 {
		names = append(names, fmt.Sprintf("%d more", rest))
	}
	return &model.UnsupportedError{
		What:   fmt.Sprintf("the pickle %s refers to %s, which are not part of a state dict (a whole pickled model?)", s.member, strings.Join(names, ", ")),
		Advice: "save the weights alone with torch.save(model.state_dict(), path), or read them with --inert, which runs nothing",
	}
}

func (s *scanner) bad(format string, args ...any) error {
	return broken(s.member, int64(s.op), fmt.Sprintf(format, args...))
}

// cutError is the error of a pickle that would go on after its last byte.
type cutError struct{ error }

func (e cutError) Unwrap() error { return e.error }

// take returns the next n bytes.
func (s *scanner) take(n uint64) (string, error) {
	if rest := len(s.b) - s.pos; n > uint64(rest) {
		return "", cutError{s.bad("an instruction needs %d bytes, the pickle ends after %d", n, rest)}
	}
	b := s.b[s.pos : s.pos+int(n)]
	s.pos += int(n)
	return b, nil
}

// number reads n bytes of an unsigned number.
func (s *scanner) number(n int) (uint64, error) {
	b, err := s.take(uint64(n))
	var v uint64
	for i := range len(b) {
		v |= uint64(b[i]) << (8 * i)
	}
	return v, err
}

// line reads up to a newline, at most limit bytes.
func (s *scanner) line(what string, limit int) (string, error) {
	rest := s.b[s.pos:]
	n := strings.IndexByte(rest[:min(len(rest), limit+1)], '\n')
	if n < 0 && len(rest) <= limit {
		return "", cutError{s.bad("the pickle ends within %s", what)}
	}
	if n < 0 {
		return "", s.bad("%s has no end within %d bytes", what, limit)
	}
	s.pos += n + 1
	return rest[:n], nil
}

// push puts a value on the stack.
func (s *scanner) push(v any) { s.stack = append(grow(s, s.stack, 1), v) }

// floor is the height of the stack at the last mark.
func (s *scanner) floor() int {
	if len(s.marks) == 0 {
		return 0
	}
	return s.marks[len(s.marks)-1]
}

// pop takes n values from above the last mark. They are valid until the next
// push.
func (s *scanner) pop(n int) ([]any, error) {
	at := len(s.stack) - n
	if at < s.floor() {
		return nil, s.bad("an instruction takes %d values, and the stack has %d", n, len(s.stack)-s.floor())
	}
	top := s.stack[at:]
	s.stack = s.stack[:at]
	return top, nil
}

// popMark takes everything down to the last mark, and the mark.
func (s *scanner) popMark() ([]any, error) {
	if len(s.marks) == 0 {
		return nil, s.bad("an instruction needs a mark, the stack has none")
	}
	top, err := s.pop(len(s.stack) - s.floor())
	s.marks = s.marks[:len(s.marks)-1]
	return top, err
}

// peek returns the value on top without taking it.
func (s *scanner) peek() (any, error) {
	if len(s.stack) == s.floor() {
		return nil, s.bad("an instruction needs a value, the stack has none")
	}
	return s.stack[len(s.stack)-1], nil
}

// kind names what a value is, for a message.
func kind(v any) string {
	switch v := v.(type) {
	case *text:
		return "a string"
	case *tuple:
		return "a tuple"
	case *list:
		return "a list"
	case *dict:
		return "a dict"
	case *global:
		return "a global"
	case *reference:
		return "a storage"
	case *object:
		switch v.class.use {
		case ordered:
			return "an OrderedDict"
		case mapping:
			return "a dict"
		case rebuilds:
			return "a tensor"
		case unlisted:
			return "an object of an unknown class"
		}
		return "an object"
	}
	return "a plain value"
}

// is reports whether a value is an object of a use.
func is(v any, uses ...use) bool {
	o, ok := v.(*object)
	return ok && slices.Contains(uses, o.class.use)
}

// made returns the object that a call of a global makes.
func (s *scanner) made(module, name string, args ...any) (*object, error) {
	g, err := s.class(module, name)
	if err != nil {
		return nil, err
	}
	return s.object(g, s.tuple(args)), nil
}

func (s *scanner) object(g *global, args *tuple) *object {
	s.cost += objectCost
	return &object{class: g, args: args}
}

// tuple returns a tuple of a copy of the values.
func (s *scanner) tuple(values []any) *tuple {
	s.cost += tupleCost + 18*uint64(len(values))
	if !flat(values) {
		s.cost += visitCost
	}
	return newTuple(slices.Clone(values)...)
}

// extend appends values to a list, a set or an instance of an unknown class that
// is a list.
func (s *scanner) extend(vs []any, set bool) error {
	to, err := s.peek()
	if err != nil {
		return err
	}
	switch v := to.(type) {
	case *list:
		if !set {
			v.values = append(grow(s, v.values, len(vs)), vs...)
			return nil
		}
	case *object:
		if l, ok := v.argument(0).(*list); set && ok && v.class.name == "set" && v.class.use == inert {
			l.values = append(grow(s, l.values, len(vs)), vs...)
			return nil
		}
		if !set && v.class.use == unlisted || v.class.use == sequences {
			s.cost += moreCost
			m := v.put()
			m.list = append(grow(s, m.list, len(vs)), vs...)
			return nil
		}
	}
	return s.bad("items are added to %v, which is not %v", kind(to), map[bool]string{true: "a set", false: "a list"}[set])
}

// set puts keys and values into a dict.
func (s *scanner) set(vs []any) error {
	to, err := s.peek()
	if err != nil {
		return err
	}
	items, err := s.items(vs)
	if err != nil {
		return err
	}
	switch v := to.(type) {
	case *dict:
		v.items = append(grow(s, v.items, len(vs)/2), items...)
		return nil
	case *object:
		if is(v, ordered, mapping, unlisted) {
			s.cost += moreCost
			m := v.put()
			m.items = append(grow(s, m.items, len(vs)/2), items...)
			return nil
		}
	}
	return s.bad("items are set in %v, which is not a dict", kind(to))
}

// items pairs keys and values.
func (s *scanner) items(vs []any) ([]item, error) {
	if len(vs)%2 != 0 {
		return nil, s.bad("a dict is given %d values, which are not pairs of keys and values", len(vs))
	}
	s.cost += (uniqueCost + 40) * uint64(len(vs)/2)
	items := make([]item, 0, len(vs)/2)
	for i := 0; i < len(vs); i += 2 {
		key := vs[i]
		_, isList := key.(*list)
		_, isDict := key.(*dict)
		if isList || isDict || is(key, ordered, mapping, sequences) || is(key, inert) && key.(*object).class.unhashable() {
			return nil, s.bad("a key of a dict is %v, which Python does not take for one", kind(key))
		}
		items = append(items, item{key, vs[i+1]})
	}
	return items, nil
}

// put stores the top value in the memo at a number. Every pickler counts its
// memo without holes, so any other index is a trick.
func (s *scanner) put(i uint64) error {
	if len(s.memo) == 0 && i == 1 {
		s.first = 1
	}
	if want := s.first + uint64(len(s.memo)); i != want {
		return s.bad("a value is stored in the memo as number %d after %d others, it must be number %d", i, len(s.memo), want)
	}
	return s.remember()
}

func (s *scanner) remember() error {
	v, err := s.peek()
	if err == nil {
		s.memo = append(grow(s, s.memo, 1), v)
	}
	return err
}

func (s *scanner) recall(i uint64) error {
	if i < s.first || i-s.first >= uint64(len(s.memo)) {
		return s.bad("value %d of the memo is read, which has %d values", i, len(s.memo))
	}
	s.push(s.memo[i-s.first])
	return nil
}
