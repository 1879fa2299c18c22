package structure

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lethe/convert/aten"
	"lethe/file"
	"lethe/internal/nn"
	"lethe/pickle"
)

func open(t *testing.T, path string) file.File {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	c, err := pickle.Decode(bytes.NewReader(b), int64(len(b)), pickle.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return pickle.File{Checkpoint: c}
}

// Every source of structure gives a graph that the file's own state dict binds to.
func TestReadForEdit(t *testing.T) {
	for _, c := range []struct {
		path, name string
		leNet      bool
	}{
		{"fixtures/lenet-fashion.pt", "LeNet", true},
		{"convert/arch/testdata/resnet8.pt", "ResNet for CIFAR", false},
		{"convert/exported/testdata/torch-2.1-mlp_dynamic.pt2", "", false},
		{"convert/exported/testdata/torch-2.15-mlp_dynamic.pt2", "", false},
	} {
		f := open(t, c.path)
		s, err := ReadForEdit(f, Options{})
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		if s.LeNet != c.leNet || c.name != "" && s.Graph.Name != c.name {
			t.Errorf("%s: got %q, LeNet %v", c.path, s.Graph.Name, s.LeNet)
		}
		for _, name := range s.Graph.Weights() {
			if f.State().Get(name) == nil {
				t.Errorf("%s: the graph reads %q, which the file does not have", c.path, name)
			}
		}
		if _, err := nn.Bind(s.Graph, f.State()); err != nil {
			t.Errorf("%s: %v", c.path, err)
		}
	}
}

// A program that cannot be converted is an error with all its parts, unless the
// names and shapes tell what it is.
func TestReadProgramOfTraining(t *testing.T) {
	f := open(t, "convert/exported/testdata/torch-2.15-lenet_train.pt2")
	_, err := Read(f, Options{})
	if err == nil || !strings.Contains(err.Error(), "cannot be converted") {
		t.Errorf("got %v", err)
	}
	if _, again := ReadForEdit(f, Options{}); again == nil || again.Error() != err.Error() {
		t.Errorf("got %v, want %v", again, err)
	}
	if s, err := ReadForEdit(f, Options{Convert: aten.Options{ForceEval: true}}); err != nil || s.LeNet {
		t.Errorf("got %v, %v", s, err)
	}
}

// Second names of a tensor follow the file's names too.
func TestTiedNames(t *testing.T) {
	f := open(t, "convert/exported/testdata/torch-2.5-gpt_tied.pt2")
	s, err := ReadForEdit(f, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Tied) == 0 {
		t.Error("no tied names")
	}
	for name, first := range s.Tied {
		if names := f.State().Names(); !slices.Contains(names, name) || !slices.Contains(names, first) {
			t.Errorf("%q is a name of %q, and the file has %q", name, first, names)
		}
	}
}
