package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"lethe/internal/registry"
	"lethe/internal/terminal"
	"lethe/internal/usage"
	"lethe/model"
)

// maxSpool bounds what is copied to the temporary folder from a pipe: 16 GiB,
// more than any checkpoint that this runs on in memory.
const maxSpool = 16 << 30

// Input is a file that can be read at any place.
type Input struct {
	io.ReaderAt
	Size int64
	Name string // for messages

	file   *os.File
	opened fs.FileInfo    // of a file that is not ours, as it was opened
	temp   string         // to remove on Close; "" if there is nothing to remove
	from   registry.Model // what was pulled, or nil
}

// OpenInput opens the file at path, or stdin if path is "-", or the checkpoint
// in a registry that path is a reference to. What is not a regular file, such as a
// pipe, is first copied to a temporary file, which Close removes.
func OpenInput(ctx context.Context, path string, stdin io.Reader) (*Input, error) {
	return openInput(ctx, path, stdin, maxSpool)
}

func openInput(ctx context.Context, path string, stdin io.Reader, limit int64) (*Input, error) {
	if registry.IsReference(path) {
		return pull(ctx, path)
	}
	if path == "-" {
		if terminal.Is(stdin) {
			return nil, usage.Errorf("standard input is a terminal; send a file into it or give a file name instead of -")
		}
		return spool(ctx, "standard input", stdin, limit)
	}
	tidyAround(path, false) // or it may be of a group that a killed process left half done
	f, err := Await(ctx, func() (*os.File, error) { return os.Open(path) })
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("no file %s: %w", path, fs.ErrNotExist)
	case err != nil && err == ctx.Err():
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("cannot open %s: %w", path, Cause(err))
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("cannot open %s: %w", path, Cause(err))
	case info.IsDir():
		f.Close()
		return nil, fmt.Errorf("%s is a folder; give a file", path)
	case !info.Mode().IsRegular():
		defer f.Close()
		return spool(ctx, path, f, limit)
	}
	return &Input{ReaderAt: f, Size: info.Size(), Name: path, file: f, opened: info}, nil
}

// Local reports whether the input is the file at the path that is its name, not a
// copy of what came from elsewhere.
func (in *Input) Local() bool { return in.opened != nil }

// Model returns the model in a registry that the input was pulled from, or nil.
func (in *Input) Model() registry.Model { return in.from }

// Unchanged returns an error if somebody wrote to the file since it was opened.
// What was read of it may then be of neither content. Another file at the same
// path does no harm.
func (in *Input) Unchanged() error {
	if in.opened == nil { // a copy of our own
		return nil
	}
	now, err := in.file.Stat()
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", in.Name, Cause(err))
	}
	if now.Size() != in.opened.Size() || !now.ModTime().Equal(in.opened.ModTime()) {
		return fmt.Errorf("%s changed while it was read", in.Name)
	}
	return nil
}

// Await calls f, which may block for ever, such as by opening a pipe that nobody
// writes to. If ctx ends first, it returns the error of that and leaves f behind.
func Await[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// spool copies r to a temporary file, until ctx ends.
func spool(ctx context.Context, name string, r io.Reader, limit int64) (*Input, error) {
	in, err := temporary(name)
	if err != nil {
		return nil, err
	}
	f := in.file
	size, err := Await(ctx, func() (int64, error) { return io.Copy(f, io.LimitReader(r, limit+1)) })
	if err != nil && err == ctx.Err() {
		in.Close()
		return nil, err
	}
	if err == nil && size > limit {
		err = &model.LimitError{What: "size of " + name + " in bytes", Got: uint64(size), Limit: uint64(limit)}
	}
	if err != nil {
		in.Close()
		return nil, fmt.Errorf("cannot read %s: %w", name, Cause(err))
	}
	in.Size = size
	return in, nil
}

// temporary returns an empty input that is a temporary file.
func temporary(name string) (*Input, error) {
	f, err := os.CreateTemp("", "lethe-*")
	if err != nil {
		return nil, fmt.Errorf("cannot keep %s in the temporary folder: %w", name, Cause(err))
	}
	in := &Input{ReaderAt: f, Name: name, file: f}
	// Where an open file may be removed, even a kill leaves nothing behind.
	if os.Remove(f.Name()) != nil {
		in.temp = f.Name()
	}
	return in, nil
}

// Close closes the file and removes it if it is a temporary one.
func (in *Input) Close() error {
	err := in.file.Close()
	if in.temp != "" {
		err = errors.Join(err, os.Remove(in.temp))
		in.temp = ""
	}
	return err
}

// Cause strips the operation and the path from an error of package os: the
// path may be a temporary one, and the message names the person's file.
func Cause(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return p.Err
	case errors.As(err, &l):
		return l.Err
	}
	return err
}
