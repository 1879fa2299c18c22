package cmd_test

import (
	"bytes"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var commandOnPage = regexp.MustCompile(`(?s)This command makes the same bytes.*?<pre[^>]*><code>(.*?)</code>`)

// The command on the page of an edit really makes it again: the same checkpoint,
// the same ONNX model, the same report.
func TestCommandOnPage(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	tiny, err := filepath.Abs("testdata/tiny")
	if err != nil {
		t.Fatal(err)
	}
	weights, err := os.ReadFile(filepath.Join(tiny, "lenet.pt"))
	if err != nil {
		t.Fatal(err)
	}
	graph := filepath.Join(t.TempDir(), "graph.onnx")
	command(t, "pt2onnx", filepath.Join(tiny, "lenet.pt"), graph)
	for name, c := range map[string]struct {
		flags []string
		in    string
		out   string
	}{
		"seed":        {[]string{"--data", tiny, "--seed", "7", "--gate", "none"}, "in.pt", "out.pt"},
		"limits":      {[]string{"--data", tiny, "--gate", "none", "--max-target", "0.5", "--max-kl", "0.75", "--budget-l2", "0.5"}, "in.pt", "out.pt"},
		"prefer":      {[]string{"--data", tiny, "--gate", "none", "--prefer", "minimal"}, "in.pt", "out.pt"},
		"forget-only": {[]string{"--forget-only", tiny, "--gate", "none"}, "in.pt", "out.pt"},
		"norm":        {[]string{"--data", tiny, "--gate", "none", "--mean", "0.25", "--std", "0.3"}, "in.pt", "out.pt"},
		"preprocess":  {[]string{"--data", tiny, "--gate", "none", "--channels", "grey", "--resize", "20:bicubic", "--crop", "16", "--scale", "1/250"}, "in.pt", "out.pt"},
		"format":      {[]string{"--data", tiny, "--gate", "none", "--no-onnx", "--max-memory", "8"}, "in.pt", "out.safetensors"},
		"like":        {[]string{"--data", tiny, "--gate", "none", "--like", graph}, "in.pt", "out.pt"},
		"names":       {[]string{"--data", tiny, "--gate", "none"}, "-it's \x1b[2J \u202e<b>&$(touch x).pt", "a 'b\n\\.pt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, c.in), weights, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(filepath.Join(binaries(t), "forget"), slices.Concat(c.flags, []string{"--class", "1", "--quiet", "--html", "page.html", "--report", "report.json", "--", c.in, c.out})...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			page, err := os.ReadFile(filepath.Join(dir, "page.html"))
			if err != nil {
				t.Fatal(err)
			}
			found := commandOnPage.FindSubmatch(page)
			if found == nil {
				t.Fatal("there is no command on the page")
			}
			line := html.UnescapeString(string(found[1]))
			if strings.ContainsAny(line, "\x1b\u202e\n") {
				t.Errorf("the command has characters that a terminal obeys: %q", line)
			}

			// As a person would, in another folder with the same input.
			again := t.TempDir()
			if err := os.WriteFile(filepath.Join(again, c.in), weights, 0o600); err != nil {
				t.Fatal(err)
			}
			line = strings.Replace(line, " DIR ", " "+tiny+" ", 1)
			cmd = exec.Command(bash, "-c", line+" --quiet --report report.json")
			cmd.Dir = again
			cmd.Env = append(os.Environ(), "PATH="+binaries(t)+string(os.PathListSeparator)+os.Getenv("PATH"))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", line, err, out)
			}
			for _, file := range []string{c.out, strings.TrimSuffix(c.out, ".pt") + ".onnx", "report.json"} {
				want, err := os.ReadFile(filepath.Join(dir, file))
				if os.IsNotExist(err) && name == "format" {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if got, err := os.ReadFile(filepath.Join(again, file)); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %q differs, %v", line, file, err)
				}
			}
			if _, err := os.Stat(filepath.Join(again, "x")); err == nil {
				t.Error("the command runs what is in a file's name")
			}
		})
	}
}

// Every flag of forget is on the page if it decides what the edit gives, or is
// known not to.
func TestCommandOnPageIsComplete(t *testing.T) {
	onPage := []string{"class", "seed", "gate", "data", "forget-only", "mean", "std", "scale", "channels", "resize", "crop", "preprocess", "prefer", "max-target", "max-kl", "budget-l2", "max-loss", "aim", "reference", "rules", "train", "no-onnx", "like", "layers", "key", "inert", "max-memory", "max-depth", "plain-http"}
	beside := []string{
		"freeze",                                                                                                    // in place of which the page names what was trained
		"onnx", "report", "html", "attest", "sign", "signature", "request", "output-uri-file", "output-digest-file", // where, and what goes beside
		"threads", "force", "dry-run", "json", "quiet", "config", "completion", "help", "version",
	}
	for _, f := range flagInHelp.FindAllStringSubmatch(string(command(t, "forget", "--help")), -1) {
		name := strings.TrimPrefix(f[1], "--")
		if !slices.Contains(onPage, name) && !slices.Contains(beside, name) {
			t.Errorf("does --%s decide what the edit gives? Then it is part of the command on the page (internal/htmlreport) and of this test", name)
		}
	}
}
