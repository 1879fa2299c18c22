package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"lethe/file"
	"lethe/model"
	"lethe/pickle"
	"lethe/report"
)

// Checkpoint is a state dict in a file.
type Checkpoint struct {
	Name  string // of the file, for messages
	State *model.StateDict

	input   *Input
	options pickle.Options
	file    file.File
	beside  *siblings // nil if there is no folder
	parts   []*Input  // the other files of a sharded model
	digest  func() (report.Digest, error)
}

// OpenCheckpoint reads the state dict in the file at path, or on stdin if path
// is "-". Close it when its tensors are no longer needed.
func OpenCheckpoint(ctx context.Context, path string, stdin io.Reader, opts pickle.Options) (*Checkpoint, error) {
	if n, err := openFolder(ctx, path, opts); n != nil || err != nil {
		return n, err
	}
	in, err := OpenInput(ctx, path, stdin)
	if err != nil {
		return nil, err
	}
	return ReadCheckpoint(in, opts)
}

// ReadCheckpoint is [OpenCheckpoint] for a file that is open already, and whose
// owner it becomes: an error closes it.
func ReadCheckpoint(in *Input, opts pickle.Options) (*Checkpoint, error) {
	n := &Checkpoint{Name: in.Name, input: in, options: opts}
	if err := n.read(); err != nil {
		n.Close()
		return nil, fmt.Errorf("%s: %w", in.Name, err)
	}
	return n, nil
}

func (n *Checkpoint) read() (err error) {
	if n.input.isIndex() {
		return n.readIndex()
	}
	var external func(string) (io.ReaderAt, int64, error)
	if n.input.opened != nil {
		n.beside = &siblings{folder: filepath.Dir(n.Name)}
		external = n.beside.open
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
		err = errors.Join(err, n.beside.unchanged())
	}
	return err
}

// StartDigest begins what [Checkpoint.Digest] returns. It takes longer than all
// other reading, so it is best made beside that and beside the work.
func (n *Checkpoint) StartDigest() {
	if n.digest == nil {
		n.digest = startDigest(n.input, n.input.Size)
	}
}

// Digest returns the digest of the file.
func (n *Checkpoint) Digest() (report.Digest, error) {
	n.StartDigest()
	digest, err := n.digest()
	if err != nil {
		return digest, fmt.Errorf("cannot read %s: %w", n.Name, cause(err))
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
		n.beside.close()
	}
	err := n.input.Close()
	for _, in := range n.parts {
		err = errors.Join(err, in.Close())
	}
	return err
}

// Digest returns the SHA-256 and the size of a file.
func Digest(r io.ReaderAt, size int64) (report.Digest, error) {
	h := sha256.New()
	_, err := io.Copy(h, io.NewSectionReader(r, 0, size))
	return report.Digest{SHA256: hex.EncodeToString(h.Sum(nil)), Bytes: size}, err
}

// startDigest begins [Digest] and returns a function that waits for it, as
// often as it is called.
func startDigest(r io.ReaderAt, size int64) func() (report.Digest, error) {
	var digest report.Digest
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		digest, err = Digest(r, size)
	}()
	return func() (report.Digest, error) { <-done; return digest, err }
}
