package htmlreport

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lethe/internal/oracle"
)

// found is what a browser finds on a page.
type found struct {
	Console  []string       // what it complains about
	Requests []string       // what the page asked the network for
	Beyond   map[string]int // how far it is wider than the screen, by the width of that
	Broken   int            // images that have no size
}

// browse shows a page in Chromium.
func browse(t *testing.T, page []byte) found {
	t.Helper()
	var chromium string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil && chromium == "" {
			chromium = path
		}
	}
	if chromium == "" {
		oracle.Missing(t, "no chromium (Debian's package chromium)")
	}
	dir := t.TempDir()
	// Frames have any width; a window has not.
	var b strings.Builder
	b.WriteString("<!doctype html><title>frames</title>")
	for _, width := range []int{360, 1200} {
		fmt.Fprintf(&b, `<iframe style="border:0" width="%d" height="900" srcdoc="%s"></iframe>`, width, html.EscapeString(string(page)))
	}
	b.WriteString(`<pre id="found"></pre><script>onload = () => {
		const found = {Beyond: {}, Broken: 0}
		for (const f of document.querySelectorAll("iframe")) {
			const d = f.contentDocument
			found.Beyond[f.width] = d.documentElement.scrollWidth - d.documentElement.clientWidth
			for (const i of d.images) if (!i.naturalWidth) found.Broken++
		}
		document.getElementById("found").textContent = "FOUND" + JSON.stringify(found) + "FOUND"
	}</script>`)
	path, log := filepath.Join(dir, "page.html"), filepath.Join(dir, "net.json")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
		"--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr",
		"--user-data-dir="+filepath.Join(dir, "profile"), "--log-net-log="+log, "--virtual-time-budget=5000", "--dump-dom", "file://"+path)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("chromium: %v\n%s", err, &stderr)
	}
	var f found
	parts := strings.Split(out.String(), "FOUND")
	text := ""
	for _, p := range parts {
		if strings.HasPrefix(p, `{"Beyond"`) {
			text = p
		}
	}
	if err := json.Unmarshal([]byte(html.UnescapeString(text)), &f); err != nil {
		t.Fatalf("chromium gave no answer: %v\n%s", err, &stderr)
	}
	for line := range strings.Lines(stderr.String()) {
		if strings.Contains(line, "CONSOLE") {
			f.Console = append(f.Console, strings.TrimSpace(line))
		}
	}
	events, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(events)) { // an event a line, then the end of the list
		var e struct {
			Params struct{ Initiator, URL string }
		}
		line = strings.TrimRight(strings.TrimSpace(line), ",")
		if json.Unmarshal([]byte(line), &e) != nil || e.Params.URL == "" {
			continue
		}
		// What the browser does for itself has no origin.
		if i := e.Params.Initiator; i != "" && i != "not an origin" && !strings.HasPrefix(e.Params.URL, "file:") {
			f.Requests = append(f.Requests, e.Params.URL)
		}
	}
	return f
}

// The page is complete and silent, asks for nothing, and fits a phone.
func TestOracleChromium(t *testing.T) {
	for name, p := range pages(t) {
		var b bytes.Buffer
		if err := Write(&b, p); err != nil {
			t.Fatal(err)
		}
		f := browse(t, b.Bytes())
		if len(f.Console) > 0 || len(f.Requests) > 0 || f.Broken > 0 {
			t.Errorf("%s: console %q, requests %q, %d broken images", name, f.Console, f.Requests, f.Broken)
		}
		if len(f.Beyond) != 2 || f.Beyond["360"] != 0 || f.Beyond["1200"] != 0 {
			t.Errorf("%s: wider than the screen by %v", name, f.Beyond)
		}
	}
}

// What would be found on a bad page is found.
func TestOracleChromiumFinds(t *testing.T) {
	f := browse(t, []byte(`<!doctype html><title>bad</title><img src="http://127.0.0.1:9/x.png"><p style="width: 2000px">wide</p><script>console.error("boom")</script>`))
	if !strings.Contains(strings.Join(f.Console, "\n"), "boom") || strings.Join(f.Requests, "") == "" || f.Broken != 2 || f.Beyond["360"] < 1000 {
		t.Errorf("got %+v", f)
	}
	f = browse(t, []byte(`<!doctype html><title>good</title><p>text`))
	if len(f.Console) > 0 || len(f.Requests) > 0 || f.Broken > 0 || f.Beyond["360"] != 0 {
		t.Errorf("got %+v", f)
	}
}
