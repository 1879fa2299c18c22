package cmd_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"lethe/model"
	"lethe/pickle"
	"lethe/safetensors"
)

// obeyed returns the first character in a text that a terminal obeys or that
// changes the order of what is shown, quoted; "" if there is none.
func obeyed(text []byte) string {
	for at, r := range string(text) {
		_, width := utf8.DecodeRune(text[at:])
		if r == '\n' || unicode.IsPrint(r) && (r != utf8.RuneError || width > 1) || r == '\u00a0' {
			continue
		}
		from := max(0, at-20)
		return string(bytes.ToValidUTF8(text[from:at], nil)) + strings.Trim(string(rune(r)), "\x00") + " at byte " + strconv.Itoa(at)
	}
	return ""
}

// hostile are names as somebody would give them who wants the terminal or the
// page to say something else.
var hostile = []string{
	"\x1b]0;owned\a\x1b[2J\x1b[32mALL CHECKS HOLD\x1b[0m", "b\nout.pt: safetensors", "c\r\u009b31m", "\u202egnp.tp", "\u2066x\u2069", "d\x00\x7f\t\v\f",
	"<script>alert(1)</script>", `" onmouseover="x`, "{{.Report}}", "\ufeff\u200b\u2028", strings.Repeat("9", 1<<16),
}

// Whatever names a file has, no command writes them so that a terminal obeys.
func TestNamesAreEscaped(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	weights, err := os.ReadFile("testdata/tiny/lenet.pt")
	if err != nil {
		t.Fatal(err)
	}
	c, err := pickle.Decode(bytes.NewReader(weights), int64(len(weights)), pickle.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var entries []model.Entry
	for name, x := range c.StateDict().All() {
		entries = append(entries, model.Entry{Name: name, Tensor: x})
	}
	for _, name := range hostile {
		entries = append(entries, model.Entry{Name: name, Tensor: model.Float32Tensor([]int{1}, []float32{1})})
	}
	sd, err := model.NewStateDict(entries...)
	if err != nil {
		t.Fatal(err)
	}
	made, err := pickle.New(sd)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := pickle.Encode(&b, made, pickle.EncodeOptions{}); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path("in.pt"), b.String())
	var metadata []safetensors.Pair
	for _, name := range hostile {
		metadata = append(metadata, safetensors.Pair{Key: name, Value: name})
	}
	file, err := safetensors.New(sd, metadata...)
	if err != nil {
		t.Fatal(err)
	}
	b.Reset()
	if err := safetensors.Encode(&b, file); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path("in.safetensors"), b.String())
	writeFile(t, path("broken.pt"), b.String()[:b.Len()-1])

	shown := 0
	for _, in := range []string{"in.pt", "in.safetensors", "broken.pt"} {
		for _, args := range [][]string{
			{"ptcheck", in}, {"ptcheck", "--json", in}, {"ptcheck", "--scan", in}, {"ptcheck", "--scan", "--json", in},
			{"ptcheck", "--html", "page.html", "--force", in, "in.pt"}, {"ptcheck", "--json", in, "in.pt"},
			{"ptconvert", "--force", in, "out.safetensors"}, {"ptconvert", "--force", in, "out.pt"}, {"ptconvert", "--force", "--json", in, "out.pt"},
			{"ptconvert", "--dry-run", in, "new.pt"}, {"ptconvert", "--key", hostile[0], in, "new.pt"},
			{"pt2onnx", "--force", in, "out.onnx"}, {"forget", "--dry-run", "--class", hostile[0], in, "new.pt"},
			{"forget", "--force", "--class", "1", "--gate", "none", "--html", "page.html", in, "out.pt"},
		} {
			os.Remove(path("page.html"))
			cmd := exec.Command(filepath.Join(binaries(t), args[0]), args[1:]...)
			cmd.Dir = dir
			out, _ := cmd.CombinedOutput()
			if found := obeyed(out); found != "" {
				t.Errorf("%.80q prints %q", args, found)
			}
			if len(out) == 0 || cmd.ProcessState.ExitCode() < 0 || cmd.ProcessState.ExitCode() > 5 {
				t.Errorf("%.80q: %v, %.300s", args, cmd.ProcessState, out)
			}
			if bytes.Contains(out, []byte("owned")) {
				shown++
			}
			page, err := os.ReadFile(path("page.html"))
			if err != nil {
				continue
			}
			if found := obeyed(bytes.ReplaceAll(page, []byte("\t"), nil)); found != "" {
				t.Errorf("%.80q: the page has %q", args, found)
			}
			for _, tag := range []string{"<script", `" onmouseover`} {
				if bytes.Contains(page, []byte(tag)) {
					t.Errorf("%.80q: the page has %s", args, tag)
				}
			}
			if bytes.Contains(page, []byte("owned")) {
				shown++
			}
		}
	}
	if shown < 6 {
		t.Errorf("only %d times a name was shown at all", shown)
	}
}
