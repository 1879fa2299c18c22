package pickle

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Finding is something in a checkpoint that is neither a tensor nor a plain
// container (a dict, a list, a set, a number, a string, bytes).
type Finding struct {
	Kind   string // "object", "unknown class", "runs code", "opcode" or "broken"
	What   string // the full name of a global, the name of an opcode, or the reason
	Opcode string // by which the pickle refers to it; "" if it is none
	Member string // the pickle; "" if it is the file itself
	Offset int64  // of the opcode in the pickle
}

// Scan lists the findings (the first thousand of each) in the pickles of a file without running one, also of
// files that [Decode] refuses. A container that breaks its own rules is an
// error, as for Decode: two readers could see different pickles in it.
func Scan(r io.ReaderAt, size int64, opts Options) ([]Finding, error) {
	lim := opts.Limits.orDefaults()
	head := make([]byte, 2)
	if n, _ := r.ReadAt(head, 0); n == 2 && head[0] == 0x80 { // legacy, or a bare pickle
		code, err := readAll(r, min(size, int64(lim.Memory)/4))
		if err != nil {
			return nil, err
		}
		pickles := 1
		if strings.HasPrefix(code, legacyMagic) {
			pickles = 5
		}
		d := disassembly{code: code}
		for range pickles {
			d.pickle()
		}
		return d.findings, nil
	}
	if err := sniff(r, size); err != nil {
		return nil, err
	}
	a, err := readArchive(r, size, lim)
	if err != nil {
		return nil, err
	}
	return a.scan(lim)
}

func readAll(r io.ReaderAt, size int64) (string, error) {
	var b strings.Builder
	b.Grow(int(size))
	if n, err := io.Copy(&b, io.NewSectionReader(r, 0, size)); err != nil || n != size {
		return "", fmt.Errorf("read checkpoint: %w", io.ErrUnexpectedEOF)
	}
	return b.String(), nil
}

// scan lists the findings in the pickles of an archive and of the checkpoints
// in it.
func (a *archive) scan(lim Limits) (all []Finding, err error) {
	for _, m := range a.members {
		if err := a.verify(m); err != nil {
			return nil, err
		}
		switch {
		case strings.HasSuffix(m.name, ".pkl") && m.method == 0:
			if err := within("memory for the pickle", 2*uint64(m.size), lim.Memory); err != nil {
				return nil, err
			}
			code, err := a.read(m)
			if err != nil {
				return nil, err
			}
			d := disassembly{code: code, member: m.name}
			d.pickle()
			if d.pos < len(code) && len(d.findings) == 0 {
				d.find("broken", fmt.Sprintf("%d bytes follow the end of the pickle", len(code)-d.pos), "")
			}
			all = append(all, d.findings...)
		case strings.HasSuffix(m.name, ".pt") && m.method == 0:
			found, err := Scan(a.open(m), m.size, Options{Limits: lim})
			if err != nil {
				return nil, fmt.Errorf("in %s: %w", m.name, err)
			}
			all = append(all, found...)
		}
	}
	return all, nil
}

// disassembly walks over the instructions of pickles.
type disassembly struct {
	code     string
	member   string
	pos, op  int
	pushed   []string          // what the last instructions pushed, if they are strings
	memo     map[uint64]string // the strings that were stored
	findings []Finding
}

// What a pickle may ask of the scan: so many values in the memo, more than the
// largest checkpoints have, and so many findings, more than anyone reads.
const (
	memoMax     = 1 << 19
	findingsMax = 1000
)

func (d *disassembly) find(kind, what, opcode string) {
	if len(d.findings) == findingsMax {
		return
	}
	d.findings = append(d.findings, Finding{kind, what, opcode, d.member, int64(d.op)})
}

// unknownText stands for what is no string, or for one that is computed.
const unknownText = "?"

func (d *disassembly) push(s string) {
	if d.pushed = append(d.pushed, s); len(d.pushed) > 2 {
		d.pushed = d.pushed[1:]
	}
}

// pickle walks to the next STOP.
func (d *disassembly) pickle() {
	d.memo = map[uint64]string{}
	for {
		d.op = d.pos
		if d.pos == len(d.code) {
			d.find("broken", "the pickle ends without STOP", "")
			return
		}
		code := d.code[d.pos]
		d.pos++
		if code == '.' {
			return
		}
		if !d.step(code) {
			d.find("broken", fmt.Sprintf("opcode %#02x is unknown, cut short or one value too many for the memo of %d", code, memoMax), "")
			d.pos = len(d.code)
			return
		}
	}
}

// arguments gives for every opcode of the protocols 0 to 5 what follows it: a
// number of bytes, 'l' for a line, 'm' for two, or the width of a length, which
// is 'a', 'b' or 'c' for 1, 4 and 8 bytes.
var arguments = map[byte]byte{
	'(': 0, '0': 0, '1': 0, '2': 0, 'F': 'l', 'I': 'l', 'J': 4, 'K': 1, 'L': 'l', 'M': 2, 'N': 0, 'P': 'l', 'Q': 0, 'R': 0,
	'S': 'l', 'T': 'b', 'U': 'a', 'V': 'l', 'X': 'b', 'a': 0, 'b': 0, 'c': 'm', 'd': 0, '}': 0, 'e': 0, 'g': 'l', 'h': 1,
	'i': 'm', 'j': 4, 'l': 0, ']': 0, 'o': 0, 'p': 'l', 'q': 1, 'r': 4, 's': 0, 't': 0, ')': 0, 'u': 0, 'G': 8,
	0x80: 1, 0x81: 0, 0x82: 1, 0x83: 2, 0x84: 4, 0x85: 0, 0x86: 0, 0x87: 0, 0x88: 0, 0x89: 0, 0x8a: 'a', 0x8b: 'b',
	'B': 'b', 'C': 'a', 0x8c: 'a', 0x8d: 'c', 0x8e: 'c', 0x8f: 0, 0x90: 0, 0x91: 0, 0x92: 0, 0x93: 0, 0x94: 0, 0x95: 8,
	0x96: 'c', 0x97: 0, 0x98: 0,
}

// step reads one instruction; it fails if there is none.
func (d *disassembly) step(code byte) bool {
	form, known := arguments[code]
	argument, ok := d.argument(form)
	if !known || !ok {
		return false
	}
	switch code {
	case 'c', 'i':
		module, name, _ := strings.Cut(argument, "\n")
		opcode := "GLOBAL"
		if code == 'i' {
			opcode = "INST"
		}
		d.global(module, name, opcode)
		d.push(unknownText)
	case 0x93:
		module, name := unknownText, unknownText
		if len(d.pushed) == 2 {
			module, name = d.pushed[0], d.pushed[1]
		}
		d.global(module, name, "STACK_GLOBAL")
		d.push(unknownText)
	case 'o', 'P', 0x82, 0x83, 0x84, 0x97, 0x98:
		d.find("opcode", map[byte]string{'o': "OBJ", 'P': "PERSID", 0x82: "EXT1", 0x83: "EXT2", 0x84: "EXT4", 0x97: "NEXT_BUFFER", 0x98: "READONLY_BUFFER"}[code], "")
		d.push(unknownText)
	case 'S', 'T', 'U', 'V', 'X', 0x8c, 0x8d:
		d.push(strings.Trim(argument, "'\"\n"))
	case 'h', 'j', 'g':
		s, stored := d.memo[index(code == 'g', argument)]
		if !stored {
			s = unknownText
		}
		d.push(s)
	case 'q', 'r', 'p', 0x94:
		i := uint64(len(d.memo))
		if code != 0x94 {
			i = index(code == 'p', argument)
		}
		if len(d.pushed) > 0 {
			d.memo[i] = d.pushed[len(d.pushed)-1]
		}
		return len(d.memo) <= memoMax
	case 0x80, 0x95: // PROTO, FRAME
	default:
		d.push(unknownText)
	}
	return true
}

// index reads a memo index, as a line of digits or as bytes.
func index(digits bool, s string) (i uint64) {
	if digits {
		i, err := strconv.ParseUint(strings.TrimSpace(s), 10, 64)
		if err != nil {
			return 1 << 63
		}
		return i
	}
	for k := len(s) - 1; k >= 0; k-- {
		i = i<<8 | uint64(s[k])
	}
	return i
}

// argument reads what follows an opcode.
func (d *disassembly) argument(form byte) (string, bool) {
	take := func(n uint64) (string, bool) {
		if n > uint64(len(d.code)-d.pos) {
			return "", false
		}
		s := d.code[d.pos : d.pos+int(n)]
		d.pos += int(n)
		return s, true
	}
	line := func() (string, bool) {
		n := strings.IndexByte(d.code[d.pos:], '\n')
		if n < 0 {
			return "", false
		}
		s := d.code[d.pos : d.pos+n]
		d.pos += n + 1
		return s, true
	}
	switch form {
	case 'l':
		return line()
	case 'm':
		module, ok := line()
		name, ok2 := line()
		return module + "\n" + name, ok && ok2
	case 'a', 'b', 'c':
		length, ok := take(map[byte]uint64{'a': 1, 'b': 4, 'c': 8}[form])
		if !ok {
			return "", false
		}
		return take(index(false, length))
	}
	return take(uint64(form))
}

// plain are the globals beside those that make tensors and containers that a
// state dict may hold without a word.
var plain = map[string]bool{
	"_codecs.encode": true, "torch.Size": true, "torch.device": true, "torch.Tensor": true, "torch.nn.parameter.Parameter": true,
	"torch.nn.parameter.Buffer": true,
}

func (d *disassembly) global(module, name, opcode string) {
	g := lookup(module, name)
	full := module + "." + name
	switch {
	case runsCode(full) && g == nil:
		d.find("runs code", full, opcode)
	case g == nil || g.use == refused:
		d.find("unknown class", full, opcode)
	case (g.use == inert || g.use == named) && !plain[full] && module != "__builtin__" && module != "builtins":
		d.find("object", full, opcode)
	}
}
