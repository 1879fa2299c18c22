package file_test

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"lethe/file"
	"lethe/internal/vectors"
	"lethe/model"
	"lethe/onnxio"
	"lethe/pickle"
	"lethe/safetensors"
)

// kinds are files of every format, and their readers.
var kinds = []struct {
	format    file.Format
	path      string
	container string
	graph     bool // it carries a graph that [file.File] gives
	rewritten bool // as torch.save writes it today
	read      func(r io.ReaderAt, size int64) (file.File, error)
}{
	{file.Checkpoint, "../fixtures/lenet-fashion.pt", "zip", false, false, readPickle},
	{file.Checkpoint, "../pickle/testdata/legacy.pt", "legacy", false, true, readPickle},
	{file.TorchScript, "../pickle/testdata/frozen.pt", "torchscript", false, false, readPickle},
	{file.Exported, "../convert/exported/testdata/torch-2.15-odd_dynamic.pt2", "pt2", false, false, readPickle},
	{file.Safetensors, "../safetensors/testdata/types.safetensors", "safetensors", false, false, func(r io.ReaderAt, size int64) (file.File, error) {
		f, err := safetensors.Decode(r, size, safetensors.Options{})
		if err != nil {
			return nil, err
		}
		return f.AsFile(), nil
	}},
	{file.ONNX, "../onnxio/testdata/models/torch_dynamo.onnx", "onnx", true, false, func(r io.ReaderAt, size int64) (file.File, error) {
		f, err := onnxio.Decode(r, size, onnxio.Options{})
		if err != nil {
			return nil, err
		}
		return f.AsFile(), nil
	}},
}

func readPickle(r io.ReaderAt, size int64) (file.File, error) {
	c, err := pickle.Decode(r, size, pickle.Options{})
	if err != nil {
		return nil, err
	}
	return pickle.File{Checkpoint: c}, nil
}

func encoded(t *testing.T, f file.File) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A file of every kind says what it is, is written as it was, and with one
// tensor changed is a file of the same kind in which that tensor differs.
func TestEveryKind(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.path[strings.LastIndex(k.path, "/")+1:], func(t *testing.T) {
			b, err := os.ReadFile(k.path)
			if err != nil {
				t.Fatal(err)
			}
			f, err := k.read(bytes.NewReader(b), int64(len(b)))
			if err != nil {
				t.Fatal(err)
			}
			g, err := f.Graph()
			if f.Format() != k.format || f.Info().Container != k.container || err != nil || (g != nil) != k.graph {
				t.Errorf("format %s in %s, graph %v, %v", f.Format(), f.Info().Container, g != nil, err)
			}
			var names []string
			for _, e := range f.Info().Entries {
				names = append(names, e.Name)
			}
			if !slices.Equal(names, f.State().Names()) {
				t.Errorf("entries %q of the state dict %q", names, f.State().Names())
			}
			whole := encoded(t, f)
			if !k.rewritten && !bytes.Equal(whole, b) {
				t.Error("it is not written as it was")
			}

			changed := ""
			sd := f.State()
			for _, e := range f.Info().Entries {
				name, x := e.Name, sd.Get(e.Name)
				if x.DType() != model.Float32 || x.Len() == 0 || e.Sharing > 1 || changed != "" {
					continue
				}
				v, err := x.Float32s()
				if err != nil {
					t.Fatal(err)
				}
				v[0]++
				changed, sd = name, sd.With(name, model.Float32Tensor(x.Shape(), v))
			}
			with, err := f.With(sd)
			if err != nil {
				t.Fatal(err)
			}
			edited := encoded(t, with)
			again, err := k.read(bytes.NewReader(edited), int64(len(edited)))
			if err != nil {
				t.Fatal(err)
			}
			if same, err := model.SameBits(again.State().Get(changed), sd.Get(changed)); err != nil || !same || again.Format() != k.format || len(edited) != len(whole) {
				t.Errorf("%q is not the one that it was given (%v), in %d bytes of format %s", changed, err, len(edited), again.Format())
			}
		})
	}
}

// What is no such file, is cut short, or lies in a file that is closed is an
// error, and so is a state dict of another file.
func TestEveryKindRefuses(t *testing.T) {
	other, err := model.NewStateDict(model.Entry{Name: "other", Tensor: model.Float32Tensor([]int{1}, []float32{1})})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
		t.Run(k.path[strings.LastIndex(k.path, "/")+1:], func(t *testing.T) {
			b, err := os.ReadFile(k.path)
			if err != nil {
				t.Fatal(err)
			}
			for what, bad := range map[string][]byte{"nothing": nil, "text": []byte("no model at all\n"), "half": b[:len(b)/2], "no end": b[:len(b)-1]} {
				_, err := k.read(bytes.NewReader(bad), int64(len(bad)))
				if outcome := vectors.Outcome(err); err == nil || outcome == "untyped" {
					t.Errorf("%s: %s, %v", what, outcome, err)
				}
			}

			open, err := os.Open(k.path)
			if err != nil {
				t.Fatal(err)
			}
			f, err := k.read(open, int64(len(b)))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.With(other); err == nil || vectors.Outcome(err) == "untyped" {
				t.Errorf("the state dict of another file: %v", err)
			}
			if err := open.Close(); err != nil {
				t.Fatal(err)
			}
			if err := f.Encode(io.Discard); err == nil {
				t.Error("a file was written from one that is closed")
			}
		})
	}
}

func TestProgram(t *testing.T) {
	for f, want := range map[file.Format]bool{file.Checkpoint: false, file.Safetensors: false, file.TorchScript: true, file.Exported: true, file.ONNX: true} {
		if f.Program() != want {
			t.Errorf("%s: %v", f, !want)
		}
	}
}

// state is a file in memory that has these parts.
type state struct {
	file.File
	format file.Format
	sd     *model.StateDict
	beside []file.Left
}

func (s state) Format() file.Format     { return s.format }
func (s state) State() *model.StateDict { return s.sd }
func (s state) Info() *file.Info        { return &file.Info{Beside: s.beside} }

// What another format loses: what lies beside the state dict, and ties where
// they have no place.
func TestLost(t *testing.T) {
	tied := model.Float32Tensor([]int{1}, []float32{1})
	var entries []model.Entry
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		entries = append(entries, model.Entry{Name: name, Tensor: tied})
	}
	sd, err := model.NewStateDict(append(entries, model.Entry{Name: "own", Tensor: model.Float32Tensor([]int{1}, []float32{1})})...)
	if err != nil {
		t.Fatal(err)
	}
	f := state{format: file.Checkpoint, sd: sd, beside: []file.Left{{Name: "epoch"}, {What: "key", Name: "one", Tensors: 1}, {Name: "optimizer", Tensors: 3}}}
	beside := []string{`"epoch"`, `"one" (a tensor)`, `"optimizer" (3 tensors)`}
	for to, want := range map[file.Format][]string{
		file.Checkpoint:  nil,
		file.Safetensors: append(beside, `the tie of "a", "b", "c", "d" and 1 more: each has its own elements`),
	} {
		if got := file.Lost(f, to); !slices.Equal(got, want) {
			t.Errorf("to %s: %q, want %q", to, got, want)
		}
	}
	f.format = file.TorchScript
	if got := file.Lost(f, file.Checkpoint); !slices.Equal(got, beside) {
		t.Errorf("from a program to a checkpoint: %q", got)
	}
	f.format, f.beside = file.Safetensors, nil
	if got := file.Lost(f, file.Checkpoint); got != nil {
		t.Errorf("safetensors has nothing to lose, not %q", got)
	}
}
