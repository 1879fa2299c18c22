package pickle

import (
	"encoding/binary"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

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

// wholeDigits reports whether a text is a whole number as Python's repr writes it;
// its int() reads more.
func wholeDigits(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	return s == "0" || digits != "" && digits[0] != '0' && allDigits(digits)
}

// floatDigits reports whether a text is a number as Python's repr writes it; its
// float() reads more.
func floatDigits(s string) bool {
	s = strings.TrimPrefix(s, "-")
	if s == "inf" || s == "nan" {
		return true
	}
	s, exponent, hasExponent := strings.Cut(s, "e")
	if hasExponent {
		if exponent != "" && (exponent[0] == '-' || exponent[0] == '+') {
			exponent = exponent[1:]
		}
		if exponent == "" || !allDigits(exponent) {
			return false
		}
	}
	whole, fraction, hasFraction := strings.Cut(s, ".")
	return whole != "" && allDigits(whole) && (!hasFraction || fraction != "" && allDigits(fraction))
}

// allDigits reports whether a text holds decimal digits alone.
func allDigits(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

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
		if !floatDigits(line) || err != nil && v == 0 {
			return s.bad("%.40q is not a number as Python writes it", line)
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
	if !wholeDigits(line) {
		return s.bad("%.40q is not a whole number as Python writes it", line)
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
	if err != nil || !wholeDigits(line) {
		return 0, s.bad("%q is not a memo index as Python writes it", line)
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
		return s.bad("%.40q is not a quoted string", line)
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
			return s.bad("%.10q in a string is not an escape as Python writes it", rest)
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
			// A backslash that follows is not an escape either.
			if line[0] == '\\' {
				b.WriteByte('\\')
				line = line[1:]
			}
			continue
		}
		if len(line) < n {
			return s.bad("%.10q in a string is not an escape", line)
		}
		v, err := strconv.ParseUint(line[2:n], 16, 32)
		if err != nil || v > utf8.MaxRune || !utf8.ValidRune(rune(v)) {
			return s.bad("%.10q in a string is not a character", line)
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
