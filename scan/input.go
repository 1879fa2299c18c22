package scan

import (
	"bytes"
	"encoding/binary"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// input reads a stream of instructions from a part, forward.
type input struct {
	w   *walk
	p   part
	pos int64
	buf []byte // bytes from offset at
	at  int64
}

// window is how much is read at once.
const window = 32 << 10

// peek returns at least one byte at pos, or none at the end.
func (in *input) peek() []byte {
	if i := in.pos - in.at; i >= 0 && i < int64(len(in.buf)) {
		return in.buf[i:]
	}
	if in.pos >= in.p.size || in.w.err != nil {
		return nil
	}
	n := min(window, in.p.size-in.pos)
	if in.at == 0 && in.buf == nil {
		n = min(n, 512) // most of what is sniffed is not a pickle
	}
	if int64(cap(in.buf)) < n {
		in.buf = make([]byte, n)
	}
	in.buf, in.at = in.buf[:n], in.pos
	if !in.w.read(in.p, in.buf, in.pos) {
		in.buf = in.buf[:0]
		return nil
	}
	return in.buf
}

// byte reads one byte.
func (in *input) byte() (byte, bool) {
	b := in.peek()
	if len(b) == 0 {
		return 0, false
	}
	in.pos++
	return b[0], true
}

// left is the number of bytes to the end.
func (in *input) left() int64 { return in.p.size - in.pos }

// take reads n bytes, and returns the first of them, up to textMax.
func (in *input) take(n uint64) ([]byte, bool) {
	if n > uint64(in.left()) {
		return nil, false
	}
	end := in.pos + int64(n)
	keep := int(min(n, textMax))
	b := in.peek()
	if len(b) < keep {
		joined := make([]byte, 0, keep)
		for len(joined) < keep {
			b = in.peek()
			if len(b) == 0 {
				return nil, false
			}
			b = b[:min(len(b), keep-len(joined))]
			joined = append(joined, b...)
			in.pos += int64(len(b))
		}
		b = joined
	}
	in.pos = end
	return b[:keep], true
}

// number reads n bytes as an unsigned little-endian number.
func (in *input) number(n uint64) (uint64, bool) {
	b, ok := in.take(n)
	if !ok {
		return 0, false
	}
	var full [8]byte
	copy(full[:], b)
	return binary.LittleEndian.Uint64(full[:]), true
}

// line reads up to a newline, which it takes away; whole is false if the line
// is longer than textMax. At the end of the input the last byte is taken away
// instead, as Python does.
func (in *input) line() (s string, whole, ok bool) {
	var kept []byte
	length := 0
	for {
		b := in.peek()
		if len(b) == 0 {
			if length == 0 {
				return "", false, false
			}
			break
		}
		i := bytes.IndexByte(b, '\n')
		if i >= 0 {
			b = b[:i+1]
		}
		in.pos += int64(len(b))
		length += len(b)
		kept = append(kept, b[:min(len(b), textMax+1-len(kept))]...)
		if i >= 0 {
			break
		}
	}
	if length > len(kept) {
		return string(kept[:textMax]), false, true
	}
	return string(kept[:len(kept)-1]), true, true
}

// index reads the line of a memo instruction as Python's int() does. plain is
// false if another unpickler could read it otherwise.
func index(s string) (i uint64, plain, ok bool) {
	trimmed := strings.Trim(s, " \t\n\v\f\r")
	digits := strings.TrimPrefix(trimmed, "+")
	if !strings.HasPrefix(digits, "_") && !strings.HasSuffix(digits, "_") && !strings.Contains(digits, "__") {
		digits = strings.ReplaceAll(digits, "_", "")
	}
	if digits == "-0" {
		digits = "0"
	}
	i, err := strconv.ParseUint(digits, 10, 63)
	return i, err == nil && s == strconv.FormatUint(i, 10), err == nil
}

// isInt reports whether Python's int(s, 0) could read a line, with the suffix
// that Python 2 writes.
func isInt(s string) bool {
	s = strings.Trim(s, " \t\n\v\f\r\x00")
	s = strings.TrimLeft(strings.TrimRight(s, "lL"), "+-")
	return s != "" && strings.Trim(s, "0123456789abcdefABCDEFxXoO_") == ""
}

// isFloat reports whether Python's float() could read a line.
func isFloat(s string) bool {
	s = strings.Trim(s, " \t\n\v\f\r\x00")
	low := strings.ToLower(strings.TrimLeft(s, "+-"))
	return low == "inf" || low == "infinity" || low == "nan" || low != "" && strings.Trim(low, "0123456789.e+-_") == ""
}

// quoted reads the line of a STRING instruction: Python's quotes and escapes.
func quoted(s string) (string, bool) {
	s = strings.TrimRight(s, " \t\r\v\f")
	if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '\'' && s[0] != '"' {
		return "", false
	}
	s = s[1 : len(s)-1]
	if !strings.Contains(s, `\`) {
		return s, true
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch c := s[i]; {
		case c == '\n':
		case strings.IndexByte(`abfnrtv\'"`, c) >= 0:
			b.WriteByte("\a\b\f\n\r\t\v\\'\""[strings.IndexByte(`abfnrtv\'"`, c)])
		case c == 'x' && i+2 < len(s) && isHex(s[i+1:i+3]):
			v, _ := strconv.ParseUint(s[i+1:i+3], 16, 8)
			b.WriteByte(byte(v))
			i += 2
		case c >= '0' && c <= '7':
			end := i + 1
			for end < len(s) && end < i+3 && s[end] >= '0' && s[end] <= '7' {
				end++
			}
			v, _ := strconv.ParseUint(s[i:end], 8, 16)
			b.WriteByte(byte(v))
			i = end - 1
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return b.String(), true
}

func isHex(s string) bool { return s != "" && strings.Trim(s, "0123456789abcdefABCDEF") == "" }

// rawUnicode reads the line of a UNICODE instruction: Latin-1 with \u and \U
// escapes, which count after an odd number of backslashes.
func rawUnicode(s string) (string, bool) {
	var runes []rune
	slashes := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		width := map[byte]int{'u': 4, 'U': 8}[c]
		if width == 0 || slashes%2 == 0 {
			slashes++
			if c != '\\' {
				slashes = 0
			}
			runes = append(runes, rune(c))
			continue
		}
		if i+width >= len(s) || !isHex(s[i+1:i+1+width]) {
			return "", false
		}
		v, _ := strconv.ParseUint(s[i+1:i+1+width], 16, 32)
		runes[len(runes)-1] = rune(min(v, utf8.MaxRune+1)) // in place of the backslash
		slashes = 0
		i += width
	}
	return string(runes), true
}

// all reads a part whole, if it is not over the limit.
func (w *walk) all(p part, limit int64) ([]byte, bool) {
	if p.size > limit {
		w.gap(p, limit, "it has %d bytes, more than the %d that are read at once", p.size, limit)
		return nil, false
	}
	b := make([]byte, p.size)
	if _, err := io.ReadFull(io.NewSectionReader(p.src, 0, p.size), b); err != nil {
		w.fail(p, 0, err)
		return nil, false
	}
	return b, true
}
