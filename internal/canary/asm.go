package canary

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
)

// A node is a value of a pickle program. It writes the opcodes that leave the
// value on the stack.
type node func(*asm)

// style says how a pickle spells what it does. The zero value writes the
// opcodes of protocol 0 without a memo.
type style struct {
	proto  int    // of the PROTO opcode; -1 writes none
	frame  string // "", "right", "short", "long", "many"
	str    string // the opcode of strings: V, V\u, S, S\x, T, U, X, 8c, 8d
	num    string // the opcode of integers: I, I0x, "I ", K, M, J, L, L1, L4
	global string // "text", "stack", "stackmemo", "rot13"
	memo   string // "", "p", "p+", "p_", "p ", "p0", "q", "r", "94"
	tuple  string // "t", "short", "marks"
	bytes  string // C, B, 8e, "latin1"
	python string // "" or "2": names that fix_imports maps
	junk   int    // about every which node is surrounded by opcodes without effect; 0 for none
}

// asm writes one pickle.
type asm struct {
	style
	rng  *rand.Rand
	buf  bytes.Buffer
	next int            // the next index of the memo
	seen map[string]int // strings of globals in the memo
}

func (a *asm) op(s string)    { a.buf.WriteString(s) }
func (a *asm) put(n node)     { a.noise(); n(a); a.detour(); a.noise() }
func (a *asm) u32(v int)      { a.buf.Write(binary.LittleEndian.AppendUint32(nil, uint32(v))) }
func (a *asm) u64(v int)      { a.buf.Write(binary.LittleEndian.AppendUint64(nil, uint64(v))) }
func (a *asm) all(ns ...node) { each(ns, a.put) }

func each(ns []node, f func(node)) {
	for _, n := range ns {
		f(n)
	}
}

// noise writes opcodes whose values are popped again.
func (a *asm) noise() {
	if a.junk == 0 || a.rng.IntN(a.junk) != 0 {
		return
	}
	noises := []string{"N0", "(1", "]0", "}N20N000", "(((K\x01l11", "I01\n0", "ccollections\nOrderedDict\n0", "(lp9000\n0", "\x88\x89\x860", "V.\n0", "U\x01.0", "\x8f0", "G12345678" + "0"}
	a.op(noises[a.rng.IntN(len(noises))])
}

// detour puts the value on top of the stack into the memo, and at times takes
// it from there again.
func (a *asm) detour() {
	if a.memo == "" {
		return
	}
	i := a.store()
	if a.rng.IntN(2) == 0 {
		a.op("0")
		a.fetch(i)
	}
}

func (a *asm) store() int {
	if a.next == 0 {
		a.next = 10 // two digits
	}
	i := a.next
	switch a.memo {
	case "q", "":
		a.op("q" + string([]byte{byte(i)}))
	case "r":
		i += 1 << 16
		a.op("r")
		a.u32(i)
	case "94":
		// MEMOIZE numbers by the size of the memo, so nothing else may be in it.
		i = a.next - 10
		a.op("\x94")
	default:
		a.op("p" + a.digits(i) + "\n")
	}
	a.next++
	return i
}

func (a *asm) fetch(i int) {
	switch {
	case a.memo == "r" || i > 255:
		a.op("j")
		a.u32(i)
	case a.memo == "q" || a.memo == "94" || a.memo == "":
		a.op("h" + string([]byte{byte(i)}))
	default:
		a.op("g" + a.digits(i) + "\n")
	}
}

// digits spells an index as int() of Python reads it.
func (a *asm) digits(i int) string {
	d := fmt.Sprint(i)
	switch a.memo {
	case "p+":
		return "+" + d
	case "p_":
		return d[:1] + "_" + d[1:]
	case "p ":
		return " " + d + "\t"
	case "p0":
		return "000" + d
	}
	return d
}

func (a *asm) text(s string) {
	switch a.str {
	case "V\\u":
		a.op("V")
		for _, r := range s {
			a.op(fmt.Sprintf("\\u%04x", r))
		}
		a.op("\n")
	case "S":
		a.op("S'" + quoted(s, false) + "'\n")
	case "S\\x":
		a.op("S\"" + quoted(s, true) + "\"\n")
	case "T":
		a.op("T")
		a.u32(len(s))
		a.op(s)
	case "U", "8c":
		if len(s) > 255 {
			a.op("X")
			a.u32(len(s))
		} else {
			a.op(map[string]string{"U": "U", "8c": "\x8c"}[a.str] + string([]byte{byte(len(s))}))
		}
		a.op(s)
	case "X":
		a.op("X")
		a.u32(len(s))
		a.op(s)
	case "8d":
		a.op("\x8d")
		a.u64(len(s))
		a.op(s)
	default:
		a.op("V" + strings.NewReplacer("\\", "\\u005c", "\n", "\\u000a").Replace(s) + "\n")
	}
}

func quoted(s string, hex bool) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if hex || c < ' ' || c > '~' || c == '\'' || c == '\\' || c == '"' {
			fmt.Fprintf(&b, "\\x%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func (a *asm) integer(v int) {
	switch {
	case a.num == "I0x" && v >= 0:
		a.op(fmt.Sprintf("I0x%x\n", v))
	case a.num == "I ":
		a.op(fmt.Sprintf("I %d\n", v))
	case a.num == "L":
		a.op(fmt.Sprintf("L%dL\n", v))
	case a.num == "K" && v >= 0 && v < 256:
		a.op("K" + string([]byte{byte(v)}))
	case a.num == "M" && v >= 0 && v < 1<<16:
		a.op("M" + string(binary.LittleEndian.AppendUint16(nil, uint16(v))))
	case a.num == "L1":
		a.op("\x8a\x08")
		a.u64(v)
	case a.num == "L4":
		a.op("\x8b")
		a.u32(8)
		a.u64(v)
	case a.num == "J" || a.num == "K" || a.num == "M":
		a.op("J")
		a.u32(v)
	default:
		a.op(fmt.Sprintf("I%d\n", v))
	}
}

// fixImports maps names of Python 3 to those of Python 2 that an unpickler
// takes for the same below protocol 3.
var fixImports = map[string]string{
	"builtins": "__builtin__", "copyreg": "copy_reg", "_thread": "thread", "pickle": "cPickle",
	"dbm.dumb": "dumbdbm", "builtins map": "itertools imap", "builtins filter": "itertools ifilter",
	"functools reduce": "__builtin__ reduce", "subprocess getoutput": "commands getoutput",
	"subprocess getstatusoutput": "commands getstatusoutput", "sys intern": "__builtin__ intern",
}

func (a *asm) global(module, name string) {
	if a.python == "2" && a.proto < 3 {
		if both, ok := fixImports[module+" "+name]; ok {
			module, name, _ = strings.Cut(both, " ")
		} else if m, ok := fixImports[module]; ok {
			module = m
		}
	}
	switch a.style.global {
	case "stack":
		a.text(module)
		a.noise()
		a.text(name)
		a.op("\x93")
	case "stackmemo":
		for _, s := range []string{module, name} {
			if i, ok := a.seen[s]; ok {
				a.fetch(i)
				continue
			}
			a.text(s)
			a.seen[s] = a.store()
		}
		a.op("\x93")
	case "rot13":
		for _, s := range []string{module, name} {
			a.op("c_codecs\nencode\n(")
			a.text(rot13(s))
			a.text("rot13")
			a.op("tR")
		}
		a.op("\x93")
	default:
		a.op("c" + module + "\n" + name + "\n")
	}
}

func rot13(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return 'a' + (r-'a'+13)%26
		case r >= 'A' && r <= 'Z':
			return 'A' + (r-'A'+13)%26
		}
		return r
	}, s)
}

func (a *asm) tuple(ns ...node) {
	if a.style.tuple == "short" && len(ns) < 4 {
		a.all(ns...)
		a.op([]string{")", "\x85", "\x86", "\x87"}[len(ns)])
		return
	}
	a.op("(")
	if a.style.tuple == "marks" {
		a.op("(N(1N1")
	}
	a.all(ns...)
	a.op("t")
}

// assemble writes a whole pickle with the node as its result.
func assemble(st style, rng *rand.Rand, root node) []byte {
	a := &asm{style: st, rng: rng, seen: map[string]int{}}
	if a.memo == "94" || a.style.global == "stackmemo" && a.memo == "" {
		a.junk = 0 // some noises use the memo
	}
	a.put(root)
	body := append(a.buf.Bytes(), '.')
	var out []byte
	if st.proto >= 0 {
		out = append(out, 0x80, byte(st.proto))
	}
	return append(out, framed(st.frame, body)...)
}

func framed(kind string, body []byte) []byte {
	frame := func(n int) []byte { return binary.LittleEndian.AppendUint64([]byte{0x95}, uint64(n)) }
	switch kind {
	case "right":
		return append(frame(len(body)), body...)
	case "short": // the C unpickler goes on behind the frame
		return append(frame(1), body...)
	case "long": // no unpickler takes it alone, but more may follow in the file
		return append(frame(len(body)+16), append(body, "N.N.N.N.N.N.N.N.N."...)...)
	case "many":
		out := append(frame(2), "N0"...)
		out = append(out, frame(0)...)
		return append(out, append(frame(len(body)), body...)...)
	}
	return body
}
