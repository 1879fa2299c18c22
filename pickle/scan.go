package pickle

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"lethe/model"
)

// kind is what the scan knows of a value.
type kind uint8

const (
	atom kind = iota // None, a bool, a number, a string
	tupleKind
	listKind
	dictKind
	orderedKind // an OrderedDict
	objectKind  // an inert object
	tensorKind
	storageKind
	globalKind
)

var kindNames = [...]string{"a plain value", "a tuple", "a list", "a dict", "an OrderedDict", "an object", "a tensor", "a storage", "a global"}

func (k kind) String() string { return kindNames[k] }

// value stands for what an instruction makes. The stack and the memo share
// it, as they share the real one.
type value struct {
	kind   kind
	depth  int
	global *global
}

// scanner runs a pickle on kinds instead of values: everything that the
// virtual machine would trip over is found here, with its byte offset, before
// anything is allocated for it.
type scanner struct {
	b      []byte
	pos    int // of the next byte
	op     int // of the current instruction
	member string
	lim    Limits
	stack  []*value
	marks  []int // heights of the stack
	memo   []*value
}

// protocol is the only pickle protocol that torch.save uses by itself.
const protocol = 2

// scan accepts exactly the pickles that the virtual machine can run: protocol
// 2, the opcodes that torch.save emits, globals of the closed list, arguments
// of the right kinds, one value at the end and no byte after it.
func scan(b []byte, member string, lim Limits) error {
	if len(b) < 2 || b[0] != 0x80 {
		return broken(member, 0, "the pickle does not start with the PROTO opcode of protocol 2")
	}
	if b[1] != protocol {
		return &model.UnsupportedError{What: fmt.Sprintf("pickle of protocol %d, only protocol %d is supported", b[1], protocol),
			Advice: "save it again with torch.save and its default pickle_protocol"}
	}
	s := &scanner{b: b, pos: 2, member: member, lim: lim}
	for n := uint64(1); ; n++ {
		if err := within("instructions of the pickle", n, lim.Opcodes); err != nil {
			return err
		}
		s.op = s.pos
		code, err := s.take(1)
		if err != nil {
			return err
		}
		if code[0] == '.' {
			return s.stop()
		}
		if err := s.step(code[0]); err != nil {
			return err
		}
		if err := within("pickle stack", uint64(len(s.stack)), lim.Stack); err != nil {
			return err
		}
	}
}

func (s *scanner) stop() error {
	if len(s.stack) != 1 || len(s.marks) != 0 {
		return s.bad("the pickle stops with %d values and %d marks on the stack, not with one value", len(s.stack), len(s.marks))
	}
	if rest := len(s.b) - s.pos; rest != 0 {
		return s.bad("%d bytes follow the end of the pickle", rest)
	}
	return nil
}

func (s *scanner) bad(format string, args ...any) error {
	return broken(s.member, int64(s.op), fmt.Sprintf(format, args...))
}

// take returns the next n bytes.
func (s *scanner) take(n uint64) ([]byte, error) {
	if rest := len(s.b) - s.pos; n > uint64(rest) {
		return nil, s.bad("an instruction needs %d bytes, the pickle ends after %d", n, rest)
	}
	b := s.b[s.pos : s.pos+int(n)]
	s.pos += int(n)
	return b, nil
}

// number reads n bytes of an unsigned number.
func (s *scanner) number(n int) (uint64, error) {
	b, err := s.take(uint64(n))
	var v uint64
	for i := range b {
		v |= uint64(b[i]) << (8 * i)
	}
	return v, err
}

// line reads up to a newline.
func (s *scanner) line() (string, error) {
	n := bytes.IndexByte(s.b[s.pos:], '\n')
	if n < 0 || n > nameMax {
		return "", s.bad("a global has no name of at most %d bytes", nameMax)
	}
	line := string(s.b[s.pos : s.pos+n])
	s.pos += n + 1
	if !utf8.ValidString(line) {
		return "", s.bad("the name %q of a global is not UTF-8", line)
	}
	return line, nil
}

func (s *scanner) push(k kind) { s.stack = append(s.stack, &value{kind: k}) }

// floor is the height of the stack below which lies another mark's business.
func (s *scanner) floor() int {
	if len(s.marks) == 0 {
		return 0
	}
	return s.marks[len(s.marks)-1]
}

// pop takes n values from above the last mark.
func (s *scanner) pop(n int) ([]*value, error) {
	at := len(s.stack) - n
	if at < s.floor() {
		return nil, s.bad("an instruction takes %d values from a stack of %d", n, len(s.stack)-s.floor())
	}
	top := s.stack[at:]
	s.stack = s.stack[:at]
	return top, nil
}

// popMark takes everything down to the last mark, and the mark.
func (s *scanner) popMark() ([]*value, error) {
	if len(s.marks) == 0 {
		return nil, s.bad("an instruction needs a mark, the stack has none")
	}
	top, err := s.pop(len(s.stack) - s.floor())
	s.marks = s.marks[:len(s.marks)-1]
	return top, err
}

// peek returns the value on top without taking it.
func (s *scanner) peek() (*value, error) {
	if len(s.stack) == s.floor() {
		return nil, s.bad("an instruction needs a value, the stack has none")
	}
	return s.stack[len(s.stack)-1], nil
}

// put records that parent now holds the values.
func (s *scanner) put(parent *value, vs ...*value) error {
	for _, v := range vs {
		parent.depth = max(parent.depth, v.depth+1)
	}
	return within("pickle nesting depth", uint64(parent.depth), s.lim.Depth)
}

// wrap pushes a new value that holds vs.
func (s *scanner) wrap(k kind, vs ...*value) error {
	v := &value{kind: k}
	err := s.put(v, vs...)
	s.stack = append(s.stack, v)
	return err
}

// step checks one instruction. The list of cases is the allow-list.
func (s *scanner) step(code byte) error {
	switch code {
	case 'N', '\x88', '\x89': // NONE, NEWTRUE, NEWFALSE
		s.push(atom)
		return nil
	case 'K': // BININT1
		return s.fixed(1)
	case 'M': // BININT2
		return s.fixed(2)
	case 'J': // BININT
		return s.fixed(4)
	case 'G': // BINFLOAT
		return s.fixed(8)
	case '\x8a': // LONG1
		n, err := s.number(1)
		if err == nil && n == 0 {
			err = s.bad("a number of 0 bytes")
		}
		if err != nil {
			return err
		}
		return s.fixed(n)
	case 'X': // BINUNICODE
		return s.text(4)
	case 'U': // SHORT_BINSTRING
		return s.text(1)
	case ')': // EMPTY_TUPLE
		s.push(tupleKind)
		return nil
	case ']': // EMPTY_LIST
		s.push(listKind)
		return nil
	case '}': // EMPTY_DICT
		s.push(dictKind)
		return nil
	case '(': // MARK
		s.marks = append(s.marks, len(s.stack))
		return within("pickle nesting depth", uint64(len(s.marks)), s.lim.Depth)
	case '\x85', '\x86', '\x87': // TUPLE1, TUPLE2, TUPLE3
		vs, err := s.pop(int(code - '\x84'))
		if err != nil {
			return err
		}
		return s.wrap(tupleKind, vs...)
	case 't': // TUPLE
		vs, err := s.popMark()
		if err != nil {
			return err
		}
		return s.wrap(tupleKind, vs...)
	case 'a', 'e': // APPEND, APPENDS
		return s.extend(code == 'e')
	case 's', 'u': // SETITEM, SETITEMS
		return s.set(code == 'u')
	case 'c': // GLOBAL
		return s.global()
	case 'R', '\x81': // REDUCE, NEWOBJ
		return s.call(code == '\x81')
	case 'b': // BUILD
		return s.build()
	case 'Q': // BINPERSID
		id, err := s.pop(1)
		if err == nil && id[0].kind != tupleKind {
			err = s.bad("a persistent id is %v, not a tuple", id[0].kind)
		}
		s.push(storageKind)
		return err
	case 'q': // BINPUT
		return s.remember(1)
	case 'r': // LONG_BINPUT
		return s.remember(4)
	case 'h': // BINGET
		return s.recall(1)
	case 'j': // LONG_BINGET
		return s.recall(4)
	}
	return s.bad("opcode %#02x is none that torch.save writes", code)
}

// fixed checks a number of n bytes.
func (s *scanner) fixed(n uint64) error {
	s.push(atom)
	_, err := s.take(n)
	return err
}

// text checks a string with a length of n bytes before it.
func (s *scanner) text(n int) error {
	length, err := s.number(n)
	if err != nil {
		return err
	}
	b, err := s.take(length)
	if err == nil && !utf8.Valid(b) {
		err = s.bad("a string is not UTF-8")
	}
	s.push(atom)
	return err
}

func (s *scanner) extend(many bool) error {
	pop := func() ([]*value, error) { return s.pop(1) }
	if many {
		pop = s.popMark
	}
	vs, err := pop()
	if err != nil {
		return err
	}
	to, err := s.peek()
	if err == nil && to.kind != listKind {
		err = s.bad("items are appended to %v, not to a list", to.kind)
	}
	if err != nil {
		return err
	}
	return s.put(to, vs...)
}

func (s *scanner) set(many bool) error {
	pop := func() ([]*value, error) { return s.pop(2) }
	if many {
		pop = s.popMark
	}
	vs, err := pop()
	if err != nil {
		return err
	}
	to, err := s.peek()
	if err != nil {
		return err
	}
	if to.kind != dictKind && to.kind != orderedKind {
		return s.bad("items are set in %v, not in a dict", to.kind)
	}
	if len(vs)%2 != 0 {
		return s.bad("%d keys and values do not pair", len(vs))
	}
	for i := 0; i < len(vs); i += 2 {
		if k := vs[i].kind; k == listKind || k == dictKind || k == orderedKind {
			return s.bad("the key of a dict is %v", k)
		}
	}
	return s.put(to, vs...)
}

func (s *scanner) global() error {
	module, err := s.line()
	if err != nil {
		return err
	}
	name, err := s.line()
	if err != nil {
		return err
	}
	g := lookup(module, name)
	if g == nil {
		return unknown(module, name, s.member, int64(s.op))
	}
	if g.use == refused {
		return &model.UnsupportedError{What: fmt.Sprintf("the checkpoint has a tensor that is not a dense strided array (%v)", g),
			Advice: "convert it with PyTorch to a plain tensor first"}
	}
	s.stack = append(s.stack, &value{kind: globalKind, global: g})
	return nil
}

// call checks REDUCE, the call of a function, and NEWOBJ, a new instance of a
// class.
func (s *scanner) call(instance bool) error {
	vs, err := s.pop(2)
	if err != nil {
		return err
	}
	f, args := vs[0], vs[1]
	if f.kind != globalKind || args.kind != tupleKind {
		return s.bad("a call of %v with %v, not of a global with a tuple", f.kind, args.kind)
	}
	if instance && f.global.use != inert {
		return s.bad("a new instance of %v, which has none in a checkpoint", f.global)
	}
	switch f.global.use {
	case ordered:
		if args.depth != 0 {
			return s.bad("an OrderedDict is made from items, torch.save makes it empty")
		}
		return s.wrap(orderedKind)
	case mapping:
		return s.wrap(dictKind, args)
	case inert:
		return s.wrap(objectKind, args)
	case rebuilds:
		return s.wrap(tensorKind, args)
	}
	return s.bad("a call of %v, which is no function", f.global)
}

// build checks BUILD, which gives an object its state. A tensor takes none
// that way: its state could be another storage.
func (s *scanner) build() error {
	vs, err := s.pop(1)
	if err != nil {
		return err
	}
	to, err := s.peek()
	if err != nil {
		return err
	}
	if to.kind != objectKind && (to.kind != orderedKind || vs[0].kind != dictKind) {
		return s.bad("%v gets %v as state", to.kind, vs[0].kind)
	}
	return s.put(to, vs...)
}

// remember checks the store of the top value in the memo. The pickler counts
// its memo from 0 without holes, so any other index is a trick.
func (s *scanner) remember(n int) error {
	i, err := s.number(n)
	if err != nil {
		return err
	}
	v, err := s.peek()
	if err != nil {
		return err
	}
	if i != uint64(len(s.memo)) {
		return s.bad("memo index %d follows %d others, it must be %d", i, len(s.memo), len(s.memo))
	}
	s.memo = append(s.memo, v)
	return within("pickle memo", uint64(len(s.memo)), s.lim.Memo)
}

func (s *scanner) recall(n int) error {
	i, err := s.number(n)
	if err != nil {
		return err
	}
	if i >= uint64(len(s.memo)) {
		return s.bad("memo index %d is read, the memo has %d values", i, len(s.memo))
	}
	s.stack = append(s.stack, s.memo[i])
	return nil
}
