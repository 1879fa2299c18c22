package registry_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"lethe/internal/cli"
	"lethe/internal/registry"
)

var update = flag.Bool("update", false, "write the table of docs/reliability.md")

// fault is something that goes wrong in place of an answer, or on its way.
type fault struct {
	name  string
	stall time.Duration
	do    func(w http.ResponseWriter, r *http.Request, upstream http.Handler)
}

// answers is the fault of a status code.
func answers(code int, header ...string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		io.Copy(io.Discard, r.Body)
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"errors":[{"code":"TEST","message":"%d"}]}`, code)
	}
}

// changed is the fault of an answer that change alters.
func changed(change func(*httptest.ResponseRecorder) (body []byte)) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, upstream http.Handler) {
		answer := httptest.NewRecorder()
		upstream.ServeHTTP(answer, r)
		body := change(answer)
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		w.Write(body)
	}
}

// half sends half of an answer and tells whether there is more; an answer
// without a body is sent whole.
func half(w http.ResponseWriter, r *http.Request, upstream http.Handler) (more bool) {
	answer := httptest.NewRecorder()
	upstream.ServeHTTP(answer, r)
	maps.Copy(w.Header(), answer.Header())
	if body := answer.Body.Bytes(); r.Method == http.MethodGet && len(body) > 1 {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(answer.Code)
		w.Write(body[:len(body)/2])
		w.(http.Flusher).Flush()
		return true
	}
	w.WriteHeader(answer.Code)
	w.Write(answer.Body.Bytes())
	w.(http.Flusher).Flush()
	return false
}

const short = 300 * time.Millisecond // of silence, where silence is the fault

var faults = []fault{
	{"connection cut before the request arrives", time.Minute, func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }},
	{"connection cut before the answer", time.Minute, func(_ http.ResponseWriter, r *http.Request, upstream http.Handler) {
		upstream.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}},
	{"connection cut within the answer", time.Minute, func(w http.ResponseWriter, r *http.Request, upstream http.Handler) {
		half(w, r, upstream)
		panic(http.ErrAbortHandler)
	}},
	{"no answer", short, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		io.Copy(io.Discard, r.Body) // or the server does not notice that the client has gone
		<-r.Context().Done()
	}},
	{"answer stops", short, func(w http.ResponseWriter, r *http.Request, upstream http.Handler) {
		if half(w, r, upstream) {
			<-r.Context().Done()
		}
	}},
	{"401", time.Minute, answers(401, "WWW-Authenticate", `Basic realm="test"`)},
	{"403", time.Minute, answers(403)},
	{"404", time.Minute, answers(404)},
	{"429", time.Minute, answers(429, "Retry-After", "7")},
	{"500", time.Minute, answers(500)},
	{"503", time.Minute, answers(503)},
	{"a byte of the answer differs", time.Minute, changed(func(a *httptest.ResponseRecorder) []byte {
		b := bytes.Clone(a.Body.Bytes())
		if len(b) > 0 {
			b[len(b)/2] ^= 1
		}
		return b
	})},
	{"another digest in the answer's header", time.Minute, changed(func(a *httptest.ResponseRecorder) []byte {
		if a.Header().Get("Docker-Content-Digest") != "" {
			a.Header().Set("Docker-Content-Digest", digest.FromString("other").String())
		}
		return a.Body.Bytes()
	})},
	{"redirection that never ends", time.Minute, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		io.Copy(io.Discard, r.Body)
		http.Redirect(w, r, r.URL.String(), http.StatusTemporaryRedirect)
	}},
}

// faulty is a proxy before a registry in which a fault happens at one request,
// or at that and all later ones.
type faulty struct {
	upstream http.Handler
	fault    *fault
	at       int64
	lasting  bool
	requests atomic.Int64
}

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := f.requests.Add(1) - 1
	if f.fault != nil && (n == f.at || n > f.at && f.lasting) {
		f.fault.do(w, r, f.upstream)
		return
	}
	f.upstream.ServeHTTP(w, r)
}

// outcome is what became of a conversation.
type outcome struct {
	err  error
	tag  string // "as before", "new", or what is wrong
	data string // that was pulled
}

const before, after = "the checkpoint before", "the checkpoint after"

// converse publishes or pulls through a proxy with a fault.
func converse(t *testing.T, ctx context.Context, publishes bool, f *fault, at int64, lasting bool) (o outcome, requests int64) {
	upstream := inProcess()
	host := serve(t, upstream)
	base := place(t, "%s/m:v1", host)
	if _, err := publish(ctx, base, false, &registry.Upload{Files: []registry.File{file("a.pt", before)}}); err != nil {
		t.Error(err)
	}
	proxy := &faulty{upstream: upstream, fault: f, at: at, lasting: lasting}
	stall := time.Minute
	if f != nil {
		stall = f.stall
	}
	p, err := registry.OpenImpatient("oci+http://"+serve(t, proxy)+"/m:v1", 3, stall, noSleep)
	if err != nil {
		t.Error(err)
	}
	if publishes {
		_, o.err = publish(ctx, p, true, &registry.Upload{
			Files:    []registry.File{file("a.pt", after), file("a.onnx", "graph")},
			Evidence: []registry.Evidence{{MediaType: "application/vnd.in-toto+json", Name: "a.json", Content: []byte("{}")}},
		})
	} else {
		o.data, _, o.err = fetch(ctx, p, t.TempDir())
	}
	requests = proxy.requests.Load()
	switch data, _, err := fetch(ctx, base, t.TempDir()); {
	case err != nil:
		o.tag = err.Error()
	case data == before:
		o.tag = "as before"
	case data == after:
		o.tag = "new"
	default:
		o.tag = data
	}
	return o, requests
}

// TestFaults lets every fault happen at every request of a pull and of a push.
// Whatever happens, a reader finds a whole model at the tag, and the command
// ends as docs/reliability.md says; -update writes its table.
func TestFaults(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	ctx := t.Context()
	var table strings.Builder
	table.WriteString("| fault, at each request in turn | pull, once | pull, lasting | push, once | push, lasting |\n|---|---|---|---|---|\n")
	length := map[bool]int64{}
	for _, publishes := range []bool{false, true} {
		o, n := converse(t, ctx, publishes, nil, 0, false)
		if o.err != nil || n < 2 {
			t.Fatalf("without a fault: %+v after %d requests", o, n)
		}
		length[publishes] = n
	}
	for _, f := range faults {
		fmt.Fprintf(&table, "| %s ", f.name)
		for _, publishes := range []bool{false, true} {
			for _, lasting := range []bool{false, true} {
				outcomes := make([]outcome, length[publishes])
				var wg sync.WaitGroup
				for at := range outcomes {
					wg.Go(func() { outcomes[at], _ = converse(t, ctx, publishes, &f, int64(at), lasting) })
				}
				wg.Wait()
				fmt.Fprintf(&table, "| %s ", summary(t, f.name, publishes, outcomes))
			}
		}
		table.WriteString("|\n")
	}
	const path = "../../docs/reliability.md"
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := []byte("<!-- faults of OCI registries: go test ./internal/registry -run TestFaults -update -->\n"), []byte("<!-- end -->\n")
	head, rest, ok := bytes.Cut(doc, begin)
	old, tail, ok2 := bytes.Cut(rest, end)
	switch {
	case !ok || !ok2:
		t.Fatalf("%s has no place for the table", path)
	case *update:
		if err := os.WriteFile(path, slices.Concat(head, begin, []byte(table.String()), end, tail), 0o666); err != nil {
			t.Fatal(err)
		}
	case string(old) != table.String():
		t.Errorf("%s has another table; this one is right, or the code is wrong:\n%s", path, &table)
	}
}

// summary checks the outcomes of one fault and says what they have in common.
func summary(t *testing.T, name string, publishes bool, outcomes []outcome) string {
	found := map[string]int{}
	for at, o := range outcomes {
		problem := func(format string, args ...any) {
			t.Helper()
			t.Errorf("%s at request %d (push: %v): %s", name, at, publishes, fmt.Sprintf(format, args...))
		}
		if o.tag != "as before" && (o.tag != "new" || !publishes) {
			problem("a reader finds %s", o.tag)
		}
		switch {
		case o.err == nil && publishes && o.tag != "new":
			problem("published, and the tag is %s", o.tag)
		case o.err == nil && !publishes && o.data != before:
			problem("pulled %q", o.data)
		case o.err != nil && o.data != "":
			problem("%v, and pulled %q", o.err, o.data)
		}
		what := "done"
		if o.err != nil {
			what = fmt.Sprintf("exit %d", cli.ExitCode(o.err))
			if cli.ExitCode(o.err) == cli.ExitRegistry != errors.As(o.err, new(*registry.Error)) {
				problem("%v has exit code %d", o.err, cli.ExitCode(o.err))
			}
			if publishes {
				what += ", tag " + o.tag
			}
		}
		found[what]++
	}
	all := slices.Sorted(maps.Keys(found))
	if len(all) == 1 {
		return all[0]
	}
	for i, what := range all {
		all[i] = fmt.Sprintf("%s (%d of %d)", what, found[what], len(outcomes))
	}
	return strings.Join(all, "; ")
}

// A registry that is too busy says how long to wait, and waits are bounded.
func TestRetryAfter(t *testing.T) {
	var waits []time.Duration
	f := faults[slices.IndexFunc(faults, func(f fault) bool { return f.name == "429" })]
	p, err := registry.OpenImpatient("oci+http://"+serve(t, &faulty{fault: &f, lasting: true})+"/m:v1", 4, time.Minute, func(_ context.Context, d time.Duration) error {
		waits = append(waits, d)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Resolve(t.Context())
	if want := []time.Duration{7 * time.Second, 7 * time.Second, 7 * time.Second}; !slices.Equal(waits, want) {
		t.Errorf("waits %v, want %v", waits, want)
	}
	if err == nil || !strings.Contains(err.Error(), "allows no more requests for now (test: 429); try again later (tried 4 times)") {
		t.Errorf("got %v", err)
	}
}

// What the person interrupts ends at once and is not the registry's fault.
func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := place(t, "%s/m:v1", serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})))
	if _, err := p.Resolve(ctx); !errors.Is(err, context.Canceled) || isRegistryError(err) {
		t.Errorf("got %v", err)
	}
}

// The secrets in an address of storage to which a registry redirects stay out
// of messages.
func TestSecretAddress(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	odd := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "") }))
	for _, url := range []string{gone.URL, "http://" + odd} {
		p := place(t, "%s/m:v1", serve(t, http.RedirectHandler(url+"/?X-Signature=s3cret", http.StatusTemporaryRedirect)))
		if _, err := p.Resolve(t.Context()); !isRegistryError(err) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("got %v", err)
		}
	}
}
