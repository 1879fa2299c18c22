package cmd_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"lethe/dataset"
	"lethe/fixtures"
	"lethe/model"
	"lethe/pickle"
)

// TestScripts runs the commands as a person would: testdata/script holds one
// story each. $ROOT is the root of the repository.
func TestScripts(t *testing.T) {
	bin := binaries(t)
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			env.Setenv("ROOT", root)
			env.Setenv("BASE", filepath.Join(root, "fixtures", "lenet-fashion.pt"))
			env.Setenv("DATA", filepath.Join(root, "fixtures", "fashion-mnist"))
			env.Setenv("COLOUR", filepath.Join(root, "cmd", "testdata", "colour"))
			serveRegistries(env)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":    exits,
			"refers":   refers,
			"cut":      cut,
			"nan":      withNaN,
			"mislabel": mislabel,
		},
	})
}

// exits runs a command and checks its exit code: exits CODE COMMAND ARGS...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if (got == want) == neg {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// cut writes the first BYTES of a file: cut FROM TO BYTES
func cut(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b[:n], 0o666))
}

// withNaN copies a checkpoint with a NaN in one weight: nan FROM TO
func withNaN(ts *testscript.TestScript, _ bool, args []string) {
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	c, err := pickle.Decode(bytes.NewReader(b), int64(len(b)), pickle.Options{})
	ts.Check(err)
	sd := c.StateDict()
	v, err := sd.Get("fc.bias").Float32s()
	ts.Check(err)
	v[7] = float32(math.NaN())
	c, err = c.With(sd.With("fc.bias", model.Float32Tensor([]int{len(v)}, v)))
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[1]))
	ts.Check(err)
	ts.Check(pickle.Encode(f, c, pickle.EncodeOptions{}))
	ts.Check(f.Close())
}

// mislabel writes a data set, 200 images a class of the embedded sample, in
// which every third label is wrong: mislabel DIR
func mislabel(ts *testscript.TestScript, _ bool, args []string) {
	d, err := dataset.OpenFS(fixtures.FashionMNIST(), "fashion")
	ts.Check(err)
	set := d.Train.Stratified(200, 0)
	labels := make([]byte, set.Len())
	for i, l := range set.Labels {
		if i%3 == 0 {
			l = (l + 1 + i%8) % 10
		}
		labels[i] = byte(l)
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o777))
	write := func(name string, data []byte, header ...uint32) {
		var b bytes.Buffer
		ts.Check(binary.Write(&b, binary.BigEndian, header))
		_, err := io.Copy(&b, bytes.NewReader(data))
		ts.Check(err)
		ts.Check(os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o666))
	}
	write("train-images-idx3-ubyte", set.Pixels, 0x803, uint32(set.Len()), uint32(set.Shape[1]), uint32(set.Shape[2]))
	write("train-labels-idx1-ubyte", labels, 0x801, uint32(set.Len()))
}
