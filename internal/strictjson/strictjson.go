// Package strictjson reads JSON that somebody vouches for, or that says where
// something is: a text that two readers could understand in two ways is refused.
package strictjson

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"

	"lethe/model"
)

// MaxDepth bounds how deep values may be nested.
const MaxDepth = 64

// Parse reads one JSON value into map[string]any, []any, string, bool, nil and
// [json.Number]. A name that comes twice in an object, text after the value,
// invalid UTF-8 and nesting deeper than [MaxDepth] are a [model.FormatError] with
// the offset in bytes.
func Parse(b []byte) (any, error) {
	if !utf8.Valid(b) {
		return nil, &model.FormatError{Format: "json", Offset: 0, Reason: "the text is not UTF-8"}
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
	return nil, &model.FormatError{Format: "json", Offset: d.InputOffset(), Reason: err.Error()}
}

func parseValue(d *json.Decoder, depth int) (any, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("values are nested deeper than %d", MaxDepth)
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
				return nil, fmt.Errorf("the name %.100q comes twice in an object", name)
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

// Decode reads JSON into v as [json.Unmarshal] does, by the rules of [Parse] and
// with regard to the case of names: "Layers" where v has a member "layers" is an
// error, not another spelling of it. Members that v does not have are ignored.
func Decode(b []byte, v any) error { return decode(b, v, false) }

// DecodeKnown is [Decode] that refuses members that v does not have.
func DecodeKnown(b []byte, v any) error { return decode(b, v, true) }

func decode(b []byte, v any, known bool) error {
	tree, err := Parse(b)
	if err != nil {
		return err
	}
	if err := checkNames(tree, reflect.TypeOf(v), known); err != nil {
		return &model.FormatError{Format: "json", Offset: -1, Reason: err.Error()}
	}
	if err := json.Unmarshal(b, v); err != nil {
		return &model.FormatError{Format: "json", Offset: -1, Reason: unfit(err)}
	}
	return nil
}

// unfit says what is wrong with a value that does not fit what it is read into.
func unfit(err error) string {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	want := "a number"
	switch wrong.Type.Kind() {
	case reflect.Map, reflect.Struct:
		want = "an object"
	case reflect.Slice, reflect.Array:
		want = "a list"
	case reflect.String:
		want = "a text"
	case reflect.Bool:
		want = "true or false"
	}
	where := ""
	if wrong.Field != "" {
		where = fmt.Sprintf(" in %q", wrong.Field)
	}
	return fmt.Sprintf("found %s%s, want %s", wrong.Value, where, want)
}

var (
	ownJSON = reflect.TypeFor[json.Unmarshaler]()
	ownText = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// checkNames compares the names of all objects in a tree with the members of the
// type that they are read into.
func checkNames(tree any, t reflect.Type, known bool) error {
	for t.Kind() == reflect.Pointer && !t.Implements(ownJSON) {
		t = t.Elem()
	}
	if p := reflect.PointerTo(t); p.Implements(ownJSON) || p.Implements(ownText) {
		return nil
	}
	switch tree := tree.(type) {
	case []any:
		if t.Kind() != reflect.Slice && t.Kind() != reflect.Array {
			return nil // json.Unmarshal says what is wrong
		}
		for _, v := range tree {
			if err := checkNames(v, t.Elem(), known); err != nil {
				return err
			}
		}
	case map[string]any:
		if t.Kind() == reflect.Map {
			for _, v := range tree {
				if err := checkNames(v, t.Elem(), known); err != nil {
					return err
				}
			}
		}
		if t.Kind() != reflect.Struct {
			return nil
		}
		members := map[string]reflect.Type{}
		addMembers(members, t)
		for name, v := range tree {
			member, ok := members[name]
			if !ok {
				for right := range members {
					if strings.EqualFold(right, name) {
						return fmt.Errorf("the name %.100q is not written as %q", name, right)
					}
				}
				if known {
					return fmt.Errorf("the name %.100q is unknown", name)
				}
				continue
			}
			if err := checkNames(v, member, known); err != nil {
				return err
			}
		}
	}
	return nil
}

// addMembers adds the names of the members of a struct and their types.
func addMembers(members map[string]reflect.Type, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case f.Anonymous && name == "":
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			addMembers(members, inner)
		case !f.IsExported():
		case name == "":
			members[f.Name] = f.Type
		default:
			members[name] = f.Type
		}
	}
}
