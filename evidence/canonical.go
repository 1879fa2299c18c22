package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"lethe/model"
)

// mostDepth bounds how deep JSON from a file may be nested.
const mostDepth = 64

// Canonical returns v, as encoding/json understands it, in the one form that
// RFC 8785 gives to a JSON value: no blanks, members sorted, numbers as
// ECMAScript writes them. So equal values have equal digests. A number that is
// not finite, or an integer that a float64 does not hold, is an error.
func Canonical(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	tree, err := parse(b)
	if err != nil {
		return nil, err
	}
	return appendCanonical(nil, tree)
}

// parse reads one JSON value into maps, lists, strings, bools, nil and
// [json.Number], strictly: a name that comes twice in an object, text after the
// value, invalid UTF-8 and deep nesting are refused, as two readers could
// understand them in two ways.
func parse(b []byte) (any, error) {
	if !utf8.Valid(b) {
		return nil, malformed(0, "the text is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	v, err := parseValue(d, 0)
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			return v, nil
		} else if err == nil {
			err = errors.New("there is text after the value")
		}
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = errors.New("the text ends too early")
	}
	return nil, malformed(d.InputOffset(), err.Error())
}

func malformed(offset int64, reason string) error {
	return &model.FormatError{Format: "json", Offset: offset, Reason: reason}
}

func parseValue(d *json.Decoder, depth int) (any, error) {
	if depth > mostDepth {
		return nil, fmt.Errorf("values are nested deeper than %d", mostDepth)
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		object := map[string]any{}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			name := key.(string) // the decoder takes nothing else here
			if _, twice := object[name]; twice {
				return nil, fmt.Errorf("the name %q comes twice in an object", name)
			}
			if object[name], err = parseValue(d, depth+1); err != nil {
				return nil, err
			}
		}
		_, err = d.Token()
		return object, err
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := parseValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return list, err
	}
	return t, nil
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
