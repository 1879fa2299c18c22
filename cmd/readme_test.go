package cmd_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// notRun are the commands of README.md that TestReadme does not run, and why.
var notRun = map[string]string{
	"go test ./...":                        "would run this test again",
	"pt2onnx resnet50.pth resnet50.onnx":   "the weights are to be downloaded; package convert tests the wiring",
	"pt2onnx huggingface-folder bert.onnx": "the weights are to be downloaded; package convert tests such folders",
	"go run ./internal/bench/forgetting --data /usr/share/datasets/fashion-mnist fixtures/lenet-fashion.pt fixtures/lenet-fashion-sgd.pt": "needs the whole data set, and minutes",
}

// slow are the commands of README.md that take most of a minute each.
var slow = map[string]string{
	"pt2onnx --data DIR lenet.pt lenet.onnx":           "tries some ten thousand wirings",
	"ptcheck in.pt out.pt --class 3 --audit --retrain": "trains three networks",
}

// readmeBlock is a block of README.md: commands, or what the command before prints.
type readmeBlock struct {
	commands []string
	printed  []string
}

var (
	readmeProgram = regexp.MustCompile(`^(lethe|forget|pt2onnx|ptcheck|ptconvert|go|docker|git|pip|release/\S+|web/\S+) `)
	readmeComment = regexp.MustCompile(`\s+# .*$`)
)

// readmeBlocks returns the blocks of a text in Markdown, indented or fenced.
func readmeBlocks(text string) []readmeBlock {
	var blocks []readmeBlock
	var lines []string
	end := func() {
		for len(lines) > 0 && lines[len(lines)-1] == "" {
			lines = lines[:len(lines)-1]
		}
		if len(lines) > 0 && readmeProgram.MatchString(lines[0]) {
			var b readmeBlock
			for _, line := range lines {
				if line = readmeComment.ReplaceAllString(line, ""); line != "" {
					b.commands = append(b.commands, line)
				}
			}
			blocks = append(blocks, b)
		} else if len(lines) > 0 {
			blocks = append(blocks, readmeBlock{printed: lines})
		}
		lines = nil
	}
	fenced := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		inner, indented := strings.CutPrefix(line, "    ")
		switch {
		case strings.HasPrefix(line, "```"):
			end()
			fenced = !fenced
		case fenced:
			lines = append(lines, line)
		case indented:
			lines = append(lines, inner)
		case line == "" && len(lines) > 0:
			lines = append(lines, "")
		default:
			end()
		}
	}
	end()
	return blocks
}

// A person who types the commands of README.md one after the other, in one folder,
// gets what it says. Those that start with "go run" run in a copy of the
// repository's layout, with the commands that the tests have built.
func TestReadme(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	repository, dir := t.TempDir(), t.TempDir()
	for _, link := range []struct{ from, to string }{
		{"fixtures", filepath.Join(repository, "fixtures")},
		{"fixtures/lenet-fashion.pt", filepath.Join(dir, "in.pt")},
		{"fixtures/lenet-fashion.pt", filepath.Join(dir, "lenet.pt")},
		{"fixtures/fashion-mnist", filepath.Join(dir, "DIR")},
		{"cmd/testdata/colour/net.pt2", filepath.Join(dir, "in.pt2")},
	} {
		if err := os.Symlink(filepath.Join(root, link.from), link.to); err != nil {
			t.Fatal(err)
		}
	}
	weights, err := os.ReadFile(filepath.Join(root, "fixtures", "lenet-fashion.pt"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "folder", "model.pt"), string(weights))
	env := append(os.Environ(), "XDG_CACHE_HOME="+t.TempDir())
	run := func(t *testing.T, line string) string {
		args, folder := strings.Fields(line), dir
		if args[0] == "go" {
			if len(args) < 3 || args[1] != "run" || !strings.HasPrefix(args[2], "./cmd/") {
				t.Fatalf("README.md has %q, which is neither run here nor in the list of those that are not", line)
			}
			args, folder = append([]string{filepath.Base(args[2])}, args[3:]...), repository
		}
		cmd := exec.Command(filepath.Join(binaries(t), args[0]), args[1:]...)
		var stdout, stderr bytes.Buffer
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = folder, env, &stdout, &stderr
		if err := cmd.Run(); err != nil {
			t.Errorf("%s: %v\n%s", line, err, &stderr)
		}
		return stdout.String()
	}

	found := map[string]bool{}
	output, ran := "", 0
	for _, b := range readmeBlocks(string(text)) {
		for _, line := range b.commands {
			found[line] = true
			output = ""
			if notRun[line] != "" || slow[line] != "" && testing.Short() {
				continue
			}
			output = run(t, line)
			ran++
		}
		if b.printed != nil {
			if want := strings.TrimSuffix(strings.Join(b.printed, "\n"), "..."); !strings.HasPrefix(output, want) {
				t.Errorf("README.md says that this is printed:\n%s\nIt is:\n%s", want, output)
			}
		}
	}
	if ran < 8 {
		t.Errorf("only %d commands were run", ran)
	}
	for _, list := range []map[string]string{notRun, slow} {
		for line := range list {
			if !found[line] {
				t.Errorf("README.md no longer has %q", line)
			}
		}
	}
}

// The blocks of a text are found whether they are indented or fenced.
func TestReadmeBlocks(t *testing.T) {
	blocks := readmeBlocks("# A\n\n    forget a b   # note\n    ptcheck c\n\ntext\n\n    a line\n\n    another\n    ...\n\n```sh\ngo test ./...\n```\nend\n")
	want := []readmeBlock{
		{commands: []string{"forget a b", "ptcheck c"}},
		{printed: []string{"a line", "", "another", "..."}},
		{commands: []string{"go test ./..."}},
	}
	if !reflect.DeepEqual(blocks, want) {
		t.Errorf("got %q, want %q", blocks, want)
	}
}
