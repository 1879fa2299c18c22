// Package web_test shows the page to Chromium.
package web_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lethe/internal/oracle"
	"lethe/model"
	"lethe/onnxio"
	"lethe/pickle"
	"lethe/safetensors"
)

// seen is what the script finds on the page for one file.
type seen struct {
	Verdict, Status, Contents, Network string
	Findings, Rows, Boxes, Beyond      int
	Focused                            bool // the verdict, for a screen reader
	Unlabelled                         int  // controls without a name
	ONNX                               bool // can be had
	Heap                               float64
}

// page is a server of the page and of what the script in it needs.
type page struct {
	sync.Mutex
	requests []string // paths, in order
	loaded   int      // how many of them came before the page was ready
	seen     map[string]seen
	written  map[string][]byte
	done     chan string // what went wrong, or ""
}

// harness is a script that uses the page as a person does.
const harness = `
const wait = async (what, is) => { for (let i = 0; i < 6000; i++) { if (is()) return; await new Promise(r => setTimeout(r, 20)) } throw new Error("waited for " + what + "; " + $("status").textContent) }
const made = []
const create = URL.createObjectURL
URL.createObjectURL = b => { made.push(b); return create.call(URL, b) }
async function give(file) {
  const t = new DataTransfer()
  t.items.add(file)
  $("file").files = t.files
  $("file").dispatchEvent(new Event("change"))
  await wait("the result of " + file.name, () => !$("result").hidden && $("busy").hidden)
  const d = document.documentElement
  return { Verdict: $("verdict-title").textContent, Status: $("status").textContent, Contents: $("contents-text").textContent, Network: $("network-text").textContent,
    Findings: $("findings").children.length, Rows: $("tensors").children.length, Boxes: document.querySelectorAll("#drawing g").length, Beyond: d.scrollWidth - d.clientWidth,
    Focused: document.activeElement === $("verdict-title"), Unlabelled: [...document.querySelectorAll("input, button")].filter(e => !(e.labels && e.labels.length) && !e.textContent).length,
    ONNX: !$("get-onnx").disabled, Heap: performance.memory ? performance.memory.usedJSHeapSize : 0 }
}
const post = (path, body) => fetch("/harness/" + path, { method: "POST", body })
async function run() {
  await wait("the program", () => $("status").textContent.startsWith("Ready"))
  await post("ready", "")
  for (const name of FILES) {
    const file = new File([await (await fetch("/harness/file/" + name)).blob()], name)
    await post("seen/" + name, JSON.stringify(await give(file)))
    for (const format of ["onnx", "safetensors"]) {
      if ($("get-" + format).disabled) continue
      $("get-" + format).click()
      await wait(format, () => !$("download").hidden && made.length > 0)
      await post("written/" + name + "." + format, made.pop())
      $("download").hidden = true
    }
  }
  // A file that is larger than what a tab should hold in memory.
  const elements = LARGE / 4
  let header = JSON.stringify({ large: { dtype: "F32", shape: [elements], data_offsets: [0, LARGE] } })
  header += " ".repeat((8 - header.length % 8) % 8)
  const length = new BigUint64Array([BigInt(header.length)])
  const piece = new Blob([new Uint8Array(1 << 23)])
  const file = new File([length, header, ...Array(LARGE >> 23).fill(piece)], "large.safetensors")
  await post("seen/large", JSON.stringify(await give(file)))
}
run().then(() => post("done", ""), e => post("done", e.stack))
`

func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request, dir string, files map[string]string, large int) {
	path := r.URL.Path
	action, name, _ := strings.Cut(strings.TrimPrefix(path, "/harness/"), "/")
	body, _ := io.ReadAll(r.Body)
	p.Lock()
	defer p.Unlock()
	switch {
	case path == "/frame": // a window of Chromium is never as narrow as a phone
		io.WriteString(w, `<!doctype html><title>frame</title><link rel="icon" href="data:,"><iframe width="360" height="640" src="/index.html"></iframe>`)
	case path == "/index.html":
		p.requests = append(p.requests, path)
		b, _ := os.ReadFile(filepath.Join(dir, "index.html"))
		w.Write(bytes.Replace(b, []byte("</body>"), []byte(`<script src="/harness/script"></script></body>`), 1))
	case action == "script":
		var names []string
		for name := range files {
			names = append(names, name)
		}
		list, _ := json.Marshal(names)
		w.Header().Set("Content-Type", "text/javascript")
		io.WriteString(w, strings.NewReplacer("FILES", string(list), "LARGE", fmt.Sprint(large)).Replace(harness))
	case action == "file":
		http.ServeFile(w, r, files[name])
	case action == "ready":
		p.loaded = len(p.requests)
	case action == "seen":
		var s seen
		json.Unmarshal(body, &s)
		p.seen[name] = s
	case action == "written":
		p.written[name] = body
	case action == "done":
		p.done <- string(body)
	default:
		p.requests = append(p.requests, path)
		http.ServeFile(w, r, filepath.Join(dir, filepath.Base(path)))
	}
}

func built(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		oracle.Missing(t, "no bash, which web/build is written in")
	}
	dir := t.TempDir()
	if out, err := exec.Command("./build", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// What a browser loads is less than 6 MB, compressed as servers do it.
func compressed(t *testing.T, dir string) int {
	sum := 0
	for _, name := range []string{"index.html", "style.css", "page.js", "worker.js", "wasm_exec.js", "lethe.wasm"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		var z bytes.Buffer
		g := gzip.NewWriter(&z)
		g.Write(b)
		g.Close()
		sum += z.Len()
	}
	return sum
}

// chromium returns the path of the browser, or "".
func chromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func TestOraclePage(t *testing.T) {
	path := chromium()
	if path == "" {
		oracle.Missing(t, "no chromium (Debian's package chromium)")
	}
	dir := built(t)
	if n := compressed(t, dir); n >= 6e6 {
		t.Errorf("%d bytes to load", n)
	}
	danger := filepath.Join(t.TempDir(), "danger.pkl")
	if err := os.WriteFile(danger, []byte("cos\nsystem\n(S'<img src=x onerror=alert(1)>'\ntR."), 0o600); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"lenet.pt":   "../fixtures/lenet-fashion.pt",
		"odd.pt2":    "../convert/exported/testdata/torch-2.15-odd_dynamic.pt2",
		"danger.pkl": danger,
	}
	const large = 512 << 20
	p := &page{seen: map[string]seen{}, written: map[string][]byte{}, done: make(chan string, 1)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.ServeHTTP(w, r, dir, files, large) }))
	defer server.Close()
	profile := t.TempDir()
	log := filepath.Join(profile, "net.json")
	cmd := exec.CommandContext(t.Context(), path, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
		"--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--user-data-dir="+filepath.Join(profile, "p"), "--log-net-log="+log,
		"--remote-debugging-port=0", server.URL+"/frame")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case failed := <-p.done:
		if failed != "" {
			t.Error(failed)
		}
	case <-time.After(8 * time.Minute):
		t.Error("the page gave no answer")
	}
	cmd.Process.Signal(syscall.SIGTERM) // so that it writes its log to the end
	cmd.Wait()

	for name, want := range map[string]seen{
		"lenet.pt":   {Verdict: "Clean", Contents: "20 tensors, 44,516 numbers, format checkpoint.", Network: "LeNet: 8 layers, 44,470 parameters", Rows: 20, Boxes: 9, ONNX: true},
		"odd.pt2":    {Verdict: "Clean", ONNX: true},
		"danger.pkl": {Verdict: "Dangerous"},
		"large":      {Verdict: "Clean", Rows: 1, Contents: "1 tensor, 134,217,728 numbers, format safetensors."},
	} {
		got := p.seen[name]
		if got.Verdict != want.Verdict || !got.Focused || got.Unlabelled != 0 || got.Beyond != 0 || got.ONNX != want.ONNX ||
			want.Contents != "" && (got.Contents != want.Contents || got.Rows != want.Rows) || want.Network != "" && (got.Network != want.Network || got.Boxes != want.Boxes) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
		if got.Heap > 100e6 {
			t.Errorf("%s: %g bytes in the page", name, got.Heap)
		}
	}
	if p.seen["danger.pkl"].Findings == 0 {
		t.Error("no findings in a dangerous file")
	}
	// After it was ready, the page asked for nothing, here or elsewhere.
	if len(p.requests) != p.loaded || p.loaded < 6 {
		t.Errorf("%d requests until it was ready, then %q", p.loaded, p.requests[p.loaded:])
	}
	requests(t, log, server.URL)
	same(t, p.written["lenet.pt.safetensors"], p.written["lenet.pt.onnx"])
	if len(p.written) != 4 {
		t.Errorf("%d files written", len(p.written))
	}
}

// requests looks for what the page asked others for, in the log of the browser.
func requests(t *testing.T, log, own string) {
	events, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for line := range strings.Lines(string(events)) {
		var e struct {
			Params struct{ Initiator, URL string }
		}
		if json.Unmarshal([]byte(strings.TrimRight(strings.TrimSpace(line), ",")), &e) != nil || e.Params.Initiator != own {
			continue
		}
		found++
		if u := e.Params.URL; !strings.HasPrefix(u, own+"/") && !strings.HasPrefix(u, "blob:") && !strings.HasPrefix(u, "data:") {
			t.Errorf("the page asked for %s", u)
		}
	}
	if found == 0 {
		t.Error("the log of the browser knows nothing of the page")
	}
}

// same compares what the page wrote with the checkpoint.
func same(t *testing.T, weights, onnx []byte) {
	f, err := os.Open("../fixtures/lenet-fashion.pt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	c, err := pickle.Decode(f, info.Size(), pickle.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := safetensors.Decode(bytes.NewReader(weights), int64(len(weights)), safetensors.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o, err := onnxio.Decode(bytes.NewReader(onnx), int64(len(onnx)), onnxio.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range c.StateDict().All() {
		if same, err := model.SameBits(want, s.AsFile().State().Get(name)); err != nil || !same {
			t.Errorf("safetensors: %s differs, %v", name, err)
		}
		if got := o.StateDict().Get(name); got != nil {
			if same, err := model.SameBits(want, got); err != nil || !same {
				t.Errorf("ONNX: %s differs, %v", name, err)
			}
		} else if strings.HasSuffix(name, ".weight") {
			t.Errorf("ONNX: no %s", name)
		}
	}
}
