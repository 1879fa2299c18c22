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

// A script says no shape of its images. Its layers tell it where there are none, and
// images may lie in another way than the network takes them.
func TestReadForEditScript(t *testing.T) {
	const images, row = "convert/script/testdata/lenet-scripted-2.15.pt", "internal/structure/testdata/row-scripted.pt"
	for _, c := range []struct {
		path         string
		sample, want []int // nil: there are no images; the network cannot take them
	}{
		{images, nil, []int{1, 12, 12}},
		{images, []int{1, 12, 12}, []int{1, 12, 12}},
		{images, []int{3, 12, 12}, nil},
		{row, nil, []int{6}},
		{row, []int{1, 2, 3}, []int{6}},
		{row, []int{1, 2, 4}, nil},
	} {
		f := open(t, c.path)
		s, err := ReadForEdit(f, Options{Sample: func() ([]int, error) { return c.sample, nil }})
		if err != nil {
			if c.want != nil {
				t.Errorf("%s, %v: %v", c.path, c.sample, err)
			}
			continue
		}
		if got, _ := s.Graph.Inputs[0].Shape[1:].Ints(); !slices.Equal(got, c.want) {
			t.Errorf("%s, %v: the network takes %v, want %v", c.path, c.sample, got, c.want)
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
