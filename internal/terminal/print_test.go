package terminal

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	long := strings.Repeat("é", mostOfName)
	for name, want := range map[string]string{
		"fc.weight é 日本": "fc.weight é 日本", "\x1b[2J\n\t\a": `\x1b[2J\n\t\a`, "\u202e\u009b\ufeff\u2028": `\u202e\u009b\ufeff\u2028`,
		"a\xffb\uFFFD": "a\\xffb\uFFFD", long: long, long + "xy": long + "... (602 bytes)", strings.Repeat("9", 4<<20): strings.Repeat("9", mostOfName) + "... (4194304 bytes)",
	} {
		if got := Name(name); got != want {
			t.Errorf("%.50q: got %.400q, want %.400q", name, got, want)
		}
	}
	if got := OneLine(strings.Repeat("9", 4<<20)); len(got) > mostOfMessage+30 {
		t.Errorf("a message of %d bytes", len(got))
	}
}

func TestPrintJSON(t *testing.T) {
	want := "\x1b[2J\n\u202e\u009b\U000e0041<b>&é\U0001f600"
	var b strings.Builder
	if err := PrintJSON(&b, map[string]string{"name": want}); err != nil {
		t.Fatal(err)
	}
	if s := "{\n  \"name\": \"\\u001b[2J\\n\\u202e\\u009b\\udb40\\udc41<b>&é\U0001f600\"\n}\n"; b.String() != s {
		t.Errorf("got %q, want %q", b.String(), s)
	}
	var got map[string]string
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil || got["name"] != want {
		t.Errorf("read again: %q, %v", got, err)
	}
}
