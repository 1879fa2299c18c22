package scan

import "fmt"

// opcodeNames are the names of the instructions that findings are about.
var opcodeNames = map[byte]string{
	'c': "GLOBAL", 'i': "INST", 'o': "OBJ", 'R': "REDUCE", 'b': "BUILD", 'P': "PERSID", 'Q': "BINPERSID", 'a': "APPEND", 'e': "APPENDS",
	's': "SETITEM", 'u': "SETITEMS", 'g': "GET", 'p': "PUT", 't': "TUPLE", 'l': "LIST", 'd': "DICT", 0x81: "NEWOBJ", 0x82: "EXT1", 0x83: "EXT2",
	0x84: "EXT4", 0x85: "TUPLE1", 0x86: "TUPLE2", 0x87: "TUPLE3", 0x90: "ADDITEMS", 0x91: "FROZENSET", 0x92: "NEWOBJ_EX",
	0x93: "STACK_GLOBAL", 0x95: "FRAME", 0x97: "NEXT_BUFFER", 0x98: "READONLY_BUFFER",
}

// step carries out one instruction of the protocols 0 to 5.
func (m *machine) step(code byte) {
	m.opcode = opcodeNames[code]
	if m.constant(code) || m.container(code) || m.memory(code) {
		return
	}
	switch code {
	case 0x80: // PROTO
		m.proto = byte(m.number(1))
		if m.proto > 5 {
			m.fail(fmt.Sprintf("pickle protocol %d", m.proto), false)
		}
	case 0x95: // FRAME
		n := m.number(8)
		if n > uint64(m.in.left()) {
			m.find(Unknown, KindSpelling, "FRAME", "a frame is longer than the file: some unpicklers stop here, others go on")
			n = uint64(m.in.left())
		}
		m.frame = max(m.frame, m.in.pos+int64(n))
	case 'c': // GLOBAL
		module, _ := m.line()
		name, _ := m.line()
		m.push(m.global(module, name))
	case 0x93: // STACK_GLOBAL
		name, module := m.pop(), m.pop()
		m.push(m.computed(module, name))
	case 'i': // INST
		module, _ := m.line()
		name, _ := m.line()
		f := m.global(module, name) // Python imports it even if there is no mark
		m.push(m.call(f, m.args(m.popMark())))
	case 'o': // OBJ
		items := m.popMark()
		if len(items) == 0 {
			m.fail("OBJ without a class", false)
		}
		m.push(m.call(items[0], m.args(items[1:])))
	case 'R': // REDUCE
		arg := m.pop()
		f := m.pop()
		m.push(m.call(f, arg))
	case 0x81: // NEWOBJ
		arg := m.pop()
		m.push(m.create(m.pop(), arg))
	case 0x92: // NEWOBJ_EX
		keywords, arg := m.pop(), m.pop()
		m.hold(keywords)
		m.push(m.create(m.pop(), arg))
	case 'b': // BUILD
		m.build(m.pop())
	case 'P': // PERSID
		id, _ := m.line()
		m.find(Unknown, KindExternal, id, "asks the program that loads the file for an object by a name")
		m.push(&value{kind: external})
	case 'Q': // BINPERSID
		m.push(m.persistent(m.pop()))
	case 0x82, 0x83, 0x84: // EXT1, EXT2, EXT4
		n := m.number(uint64(1) << (code - 0x82))
		m.find(Danger, KindGlobal, fmt.Sprintf("extension %d", n), "refers to a class or a function by a number, which only the process that loads the file knows")
		m.push(&value{kind: attr})
	case 0x97: // NEXT_BUFFER
		m.find(Unknown, KindExternal, "buffer", "takes bytes from outside of the file")
		m.push(&value{kind: external})
	case 0x98: // READONLY_BUFFER
		m.top()
	default:
		m.fail(fmt.Sprintf("no pickle instruction has the code %#02x", code), false)
	}
}

// constant carries out the instructions that push a value of their own.
func (m *machine) constant(code byte) bool {
	switch code {
	case 'N', 0x88, 0x89: // NONE, NEWTRUE, NEWFALSE
		m.push(noneValue)
	case 'I', 'L': // INT, LONG
		s, whole := m.line()
		if whole && !isInt(s) {
			m.fail("a number is none", false)
		}
		if i, _, ok := index(s); ok && whole {
			m.push(integer(int64(i)))
		} else {
			m.push(&value{kind: atom, known: true, s: s})
		}
	case 'F': // FLOAT
		if s, whole := m.line(); whole && !isFloat(s) {
			m.fail("a number is none", false)
		}
		m.push(noneValue)
	case 'J': // BININT
		m.push(integer(int64(int32(m.number(4)))))
	case 'K', 'M': // BININT1, BININT2
		m.push(integer(int64(m.number(map[byte]uint64{'K': 1, 'M': 2}[code]))))
	case 'G': // BINFLOAT
		m.number(8)
		m.push(noneValue)
	case 0x8a, 0x8b: // LONG1, LONG4
		n := m.number(map[byte]uint64{0x8a: 1, 0x8b: 4}[code])
		b, ok := m.in.take(n)
		if !ok {
			m.fail("a number is cut short", true)
		}
		m.push(long(b, n))
	case 'S': // STRING
		line, whole := m.line()
		s, ok := quoted(line)
		if whole && !ok {
			m.fail("a string has no quotes", false)
		}
		m.push(&value{kind: text, known: whole, s: s})
	case 'V': // UNICODE
		at := m.in.pos
		line, whole := m.line()
		s, ok := rawUnicode(line)
		if whole && !ok {
			m.fail("a string has a broken escape", false)
		}
		m.push(&value{kind: text, known: whole, s: s, n: at, size: m.in.pos - 1 - at, escaped: true})
	case 'T', 'X': // BINSTRING, BINUNICODE
		m.data(text, m.number(4))
	case 'U', 0x8c: // SHORT_BINSTRING, SHORT_BINUNICODE
		m.data(text, m.number(1))
	case 0x8d: // BINUNICODE8
		m.data(text, m.number(8))
	case 'B': // BINBYTES
		m.data(blob, m.number(4))
	case 'C': // SHORT_BINBYTES
		m.data(blob, m.number(1))
	case 0x8e: // BINBYTES8
		m.data(blob, m.number(8))
	case 0x96: // BYTEARRAY8
		m.data(array, m.number(8))
	default:
		return false
	}
	return true
}

// long is a whole number of n little-endian bytes, of which the first are b.
func long(b []byte, n uint64) *value {
	if n <= 8 {
		var v int64
		for i := len(b) - 1; i >= 0; i-- {
			v = v<<8 | int64(b[i])
		}
		if n > 0 && n < 8 && b[n-1] >= 0x80 {
			v -= 1 << (8 * n)
		}
		return integer(v)
	}
	if n > 16 {
		return noneValue
	}
	return &value{kind: atom, known: true, s: string(b)}
}

// container carries out the instructions that make and fill containers.
func (m *machine) container(code byte) bool {
	switch code {
	case ')': // EMPTY_TUPLE
		m.push(m.empty(tuple))
	case ']': // EMPTY_LIST
		m.push(m.empty(list))
	case '}': // EMPTY_DICT
		m.push(m.empty(dict))
	case 0x8f: // EMPTY_SET
		m.push(m.empty(set))
	case 't': // TUPLE
		items := m.args(m.popMark())
		m.push(items)
	case 0x85, 0x86, 0x87: // TUPLE1, TUPLE2, TUPLE3
		n := int(code - 0x84)
		if len(m.stack)-n < m.floor() {
			m.fail("an instruction needs a value, the stack has none", false)
		}
		v := m.args(m.stack[len(m.stack)-n:])
		m.stack = append(m.stack[:len(m.stack)-n], v)
	case 'l': // LIST
		items := m.popMark()
		m.hold(items...)
		v := &value{kind: list}
		m.keep(v, items)
		m.push(v)
	case 'd': // DICT
		m.hold(m.popMark()...)
		m.push(m.empty(dict))
	case 0x91: // FROZENSET
		m.hold(m.popMark()...)
		m.push(&value{kind: frozen})
	case 'a': // APPEND
		v := m.pop()
		m.extend([]*value{v})
	case 'e', 0x90: // APPENDS, ADDITEMS
		m.extend(m.popMark())
	case 's': // SETITEM
		v := m.pop()
		m.setItems([]*value{m.pop(), v})
	case 'u': // SETITEMS
		m.setItems(m.popMark())
	default:
		return false
	}
	return true
}

// empty makes a container.
func (m *machine) empty(k kind) *value {
	m.pay(valueSize)
	return &value{kind: k}
}

// memory carries out the instructions of the stack and of the memo.
func (m *machine) memory(code byte) bool {
	switch code {
	case '(': // MARK
		m.marks = append(m.marks, len(m.stack))
	case '0': // POP
		if len(m.marks) > 0 && len(m.stack) == m.floor() {
			m.popMark()
		} else {
			m.pop()
		}
	case '1': // POP_MARK
		m.popMark()
	case '2': // DUP
		m.push(m.top())
	case 'p': // PUT
		i, s, plain := m.memoLine()
		m.memoize(i)
		m.misspelled(s, plain)
	case 'q': // BINPUT
		m.memoize(m.number(1))
	case 'r': // LONG_BINPUT
		m.memoize(m.number(4))
	case 0x94: // MEMOIZE
		m.memoize(uint64(len(m.memo)))
	case 'g': // GET
		i, s, plain := m.memoLine()
		m.recall(i)
		m.misspelled(s, plain)
	case 'h': // BINGET
		m.recall(m.number(1))
	case 'j': // LONG_BINGET
		m.recall(m.number(4))
	default:
		return false
	}
	return true
}
