package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// op is one instruction of a pickle.
type op struct{ at, size int }

// forms gives for every opcode what follows it: so many bytes, l for a line, m for
// two, a, b or c for a length of 1, 4 or 8 bytes and as many bytes.
var forms = func() map[byte]byte {
	m := map[byte]byte{}
	for form, codes := range map[byte]string{
		0: "(012NQRabde}lo]stu)\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x93\x94\x97\x98.", 1: "Khq\x80\x82", 2: "M\x83", 4: "Jjr\x84", 8: "G\x95",
		'l': "FILPSVgp", 'm': "ci", 'a': "UC\x8c\x8a", 'b': "TXB\x8b", 'c': "\x8d\x8e\x96",
	} {
		for i := range len(codes) {
			m[codes[i]] = form
		}
	}
	return m
}()

// disassemble returns the instructions up to the first STOP, or none if there is
// no pickle.
func disassemble(b []byte) (ops []op) {
	for at := 0; at < len(b); {
		form, known := forms[b[at]]
		if !known {
			return nil
		}
		n := 1 + int(form)
		rest := b[at+1:]
		switch form {
		case 'l', 'm':
			lines := 1
			if form == 'm' {
				lines = 2
			}
			n = 1
			for range lines {
				i := bytes.IndexByte(b[at+n:], '\n')
				if i < 0 {
					return nil
				}
				n += i + 1
			}
		case 'a', 'b', 'c':
			width := map[byte]int{'a': 1, 'b': 4, 'c': 8}[form]
			if len(rest) < width {
				return nil
			}
			length := make([]byte, 8)
			copy(length, rest[:width])
			v := binary.LittleEndian.Uint64(length)
			if v > uint64(len(rest)) {
				return nil
			}
			n = 1 + width + int(v)
		}
		if at+n > len(b) {
			return nil
		}
		ops = append(ops, op{at, n})
		if b[at] == '.' {
			return ops
		}
		at += n
	}
	return nil
}

// globals are those to put in the place of others.
var globals = strings.Fields("torch.FloatStorage torch.DoubleStorage torch.LongStorage torch.IntStorage torch.HalfStorage torch.BFloat16Storage torch.BoolStorage " +
	"torch.ByteStorage torch.CharStorage torch.ShortStorage torch.ComplexFloatStorage torch.ComplexDoubleStorage torch.storage.UntypedStorage " +
	"torch.float32 torch.int64 torch.float64 torch.int32 torch.bool torch.uint8 torch.complex64 torch.bfloat16 collections.OrderedDict collections.Counter collections.defaultdict " +
	"torch._utils._rebuild_tensor_v2 torch._utils._rebuild_tensor torch._utils._rebuild_tensor_v3 torch._utils._rebuild_parameter " +
	"torch._utils._rebuild_parameter_with_state torch._tensor._rebuild_from_type_v2 torch.Tensor torch.nn.parameter.Parameter torch.Size torch.device " +
	"__builtin__.set __builtin__.list __builtin__.dict __builtin__.long __builtin__.unicode __builtin__.bytearray __builtin__.complex argparse.Namespace " +
	"torch.jit._pickle.restore_type_tag torch.jit._pickle.build_tensorlist torch.jit._pickle.build_intlist")

// snippets are instructions to put between others.
var snippets = []string{"N", ")", "}", "]", "K\x00", "K\x01", "K\x02", "0", "2", "(", "t", "(t", "R", "b", "s", "a", "u", "e", "\x85", "\x86", "\x88", "\x89", "(1", "N0", "K\x010", "]0",
	"h\x00", "h\x01", "h\x02", "X\x01\x00\x00\x00a", "X\x01\x00\x00\x000", "I01\n", "I1\n", "L2L\n", "F0.5\n", "Va\n", "S'a'\n", "g0\n", "\x8a\x00", "\x8a\x01\x02", "\x8f", "\x94", "}b", "]b", "Nb", "(d", "(l", "K\x03Ns", "\x95\x00\x00\x00\x00\x00\x00\x00\x00",
	"X\x01\x00\x00\x00aNs", "X\x05\x00\x00\x00extraccollections\nOrderedDict\n)Rs", "K\x07K\x08s", "}X\x05\x00\x00\x00shapeK\x02sb"}

// mutatePickle changes one instruction of a pickle.
func mutatePickle(rng *rand.Rand, b []byte) ([]byte, string) {
	ops := disassemble(b)
	if len(ops) < 4 || rng.IntN(12) == 0 {
		if len(b) == 0 {
			return b, "nothing"
		}
		return scribble(rng, b, 0, len(b)), "bytes of the pickle"
	}
	o := ops[1+rng.IntN(len(ops)-2)]
	with := func(s []byte) []byte { return slices.Concat(b[:o.at], s, b[o.at+o.size:]) }
	code := b[o.at]
	switch rng.IntN(8) {
	case 0:
		return with(nil), fmt.Sprintf("%q removed", code)
	case 1:
		s := snippets[rng.IntN(len(snippets))]
		return with(append([]byte(s), b[o.at:o.at+o.size]...)), fmt.Sprintf("%q before %q", s, code)
	case 2:
		return with(slices.Concat(b[o.at:o.at+o.size], b[o.at:o.at+o.size])), fmt.Sprintf("%q twice", code)
	case 3: // another instruction of the same form
		var same []byte
		for c, form := range forms {
			if form == forms[code] && c != code && c != 'i' && c != '.' {
				same = append(same, c)
			}
		}
		if len(same) > 0 {
			slices.Sort(same)
			c := same[rng.IntN(len(same))]
			return with(append([]byte{c}, b[o.at+1:o.at+o.size]...)), fmt.Sprintf("%q for %q", c, code)
		}
	case 4: // two neighbours change places
		i := slices.Index(ops, o)
		n := ops[i+1]
		if b[n.at] != '.' {
			return slices.Concat(b[:o.at], b[n.at:n.at+n.size], b[o.at:o.at+o.size], b[n.at+n.size:]), fmt.Sprintf("%q and %q swapped", code, b[n.at])
		}
	}
	return mutateArgument(rng, b, ops, with)
}

// mutateArgument changes what follows an instruction that has something.
func mutateArgument(rng *rand.Rand, b []byte, ops []op, _ func([]byte) []byte) ([]byte, string) {
	for range 50 {
		o := ops[1+rng.IntN(len(ops)-2)]
		code := b[o.at]
		with := func(s string) []byte { return slices.Concat(b[:o.at], []byte(s), b[o.at+o.size:]) }
		switch code {
		case 'K', 'M', 'J', '\x8a', 'I', 'L':
			numbers := []string{"K\x00", "K\x01", "K\x02", "K\x03", "K\x04", "K\x05", "K\x06", "K\x07", "M\x00\x01", "J\xff\xff\xff\xff", "J\x01\x00\x00\x00", "J\xff\xff\xff\x7f", "\x88", "\x89", "N", "I2\n", "L3L\n", "L3\n", "I01\n",
				"\x8a\x00", "\x8a\x01\x03", "\x8a\x02\x03\x00", "\x8a\x05\x00\x00\x00\x00\x01", "G\x3f\xf0\x00\x00\x00\x00\x00\x00", "\x8b\x01\x00\x00\x00\x02"}
			n := numbers[rng.IntN(len(numbers))]
			return with(n), fmt.Sprintf("number %q for %q", n, b[o.at:o.at+o.size])
		case '\x88', '\x89':
			return with(string([]byte{code ^ 1})), "bool"
		case 'c':
			g := globals[rng.IntN(len(globals))]
			i := strings.LastIndex(g, ".")
			return with("c" + g[:i] + "\n" + g[i+1:] + "\n"), "global " + g
		case 'X', 'U', '\x8c', 'V':
			words := []string{"0", "1", "2", "3", "cpu", "storage", "w", "a", "", "cuda:0", "weight", "\xff", "é", "_metadata", "little_endian"}
			w := words[rng.IntN(len(words))]
			s := "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(w)))) + w
			if rng.IntN(2) == 0 {
				s = "U" + string([]byte{byte(len(w))}) + w
			}
			return with(s), fmt.Sprintf("string %q", w)
		case 'h', 'q', 'j', 'r':
			s := slices.Clone(b[o.at : o.at+o.size])
			s[1] += byte(1 + rng.IntN(3))
			if rng.IntN(2) == 0 {
				s[1] = byte(rng.IntN(24))
			}
			return with(string(s)), "memo index"
		case ')', '\x85', '\x86', '\x87':
			i := rng.IntN(5)
			return with(")\x85\x86\x87N"[i : i+1]), "tuple"
		case 'G':
			return with("G\x40\x00\x00\x00\x00\x00\x00\x00"), "float"
		}
	}
	return b, "nothing"
}
