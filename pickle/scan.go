package pickle

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"

	"lethe/model"
)

// kind is what the scan knows of a value.
type kind uint8

const (
	atom kind = iota // None, a bool, a number
	textKind
	tupleKind
	listKind
	setKind
	dictKind
	orderedKind // an OrderedDict
	objectKind  // an inert object
	foreignKind // an instance of a class that only Options.Inert lets pass
	tensorKind
	storageKind
	globalKind
	kinds int = iota
)

var kindNames = [...]string{"a plain value", "a string", "a tuple", "a list", "a set", "a dict", "an OrderedDict", "an object",
	"an object of an unknown class", "a tensor", "a storage", "a global"}

func (k kind) String() string { return kindNames[k] }

// value stands for what an instruction makes. The stack and the memo share
// it, as they share the real one.
type value struct {
	kind     kind
	depth    int
	constant int // of a string or a global: its index
}

// program is a pickle in the dialect that the virtual machine runs: protocol 2,
// with strings, numbers of many bytes and globals as persistent ids that count
// constants, and without what has no effect. So a string keeps its identity,
// and the machine never sees a length, a frame or a name.
type program struct {
	code      string
	constants []any // *text, *class, *object, int, *big.Int
	size      int   // bytes of the pickle that were read
	protocol  int
	cost      uint64 // bytes that scanning and running it allocate, at most
}

// scanner runs a pickle on kinds instead of values: everything that the
// virtual machine would trip over is found here, with its byte offset, before
// anything is allocated for it. It writes the program as it goes.
type scanner struct {
	b      string
	pos    int // of the next byte
	op     int // of the current instruction
	member string
	lim    Limits
	inert  bool

	stack   []*value
	top     int // the most values that were on it
	marks   []mark
	high    int // what the stack above the last mark has reached
	memo    []memoized
	shared  [kinds][8]*value
	classes map[[2]string]*value
	latin1  *text // the string, once bytes need it

	unlisted []*global // classes that are not in the list

	out       []byte
	constants []any
	drop      []int // where the program has instructions without effect
	cost      uint64
}

// memoized is a value of the memo.
type memoized struct {
	*value
	at   int32 // where the program stores it
	used bool  // whether it is read again
}

// mark is the height of the stack below which lies another mark's business.
type mark struct {
	height, high int
	at           int // in the program
}

// What the scan, the virtual machine and the builder allocate, in bytes, for
// the things that a pickle can ask for; TestMemory holds them to it. A slice
// that grows one by one takes up to six times its size in all, because Go adds
// a quarter each time.
const (
	growth       = 6
	slot         = 16 * growth // of a stack, a list
	pair         = 32 * growth // of a dict
	pointer      = 8 * growth  // of the scan's stack or memo
	constantCost = 32 + slot   // and its place among the constants
	tupleCost    = 24 + 16     // without its elements
	listCost     = 24 + 64 + visitCost
	dictCost     = 24 + 128 + visitCost
	visitCost    = 160      // an entry of the map of nesting
	objectCost   = 160 + 96 // with room for what nesting looks at
	tensorCost   = 512
	storageCost  = 640
	memoCost     = 160  // an entry of the machine's map
	markCost     = 256  // gopickle makes room for 16 values
	base         = 4096 // what every scan and machine takes
)

// scan accepts exactly the pickles that the virtual machine can run: protocols
// 2 to 5, the opcodes that torch.save emits, globals of the closed list (or
// with inert, classes of the user), arguments of the right kinds, and one value
// at the end. It adds up the memory that running them takes, and stops where
// that is more than the limit.
func scan(b, member string, lim Limits, inert bool) (*program, error) {
	if len(b) < 2 || b[0] != 0x80 {
		return nil, broken(member, 0, "the pickle does not start with the PROTO opcode of protocol 2 or later")
	}
	if b[1] < 2 || b[1] > 5 {
		return nil, &model.UnsupportedError{What: fmt.Sprintf("pickle of protocol %d, supported are 2 to 5", b[1]), Advice: "save it again with torch.save and its default pickle_protocol"}
	}
	s := &scanner{b: b, pos: 2, member: member, lim: lim, inert: inert, classes: map[[2]string]*value{}, cost: base}
	s.out = append(make([]byte, 0, min(len(b), 1<<16)), 0x80, 2)
	for {
		if err := within("memory for the pickle", s.total(), lim.Memory); err != nil {
			return nil, err
		}
		s.op = s.pos
		code, err := s.take(1)
		if err != nil {
			return nil, err
		}
		if code[0] == '.' {
			return s.stop()
		}
		if err := s.step(code[0]); err != nil {
			return nil, err
		}
	}
}

// total returns the cost so far: the pickle itself and the program, too.
func (s *scanner) total() uint64 { return s.cost + uint64(s.pos)*2 + uint64(len(s.out))*growth }

func (s *scanner) stop() (*program, error) {
	if len(s.stack) != 1 || len(s.marks) != 0 {
		return nil, s.bad("the pickle stops with %d values and %d marks on the stack, not with one value", len(s.stack), len(s.marks))
	}
	if len(s.unlisted) > 0 && !s.inert {
		return nil, s.refuse()
	}
	for _, m := range s.memo {
		if !m.used {
			s.drop = append(s.drop, int(m.at))
		}
	}
	slices.Sort(s.drop)
	var code strings.Builder
	code.Grow(len(s.out) + 1)
	from := 0
	for _, at := range s.drop {
		code.Write(s.out[from:at])
		from = at + 1
		switch s.out[at] {
		case 'q':
			from = at + 2
		case 'r':
			from = at + 5
		}
	}
	code.Write(s.out[from:])
	code.WriteByte('.')
	return &program{code.String(), s.constants, s.pos, int(s.b[1]), s.total()}, nil
}

// refuse names the classes that are no part of a state dict. They are valid,
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
		What:   fmt.Sprintf("the pickle %s refers to %s, which are no part of a state dict (a whole pickled model?)", s.member, strings.Join(names, ", ")),
		Advice: "save the weights alone with torch.save(model.state_dict(), path), or read them with --inert, which runs nothing",
	}
}

func (s *scanner) bad(format string, args ...any) error {
	return broken(s.member, int64(s.op), fmt.Sprintf(format, args...))
}

// take returns the next n bytes.
func (s *scanner) take(n uint64) (string, error) {
	if rest := len(s.b) - s.pos; n > uint64(rest) {
		return "", s.bad("an instruction needs %d bytes, the pickle ends after %d", n, rest)
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

// line reads up to a newline.
func (s *scanner) line() (string, error) {
	n := strings.IndexByte(s.b[s.pos:], '\n')
	if n < 0 || n > nameMax {
		return "", s.bad("a global has no name of at most %d bytes", nameMax)
	}
	line := s.b[s.pos : s.pos+n]
	s.pos += n + 1
	if !utf8.ValidString(line) {
		return "", s.bad("the name %q of a global is not UTF-8", line)
	}
	return line, nil
}

// push puts a value on the stack. Those that never change are made once.
func (s *scanner) push(v value) *value {
	p := &v
	if v.kind != listKind && v.kind != setKind && v.kind != dictKind && v.kind != orderedKind && v.kind != objectKind && v.kind != foreignKind &&
		v.constant == 0 && v.depth < len(s.shared[0]) {
		if s.shared[v.kind][v.depth] == nil {
			s.shared[v.kind][v.depth] = p
		}
		p = s.shared[v.kind][v.depth]
	} else {
		s.cost += 24
	}
	s.pushed(p)
	return p
}

func (s *scanner) pushed(p *value) {
	s.stack = append(s.stack, p)
	if len(s.stack) > s.top {
		s.top = len(s.stack)
		s.cost += pointer
	}
	if height := len(s.stack) - s.floor(); height > s.high {
		s.high = height
		if height > 16 {
			s.cost += slot
		}
		if height == 17 {
			s.cost += 2 * markCost // the room of the mark twice
		}
	}
}

// floor is the height of the stack at the last mark.
func (s *scanner) floor() int {
	if len(s.marks) == 0 {
		return 0
	}
	return s.marks[len(s.marks)-1].height
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
func (s *scanner) popMark() ([]*value, mark, error) {
	if len(s.marks) == 0 {
		return nil, mark{}, s.bad("an instruction needs a mark, the stack has none")
	}
	m := s.marks[len(s.marks)-1]
	top, err := s.pop(len(s.stack) - m.height)
	s.marks, s.high = s.marks[:len(s.marks)-1], m.high
	return top, m, err
}

// peek returns the value on top without taking it.
func (s *scanner) peek() (*value, error) {
	if len(s.stack) == s.floor() {
		return nil, s.bad("an instruction needs a value, the stack has none")
	}
	return s.stack[len(s.stack)-1], nil
}

// inside returns the depth of a container of the values.
func (s *scanner) inside(vs []*value) (depth int, err error) {
	for _, v := range vs {
		depth = max(depth, v.depth+1)
	}
	return depth, within("pickle nesting depth", uint64(depth), s.lim.Depth)
}

// put records that parent now holds the values.
func (s *scanner) put(parent *value, vs []*value) error {
	depth, err := s.inside(vs)
	parent.depth = max(parent.depth, depth)
	return err
}

// emit appends instructions to the program.
func (s *scanner) emit(code ...byte) { s.out = append(s.out, code...) }

// constant pushes a value that is known now.
func (s *scanner) constant(k kind, v any) *value {
	i := len(s.constants)
	s.constants = append(s.constants, v)
	s.cost += constantCost
	p := s.push(value{kind: k, constant: i})
	s.load(i)
	return p
}

// load emits the push of a constant.
func (s *scanner) load(i int) {
	s.emit('J')
	s.out = binary.LittleEndian.AppendUint32(s.out, uint32(i))
	s.emit('Q')
}

// step checks one instruction. The list of cases is the allow-list.
func (s *scanner) step(code byte) error {
	switch code {
	case 'N', '\x88', '\x89': // NONE, NEWTRUE, NEWFALSE
		s.emit(code)
		s.push(value{kind: atom})
		return nil
	case 'K': // BININT1
		return s.fixed(code, 1)
	case 'M': // BININT2
		return s.fixed(code, 2)
	case 'J': // BININT
		return s.fixed(code, 4)
	case 'G': // BINFLOAT
		return s.fixed(code, 8)
	case '\x8a': // LONG1
		return s.long(1)
	case '\x8b': // LONG4
		return s.long(4)
	case 'U', '\x8c': // SHORT_BINSTRING, SHORT_BINUNICODE
		return s.text(1)
	case 'T', 'X': // BINSTRING, BINUNICODE
		return s.text(4)
	case '\x8d': // BINUNICODE8
		return s.text(8)
	case 'C': // SHORT_BINBYTES
		return s.bytes(1)
	case 'B': // BINBYTES
		return s.bytes(4)
	case '\x8e': // BINBYTES8
		return s.bytes(8)
	case '\x96': // BYTEARRAY8
		return s.bytearray()
	case ')': // EMPTY_TUPLE
		s.emit(code)
		s.cost += tupleCost
		s.push(value{kind: tupleKind})
		return nil
	case ']': // EMPTY_LIST
		s.emit(code)
		s.cost += listCost
		s.push(value{kind: listKind})
		return nil
	case '}': // EMPTY_DICT
		s.emit(code)
		s.cost += dictCost
		s.push(value{kind: dictKind})
		return nil
	case '\x8f': // EMPTY_SET: set([])
		if err := s.global("__builtin__", "set"); err != nil {
			return err
		}
		s.emit(']', '\x85', 'R')
		s.stack = s.stack[:len(s.stack)-1]
		s.cost += objectCost + tupleCost + listCost
		s.push(value{kind: setKind})
		return nil
	case '(': // MARK
		s.marks = append(s.marks, mark{len(s.stack), s.high, len(s.out)})
		s.high = 0
		s.emit(code)
		s.cost += markCost + 96
		return within("pickle nesting depth", uint64(len(s.marks)), s.lim.Depth)
	case '\x85', '\x86', '\x87': // TUPLE1, TUPLE2, TUPLE3
		vs, err := s.pop(int(code - '\x84'))
		if err != nil {
			return err
		}
		return s.tuple(code, vs)
	case 't': // TUPLE
		vs, m, err := s.popMark()
		if err != nil {
			return err
		}
		// The machine would keep room for 16 elements.
		if n := len(vs); n <= 3 {
			s.drop = append(s.drop, m.at)
			s.cost += pointer
			code = ")\x85\x86\x87"[n]
		}
		return s.tuple(code, vs)
	case 'a': // APPEND
		vs, err := s.pop(1)
		if err != nil {
			return err
		}
		return s.extend(code, vs, listKind)
	case 'e': // APPENDS
		vs, _, err := s.popMark()
		if err != nil {
			return err
		}
		return s.extend(code, vs, listKind)
	case '\x90': // ADDITEMS
		vs, _, err := s.popMark()
		if err != nil {
			return err
		}
		return s.extend('e', vs, setKind)
	case 's': // SETITEM
		vs, err := s.pop(2)
		if err != nil {
			return err
		}
		return s.set(code, vs)
	case 'u': // SETITEMS
		vs, _, err := s.popMark()
		if err != nil {
			return err
		}
		return s.set(code, vs)
	case 'c': // GLOBAL
		module, err := s.line()
		if err != nil {
			return err
		}
		name, err := s.line()
		if err != nil {
			return err
		}
		return s.global(module, name)
	case '\x93': // STACK_GLOBAL
		return s.stackGlobal()
	case 'R', '\x81': // REDUCE, NEWOBJ
		return s.call(code)
	case 'b': // BUILD
		return s.build()
	case 'Q': // BINPERSID
		id, err := s.pop(1)
		if err == nil && id[0].kind != tupleKind {
			err = s.bad("a persistent id is %v, not a tuple", id[0].kind)
		}
		s.emit(code)
		s.cost += storageCost
		s.push(value{kind: storageKind})
		return err
	case 'q': // BINPUT
		return s.numberedPut(1)
	case 'r': // LONG_BINPUT
		return s.numberedPut(4)
	case '\x94': // MEMOIZE
		return s.remember()
	case 'h': // BINGET
		return s.recall(1)
	case 'j': // LONG_BINGET
		return s.recall(4)
	case '\x95': // FRAME
		n, err := s.number(8)
		if err == nil && n > uint64(len(s.b)-s.pos) {
			err = s.bad("a frame of %d bytes, the pickle ends after %d", n, len(s.b)-s.pos)
		}
		return err
	}
	return s.bad("opcode %#02x is none that torch.save writes", code)
}

// fixed checks a number of n bytes.
func (s *scanner) fixed(code byte, n uint64) error {
	b, err := s.take(n)
	s.emit(code)
	s.out = append(s.out, b...)
	s.cost += 40
	s.push(value{kind: atom})
	return err
}

// long reads a whole number in two's complement with a length of n bytes
// before it.
func (s *scanner) long(n int) error {
	length, err := s.number(n)
	if err != nil {
		return err
	}
	b, err := s.take(length)
	if err == nil && length == 0 {
		err = s.bad("a number of 0 bytes")
	}
	if err != nil {
		return err
	}
	s.cost += 8*length + 64
	var be []byte
	for i := range len(b) {
		be = append(be, b[len(b)-1-i])
	}
	v := new(big.Int).SetBytes(be)
	if be[0]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(be))))
	}
	if v.IsInt64() {
		s.constant(atom, int(v.Int64()))
	} else {
		s.constant(atom, v)
	}
	return nil
}

// run reads bytes with a length of n bytes before them.
func (s *scanner) run(n int) (string, error) {
	length, err := s.number(n)
	if err != nil {
		return "", err
	}
	return s.take(length)
}

// text checks a string.
func (s *scanner) text(n int) error {
	b, err := s.run(n)
	if err == nil && !utf8.ValidString(b) {
		err = s.bad("a string is not UTF-8")
	}
	s.constant(textKind, &text{b})
	return err
}

// bytes reads bytes.
func (s *scanner) bytes(n int) error {
	b, err := s.run(n)
	if err != nil {
		return err
	}
	o, err := s.encoded(b)
	s.constant(objectKind, o)
	return err
}

// encoded returns bytes as the call that protocol 2 makes of them: of a string
// with a character for each.
func (s *scanner) encoded(b string) (*object, error) {
	if b == "" {
		return s.made("__builtin__", "bytes")
	}
	r := make([]rune, len(b))
	for i := range r {
		r[i] = rune(b[i])
	}
	s.cost += 8 * uint64(len(b))
	// Python uses one object for the name of the encoding.
	if s.latin1 == nil {
		s.latin1 = &text{"latin1"}
	}
	return s.made("_codecs", "encode", &text{string(r)}, s.latin1)
}

// bytearray reads a bytearray, which protocol 2 makes of bytes.
func (s *scanner) bytearray() error {
	b, err := s.run(8)
	if err != nil {
		return err
	}
	var args []any
	if b != "" {
		o, err := s.encoded(b)
		if err != nil {
			return err
		}
		args = append(args, o)
	}
	o, err := s.made("__builtin__", "bytearray", args...)
	s.constant(objectKind, o)
	return err
}

// made returns the object that a call of a global makes.
func (s *scanner) made(module, name string, args ...any) (*object, error) {
	v, err := s.class(module, name)
	if err != nil {
		return nil, err
	}
	s.cost += objectCost
	return &object{class: s.constants[v.constant].(*class), args: args}, nil
}

func (s *scanner) tuple(code byte, vs []*value) error {
	depth, err := s.inside(vs)
	s.emit(code)
	s.cost += tupleCost + 16*uint64(len(vs))
	if slices.ContainsFunc(vs, func(v *value) bool { return v.kind != atom && v.kind != textKind && v.kind != globalKind }) {
		s.cost += visitCost
	}
	s.push(value{kind: tupleKind, depth: depth})
	return err
}

// extend checks items that are appended to the container on top.
func (s *scanner) extend(code byte, vs []*value, want kind) error {
	to, err := s.peek()
	if err == nil && to.kind != want && (to.kind != foreignKind || want != listKind) {
		err = s.bad("items are added to %v, not to %v", to.kind, want)
	}
	if err != nil {
		return err
	}
	s.emit(code)
	s.cost += (slot + 16) * uint64(len(vs))
	return s.put(to, vs)
}

func (s *scanner) set(code byte, vs []*value) error {
	to, err := s.peek()
	if err != nil {
		return err
	}
	if to.kind != dictKind && to.kind != orderedKind && to.kind != foreignKind {
		return s.bad("items are set in %v, not in a dict", to.kind)
	}
	if len(vs)%2 != 0 {
		return s.bad("%d keys and values do not pair", len(vs))
	}
	for i := 0; i < len(vs); i += 2 {
		if k := vs[i].kind; k == listKind || k == dictKind || k == orderedKind || k == setKind {
			return s.bad("the key of a dict is %v", k)
		}
	}
	s.emit(code)
	s.cost += (pair + 64) * uint64(len(vs)/2)
	return s.put(to, vs)
}

// class returns the value of a global, which is made once.
func (s *scanner) class(module, name string) (*value, error) {
	if v := s.classes[[2]string{module, name}]; v != nil {
		return v, nil
	}
	g := lookup(module, name)
	if g == nil {
		g = &global{module: module, name: name, use: unlisted}
		if runsCode(g.String()) {
			return nil, s.bad("pickle refers to %q, which could run code; the file is malicious or not a state dict", g.String())
		}
		s.unlisted = append(s.unlisted, g)
	}
	if g.use == refused {
		return nil, &model.UnsupportedError{What: fmt.Sprintf("the checkpoint has a tensor that is not a dense strided array (%v)", g),
			Advice: "convert it with PyTorch to a plain tensor first"}
	}
	v := &value{kind: globalKind, constant: len(s.constants)}
	s.constants = append(s.constants, &class{global: g})
	s.classes[[2]string{module, name}] = v
	s.cost += constantCost + 256
	return v, nil
}

func (s *scanner) global(module, name string) error {
	v, err := s.class(module, name)
	if err != nil {
		return err
	}
	s.load(v.constant)
	s.pushed(v)
	return nil
}

// stackGlobal checks a global whose names are strings on the stack.
func (s *scanner) stackGlobal() error {
	vs, err := s.pop(2)
	if err != nil {
		return err
	}
	if vs[0].kind != textKind || vs[1].kind != textKind {
		return s.bad("the names of a global are %v and %v", vs[0].kind, vs[1].kind)
	}
	module, _ := str(s.constants[vs[0].constant])
	name, _ := str(s.constants[vs[1].constant])
	if len(module) > nameMax || len(name) > nameMax {
		return s.bad("a global has no name of at most %d bytes", nameMax)
	}
	s.emit('0', '0') // POP
	return s.global(module, name)
}

// call checks REDUCE, the call of a function, and NEWOBJ, a new instance of a
// class.
func (s *scanner) call(code byte) error {
	vs, err := s.pop(2)
	if err != nil {
		return err
	}
	f, args := vs[0], vs[1]
	if f.kind != globalKind || args.kind != tupleKind {
		return s.bad("a call of %v with %v, not of a global with a tuple", f.kind, args.kind)
	}
	g := s.constants[f.constant].(*class).global
	if code == '\x81' && g.use != inert && g.use != unlisted {
		return s.bad("a new instance of %v, which has none in a checkpoint", g)
	}
	var k kind
	switch g.use {
	case ordered:
		if args.depth != 0 {
			return s.bad("an OrderedDict is made from items, torch.save makes it empty")
		}
		k = orderedKind
	case mapping:
		k = dictKind
	case inert:
		k = objectKind
	case unlisted:
		k = foreignKind
	case rebuilds:
		k = tensorKind
		s.cost += tensorCost
	default:
		return s.bad("a call of %v, which is no function", g)
	}
	depth, err := s.inside([]*value{args})
	s.emit(code)
	s.cost += objectCost
	s.push(value{kind: k, depth: depth})
	return err
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
	if to.kind != objectKind && to.kind != foreignKind && (to.kind != orderedKind || vs[0].kind != dictKind) {
		return s.bad("%v gets %v as state", to.kind, vs[0].kind)
	}
	s.emit('b')
	return s.put(to, vs)
}

// numberedPut checks the store of the top value in the memo at a number of n
// bytes. The pickler counts its memo from 0 without holes, so any other index
// is a trick.
func (s *scanner) numberedPut(n int) error {
	i, err := s.number(n)
	if err == nil && i != uint64(len(s.memo)) {
		err = s.bad("memo index %d follows %d others, it must be %d", i, len(s.memo), len(s.memo))
	}
	if err != nil {
		return err
	}
	return s.remember()
}

func (s *scanner) remember() error {
	v, err := s.peek()
	if err != nil {
		return err
	}
	i := len(s.memo)
	s.memo = append(s.memo, memoized{v, int32(len(s.out)), false})
	s.cost += 16*growth + pointer
	s.index('q', 'r', i)
	return nil
}

func (s *scanner) recall(n int) error {
	i, err := s.number(n)
	if err != nil {
		return err
	}
	if i >= uint64(len(s.memo)) {
		return s.bad("memo index %d is read, the memo has %d values", i, len(s.memo))
	}
	if !s.memo[i].used {
		s.memo[i].used = true
		s.cost += memoCost
	}
	s.index('h', 'j', int(i))
	s.pushed(s.memo[i].value)
	return nil
}

// index emits an instruction on the memo, in its short form where that is one.
func (s *scanner) index(short, long byte, i int) {
	if i <= math.MaxUint8 {
		s.emit(short, byte(i))
		return
	}
	s.emit(long)
	s.out = binary.LittleEndian.AppendUint32(s.out, uint32(i))
}
