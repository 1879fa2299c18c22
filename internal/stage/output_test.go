package stage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"lethe/internal/usage"
)

// tree returns the files below dir and their contents; folders have none and
// symbolic links "-> target".
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if d.Type()&fs.ModeSymlink != 0 {
			to, err := os.Readlink(path)
			m[name] = "-> " + to
			return err
		}
		b, err := os.ReadFile(path)
		m[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// inFolder makes a folder of files, enters it, and returns it and an empty
// one that is the place of temporary files.
func inFolder(t *testing.T, files map[string]string) (dir, temp string) {
	t.Helper()
	dir, temp = t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Chdir(dir)
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		var err error
		if to, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(to, name)
		} else {
			err = os.WriteFile(name, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir, temp
}

func write(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

// reads checks that what comes back is want.
func reads(want string) func(io.ReaderAt, int64) error {
	return func(r io.ReaderAt, size int64) error {
		b, err := io.ReadAll(io.NewSectionReader(r, 0, size))
		if err == nil && string(b) != want {
			err = errors.New("got " + string(b))
		}
		return err
	}
}

// writeAll does what a command does with two outputs.
func writeAll(ctx context.Context, o *Outputs, contents map[string]string) error {
	for _, f := range o.files {
		if err := o.stage(ctx, f.path, write(contents[f.path]), reads(contents[f.path])); err != nil {
			return err
		}
	}
	return o.Commit(ctx)
}

func TestOutputs(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 10000)
	for _, c := range []struct {
		name  string
		files map[string]string
		force bool
		paths []string
		want  map[string]string // the folder afterwards; each output holds its path
	}{
		{"one", nil, false, []string{"out.pt"}, map[string]string{"out.pt": "out.pt"}},
		{"group", nil, false, []string{"out.pt", "", "sub/../out.onnx", ""}, map[string]string{"out.pt": "out.pt", "out.onnx": "sub/../out.onnx", "sub/x": "x"}},
		{"force on nothing", nil, true, []string{"out.pt"}, map[string]string{"out.pt": "out.pt"}},
		{"force", map[string]string{"out.pt": long, "other": "x"}, true, []string{"out.pt", "out.onnx"}, map[string]string{"out.pt": "out.pt", "out.onnx": "out.onnx", "other": "x"}},
		{"link", map[string]string{"d/real": "old", "out.pt": "-> d/real"}, true, []string{"out.pt"}, map[string]string{"d/real": "out.pt", "out.pt": "-> d/real"}},
		{"linked folder", map[string]string{"d/x": "x", "e": "-> d"}, false, []string{"e/out.pt"}, map[string]string{"d/x": "x", "d/out.pt": "e/out.pt", "e": "-> d"}},
		{"input beside", map[string]string{"in.pt": "in"}, false, []string{"out.pt"}, map[string]string{"in.pt": "in", "out.pt": "out.pt"}},
	} {
		for _, links := range []bool{true, false} {
			t.Run(c.name, func(t *testing.T) {
				dir, temp := inFolder(t, c.files)
				if c.name == "group" {
					os.Mkdir("sub", 0o777)
					os.WriteFile("sub/x", []byte("x"), 0o600)
				}
				var stdout bytes.Buffer
				o, err := newOutputs(t.Context(), &stdout, c.force, []string{"in.pt", "-"}, c.paths...)
				if err != nil {
					t.Fatal(err)
				}
				if !links {
					o.link = func(_, _ string) error { return syscall.EPERM }
				}
				defer o.Discard()
				contents := map[string]string{}
				for _, p := range c.paths {
					contents[p] = p
				}
				if err := writeAll(context.Background(), o, contents); err != nil {
					t.Fatal(err)
				}
				if got := tree(t, dir); !reflect.DeepEqual(got, c.want) {
					t.Errorf("got %v, want %v", got, c.want)
				}
				if stdout.Len() > 0 {
					t.Errorf("stdout has %q", &stdout)
				}
				empty(t, temp)
			})
		}
	}
}

func TestOutputsStdout(t *testing.T) {
	dir, temp := inFolder(t, nil)
	var stdout bytes.Buffer
	o, err := newOutputs(t.Context(), &stdout, false, []string{"-"}, "-", "out.onnx")
	if err != nil {
		t.Fatal(err)
	}
	if err := o.stage(context.Background(), "-", write("weights"), reads("weights")); err != nil {
		t.Fatal(err)
	}
	if stdout.Len() > 0 {
		t.Errorf("%q reached stdout before all was checked", &stdout)
	}
	if err := o.stage(context.Background(), "out.onnx", write("graph"), nil); err != nil {
		t.Fatal(err)
	}
	if err := o.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	if want := (map[string]string{"out.onnx": "graph"}); stdout.String() != "weights" || !reflect.DeepEqual(tree(t, dir), want) {
		t.Errorf("got %q and %v", &stdout, tree(t, dir))
	}
	empty(t, temp)
}

func TestNewOutputsRefuses(t *testing.T) {
	files := map[string]string{
		"in.pt": "in", "old.pt": "old", "d/x": "x", "in-link": "-> in.pt", "old-link": "-> old.pt", "nowhere": "-> none", "e": "-> d",
	}
	for _, c := range []struct {
		name  string
		force bool
		paths []string
		code  int
		says  string
	}{
		{"exists", false, []string{"old.pt"}, 1, "old.pt exists; use --force to replace it"},
		{"second exists", false, []string{"new.pt", "old.pt"}, 1, "old.pt exists"},
		{"link exists", false, []string{"old-link"}, 1, "old-link exists"},
		{"input", true, []string{"in.pt"}, 2, "the output in.pt is the input in.pt, which is never changed"},
		{"input without force", false, []string{"./in.pt"}, 2, "the output ./in.pt is the input in.pt"},
		{"input by a link", true, []string{"in-link"}, 2, "the output in-link is the input"},
		{"input by a hard link", true, []string{"in-hard"}, 2, "the output in-hard is the input"},
		{"same twice", false, []string{"a.pt", "./a.pt"}, 2, "two outputs go to ./a.pt"},
		{"same by a linked folder", false, []string{"d/a.pt", "e/a.pt"}, 2, "two outputs go to e/a.pt"},
		{"same by a link", true, []string{"old.pt", "old-link"}, 2, "two outputs go to old-link"},
		{"same by a hard link", true, []string{"old-hard", "old-hard2"}, 2, "two outputs go to old-hard2"},
		{"stdout twice", false, []string{"-", "-"}, 2, "two outputs go to -"},
		{"folder", true, []string{"d"}, 2, "the output d is a folder"},
		{"folder to be", false, []string{"new/"}, 2, "the output new/ is a folder"},
		{"no folder", false, []string{"none/a.pt"}, 1, "no folder none for the output none/a.pt"},
		{"file as a folder", false, []string{"old.pt/a.pt"}, 1, "cannot write old.pt/a.pt: not a directory"},
		{"broken link", true, []string{"nowhere"}, 1, "the output nowhere is a symbolic link that leads nowhere"},
		{"device", true, []string{os.DevNull}, 2, "is a device or a pipe, not a file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, _ := inFolder(t, files)
			for _, link := range [][2]string{{"in.pt", "in-hard"}, {"old.pt", "old-hard"}, {"old.pt", "old-hard2"}} {
				if err := os.Link(link[0], link[1]); err != nil {
					t.Skip(err)
				}
			}
			before := tree(t, dir)
			_, err := newOutputs(t.Context(), io.Discard, c.force, []string{"in.pt", "missing.pt", "-"}, c.paths...)
			var misuse *usage.Error
			if err == nil || errors.As(err, &misuse) != (c.code == 2) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q (exit %d)", err, c.says, c.code)
			}
			if after := tree(t, dir); !reflect.DeepEqual(after, before) {
				t.Errorf("the folder changed from %v to %v", before, after)
			}
		})
	}
}

func TestNewOutputsReadOnlyFolder(t *testing.T) {
	inFolder(t, nil)
	if err := os.Mkdir("d", 0o500); err != nil {
		t.Fatal(err)
	}
	path := "d/out.pt"
	if os.Geteuid() == 0 {
		// Permissions do not hold root back, but no file can be made here.
		if runtime.GOOS != "linux" {
			t.Skip("runs as root")
		}
		path = "/proc/self/out.pt"
	}
	_, err := newOutputs(t.Context(), io.Discard, false, nil, path)
	if err == nil || !strings.Contains(err.Error(), "cannot write "+path+": cannot make a file in the folder") || strings.Contains(err.Error(), ".lethe-") {
		t.Errorf("got %v", err)
	}
}

// Whatever goes wrong in one output, no output appears, what was there stays,
// and no temporary file is left.
func TestOutputsFailure(t *testing.T) {
	bad := errors.New("bad")
	failed := errors.New("the last layer changed")
	ctx := context.Background()
	for _, c := range []struct {
		name  string
		force bool
		paths []string
		run   func(t *testing.T, o *Outputs) error
		is    error
		says  string
	}{
		{"write fails", true, []string{"old.pt", "b"}, func(t *testing.T, o *Outputs) error {
			if err := o.stage(ctx, "old.pt", write("new"), nil); err != nil {
				return err
			}
			return o.stage(ctx, "b", func(w io.Writer) error { w.Write(make([]byte, 1<<20)); return bad }, nil)
		}, bad, "bad"},
		{"check fails", true, []string{"old.pt", "b"}, func(t *testing.T, o *Outputs) error {
			if err := o.stage(ctx, "old.pt", write("new"), nil); err != nil {
				return err
			}
			return o.stage(ctx, "b", write("b"), func(io.ReaderAt, int64) error { return failed })
		}, failed, "b, read back: the last layer changed"},
		{"interrupted while writing", false, []string{"a"}, func(t *testing.T, o *Outputs) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			return o.stage(ctx, "a", func(w io.Writer) error {
				for i := range 1000 {
					if i == 500 {
						cancel()
					}
					if _, err := w.Write(make([]byte, 4096)); err != nil {
						return err
					}
				}
				return errors.New("wrote all")
			}, nil)
		}, context.Canceled, ""},
		{"interrupted while checking", false, []string{"a"}, func(t *testing.T, o *Outputs) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			return o.stage(ctx, "a", write("a"), func(io.ReaderAt, int64) error { cancel(); return nil })
		}, context.Canceled, ""},
		{"interrupted before the commit", true, []string{"old.pt", "b"}, func(t *testing.T, o *Outputs) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			for _, f := range o.files {
				if err := o.stage(ctx, f.path, write("new"), nil); err != nil {
					return err
				}
			}
			cancel()
			return o.Commit(ctx)
		}, context.Canceled, ""},
		{"second appears meanwhile", false, []string{"a", "b"}, func(t *testing.T, o *Outputs) error {
			os.WriteFile("b", []byte("theirs"), 0o600)
			return writeAll(ctx, o, nil)
		}, nil, "cannot write b: a file of that name appeared meanwhile; use --force"},
		{"second appears, no hard links", false, []string{"a", "b"}, func(t *testing.T, o *Outputs) error {
			os.WriteFile("b", []byte("theirs"), 0o600)
			o.link = func(_, _ string) error { return syscall.EPERM }
			return writeAll(ctx, o, nil)
		}, nil, "cannot write b: a file of that name appeared meanwhile; use --force"},
		{"second becomes a folder, first was replaced", true, []string{"old.pt", "b"}, func(t *testing.T, o *Outputs) error {
			os.Mkdir("b", 0o700)
			os.WriteFile("b/x", []byte("theirs"), 0o600)
			return writeAll(ctx, o, nil)
		}, nil, "cannot write b: file exists"},
		{"folder goes away", false, []string{"d/a"}, func(t *testing.T, o *Outputs) error {
			os.RemoveAll("d")
			return writeAll(ctx, o, nil)
		}, fs.ErrNotExist, "cannot write d/a: cannot make a file in the folder"},
		{"stdout goes away, first was new", false, []string{"a", "-"}, func(t *testing.T, o *Outputs) error {
			o.stdout = failingWriter{}
			return writeAll(ctx, o, map[string]string{"-": "weights"})
		}, syscall.EPIPE, "cannot write standard output: broken pipe"},
		{"stdout goes away, first was replaced", true, []string{"old.pt", "-"}, func(t *testing.T, o *Outputs) error {
			o.stdout = failingWriter{}
			return writeAll(ctx, o, map[string]string{"-": "weights"})
		}, syscall.EPIPE, ""},
		{"stdout on a full disk", true, []string{"old.pt", "-"}, func(t *testing.T, o *Outputs) error {
			full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				t.Skip(err)
			}
			defer full.Close()
			o.stdout = full
			return writeAll(ctx, o, map[string]string{"-": "weights"})
		}, syscall.ENOSPC, "cannot write standard output: no space left on device"},
		{"panic", false, []string{"a", "b"}, func(t *testing.T, o *Outputs) (err error) {
			defer func() { recover(); err = bad }()
			if err := o.stage(ctx, "a", write("a"), nil); err != nil {
				t.Fatal(err)
			}
			return o.stage(ctx, "b", func(io.Writer) error { panic("bug") }, nil)
		}, bad, ""},
		{"commit without stage", false, []string{"a", "b"}, func(t *testing.T, o *Outputs) (err error) {
			defer func() { err = errors.New(recover().(string)) }()
			if err := o.stage(ctx, "a", write("a"), nil); err != nil {
				t.Fatal(err)
			}
			return o.Commit(ctx)
		}, nil, `"b" is opened but not staged`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, temp := inFolder(t, map[string]string{"old.pt": "old", "d/x": "x"})
			o, err := newOutputs(t.Context(), io.Discard, c.force, nil, c.paths...)
			if err != nil {
				t.Fatal(err)
			}
			err = c.run(t, o)
			o.Discard()
			if err == nil || !strings.Contains(err.Error(), c.says) || c.is != nil && !errors.Is(err, c.is) || strings.Contains(err.Error(), ".lethe-") {
				t.Errorf("got %v, want %q, %v", err, c.says, c.is)
			}
			for name, content := range tree(t, dir) {
				if content != "theirs" && name != "d/x" && !(name == "old.pt" && content == "old") {
					t.Errorf("%s was left with %q", name, content)
				}
			}
			if b, err := os.ReadFile("old.pt"); string(b) != "old" {
				t.Errorf("old.pt holds %q, %v", b, err)
			}
			empty(t, temp)
		})
	}
}

func TestOutputsMode(t *testing.T) {
	inFolder(t, map[string]string{"old.pt": "old"})
	if err := os.Chmod("old.pt", 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("like", nil, 0o666); err != nil { // as the umask has it
		t.Fatal(err)
	}
	o, err := newOutputs(t.Context(), io.Discard, true, nil, "old.pt", "new.pt")
	if err != nil {
		t.Fatal(err)
	}
	if err := writeAll(context.Background(), o, nil); err != nil {
		t.Fatal(err)
	}
	mode := func(name string) fs.FileMode {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}
	if mode("new.pt") != mode("like") {
		t.Errorf("new file: got %v, want %v", mode("new.pt"), mode("like"))
	}
	if runtime.GOOS != "windows" && mode("old.pt") != 0o640 {
		t.Errorf("replaced file: got %v, want %v", mode("old.pt"), fs.FileMode(0o640))
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// newOutputs returns a group with outputs at paths.
func newOutputs(ctx context.Context, stdout io.Writer, force bool, inputs []string, paths ...string) (*Outputs, error) {
	o := NewOutputs(stdout, force, inputs...)
	if _, err := o.OpenAll(ctx, paths...); err != nil {
		o.Discard()
		return nil, err
	}
	return o, nil
}

// stage stages the output that was opened at a path.
func (o *Outputs) stage(ctx context.Context, path string, write func(io.Writer) error, check func(io.ReaderAt, int64) error) error {
	for _, f := range o.files {
		if f.path == path {
			return f.Stage(ctx, write, check)
		}
	}
	panic("no output " + path)
}

// The digest of an output is computed once, and its file says it.
func TestOutputDigest(t *testing.T) {
	t.Chdir(t.TempDir())
	o := NewOutputs(io.Discard, false)
	defer o.Discard()
	f, err := o.Open(t.Context(), "out")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.OpenResults(t.Context(), f, ResultFiles{URI: "uri", Digest: "digest"}); err != nil {
		t.Fatal(err)
	}
	if err := f.Stage(t.Context(), write("weights"), nil); err != nil {
		t.Fatal(err)
	}
	d, err := f.Digest()
	if err != nil || d.Bytes != 7 {
		t.Fatalf("got %+v, %v", d, err)
	}
	// If it were computed again, it would be another.
	if _, err := f.file.WriteAt([]byte("W"), 0); err != nil {
		t.Fatal(err)
	}
	if err := o.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"uri": "out", "digest": "sha256:" + d.SHA256} {
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}
}

// No output takes everything and writes nothing.
func TestNoOutput(t *testing.T) {
	o := NewOutputs(io.Discard, false)
	f, err := o.Open(t.Context(), "")
	if f != nil || err != nil || f.Kind() != None || f.Path() != "" || f.Replaces() || f.StageBytes(t.Context(), []byte("x")) != nil || o.Commit(t.Context()) != nil {
		t.Errorf("got %+v, %v", f, err)
	}
}
