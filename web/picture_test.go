package web_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"lethe/internal/oracle"
)

var update = flag.Bool("update", false, "write the pictures of the page in docs/pictures")

// TestOraclePictures looks at the page at the widths of a desk and of a phone, in
// light and in dark: go test ./web -run Pictures -update writes what it sees to
// docs/pictures.
func TestOraclePictures(t *testing.T) {
	dir := built(t)
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	program, err := os.ReadFile("../convert/exported/testdata/torch-2.15-bert_manual_dynamic.pt2")
	if err != nil {
		t.Fatal(err)
	}
	model := filepath.Join(t.TempDir(), "transformer.pt2")
	if err := os.WriteFile(model, program, 0o600); err != nil {
		t.Fatal(err)
	}
	b := startBrowser(t)
	b.call("Page.enable", nil, nil)
	b.call("Page.navigate", map[string]any{"url": server.URL + "/index.html"}, nil)
	b.until(`document.getElementById("status") && document.getElementById("status").textContent.startsWith("Ready")`)
	var ready struct{ Result struct{ Value float64 } }
	b.call("Runtime.evaluate", map[string]any{"expression": "performance.now()"}, &ready)
	t.Logf("the page was ready %.0f ms after it was asked for", ready.Result.Value)
	var document struct{ Root struct{ NodeID int } }
	b.call("DOM.getDocument", nil, &document)
	var input struct{ NodeID int }
	b.call("DOM.querySelector", map[string]any{"nodeId": document.Root.NodeID, "selector": "#file"}, &input)
	for _, p := range []struct {
		name          string
		width, height int
		phone         bool
		scheme, top   string // top is the element that the picture begins with
	}{
		{"page-light", 1000, 900, false, "light", "drop"},
		{"page-dark", 1000, 900, false, "dark", "drop"},
		{"phone-light", 360, 740, true, "light", "verdict"},
		{"phone-dark", 360, 740, true, "dark", "h-network"},
	} {
		b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": p.width, "height": p.height, "deviceScaleFactor": 1, "mobile": p.phone}, nil)
		b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": p.scheme}}}, nil)
		b.until(`($("status").textContent = "", $("file").value = "") === ""`)
		b.call("DOM.setFileInputFiles", map[string]any{"nodeId": input.NodeID, "files": []string{model}}, nil)
		b.until(`$("status").textContent === "transformer.pt2: Clean"`)
		b.until(`(document.activeElement.blur(), $("` + p.top + `").scrollIntoView(), innerWidth === ` + fmt.Sprint(p.width) + ` && document.documentElement.scrollWidth <= innerWidth)`)
		var shot struct{ Data []byte }
		b.call("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
		seen, err := png.Decode(bytes.NewReader(shot.Data))
		if err != nil {
			t.Fatal(err)
		}
		r, _, _, _ := seen.At(2, 2).RGBA()
		if dark := r < 0x8000; seen.Bounds().Dx() != p.width || seen.Bounds().Dy() != p.height || dark != (p.scheme == "dark") {
			t.Errorf("%s: %v pixels, the first of red %#x", p.name, seen.Bounds(), r)
		}
		if *update {
			var small bytes.Buffer
			if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, seen); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join("..", "docs", "pictures", p.name+".png"), small.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// browser is a Chromium with one page, steered by the messages of its own tools
// through two pipes.
type browser struct {
	t       *testing.T
	to      io.Writer
	from    *bufio.Reader
	session string
	number  int
}

func startBrowser(t *testing.T) *browser {
	path := chromium()
	if path == "" {
		oracle.Missing(t, "no chromium (Debian's package chromium)")
	}
	var pipes [4]*os.File // read and write ends of what it reads and of what it writes
	for i := 0; i < len(pipes); i += 2 {
		var err error
		if pipes[i], pipes[i+1], err = os.Pipe(); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), path, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
		"--hide-scrollbars", "--user-data-dir="+filepath.Join(t.TempDir(), "p"), "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{pipes[0], pipes[3]}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pipes[0].Close()
	pipes[3].Close()
	b := &browser{t: t, to: pipes[1], from: bufio.NewReader(pipes[2])}
	stuck := time.AfterFunc(5*time.Minute, func() { cmd.Process.Kill() })
	t.Cleanup(func() {
		pipes[1].Close() // at which it ends
		cmd.Wait()
		stuck.Stop()
		pipes[2].Close()
	})
	var targets struct {
		TargetInfos []struct{ TargetID, Type string }
	}
	for len(targets.TargetInfos) == 0 {
		b.call("Target.getTargets", map[string]any{"filter": []map[string]any{{"type": "page"}}}, &targets)
	}
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": targets.TargetInfos[0].TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	return b
}

// call sends a message and reads its answer into result.
func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	b.number++
	message := map[string]any{"id": b.number, "method": method}
	if params != nil {
		message["params"] = params
	}
	if b.session != "" {
		message["sessionId"] = b.session
	}
	line, err := json.Marshal(message)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.to.Write(append(line, 0)); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	for {
		line, err := b.from.ReadBytes(0)
		if err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
		var answer struct {
			ID            int
			Result, Error json.RawMessage
		}
		if err := json.Unmarshal(bytes.TrimSuffix(line, []byte{0}), &answer); err != nil {
			b.t.Fatal(err)
		}
		switch {
		case answer.ID != b.number: // an event
		case answer.Error != nil:
			b.t.Fatalf("%s: %s", method, answer.Error)
		case result != nil:
			if err := json.Unmarshal(answer.Result, result); err != nil {
				b.t.Fatal(err)
			}
			return
		default:
			return
		}
	}
}

// until waits for an expression to be true.
func (b *browser) until(expression string) {
	b.t.Helper()
	for range 3000 {
		var value struct{ Result struct{ Value any } }
		b.call("Runtime.evaluate", map[string]any{"expression": expression}, &value)
		if value.Result.Value == true {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.t.Fatalf("%s does not come true", expression)
}
