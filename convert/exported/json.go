package exported

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"lethe/model"
)

// The bounds of a JSON text. torch's graphs nest a handful of levels.
const (
	depthMax  = 64
	stringMax = 64 << 20 // torch 2.1 has constants in strings
)

// parser reads JSON from a stream. It is stricter than encoding/json in that a
// key must not occur twice in an object and that nesting is bounded, and more
// lenient in that it knows the numbers NaN, Infinity and -Infinity, which
// Python writes.
type parser struct {
	in     *bufio.Reader
	member string // for errors
	at     int64  // offset of the next byte
	depth  int
}

func newParser(r io.Reader, member string) *parser {
	return &parser{in: bufio.NewReaderSize(r, 1<<16), member: member}
}

func (p *parser) bad(format string, args ...any) error {
	return &model.FormatError{Format: "exported program", Member: p.member, Offset: p.at, Reason: fmt.Sprintf(format, args...)}
}

// next returns the next byte, which is not consumed; 0 at the end.
func (p *parser) next() (byte, error) {
	b, err := p.in.Peek(1)
	if err == io.EOF {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", p.member, err)
	}
	return b[0], nil
}

func (p *parser) skip() {
	_, _ = p.in.Discard(1) // it was peeked at
	p.at++
}

// token skips white space and returns the byte after it, which is not consumed.
func (p *parser) token() (byte, error) {
	for {
		b, err := p.next()
		if err != nil || b != ' ' && b != '\t' && b != '\n' && b != '\r' {
			return b, err
		}
		p.skip()
	}
}

func (p *parser) expect(want byte) error {
	b, err := p.token()
	if err != nil {
		return err
	}
	if b != want {
		return p.bad("%s where %q is expected", byteName(b), want)
	}
	p.skip()
	return nil
}

func byteName(b byte) string {
	if b == 0 {
		return "the end of the text"
	}
	return strconv.QuoteRune(rune(b))
}

// object calls f for every key of an object; f reads the value.
func (p *parser) object(f func(key string) error) error {
	seen := map[string]bool{}
	return p.list('{', '}', func() error {
		key, err := p.str()
		if err != nil {
			return err
		}
		if seen[key] {
			return p.bad("the key %.100q occurs twice in an object", key)
		}
		seen[key] = true
		if err := p.expect(':'); err != nil {
			return err
		}
		return f(key)
	})
}

// array calls f for every element of an array; f reads it.
func (p *parser) array(f func() error) error { return p.list('[', ']', f) }

func (p *parser) list(open, end byte, f func() error) error {
	if err := p.expect(open); err != nil {
		return err
	}
	if p.depth++; p.depth > depthMax {
		return &model.LimitError{What: "nesting of the program's JSON", Got: uint64(p.depth), Limit: depthMax}
	}
	defer func() { p.depth-- }()
	for first := true; ; first = false {
		b, err := p.token()
		if err != nil {
			return err
		}
		if first && b == end {
			p.skip()
			return nil
		}
		if err := f(); err != nil {
			return err
		}
		if b, err = p.token(); err != nil {
			return err
		}
		p.skip()
		switch b {
		case end:
			return nil
		case ',':
		default:
			return p.bad("%s after an element, where ',' or %q is expected", byteName(b), end)
		}
	}
}

// value returns the next value: nil, bool, int64, float64, string, []any or
// map[string]any.
func (p *parser) value() (any, error) {
	b, err := p.token()
	if err != nil {
		return nil, err
	}
	switch {
	case b == '{':
		m := map[string]any{}
		err := p.object(func(key string) (err error) {
			m[key], err = p.value()
			return err
		})
		return m, err
	case b == '[':
		list := []any{}
		err := p.array(func() error {
			v, err := p.value()
			list = append(list, v)
			return err
		})
		return list, err
	case b == '"':
		return p.str()
	case b == '-' || b >= '0' && b <= '9':
		return p.number()
	case b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z':
		return p.word()
	}
	return nil, p.bad("%s where a value is expected", byteName(b))
}

func (p *parser) word() (any, error) {
	var text []byte
	for len(text) < 16 {
		b, err := p.next()
		if err != nil {
			return nil, err
		}
		if (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') {
			break
		}
		text = append(text, b)
		p.skip()
	}
	switch string(text) {
	case "null":
		return nil, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	case "NaN":
		return math.NaN(), nil
	case "Infinity":
		return math.Inf(1), nil
	}
	return nil, p.bad("the word %q is not a value", text)
}

func (p *parser) number() (any, error) {
	const longest = 400 // of a float64 without an exponent
	var text []byte
	integer := true
	for {
		b, err := p.next()
		if err != nil {
			return nil, err
		}
		switch {
		case b >= '0' && b <= '9':
		case b == '-' && len(text) == 0:
		case b == '.' || b == 'e' || b == 'E' || (b == '+' || b == '-') && len(text) > 0:
			integer = false
		case b == 'I' && string(text) == "-":
			w, err := p.word()
			if inf, ok := w.(float64); err == nil && ok && math.IsInf(inf, 1) {
				return math.Inf(-1), nil
			}
			return nil, p.bad("a sign is not followed by a number")
		default:
			return p.parseNumber(string(text), integer)
		}
		if text = append(text, b); len(text) > longest {
			return nil, p.bad("a number has more than %d characters", longest)
		}
		p.skip()
	}
}

func (p *parser) parseNumber(text string, integer bool) (any, error) {
	digits := text
	if digits != "" && digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		return nil, p.bad("the number %q starts with a zero", text)
	}
	if integer {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, nil
		}
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || digits == "" || digits[0] < '0' || digits[0] > '9' {
		return nil, p.bad("%q is not a number", text)
	}
	return x, nil
}

// str returns the string that comes next.
func (p *parser) str() (string, error) {
	if err := p.expect('"'); err != nil {
		return "", err
	}
	var text []byte
	for {
		b, err := p.next()
		if err != nil {
			return "", err
		}
		if b < ' ' {
			return "", p.bad("%s inside a string", byteName(b))
		}
		p.skip()
		switch b {
		case '"':
			if !utf8.Valid(text) {
				return "", p.bad("a string is not UTF-8")
			}
			return string(text), nil
		case '\\':
			if text, err = p.escape(text); err != nil {
				return "", err
			}
		default:
			text = append(text, b)
		}
		if len(text) > stringMax {
			return "", &model.LimitError{What: "length of a string in the program's JSON", Got: uint64(len(text)), Limit: stringMax}
		}
	}
}

func (p *parser) escape(text []byte) ([]byte, error) {
	b, err := p.next()
	if err != nil {
		return nil, err
	}
	p.skip()
	switch b {
	case '"', '\\', '/':
		return append(text, b), nil
	case 'b':
		return append(text, '\b'), nil
	case 'f':
		return append(text, '\f'), nil
	case 'n':
		return append(text, '\n'), nil
	case 'r':
		return append(text, '\r'), nil
	case 't':
		return append(text, '\t'), nil
	case 'u':
		r, err := p.hex()
		if err != nil {
			return nil, err
		}
		if utf16.IsSurrogate(r) {
			if err := p.expect('\\'); err != nil {
				return nil, err
			}
			if err := p.expect('u'); err != nil {
				return nil, err
			}
			low, err := p.hex()
			if err != nil {
				return nil, err
			}
			r = utf16.DecodeRune(r, low)
		}
		return utf8.AppendRune(text, r), nil
	}
	return nil, p.bad("%s after a backslash", byteName(b))
}

func (p *parser) hex() (rune, error) {
	var digits [4]byte
	for i := range digits {
		b, err := p.next()
		if err != nil {
			return 0, err
		}
		digits[i] = b
		p.skip()
	}
	n, err := strconv.ParseUint(string(digits[:]), 16, 16)
	if err != nil {
		return 0, p.bad("%q is not a code of a character", digits)
	}
	return rune(n), nil
}

// end requires that nothing but white space follows.
func (p *parser) end() error {
	if _, err := p.token(); err != nil {
		return err
	}
	if b, err := p.in.Peek(1); err == nil {
		return p.bad("%q after the end of the program", b)
	} else if err != io.EOF {
		return fmt.Errorf("read %s: %w", p.member, err)
	}
	return nil
}
