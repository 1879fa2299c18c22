// Package stage is where files come from and go to: inputs that can be read at any
// place, whether they are files, pipes or models in registries, and outputs that
// appear together, complete and checked, or not at all.
package stage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"lethe/internal/registry"
	"lethe/internal/usage"
	"lethe/report"
)

// Outputs are the files that a command writes, as a group: all of them appear,
// complete and checked, or none does.
//
//	outs := stage.NewOutputs(stdout, force, in)
//	defer outs.Discard()
//	out, err := outs.Open(ctx, "out.pt")
//	onnx, err := outs.Open(ctx, "out.onnx")
//	// ... the work ...
//	err = out.Stage(ctx, write, check)
//	err = onnx.Stage(ctx, writeONNX, checkONNX)
//	err = outs.Commit(ctx)
type Outputs struct {
	stdout  io.Writer
	force   bool
	inputs  []string // paths of what is never written to
	files   []*Output
	link    func(old, name string) error // os.Link; some file systems have none
	remote  *remote                      // the model in a registry that some of the outputs are files of, or nil
	results results
	step    func() // is called after each step of Commit, for tests

	journals     []*os.File // locked; see journal
	journalPaths []string
}

// Output is one of a group: a file, standard output, or a file of a model in a
// registry. A nil Output is none: it takes everything and writes nothing.
type Output struct {
	group  *Outputs
	path   string // as the person wrote it
	kind   Kind
	final  string      // of a file: its path, with symbolic links resolved
	name   string      // in a model in a registry; "" for its checkpoint
	old    fs.FileInfo // the file that it replaces, or nil
	temp   string      // path of the staged file; "" if it has none
	file   *os.File    // the staged file, open
	size   int64       // of the staged file
	digest func() (report.Digest, error)
	next   string // second path of the staged file, on its way to final
	backup string // second path of the replaced file during Commit
	saved  bool   // there is a backup
	placed bool   // the new file is at final
}

// Kind is what the path of an output leads to.
type Kind int

// The kinds of outputs.
const (
	None     Kind = iota // "" is not an output
	Local                // a file
	Standard             // "-" is standard output, or standard input where something is read
	Registry             // a reference to a model in a registry, or to a file of one
)

// KindOf returns the kind of a path.
func KindOf(path string) Kind {
	switch {
	case path == "":
		return None
	case path == "-":
		return Standard
	case registry.IsReference(path):
		return Registry
	}
	return Local
}

// NewOutputs returns a group of outputs that are made from inputs, which are paths:
// no output may be one of them. With force, outputs replace existing files.
func NewOutputs(stdout io.Writer, force bool, inputs ...string) *Outputs {
	return &Outputs{stdout: stdout, force: force, inputs: inputs, link: os.Link, step: func() {}}
}

// Protect adds inputs that no output that is opened later may be.
func (o *Outputs) Protect(inputs ...string) { o.inputs = append(o.inputs, inputs...) }

// Open adds the output at a path to the group; see [KindOf]. Before the work begins,
// it refuses what cannot succeed or would harm: an output that exists (unless force),
// that is one of the inputs, that is another of the outputs, that is not a regular file,
// or whose folder cannot be written to. It returns nil for "".
func (o *Outputs) Open(ctx context.Context, path string) (*Output, error) {
	f := &Output{group: o, path: path, kind: KindOf(path)}
	first := false // of a model in a registry
	switch f.kind {
	case None:
		return nil, nil
	case Standard:
		if p, ok := o.stdout.(*Stdout); ok && closed(p.f) {
			return nil, errors.New("an output goes to standard output, which is closed, or discards what is written; give a file name instead of -")
		}
	case Registry:
		first = o.remote == nil
		if err := o.openRemote(f); err != nil {
			return nil, err
		}
	case Local:
		tidyAround(path, true)
		if err := f.resolve(); err != nil {
			return nil, err
		}
	}
	for _, other := range o.files {
		if f.kind == other.kind && f.final == other.final && f.name == other.name || f.old != nil && other.old != nil && os.SameFile(f.old, other.old) {
			return nil, usage.Errorf("two outputs go to %s; give each its own name", path)
		}
	}
	if f.old != nil {
		for _, in := range o.inputs {
			if info, err := os.Stat(in); KindOf(in) == Local && err == nil && os.SameFile(info, f.old) {
				return nil, usage.Errorf("the output %s is the input %s, which is never changed; give another name", path, in)
			}
		}
		if !o.force {
			return nil, fmt.Errorf("%s exists; use --force to replace it, or give another name", path)
		}
	}
	// Trying is the only test of permission that holds everywhere.
	if err := f.create(); err != nil {
		return nil, err
	}
	f.discard()
	if first {
		if err := o.remote.model.Check(ctx, o.force); err != nil {
			return nil, err
		}
	}
	o.files = append(o.files, f)
	return f, nil
}

// OpenAll opens outputs, in the order of their paths.
func (o *Outputs) OpenAll(ctx context.Context, paths ...string) ([]*Output, error) {
	var all []*Output
	for _, path := range paths {
		f, err := o.Open(ctx, path)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// Standard reports whether one of the outputs is standard output.
func (o *Outputs) Standard() bool {
	return slices.ContainsFunc(o.files, func(f *Output) bool { return f.kind == Standard })
}

// Path returns the path as the person wrote it, "" for no output.
func (f *Output) Path() string {
	if f == nil {
		return ""
	}
	return f.path
}

// Kind returns what the output is.
func (f *Output) Kind() Kind {
	if f == nil {
		return None
	}
	return f.kind
}

// Replaces reports whether the output replaces a file.
func (f *Output) Replaces() bool { return f != nil && f.old != nil }

// tidyAround is tidy for the folder in which the file at path is, symbolic links
// followed.
func tidyAround(path string, temps bool) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err == nil {
		tidy(dir, temps)
	}
}

// resolve finds where path leads and what is there.
func (f *Output) resolve() error {
	if os.IsPathSeparator(f.path[len(f.path)-1]) {
		return usage.Errorf("the output %s is a folder; give a file name", f.path)
	}
	_, err := os.Lstat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		dir := filepath.Dir(f.path)
		info, err := os.Stat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("no folder %s for the output %s: %w", dir, f.path, fs.ErrNotExist)
		case err != nil:
			return fmt.Errorf("cannot write %s: %w", f.path, Cause(err))
		case !info.IsDir():
			return fmt.Errorf("%s, in which the output %s is to be, is not a folder", dir, f.path)
		}
		if dir, err = filepath.EvalSymlinks(dir); err == nil {
			dir, err = filepath.Abs(dir)
		}
		if err != nil {
			return fmt.Errorf("cannot write %s: %w", f.path, Cause(err))
		}
		f.final = filepath.Join(dir, filepath.Base(f.path))
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", f.path, Cause(err))
	}
	// Replacing the link itself would leave its target as it was.
	if f.final, err = filepath.EvalSymlinks(f.path); err == nil {
		f.final, err = filepath.Abs(f.final)
	}
	if err != nil {
		return fmt.Errorf("the output %s is a symbolic link that leads nowhere: %w", f.path, Cause(err))
	}
	f.old, err = os.Stat(f.final)
	switch {
	case err != nil:
		return fmt.Errorf("cannot write %s: %w", f.path, Cause(err))
	case f.old.IsDir():
		return usage.Errorf("the output %s is a folder; give a file name", f.path)
	case !f.old.Mode().IsRegular():
		return usage.Errorf("the output %s is a device or a pipe, not a file; use - for standard output", f.path)
	}
	return nil
}

// create makes the temporary file, in the folder of the final one so that it
// can be renamed.
func (f *Output) create() error {
	dir, mode := os.TempDir(), fs.FileMode(0o600)
	if f.kind == Local {
		dir = filepath.Dir(f.final)
		// The umask applies to a new file here. One that replaces another
		// takes over its mode later and is nobody else's until then.
		if f.old == nil {
			mode = 0o666
		}
	}
	path := beside(dir)
	file, err := createLocked(path, mode)
	if err != nil {
		return fmt.Errorf("cannot write %s: cannot make a file in the folder %s: %w", f.path, dir, Cause(err))
	}
	f.file, f.temp = file, path
	if f.kind != Local {
		// It needs no name. Where an open file may be removed, even a kill
		// leaves nothing behind.
		if os.Remove(path) == nil {
			f.temp = ""
		}
		return nil
	}
	f.next, f.backup = beside(dir), beside(dir)
	return nil
}

// discard removes what is not in its final place.
func (f *Output) discard() {
	if f.file != nil {
		f.file.Close()
		f.file = nil
	}
	if f.temp != "" {
		os.Remove(f.temp)
	}
	if f.next != "" {
		os.Remove(f.next)
	}
	if f.saved {
		os.Remove(f.backup)
	}
	f.temp, f.next, f.backup, f.saved = "", "", "", false
	f.digest = nil
}

// Stage writes the output to a temporary file, flushes it to the disk and hands it,
// read back, to check, which may be nil. Its error is the one of write or of check, or
// says which output could not be written. Staging an output twice panics.
func (f *Output) Stage(ctx context.Context, write func(w io.Writer) error, check func(r io.ReaderAt, size int64) error) (err error) {
	if f == nil {
		return nil
	}
	if f.file != nil {
		panic(fmt.Sprintf("stage: output %q is staged twice", f.path))
	}
	if err := f.create(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.discard()
		}
	}()
	sink := &sink{ctx: ctx, w: f.file, path: f.path}
	buffer := bufio.NewWriterSize(sink, 1<<15)
	if err := write(buffer); err != nil {
		return err
	}
	if err := buffer.Flush(); err != nil {
		return err
	}
	f.size = sink.n
	// The disk is busy with the flush while the check reads what it has in
	// memory.
	synced := make(chan error, 1)
	go func() { synced <- f.file.Sync() }()
	if check != nil && ctx.Err() == nil {
		err = check(f.file, sink.n)
	}
	if failed := <-synced; failed != nil {
		return fmt.Errorf("cannot write %s: %w", f.path, Cause(failed))
	}
	if err != nil {
		return fmt.Errorf("%s, read back: %w", f.path, err)
	}
	return ctx.Err()
}

// StageBytes is [Output.Stage] for content that is at hand.
func (f *Output) StageBytes(ctx context.Context, b []byte) error {
	return f.Stage(ctx, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}, nil)
}

// StartDigest begins what [Output.Digest] returns. It takes as long as reading back,
// so it is best begun before that, in a check.
func (f *Output) StartDigest() {
	if f.digest == nil {
		f.digest = StartDigest(f.file, f.size)
	}
}

// Digest returns the digest of a staged output. It is computed once.
func (f *Output) Digest() (report.Digest, error) {
	f.StartDigest()
	digest, err := f.digest()
	if err != nil {
		err = fmt.Errorf("cannot read back %s: %w", f.path, Cause(err))
	}
	return digest, err
}
