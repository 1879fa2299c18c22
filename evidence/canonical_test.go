package evidence

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"lethe/internal/strictjson"
	"lethe/model"
)

func canonical(t *testing.T, text string) (string, error) {
	t.Helper()
	tree, err := strictjson.Parse([]byte(text))
	if err != nil {
		return "", err
	}
	b, err := appendCanonical(nil, tree)
	return string(b), err
}

// The cases are those of RFC 8785: section 3.2.2 and 3.2.3, and numbers of
// appendix B.
func TestCanonical(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
		   "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}`,
			`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`},
		{`{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`,
			`{"\r":"Carriage Return","1":"One","` + "\u0080" + `":"Control","ö":"Latin Small Letter O With Diaeresis","€":"Euro Sign","😀":"Emoji: Grinning Face","` + "\ufb33" + `":"Hebrew Letter Dalet With Dagesh"}`},
		{`"<script>&\b\t\f\u007f"`, `"<script>&\b\t\f` + "\u007f" + `"`},
		{`[ ]`, `[]`},
		{`{}`, `{}`},
		{`-0`, `0`},
		{`-0.0e5`, `0`},
		{`1.0`, `1`},
		{`100`, `100`},
		{`9007199254740991`, `9007199254740991`},
	} {
		if got, err := canonical(t, c.in); got != c.want || err != nil {
			t.Errorf("%s: got %s, %v, want %s", c.in, got, err, c.want)
		}
	}
	for bits, want := range map[uint64]string{
		0x0000000000000001: "5e-324", 0x8000000000000001: "-5e-324",
		0x7fefffffffffffff: "1.7976931348623157e+308", 0x4340000000000000: "9007199254740992",
		0x4430000000000000: "295147905179352830000", 0x44b52d02c7e14af5: "9.999999999999997e+22",
		0x44b52d02c7e14af6: "1e+23", 0x444b1ae4d6e2ef4e: "999999999999999700000",
		0x444b1ae4d6e2ef50: "1e+21", 0x3eb0c6f7a0b5ed8c: "9.999999999999997e-7",
		0x3eb0c6f7a0b5ed8d: "0.000001", 0x41b3de4355555553: "333333333.3333332",
		0xbecbf647612f3696: "-0.0000033333333333333333",
	} {
		if got, err := Canonical(math.Float64frombits(bits)); string(got) != want || err != nil {
			t.Errorf("%016x: got %s, %v, want %s", bits, got, err, want)
		}
	}
}

func TestCanonicalRefuses(t *testing.T) {
	for _, in := range []string{
		``, `{`, `[1,]`, `{"a":1,"a":2}`, `{"a":{"b":1,"b":1}}`, `1 2`, `{} x`, `nul`, `01`, "\"\xff\"", `"\x"`,
		strings.Repeat("[", strictjson.MaxDepth+2) + strings.Repeat("]", strictjson.MaxDepth+2),
	} {
		var format *model.FormatError
		if got, err := canonical(t, in); !errors.As(err, &format) {
			t.Errorf("%.40s: got %s, %v", in, got, err)
		}
	}
	for _, in := range []string{`9007199254740993`, `-18446744073709551615`, `1e400`} {
		if got, err := canonical(t, in); err == nil {
			t.Errorf("%s: got %s", in, got)
		}
	}
	if _, err := Canonical(math.Inf(1)); err == nil {
		t.Error("infinity is taken")
	}
}

func FuzzCanonical(f *testing.F) {
	f.Add([]byte(`{"a":[1,2.5e-7,"\u20ac\ud83d\ude00",null,true]}`))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		tree, err := strictjson.Parse(b)
		if err != nil {
			return
		}
		once, err := appendCanonical(nil, tree)
		if err != nil {
			return
		}
		again, err := strictjson.Parse(once)
		if err != nil {
			t.Fatalf("%q becomes %q: %v", b, once, err)
		}
		if twice, err := appendCanonical(nil, again); string(twice) != string(once) || err != nil {
			t.Errorf("%q, then %q, %v", once, twice, err)
		}
		if d := differences(tree, again); len(d) > 0 {
			t.Errorf("%q: %q", b, d)
		}
		var any any
		if err := json.Unmarshal(once, &any); err != nil {
			t.Errorf("encoding/json does not read %q: %v", once, err)
		}
	})
}
