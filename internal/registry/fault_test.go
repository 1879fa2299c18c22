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
	name string
	// do answers and reports whether the connection is silent from then on.
	do func(w http.ResponseWriter, r *http.Request, upstream http.Handler) silence
}

// silence is where an answer ends and its connection does not.
type silence int

const (
	notSilent silence = iota
	noAnswer
	halfAnswer
)

// answers is the fault of a status code.
func answers(code int, header ...string) func(http.ResponseWriter, *http.Request, http.Handler) silence {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) silence {
		io.Copy(io.Discard, r.Body)
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"errors":[{"code":"TEST","message":"%d"}],"error_code":"TEST","message":"%[1]d"}`, code)
		return notSilent
	}
}

// changed is the fault of an answer that change alters.
func changed(change func(*httptest.ResponseRecorder) (body []byte)) func(http.ResponseWriter, *http.Request, http.Handler) silence {
	return func(w http.ResponseWriter, r *http.Request, upstream http.Handler) silence {
		answer := httptest.NewRecorder()
		upstream.ServeHTTP(answer, r)
		body := change(answer)
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		w.Write(body)
		return notSilent
	}
}

// half sends half of an answer, or a whole one that has no body to be read.
func half(w http.ResponseWriter, r *http.Request, upstream http.Handler) silence {
	answer := httptest.NewRecorder()
	upstream.ServeHTTP(answer, r)
	maps.Copy(w.Header(), answer.Header())
	if body := answer.Body.Bytes(); r.Method == http.MethodGet && len(body) > 1 {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(answer.Code)
		w.Write(body[:len(body)/2])
		w.(http.Flusher).Flush()
		return halfAnswer
	}
	// Where the connection is cut next, a client that keeps it for another request
	// loses that one too, or not: that depends on which of the two is faster.
	w.Header().Set("Connection", "close")
	w.WriteHeader(answer.Code)
	w.Write(answer.Body.Bytes())
	w.(http.Flusher).Flush()
	return notSilent
}

var faults = []fault{
	{"connection cut before the request arrives", func(http.ResponseWriter, *http.Request, http.Handler) silence { panic(http.ErrAbortHandler) }},
	{"connection cut before the answer", func(_ http.ResponseWriter, r *http.Request, upstream http.Handler) silence {
		upstream.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}},
	{"connection cut within the answer", func(w http.ResponseWriter, r *http.Request, upstream http.Handler) silence {
		half(w, r, upstream)
		panic(http.ErrAbortHandler)
	}},
	{"no answer", func(_ http.ResponseWriter, r *http.Request, _ http.Handler) silence {
		io.Copy(io.Discard, r.Body) // or the server does not notice that the client has gone
		return noAnswer
	}},
	{"answer stops", half},
	{"401", answers(401, "WWW-Authenticate", `Basic realm="test"`)},
	{"403", answers(403)},
	{"404", answers(404)},
	{"429", answers(429, "Retry-After", "7")},
	{"500", answers(500)},
	{"503", answers(503)},
	{"a byte of the answer differs", changed(func(a *httptest.ResponseRecorder) []byte {
		b := bytes.Clone(a.Body.Bytes())
		if len(b) > 0 {
			b[len(b)/2] ^= 1
		}
		return b
	})},
	{"redirection that never ends", func(w http.ResponseWriter, r *http.Request, _ http.Handler) silence {
		io.Copy(io.Discard, r.Body)
		http.Redirect(w, r, r.URL.String(), http.StatusTemporaryRedirect)
		return notSilent
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
	patience atomic.Pointer[patience]
}

// patience is that of the client with the request that it makes.
type patience struct {
	expire func()        // ends it
	moved  chan struct{} // something came
}

func (f *faulty) watch(expired func()) (moved func()) {
	p := &patience{expired, make(chan struct{}, 1)}
	f.patience.Store(p)
	return func() {
		select {
		case p.moved <- struct{}{}:
		default:
		}
	}
}

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := f.requests.Add(1) - 1
	if f.fault == nil || n != f.at && (n < f.at || !f.lasting) {
		f.upstream.ServeHTTP(w, r)
		return
	}
	p := f.patience.Load()
	silent := f.fault.do(w, r, f.upstream)
	if silent == notSilent {
		return
	}
	if silent == halfAnswer {
		<-p.moved
	}
	p.expire()
	<-r.Context().Done()
}

// setting is a kind of registry in which faults happen.
type setting struct {
	doc     string                                         // comment that marks its table
	tag     string                                         // what readers follow
	own     fault                                          // beside those of all kinds
	prepare func(t *testing.T) (start func() http.Handler) // registries with before
	open    func(host string, watch func(expired func()) (moved func())) (registry.Repository, error)
	upload  func(ctx context.Context, p registry.Repository) (*registry.Upload, error) // of after
	left    func(registry http.Handler) bool                                           // whether a reader finds more than what the tag leads to
}

var ociFaults = setting{
	doc: "faults of OCI registries: go test ./internal/registry -run TestFaults -update",
	tag: "tag",
	own: fault{"another digest in the answer's header", changed(func(a *httptest.ResponseRecorder) []byte {
		if a.Header().Get("Docker-Content-Digest") != "" {
			a.Header().Set("Docker-Content-Digest", digest.FromString("other").String())
		}
		return a.Body.Bytes()
	})},
	prepare: func(t *testing.T) func() http.Handler {
		return func() http.Handler {
			h := inProcess()
			if _, err := publish(t.Context(), place(t, "%s/m:v1", serve(t, h)), false, &registry.Upload{Files: []registry.File{file("a.pt", before)}}); err != nil {
				t.Error(err)
			}
			return h
		}
	},
	open: func(host string, watch func(expired func()) (moved func())) (registry.Repository, error) {
		return openBounded("oci+http://"+host+"/m:v1", registry.Bounds{Watch: watch})
	},
	upload: func(context.Context, registry.Repository) (*registry.Upload, error) {
		return &registry.Upload{
			Files:    []registry.File{file("a.pt", after), file("a.onnx", "graph")},
			Evidence: []registry.Evidence{{MediaType: "application/vnd.in-toto+json", Name: "a.json", Content: []byte("{}")}},
		}, nil
	},
	left: func(http.Handler) bool { return false },
}

// Of MLflow, a version that Lethe wrote, with all that is taken over from one to
// the next, is edited.
var mlflowFaults = setting{
	doc: "faults of MLflow: go test ./internal/registry -run TestFaults -update",
	tag: "alias",
	own: fault{"another size in the list", changed(func(a *httptest.ResponseRecorder) []byte {
		return bytes.ReplaceAll(a.Body.Bytes(), []byte(`"file_size":`), []byte(`"file_size":1`))
	})},
	prepare: func(t *testing.T) func() http.Handler {
		h := newFakeMLflow()
		server := "http://" + serve(t, h)
		register(t, server, "m", map[string]string{"MLmodel": mlmodelText, "data/a.pt": "one", "README.md": "text"})
		_, base, err := fetch(t.Context(), mlflowPlace(t, server, "m/1"), t.TempDir())
		if err == nil {
			_, err = publish(t.Context(), mlflowPlace(t, server, "m@champion"), false, &registry.Upload{Base: base, Files: []registry.File{file("data/a.pt", before)}})
		}
		if err != nil {
			t.Fatal(err)
		}
		return func() http.Handler { return h.clone() }
	},
	open: func(host string, watch func(expired func()) (moved func())) (registry.Repository, error) {
		return openBounded("models:/m@champion", registry.Bounds{Watch: watch, Env: map[string]string{"MLFLOW_TRACKING_URI": "http://" + host}})
	},
	upload: func(ctx context.Context, p registry.Repository) (*registry.Upload, error) {
		base, err := p.Resolve(ctx)
		return &registry.Upload{
			Files:    []registry.File{file("data/a.pt", after), file(".onnx", "graph")},
			Base:     base,
			Evidence: []registry.Evidence{{MediaType: "application/vnd.in-toto+json", Name: "a.json", Content: []byte("{}")}},
		}, err
	},
	left: func(h http.Handler) bool { return h.(*fakeMLflow).count("m") > 2 },
}

// outcome is what became of a conversation.
type outcome struct {
	err  error
	tag  string // "as before", "new", or what is wrong
	left bool   // a model that was not published can be found
	data string // that was pulled
}

const before, after = "the checkpoint before", "the checkpoint after"

// converse publishes or pulls through a proxy with a fault.
func converse(t *testing.T, ctx context.Context, s setting, upstream http.Handler, publishes bool, f *fault, at int64, lasting bool) (o outcome, requests int64) {
	proxy := &faulty{upstream: upstream, fault: f, at: at, lasting: lasting}
	p, err := s.open(serve(t, proxy), proxy.watch)
	if err != nil {
		t.Error(err)
	}
	direct, err := s.open(serve(t, upstream), nil)
	if err != nil {
		t.Error(err)
	}
	if publishes {
		var u *registry.Upload
		if u, o.err = s.upload(ctx, p); o.err == nil {
			_, o.err = publish(ctx, p, true, u)
		}
	} else {
		o.data, _, o.err = fetch(ctx, p, t.TempDir())
	}
	requests = proxy.requests.Load()
	switch data, _, err := fetch(ctx, direct, t.TempDir()); {
	case err != nil:
		o.tag = err.Error()
	case data == before:
		o.tag = "as before"
		o.left = s.left(upstream)
	case data == after:
		o.tag = "new"
		if s.tag == "alias" && upstream.(*fakeMLflow).count("m") != 3 {
			o.tag = "new, twice"
		}
	default:
		o.tag = data
	}
	return o, requests
}

// TestFaults lets every fault happen at every request of a pull and of a push.
// Whatever happens, a reader finds a whole model at the tag or alias, and the
// command ends as docs/reliability.md says; -update writes its tables.
func TestFaults(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	for _, s := range []setting{ociFaults, mlflowFaults} {
		t.Run(s.tag, func(t *testing.T) { testFaults(t, s) })
	}
}

func testFaults(t *testing.T, s setting) {
	ctx, start := t.Context(), s.prepare(t)
	var table strings.Builder
	table.WriteString("| fault, at each request in turn | pull, once | pull, lasting | push, once | push, lasting |\n|---|---|---|---|---|\n")
	length := map[bool]int64{}
	for _, publishes := range []bool{false, true} {
		o, n := converse(t, ctx, s, start(), publishes, nil, 0, false)
		if o.err != nil || n < 2 {
			t.Fatalf("without a fault: %+v after %d requests", o, n)
		}
		length[publishes] = n
	}
	for _, f := range append(slices.Clone(faults), s.own) {
		fmt.Fprintf(&table, "| %s ", f.name)
		var wg sync.WaitGroup
		var columns [][]outcome
		for _, publishes := range []bool{false, true} {
			for _, lasting := range []bool{false, true} {
				outcomes := make([]outcome, length[publishes])
				for at := range outcomes {
					wg.Go(func() { outcomes[at], _ = converse(t, ctx, s, start(), publishes, &f, int64(at), lasting) })
				}
				columns = append(columns, outcomes)
			}
		}
		wg.Wait()
		for i, outcomes := range columns {
			fmt.Fprintf(&table, "| %s ", summary(t, s, f.name, i >= 2, outcomes))
		}
		table.WriteString("|\n")
	}
	const path = "../../docs/reliability.md"
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := []byte("<!-- "+s.doc+" -->\n"), []byte("<!-- end -->\n")
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
func summary(t *testing.T, s setting, name string, publishes bool, outcomes []outcome) string {
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
			t.Logf("%s at request %d (push: %v): %v", name, at, publishes, o.err)
			if cli.ExitCode(o.err) == cli.ExitRegistry != errors.As(o.err, new(*registry.Error)) {
				problem("%v has exit code %d", o.err, cli.ExitCode(o.err))
			}
			if publishes {
				what += ", " + s.tag + " " + o.tag
			}
			if o.left {
				what += ", a version without alias"
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
	p, err := openBounded("oci+http://"+serve(t, &faulty{fault: &f, lasting: true})+"/m:v1", registry.Bounds{
		Attempts: 4,
		Sleep:    func(d time.Duration) { waits = append(waits, d) },
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

// A registry that never answers is given up.
func TestStall(t *testing.T) {
	p, err := openBounded("oci+http://"+serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	}))+"/m:v1", registry.Bounds{Attempts: 1, Stall: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Resolve(t.Context()); !isRegistryError(err) || !strings.Contains(err.Error(), "no byte went either way for 1ms") {
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
