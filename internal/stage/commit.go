package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// sink writes until ctx ends and names the output in errors.
type sink struct {
	ctx  context.Context
	w    io.Writer
	path string
	n    int64
}

func (s *sink) Write(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.w.Write(b)
	s.n += int64(n)
	if err != nil {
		err = fmt.Errorf("cannot write %s: %w", s.path, Cause(err))
	}
	return n, err
}

// Commit puts every output in its place; each must have been staged.
// Without force it never replaces a file, even one that appeared since. If one
// output fails, those that have their place already are taken back, and the
// files that they replaced return (where the file system has hard links).
//
// A model in a registry is uploaded first, when no reader sees it yet, and
// published last. Only standard output, just before, cannot be taken back.
func (o *Outputs) Commit(ctx context.Context) (err error) {
	defer o.Discard()
	defer func() {
		if err != nil {
			for _, f := range o.files {
				f.takeBack()
			}
			if o.remote != nil && o.remote.pushed != nil {
				o.remote.pushed.Withdraw(context.WithoutCancel(ctx))
			}
		}
	}()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := o.push(ctx); err != nil {
		return err
	}
	if err := o.tell(ctx); err != nil {
		return err
	}
	for _, f := range o.files {
		if f.file == nil {
			panic(fmt.Sprintf("stage: output %q is opened but not staged", f.path))
		}
	}
	if err := o.place(); err != nil {
		return err
	}
	for _, f := range o.files {
		if f.kind != Standard {
			continue
		}
		if _, err := f.file.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("cannot read back standard output's file: %w", Cause(err))
		}
		// Hide the file's own ways of copying, which do not look at ctx.
		from := struct{ io.Reader }{f.file}
		w := o.stdout
		if p, ok := w.(*Stdout); ok {
			w = p.f // it is not a result that is printed
		}
		if _, err := io.Copy(&sink{ctx: ctx, w: w, path: "standard output"}, from); err != nil {
			return err
		}
	}
	if o.remote != nil {
		if err := o.remote.pushed.Publish(ctx); err != nil {
			return err
		}
	}
	o.closeJournals()
	if p, ok := o.stdout.(*Stdout); ok {
		p.committed.Store(true)
	}
	for _, f := range o.files {
		if f.kind != Local {
			continue
		}
		// The files are complete and in place; a file system that cannot
		// flush a folder is no reason to call that a failure.
		if dir, err := os.Open(filepath.Dir(f.final)); err == nil {
			dir.Sync()
			dir.Close()
		}
	}
	return nil
}

// place gives the staged files their final names. All that can be done before is
// done before, so that the renamings follow at once.
func (o *Outputs) place() error {
	var files []*Output
	for _, f := range o.files {
		if f.kind == Local {
			files = append(files, f)
		}
	}
	if err := o.openJournals(files); err != nil {
		return fmt.Errorf("cannot write a journal of the outputs: %w", Cause(err))
	}
	for _, f := range files {
		if err := f.ready(o); err != nil {
			return fmt.Errorf("cannot write %s: %w", f.path, Cause(err))
		}
	}
	for _, f := range files {
		if err := f.place(o); err != nil {
			return fmt.Errorf("cannot write %s: %w", f.path, Cause(err))
		}
		o.step()
	}
	return nil
}

// ready does what goes before place.
func (f *Output) ready(o *Outputs) error {
	if f.old != nil {
		if err := f.file.Chmod(f.old.Mode().Perm()); err != nil {
			return err
		}
	}
	// An open file cannot be renamed everywhere; where it can, it is locked.
	if !canLock {
		if err := f.file.Close(); err != nil {
			return err
		}
	}
	if o.force {
		f.saved = o.link(f.final, f.backup) == nil
		o.step()
		if o.link(f.temp, f.next) != nil { // no hard links here
			f.next = ""
		}
		o.step()
	}
	return nil
}

// place gives the staged file its final name.
func (f *Output) place(o *Outputs) error {
	from := &f.temp
	switch {
	case !o.force:
		// A second name for the staged file fails if the first is taken, at
		// any moment; renaming would replace the file that has it.
		err := o.link(f.temp, f.final)
		if err == nil {
			f.placed = true
			return nil
		}
		if !errors.Is(err, fs.ErrExist) {
			// No hard links here: take the name with an empty file of ours.
			var own *os.File
			if own, err = os.OpenFile(f.final, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
				f.placed = true
				own.Close()
			}
		}
		if errors.Is(err, fs.ErrExist) {
			return errors.New("a file of that name appeared meanwhile; use --force to replace it, or give another name")
		}
		if err != nil {
			return err
		}
	case f.next != "":
		from = &f.next // and temp stays, to tell the new file from others
	}
	if err := os.Rename(*from, f.final); err != nil {
		return err
	}
	f.placed, *from = true, ""
	return nil
}

// takeBack undoes place.
func (f *Output) takeBack() {
	switch {
	case f.saved && f.placed:
		if os.Rename(f.backup, f.final) == nil {
			f.saved = false
		}
	case f.placed && f.old == nil:
		os.Remove(f.final)
	}
	f.placed = false
}

// Discard removes every temporary file. After Commit it does nothing.
func (o *Outputs) Discard() {
	o.closeJournals()
	for _, f := range o.files {
		f.discard()
	}
}
