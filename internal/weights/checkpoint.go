// Package weights opens files that hold a state dict, in whatever format, by what is
// in them, and writes them with another one; it rewrites state dicts, and makes the
// plans of dry runs.
package weights

import (
	"context"
	"errors"
	"fmt"
	"io"

	"lethe/file"
	"lethe/internal/stage"
	"lethe/model"
	"lethe/pickle"
	"lethe/report"
)

// Checkpoint is a state dict in a file.
type Checkpoint struct {
	Name  string // of the file, for messages
	State *model.StateDict

	input    *stage.Input
	options  pickle.Options
	file     file.File
	external map[string]*stage.Output // the files beside the output, by their locations in the input
	beside   *stage.Siblings          // nil if there is no folder
	parts    []*stage.Input           // the other files of a sharded model
	digest   func() (report.Digest, error)
}

// Open reads the state dict in the file at path, or on stdin if path
// is "-". Close it when its tensors are no longer needed.
func Open(ctx context.Context, path string, stdin io.Reader, opts pickle.Options) (*Checkpoint, error) {
	if n, err := openFolder(ctx, path, opts); n != nil || err != nil {
		return n, err
	}
	in, err := stage.OpenInput(ctx, path, stdin)
	if err != nil {
		return nil, err
	}
	return Read(in, opts)
}

// Read is [Open] for a file that is open already, and whose
// owner it becomes: an error closes it.
func Read(in *stage.Input, opts pickle.Options) (*Checkpoint, error) {
	n := &Checkpoint{Name: in.Name, input: in, options: opts}
	if err := n.read(); err != nil {
		n.Close()
		return nil, fmt.Errorf("%s: %w", in.Name, err)
	}
	return n, nil
}

func (n *Checkpoint) read() (err error) {
	if isIndex(n.input) {
		return n.readIndex()
	}
	var external func(string) (io.ReaderAt, int64, error)
	if n.input.Local() {
		n.beside = stage.Beside(n.Name)
		external = n.beside.Open
	}
	if n.file, err = readFile(n.input, n.input.Size, n.options, external); err != nil {
		return err
	}
	n.State = n.file.State()
	return nil
}

// Input returns the bytes of the file, for readers of what it holds beside the
// state dict.
func (n *Checkpoint) Input() (r io.ReaderAt, size int64) { return n.input, n.input.Size }

// Unchanged is [Input.Unchanged] of the file and of those beside it that it reads.
func (n *Checkpoint) Unchanged() error {
	err := n.input.Unchanged()
	if n.beside != nil {
		err = errors.Join(err, n.beside.Unchanged())
	}
	return err
}

// SetSource is [stage.Outputs.SetSource] for outputs that are made from this file,
// which must not have changed since it was opened.
func (n *Checkpoint) SetSource(outs *stage.Outputs, ext string, annotations map[string]string) error {
	if err := n.Unchanged(); err != nil {
		return err
	}
	return outs.SetSource(stage.Source{Name: n.Name, From: n.input.Model(), Digest: n.Digest}, ext, annotations)
}

// StartDigest begins what [Checkpoint.Digest] returns. It takes longer than all
// other reading, so it is best made beside that and beside the work.
func (n *Checkpoint) StartDigest() {
	if n.digest == nil {
		n.digest = stage.StartDigest(n.input, n.input.Size)
	}
}

// Digest returns the digest of the file.
func (n *Checkpoint) Digest() (report.Digest, error) {
	n.StartDigest()
	digest, err := n.digest()
	if err != nil {
		return digest, fmt.Errorf("cannot read %s: %w", n.Name, stage.Cause(err))
	}
	return digest, nil
}

// Digests returns what a report calls the files before and after an edit.
func Digests(before, after *Checkpoint) (map[string]report.Digest, error) {
	input, err := before.Digest()
	if err != nil {
		return nil, err
	}
	output, err := after.Digest()
	return map[string]report.Digest{"input": input, "output": output}, err
}

// Close closes the files under the checkpoint.
func (n *Checkpoint) Close() error {
	if n.beside != nil {
		n.beside.Close()
	}
	err := n.input.Close()
	for _, in := range n.parts {
		err = errors.Join(err, in.Close())
	}
	return err
}
