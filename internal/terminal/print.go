// Package terminal is how commands talk to a person: text in which nothing that comes
// from a file can do harm, JSON, and progress.
package terminal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// PrintJSON writes v as indented JSON and a newline. Characters that a terminal
// obeys or that change the order of what is shown are written as \u escapes.
func PrintJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	text := b.Bytes()
	safe := make([]byte, 0, len(text))
	for _, r := range string(text) {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			safe = utf8.AppendRune(safe, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			safe = fmt.Appendf(safe, `\u%04x\u%04x`, high, low)
		default:
			safe = fmt.Appendf(safe, `\u%04x`, r)
		}
	}
	_, err := w.Write(safe)
	return err
}

// Linef writes a line for a person, in which nothing that comes from a file can
// be taken for more than text.
func Linef(w io.Writer, format string, args ...any) {
	fmt.Fprintln(w, OneLine(fmt.Sprintf(format, args...)))
}

var lineBreak = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\s*[\r\n]+\s*`) })

// Longest texts that are shown whole, in characters.
const (
	mostOfMessage = 4000
	mostOfName    = 300
)

// OneLine makes a message safe to print: names in it may come from a file that
// wants to move the terminal's cursor. It is cut if it is longer than anybody reads.
func OneLine(s string) string {
	return visible(lineBreak().ReplaceAllString(strings.TrimSpace(s), " "), mostOfMessage)
}

// Name makes a name from a file safe to print in a table: one line, and nothing
// that a terminal obeys or that changes the order of what is shown. A long one is
// cut.
func Name(s string) string { return visible(s, mostOfName) }

func visible(s string, most int) string {
	var b strings.Builder
	n := 0
	for i, r := range s {
		if n++; n > most {
			fmt.Fprintf(&b, "... (%d bytes)", len(s))
			break
		}
		_, width := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && width == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// Escape escapes what a terminal would not print as it is: control characters,
// and those that change the direction of text.
func Escape(s string) string {
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`), `\\`, `\`)
}
