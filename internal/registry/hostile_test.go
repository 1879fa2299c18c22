package registry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"lethe/internal/cli"
	"lethe/internal/oracle"
	"lethe/internal/registry"
)

// texts returns a document in which every text is another one.
func texts(doc any, text func(s string) any) any {
	switch doc := doc.(type) {
	case string:
		return text(doc)
	case []any:
		for i := range doc {
			doc[i] = texts(doc[i], text)
		}
	case object:
		for k := range doc {
			doc[k] = texts(doc[k], text)
		}
	}
	return doc
}

// lies are what a server that means harm, or somebody in between, makes of an
// answer: each returns other bytes.
var lies = []struct {
	name string
	lie  func(doc any, text []byte) []byte
}{
	{"paths that lead out", func(doc any, _ []byte) []byte {
		return encoded(texts(doc, func(string) any { return "../../../../etc/passwd" }))
	}},
	{"terminal codes", func(doc any, _ []byte) []byte {
		return encoded(texts(doc, func(s string) any { return "\x1b]0;owned\a\u202e" + s }))
	}},
	{"another server", func(doc any, _ []byte) []byte {
		return encoded(texts(doc, func(string) any { return "http://203.0.113.1/x" }))
	}},
	{"numbers for texts", func(doc any, _ []byte) []byte { return encoded(texts(doc, func(string) any { return 1e300 })) }},
	{"long texts", func(doc any, _ []byte) []byte {
		return encoded(texts(doc, func(string) any { return strings.Repeat("a", 1<<20) }))
	}},
	{"capitals", func(_ any, text []byte) []byte { return bytes.ToUpper(text) }},
	{"members twice", func(_ any, text []byte) []byte {
		return bytes.Replace(text, []byte("{"), []byte(`{"files":[],"model_version":{},"files":[],"run":{},"model_version":{},`), 1)
	}},
	{"nothing", func(any, []byte) []byte { return []byte("{}") }},
	{"null", func(any, []byte) []byte { return []byte("null") }},
	{"a page", func(any, []byte) []byte { return []byte("<html>log in") }},
	{"depth", func(any, []byte) []byte { return []byte(strings.Repeat("[", 100000)) }},
	{"without end", func(any, []byte) []byte { return append([]byte(`{"files":[`), bytes.Repeat([]byte(" "), 5<<20)...) }},
}

func encoded(doc any) []byte {
	b, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return b
}

// liar is a proxy before an MLflow server that lies in one answer, and in all
// later ones if lasting.
func liar(t *testing.T, server string, at int, lasting bool, lie func(doc any, text []byte) []byte) (address string, answers *atomic.Int64) {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	answers = new(atomic.Int64)
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.ModifyResponse = func(resp *http.Response) error {
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		var doc any
		if n := int(answers.Add(1)); (n == at || lasting && n > at) && json.Unmarshal(b, &doc) == nil {
			b = lie(doc, b)
		}
		resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
		resp.Header.Set("Content-Length", strconv.Itoa(len(b)))
		return nil
	}
	s := httptest.NewServer(proxy)
	t.Cleanup(s.Close)
	return s.URL, answers
}

// Whatever a server answers, what is pulled is the model or nothing, a reader at
// the alias finds a whole model, and an error is one of the registry, of a limit or
// of what is not handled.
func TestMLflowHostile(t *testing.T) {
	testMLflowHostile(t, "http://"+serve(t, newFakeMLflow()), len(lies), 5)
}

// The first lies show that a real server is in no other way; each request takes it
// a while.
func TestOracleMLflowHostile(t *testing.T) { testMLflowHostile(t, oracle.MLflow(t), 4, 1) }

// pulls and pushes are how many of the lies are told to whom.
func testMLflowHostile(t *testing.T, server string, pulls, pushes int) {
	if _, err := publish(t.Context(), mlflowPlace(t, server, "h@champion"), false, &registry.Upload{Files: []registry.File{file("a.pt", "first")}}); err != nil {
		t.Fatal(err)
	}
	now := "first"
	right := func(name string, at int, err error) {
		t.Helper()
		code := cli.ExitCode(err)
		if code != cli.ExitOK && code != cli.ExitRegistry && code != cli.ExitUnsupported && !(code == cli.ExitError && strings.Contains(err.Error(), "moved meanwhile")) {
			t.Errorf("%s in answer %d: exit code %d, %.300v", name, at, code, err)
		}
	}
	done := map[string]int{}
	for i, l := range lies[:pulls] {
		for _, lasting := range []bool{false, true} {
			for at := 1; ; at++ {
				address, answers := liar(t, server, at, lasting, l.lie)
				data, _, err := fetch(t.Context(), mlflowPlace(t, address, "h@champion"), t.TempDir())
				right(l.name, at, err)
				if err == nil && data != now {
					t.Errorf("%s in answer %d: pulled %.50q, want %q", l.name, at, data, now)
				}
				done["pulls"]++
				if int(answers.Load()) < at {
					break
				}
			}
			if i >= pushes {
				continue
			}
			for at := 1; ; at++ {
				_, base, err := fetch(t.Context(), mlflowPlace(t, server, "h@champion"), t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				next := fmt.Sprint(l.name, lasting, at)
				address, answers := liar(t, server, at, lasting, l.lie)
				_, err = publish(t.Context(), mlflowPlace(t, address, "h@champion"), true, &registry.Upload{Files: []registry.File{file("a.pt", next)}, Base: base})
				right(l.name, at, err)
				data, _, broken := fetch(t.Context(), mlflowPlace(t, server, "h@champion"), t.TempDir())
				if !slices.Contains([]string{now, next}, data) || err == nil && data != next {
					t.Fatalf("%s in answer %d: %v; then a reader finds %.50q, %v, want %q or %q", l.name, at, err, data, broken, now, next)
				}
				now = data
				done["pushes"]++
				if int(answers.Load()) < at {
					if err == nil && at < 5 {
						t.Errorf("only %d answers to lie in", at-1)
					}
					break
				}
			}
		}
	}
	t.Logf("%d pulls and %d pushes", done["pulls"], done["pushes"])
}
