package strictjson

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"lethe/model"
)

type inner struct {
	Size int `json:"size"`
}

type document struct {
	inner
	Layers []inner          `json:"layers"`
	ByName map[string]inner `json:"by_name"`
	Next   *document        `json:"next"`
	When   time.Time        `json:"when"`
	Any    any              `json:"any"`
	Skip   int              `json:"-"`
	Plain  int
}

// Each text is refused for one reason, and read without it.
func TestDecode(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{"layers":[{"size":1}],"size":2,"by_name":{"Size":{"size":3}},"next":{"Plain":1},"when":"2020-01-01T00:00:00Z","any":{"Size":1,"SIZE":2}}`, ""},
		{`{"other":1,"Skip":1}`, ""},
		{`{"LAYERS":[]}`, `"LAYERS" is not written as "layers"`},
		{`{"layers":[],"Layers":[]}`, `"Layers" is not written as "layers"`},
		{`{"layers":[{"Size":1}]}`, `"Size" is not written as "size"`},
		{`{"Size":1}`, `"Size" is not written as "size"`},
		{`{"by_name":{"a":{"ſize":1}}}`, `"ſize" is not written as "size"`},
		{`{"next":{"plain":1}}`, `"plain" is not written as "Plain"`},
		{`{"size":1,"size":1}`, `"size" comes twice`},
		{`{"any":{"a":1,"a":1}}`, `"a" comes twice`},
		{`{} {}`, "text after the value"},
		{`{"layers":[`, "ends too early"},
		{`{"layers":1}`, "found number"},
		{"{\"any\":\"\xff\"}", "not UTF-8"},
		{`{"any":` + strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1) + `}`, "deeper than 64"},
	} {
		var d document
		err := Decode([]byte(c.text), &d)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.text, err)
			}
			continue
		}
		var format *model.FormatError
		if !errors.As(err, &format) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.text, err, c.want)
		}
	}
	if err := DecodeKnown([]byte(`{"layers":[{"other":1}]}`), new(document)); err == nil || !strings.Contains(err.Error(), `"other" is unknown`) {
		t.Errorf("a member more: got %v", err)
	}
	if err := DecodeKnown([]byte(`{"layers":[{"size":1}]}`), new(document)); err != nil {
		t.Error(err)
	}
}

// What is taken is what json.Unmarshal takes, and is read as that reads it.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"layers":[{"size":1}],"next":{"size":2}}`))
	f.Add([]byte(`{"LAYERS":[],"layers":[]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got, want document
		if Decode(b, &got) != nil {
			return
		}
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatal(err)
		}
		x, _ := json.Marshal(got)
		if y, _ := json.Marshal(want); string(x) != string(y) {
			t.Errorf("got %s, want %s", x, y)
		}
	})
}
