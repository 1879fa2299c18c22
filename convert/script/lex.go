package script

import (
	"fmt"
	"strconv"
	"strings"

	"lethe/model"
)

// kind is what a token is.
type kind uint8

const (
	eof kind = iota
	newline
	indent
	dedent
	word   // a name or keyword
	number // an integer or float
	text   // a string
	symbol // an operator or bracket
)

// token is a word of the code.
type token struct {
	kind kind
	text string // of a string, without quotes and escapes
	line int
}

// lexer splits a file of code into tokens.
type lexer struct {
	file    string
	src     string
	pos     int
	line    int
	depth   int // of brackets, in which lines have no meaning
	indents []int
	out     []token
}

func broken(file string, line int, format string, args ...any) error {
	return &model.FormatError{Format: "TorchScript", Member: file, Offset: -1, Reason: fmt.Sprintf("line %d: ", line) + fmt.Sprintf(format, args...)}
}

// lex returns the tokens of a file.
func lex(file, src string) ([]token, error) {
	l := &lexer{file: file, src: src, line: 1, indents: []int{0}}
	for l.pos < len(l.src) {
		if err := l.nextLine(); err != nil {
			return nil, err
		}
	}
	if l.depth > 0 {
		return nil, broken(file, l.line, "a bracket is not closed")
	}
	if len(l.out) > 0 && l.out[len(l.out)-1].kind != newline {
		l.add(newline, "")
	}
	for range l.indents[1:] {
		l.add(dedent, "")
	}
	l.add(eof, "")
	return l.out, nil
}

func (l *lexer) add(k kind, s string) { l.out = append(l.out, token{k, s, l.line}) }

// nextLine reads a line; inside brackets, the part of one.
func (l *lexer) nextLine() error {
	start := l.pos
	for l.pos < len(l.src) && l.src[l.pos] == ' ' {
		l.pos++
	}
	if l.pos == len(l.src) {
		return nil
	}
	if c := l.src[l.pos]; l.depth == 0 && c != '\n' && c != '#' && c != '\r' {
		if err := l.indentTo(l.pos - start); err != nil {
			return err
		}
	}
	for l.pos < len(l.src) {
		switch c := l.src[l.pos]; {
		case c == '\n':
			if l.depth == 0 && len(l.out) > 0 && l.out[len(l.out)-1].kind != newline {
				l.add(newline, "")
			}
			l.pos++
			l.line++
			return nil
		case c == ' ' || c == '\t' || c == '\r':
			l.pos++
		case c == '#':
			for l.pos < len(l.src) && l.src[l.pos] != '\n' {
				l.pos++
			}
		default:
			if err := l.token(c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lexer) indentTo(n int) error {
	last := func() int { return l.indents[len(l.indents)-1] }
	if n > last() {
		if len(l.indents) > nestingMax {
			return broken(l.file, l.line, "blocks are nested more than %d deep", nestingMax)
		}
		l.indents = append(l.indents, n)
		l.add(indent, "")
	}
	for n < last() {
		l.indents = l.indents[:len(l.indents)-1]
		l.add(dedent, "")
	}
	if n != last() {
		return broken(l.file, l.line, "the indentation fits no block")
	}
	return nil
}

func isLetter(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func (l *lexer) token(c byte) error {
	start := l.pos
	switch {
	case isLetter(c):
		for l.pos < len(l.src) && (isLetter(l.src[l.pos]) || isDigit(l.src[l.pos])) {
			l.pos++
		}
		l.add(word, l.src[start:l.pos])
		return nil
	case isDigit(c) || c == '.' && l.pos+1 < len(l.src) && isDigit(l.src[l.pos+1]):
		for l.pos < len(l.src) {
			c, before := l.src[l.pos], l.src[max(l.pos-1, start)]
			if !isDigit(c) && !isLetter(c) && c != '.' && !((c == '-' || c == '+') && before == 'e') {
				break
			}
			l.pos++
		}
		l.add(number, l.src[start:l.pos])
		return nil
	case c == '"' || c == '\'':
		return l.string(c)
	}
	for _, op := range []string{"->", "==", "!="} {
		if strings.HasPrefix(l.src[l.pos:], op) {
			l.pos += len(op)
			l.add(symbol, op)
			return nil
		}
	}
	switch c {
	case '(', '[', '{':
		l.depth++
	case ')', ']', '}':
		if l.depth--; l.depth < 0 {
			return broken(l.file, l.line, "a bracket is closed that was not opened")
		}
	case ',', ':', '=', '.', '-', '*', '@', '<', '>', '+', '/', '%':
	default:
		return broken(l.file, l.line, "the character %q has no meaning in TorchScript", c)
	}
	l.pos++
	l.add(symbol, string(c))
	return nil
}

func (l *lexer) string(quote byte) error {
	var b strings.Builder
	l.pos++
	for {
		if l.pos >= len(l.src) || l.src[l.pos] == '\n' {
			return broken(l.file, l.line, "a string does not end")
		}
		c := l.src[l.pos]
		l.pos++
		switch {
		case c == quote:
			l.add(text, b.String())
			return nil
		case c != '\\':
			b.WriteByte(c)
			continue
		}
		if l.pos >= len(l.src) {
			return broken(l.file, l.line, "a string does not end")
		}
		c = l.src[l.pos]
		l.pos++
		if i := strings.IndexByte("ntrabfv", c); i >= 0 {
			b.WriteByte("\n\t\r\a\b\f\v"[i])
			continue
		}
		digits, base := 0, 8
		at := l.pos - 1
		switch {
		case c == 'x':
			digits, base, at = 2, 16, l.pos
		case c >= '0' && c <= '7':
			digits = 3
		default:
			b.WriteByte(c)
			continue
		}
		end := at
		for end < len(l.src) && end < at+digits && isDigitOf(l.src[end], base) {
			end++
		}
		n, err := strconv.ParseUint(l.src[at:end], base, 8)
		if err != nil {
			return broken(l.file, l.line, "an escape in a string is not a character")
		}
		b.WriteByte(byte(n))
		l.pos = end
	}
}

// isDigitOf reports whether a character is a digit to base 8 or 16.
func isDigitOf(c byte, base int) bool {
	if base == 8 {
		return c >= '0' && c <= '7'
	}
	return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
