package pickle

import (
	"encoding/binary"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"lethe/model"
)

// step runs one instruction. The list of cases is the allow-list.
func (s *scanner) step(code byte) error {
	if !strings.ContainsRune(textOpcodes, rune(code)) || code >= 0x80 {
		s.binary = true
	}
	switch code {
	case 'N': // NONE
		s.push(nil)
	case '\x88', '\x89': // NEWTRUE, NEWFALSE
		s.push(code == '\x88')
	case 'K', 'M': // BININT1, BININT2
		v, err := s.number(map[byte]int{'K': 1, 'M': 2}[code])
		return s.whole(int(v), err)
	case 'J': // BININT
		v, err := s.number(4)
		return s.whole(int(int32(v)), err)
	case 'G': // BINFLOAT
		return s.float()
	case '\x8a': // LONG1
		return s.long(1)
	case '\x8b': // LONG4
		return s.long(4)
	case 'I', 'L', 'F': // INT, LONG, FLOAT
		return s.digits(code)
	case 'U': // SHORT_BINSTRING
		return s.text(1, true)
	case 'T': // BINSTRING
		return s.text(4, true)
	case '\x8c': // SHORT_BINUNICODE
		return s.text(1, false)
	case 'X': // BINUNICODE
		return s.text(4, false)
	case '\x8d': // BINUNICODE8
		return s.text(8, false)
	case 'S': // STRING
		return s.quoted()
	case 'V': // UNICODE
		return s.escaped()
	case 'C': // SHORT_BINBYTES
		return s.bytes(1)
	case 'B': // BINBYTES
		return s.bytes(4)
	case '\x8e': // BINBYTES8
		return s.bytes(8)
	case '\x96': // BYTEARRAY8
		return s.bytearray()
	case 'c': // GLOBAL
		g, err := s.globalLines()
		if err == nil {
			s.push(g)
		}
		return err
	case '\x93': // STACK_GLOBAL
		return s.stackGlobal()
	case 'q': // BINPUT
		i, err := s.number(1)
		return cmpErr(err, func() error { return s.put(i) })
	case 'r': // LONG_BINPUT
		i, err := s.number(4)
		return cmpErr(err, func() error { return s.put(i) })
	case 'p': // PUT
		i, err := s.index()
		return cmpErr(err, func() error { return s.put(i) })
	case '\x94': // MEMOIZE
		return s.remember()
	case 'h': // BINGET
		i, err := s.number(1)
		return cmpErr(err, func() error { return s.recall(i) })
	case 'j': // LONG_BINGET
		i, err := s.number(4)
		return cmpErr(err, func() error { return s.recall(i) })
	case 'g': // GET
		i, err := s.index()
		return cmpErr(err, func() error { return s.recall(i) })
	case '\x95': // FRAME
		n, err := s.number(8)
		if err == nil && n > uint64(len(s.b)-s.pos) {
			err = cutError{s.bad("a frame of %d bytes, the pickle ends after %d", n, len(s.b)-s.pos)}
		}
		return err
	case 'P': // PERSID
		id, err := s.line("a persistent id", nameMax)
		if err != nil {
			return err
		}
		if wholeDigits.MatchString(id) { // of a file of PyTorch before 0.4
			return s.persistentID(&text{id})
		}
		return &model.UnsupportedError{What: "the pickle " + s.member + " is of protocol 0, which writes storages as text that PyTorch itself cannot load", Advice: "save it again with torch.save and its default pickle_protocol"}
	default:
		return s.container(code)
	}
	return nil
}

// textOpcodes are those of protocol 0.
const textOpcodes = "(.0INVLFScgpadlitsbRP"

func cmpErr(err error, then func() error) error {
	if err != nil {
		return err
	}
	return then()
}

// container runs an instruction that takes values from the stack.
func (s *scanner) container(code byte) error {
	switch code {
	case '(': // MARK
		s.marks = append(grow(s, s.marks, 1), len(s.stack))
		return within("nesting of the pickle", "levels", "max-depth", uint64(len(s.marks)), s.lim.Depth)
	case '0': // POP
		if len(s.marks) > 0 && s.floor() == len(s.stack) {
			s.marks = s.marks[:len(s.marks)-1]
			return nil
		}
		_, err := s.pop(1)
		return err
	case '1': // POP_MARK
		_, err := s.popMark()
		return err
	case ')', ']', '}': // EMPTY_TUPLE, EMPTY_LIST, EMPTY_DICT
		s.push(s.empty(code))
		return nil
	case '\x8f': // EMPTY_SET: set([])
		o, err := s.made("__builtin__", "set", s.empty(']'))
		if err == nil {
			s.push(o)
		}
		return err
	case '\x91': // FROZENSET
		vs, err := s.popMark()
		if err != nil {
			return err
		}
		l := s.empty(']').(*list)
		l.values = append(grow(s, l.values, len(vs)), vs...)
		o, err := s.made("__builtin__", "frozenset", l)
		if err == nil {
			s.push(o)
		}
		return err
	case '\x85', '\x86', '\x87': // TUPLE1, TUPLE2, TUPLE3
		vs, err := s.pop(int(code - '\x84'))
		if err == nil {
			s.push(s.tuple(vs))
		}
		return err
	case 't', 'l', 'd': // TUPLE, LIST, DICT
		vs, err := s.popMark()
		if err != nil {
			return err
		}
		return s.collect(code, vs)
	case 'a': // APPEND
		vs, err := s.pop(1)
		return cmpErr(err, func() error { return s.extend(vs, false) })
	case 'e', '\x90': // APPENDS, ADDITEMS
		vs, err := s.popMark()
		return cmpErr(err, func() error { return s.extend(vs, code == '\x90') })
	case 's': // SETITEM
		vs, err := s.pop(2)
		return cmpErr(err, func() error { return s.set(vs) })
	case 'u': // SETITEMS
		vs, err := s.popMark()
		return cmpErr(err, func() error { return s.set(vs) })
	case 'R', '\x81': // REDUCE, NEWOBJ
		vs, err := s.pop(2)
		return cmpErr(err, func() error { return s.call(vs[0], vs[1], code == '\x81') })
	case 'i': // INST
		g, err := s.globalLines()
		if err != nil {
			return err
		}
		vs, err := s.popMark()
		return cmpErr(err, func() error { return s.call(g, s.tuple(vs), true) })
	case 'o': // OBJ
		vs, err := s.popMark()
		if err == nil && len(vs) == 0 {
			err = s.bad("an instance of no class")
		}
		return cmpErr(err, func() error { return s.call(vs[0], s.tuple(vs[1:]), true) })
	case 'b': // BUILD
		return s.build()
	case 'Q': // BINPERSID
		vs, err := s.pop(1)
		return cmpErr(err, func() error { return s.persistentID(vs[0]) })
	}
	return s.bad("opcode %#02x is none that torch.save writes", code)
}

func (s *scanner) empty(code byte) any {
	switch code {
	case ']':
		s.cost += listCost
		return &list{}
	case '}':
		s.cost += dictCost
		return &dict{}
	}
	return s.tuple(nil)
}

// collect makes a container of values.
func (s *scanner) collect(code byte, vs []any) error {
	if code == 't' {
		s.push(s.tuple(vs))
		return nil
	}
	if code == 'l' {
		l := s.empty(']').(*list)
		l.values = append(grow(s, l.values, len(vs)), vs...)
		s.push(l)
		return nil
	}
	items, err := s.items(vs)
	d := s.empty('}').(*dict)
	d.items = items
	s.push(d)
	return err
}

// whole pushes a whole number.
func (s *scanner) whole(v int, err error) error {
	s.cost += numberCost
	s.push(v)
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
		return s.whole(0, nil)
	}
	if err != nil {
		return err
	}
	s.cost += 8*length + 64
	be := make([]byte, len(b))
	for i := range len(b) {
		be[i] = b[len(b)-1-i]
	}
	v := new(big.Int).SetBytes(be)
	if be[0]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(be))))
	}
	s.big(v)
	return nil
}

// big pushes a whole number, as an int if it is one.
func (s *scanner) big(v *big.Int) {
	if v.IsInt64() {
		s.cost += numberCost
		s.push(int(v.Int64()))
		return
	}
	s.push(v)
}

// What Python's repr writes of numbers; its int() and float() read more.
var (
	wholeDigits = regexp.MustCompile(`^(-?[1-9][0-9]*|0)$`)
	floatDigits = regexp.MustCompile(`^-?([0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?|inf|nan)$`)
)

// digitsMax is the most digits that Python turns into a number.
const digitsMax = 4300

// digits reads a number that is written as text.
func (s *scanner) digits(code byte) error {
	line, err := s.line("a number", digitsMax)
	if err != nil {
		return err
	}
	switch {
	case code == 'F':
		v, err := strconv.ParseFloat(line, 64)
		if !floatDigits.MatchString(line) || err != nil && v == 0 {
			return s.bad("%.40q is no number as Python writes it", line)
		}
		s.cost += numberCost
		s.push(v)
		return nil
	case code == 'I' && (line == "00" || line == "01"):
		s.push(line == "01")
		return nil
	case code == 'L':
		line = strings.TrimSuffix(line, "L")
	}
	if !wholeDigits.MatchString(line) {
		return s.bad("%.40q is no whole number as Python writes it", line)
	}
	s.cost += uint64(len(line)) + 64
	v, _ := new(big.Int).SetString(line, 10)
	s.big(v)
	return nil
}

// index reads a memo index that is written as text.
func (s *scanner) index() (uint64, error) {
	line, err := s.line("a memo index", 20)
	if err != nil {
		return 0, err
	}
	i, err := strconv.ParseUint(line, 10, 32)
	if err != nil || !wholeDigits.MatchString(line) {
		return 0, s.bad("%q is no memo index as Python writes it", line)
	}
	return i, nil
}

// run reads bytes with a length of n bytes before them.
func (s *scanner) run(n int) (string, error) {
	length, err := s.number(n)
	if err != nil {
		return "", err
	}
	return s.take(length)
}

// text reads a string. One of Python 2 that is not UTF-8 is Latin-1, as
// torch.load reads it with encoding="latin1".
func (s *scanner) text(n int, old bool) error {
	b, err := s.run(n)
	if err != nil {
		return err
	}
	if !utf8.ValidString(b) {
		if !old {
			return s.bad("a string is not UTF-8")
		}
		b = s.fromLatin1(b)
	}
	s.string(b)
	return nil
}

func (s *scanner) string(b string) {
	s.cost += textCost
	s.push(&text{b})
}

// fromLatin1 returns a string with a character for each byte.
func (s *scanner) fromLatin1(b string) string {
	s.cost += 8 * uint64(len(b))
	r := make([]rune, len(b))
	for i := range r {
		r[i] = rune(b[i])
	}
	return string(r)
}

// quoted reads a string as Python 2 writes its repr.
func (s *scanner) quoted() error {
	line, err := s.line("a string", len(s.b))
	if err != nil {
		return err
	}
	if len(line) < 2 || line[0] != line[len(line)-1] || line[0] != '\'' && line[0] != '"' {
		return s.bad("%.40q is no quoted string", line)
	}
	s.cost += 2 * uint64(len(line))
	var b strings.Builder
	rest := line[1 : len(line)-1]
	for len(rest) > 0 {
		if rest[0] != '\\' {
			b.WriteByte(rest[0])
			rest = rest[1:]
			continue
		}
		c, n := unescape(rest)
		if n == 0 {
			return s.bad("%.10q in a string is no escape as Python writes it", rest)
		}
		b.WriteByte(c)
		rest = rest[n:]
	}
	out := b.String()
	if !utf8.ValidString(out) {
		out = s.fromLatin1(out)
	}
	s.string(out)
	return nil
}

// unescape reads one of the escapes that repr writes, and returns its length.
func unescape(b string) (c byte, n int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '\\', '\'', '"':
		return b[1], 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'x':
		if len(b) >= 4 {
			if v, err := strconv.ParseUint(b[2:4], 16, 8); err == nil {
				return byte(v), 4
			}
		}
	}
	return 0, 0
}

// escaped reads a string in Python's raw-unicode-escape: Latin-1 with \uXXXX and
// \UXXXXXXXX, where an even number of backslashes before the u means no escape.
func (s *scanner) escaped() error {
	line, err := s.line("a string", len(s.b))
	if err != nil {
		return err
	}
	s.cost += 3 * uint64(len(line))
	var b strings.Builder
	for len(line) > 0 {
		if line[0] != '\\' || len(line) < 2 {
			b.WriteRune(rune(line[0]))
			line = line[1:]
			continue
		}
		n := map[byte]int{'u': 6, 'U': 10}[line[1]]
		if n == 0 {
			b.WriteByte('\\')
			line = line[1:]
			// A backslash that follows is no escape either.
			if line[0] == '\\' {
				b.WriteByte('\\')
				line = line[1:]
			}
			continue
		}
		if len(line) < n {
			return s.bad("%.10q in a string is no escape", line)
		}
		v, err := strconv.ParseUint(line[2:n], 16, 32)
		if err != nil || v > utf8.MaxRune || !utf8.ValidRune(rune(v)) {
			return s.bad("%.10q in a string is no character", line)
		}
		b.WriteRune(rune(v))
		line = line[n:]
	}
	s.string(b.String())
	return nil
}

// bytes reads bytes.
func (s *scanner) bytes(n int) error {
	b, err := s.run(n)
	if err != nil {
		return err
	}
	o, err := s.encoded(b)
	s.push(o)
	return err
}

// encoded returns bytes as the call that protocol 2 makes of them: of a string
// with a character for each.
func (s *scanner) encoded(b string) (*object, error) {
	if b == "" {
		return s.made("__builtin__", "bytes")
	}
	// Python uses one object for the name of the encoding.
	if s.latin1 == nil {
		s.latin1 = &text{"latin1"}
	}
	s.cost += textCost
	return s.made("_codecs", "encode", &text{s.fromLatin1(b)}, s.latin1)
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
	s.push(o)
	return err
}

// float reads a float64, the most significant byte first.
func (s *scanner) float() error {
	b, err := s.take(8)
	if err != nil {
		return err
	}
	s.cost += numberCost
	s.push(math.Float64frombits(binary.BigEndian.Uint64([]byte(b))))
	return nil
}
