package pickle

import (
	"strings"

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
	case 'q', 'r', 'p', '\x94': // BINPUT, LONG_BINPUT, PUT, MEMOIZE
		return s.putByCode(code)
	case 'h', 'j', 'g': // BINGET, LONG_BINGET, GET
		i, err := s.memoIndex(code)
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
		if wholeDigits(id) { // of a file of PyTorch before 0.4
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
		return s.frozenSet()
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
			err = s.bad("an instance is to be made, and nothing on the stack says of which class")
		}
		return cmpErr(err, func() error { return s.call(vs[0], s.tuple(vs[1:]), true) })
	case 'b': // BUILD
		return s.build()
	case 'Q': // BINPERSID
		vs, err := s.pop(1)
		return cmpErr(err, func() error { return s.persistentID(vs[0]) })
	}
	return s.bad("the opcode %#02x is not one that torch.save writes", code)
}

// putByCode stores the top value in the memo.
func (s *scanner) putByCode(code byte) error {
	if code == '\x94' {
		return s.remember()
	}
	i, err := s.memoIndex(code)
	return cmpErr(err, func() error { return s.put(i) })
}

// memoIndex reads the operand of an instruction that stores in the memo or
// reads from it: a byte, four bytes, or a line of digits.
func (s *scanner) memoIndex(code byte) (uint64, error) {
	switch code {
	case 'q', 'h':
		return s.number(1)
	case 'r', 'j':
		return s.number(4)
	}
	return s.index()
}

// frozenSet makes a frozenset of the values above the mark.
func (s *scanner) frozenSet() error {
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
