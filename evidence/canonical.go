package evidence

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"lethe/internal/strictjson"
)

// Canonical returns v, as encoding/json understands it, in the one form that
// RFC 8785 gives to a JSON value: no blanks, members sorted, numbers as
// ECMAScript writes them. So equal values have equal digests. A number that is
// not finite, or an integer that a float64 does not hold, is an error.
func Canonical(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	tree, err := strictjson.Parse(b)
	if err != nil {
		return nil, err
	}
	return appendCanonical(nil, tree)
}

func appendCanonical(b []byte, v any) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case string:
		return appendString(b, v), nil
	case json.Number:
		return appendNumber(b, v)
	case []any:
		b = append(b, '[')
		for i, item := range v {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendCanonical(b, item); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case map[string]any:
		b = append(b, '{')
		for i, name := range sortedNames(v) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, name), ':')
			if b, err = appendCanonical(b, v[name]); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	}
	panic(fmt.Sprintf("evidence: no JSON value: %T", v))
}

// sortedNames sorts by UTF-16 code units, as RFC 8785 wants it.
func sortedNames(object map[string]any) []string {
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int {
		return slices.Compare(utf16.Encode([]rune(x)), utf16.Encode([]rune(y)))
	})
	return names
}

func appendString(b []byte, s string) []byte {
	const short = "\b\t\n\f\r\"\\"
	b = append(b, '"')
	for _, r := range s {
		switch at := strings.IndexRune(short, r); {
		case at >= 0:
			b = append(b, '\\', `btnfr"\`[at])
		case r < 0x20:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

func appendNumber(b []byte, n json.Number) ([]byte, error) {
	x, err := n.Float64()
	if err != nil {
		return nil, fmt.Errorf("the number %s has no place in canonical JSON", n)
	}
	if x == 0 {
		return append(b, '0'), nil // of any sign
	}
	// encoding/json writes a float64 as ECMAScript does.
	text, err := json.Marshal(x)
	if err != nil {
		return nil, err
	}
	if !strings.ContainsAny(n.String(), ".eE") && n.String() != string(text) {
		return nil, fmt.Errorf("the integer %s would become %s in canonical JSON", n, text)
	}
	return append(b, text...), nil
}
