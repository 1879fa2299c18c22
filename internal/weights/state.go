package weights

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"lethe/file"
	"lethe/internal/stage"
	"lethe/internal/terminal"
	"lethe/model"
	"lethe/onnxio"
	"lethe/pickle"
	"lethe/safetensors"
)

// KeptFormat is [stage.FormatOf] for an edit, which keeps the kind of the file: TorchScript
// and checkpoints have the same extensions.
func KeptFormat(path string, input file.Format) file.Format {
	if to := stage.FormatOf(path, input); to != file.Checkpoint || input != file.TorchScript && input != file.Exported {
		return to
	}
	return input
}

// readFile reads a file in the format that its content shows. External opens the
// files beside it, see [onnxio.Options].
func readFile(r io.ReaderAt, size int64, opts pickle.Options, external func(string) (io.ReaderAt, int64, error)) (file.File, error) {
	keyless := func(what string) error {
		if opts.Key == "" {
			return nil
		}
		return &model.UnsupportedError{What: what + " has one state dict and no keys", Advice: "leave out --key"}
	}
	switch {
	case safetensors.Sniff(r, size):
		if err := keyless("a safetensors file"); err != nil {
			return nil, err
		}
		f, err := safetensors.Decode(r, size, safetensors.Options{Limits: safetensors.Limits{Memory: opts.Limits.Memory}})
		if err != nil {
			return nil, err
		}
		return f.AsFile(), nil
	case onnxio.Sniff(r, size):
		if err := keyless("an ONNX model"); err != nil {
			return nil, err
		}
		f, err := onnxio.Decode(r, size, onnxio.Options{External: external, Limits: onnxio.Limits{Memory: opts.Limits.Memory}})
		if err != nil {
			return nil, err
		}
		return f.AsFile(), nil
	}
	c, err := pickle.Decode(r, size, opts)
	if err != nil {
		return nil, err
	}
	return pickle.File{Checkpoint: c}, nil
}

// Format returns the format that the file has.
func (n *Checkpoint) Format() file.Format { return n.file.Format() }

// File returns the file.
func (n *Checkpoint) File() file.File { return n.file }

// WriteOptions say how a state dict is written.
type WriteOptions struct {
	Format file.Format
	Digest bool // somebody will ask the output for its digest
	Layout pickle.EncodeOptions
}

// TellLost writes on w, a line for each, what the file holds and the output at
// path, in its format, does not.
func (n *Checkpoint) TellLost(w io.Writer, path string, format file.Format) {
	lost := file.Lost(n.file, format)
	if parts, ok := n.file.(interface{ LeftOut() []file.Left }); ok && format == n.Format() {
		for _, left := range parts.LeftOut() {
			lost = append(lost, left.String())
		}
	}
	for _, what := range lost {
		fmt.Fprintf(w, "not in %s: %s\n", path, terminal.OneLine(what))
	}
}

// StageState stages a state dict that has the names and shapes of the file's as
// an output, with everything else that the file holds and the format
// can, and reads it back. It returns the size of the file.
func (n *Checkpoint) StageState(ctx context.Context, out *stage.Output, sd *model.StateDict, opts WriteOptions) (written int64, err error) {
	f, readBack, err := n.with(sd, opts)
	if err != nil {
		return 0, err
	}
	staged, f, err := n.stageExternal(ctx, out, f)
	if err != nil {
		return 0, err
	}
	err = out.Stage(ctx, f.Encode, func(r io.ReaderAt, size int64) error {
		written = size
		if opts.Digest {
			out.StartDigest()
		}
		return sameState(r, size, sd, readBack, staged)
	})
	return written, err
}

// with returns the file that is written, and how that is read.
func (n *Checkpoint) with(sd *model.StateDict, opts WriteOptions) (f file.File, readBack pickle.Options, err error) {
	from, isPickle := n.file.(pickle.File)
	switch to := opts.Format; {
	case to == n.Format() && !isPickle:
		f, err = n.file.With(sd)
	case isPickle && (to == n.Format() || to == file.Checkpoint):
		if from.Checkpoint, err = from.Checkpoint.With(sd); err == nil && to == file.Checkpoint {
			from.Checkpoint, from.Layout = from.AsCheckpoint(), opts.Layout
		}
		f, readBack = from, n.options
	case to == file.Checkpoint || to == file.Safetensors:
		f, err = newFile(sd, opts)
	default:
		err = &model.UnsupportedError{What: fmt.Sprintf("weights from a file of format %s do not make one of format %s", n.Format(), to), Advice: otherWay(to)}
	}
	return f, readBack, err
}

// otherWay says how a person gets a file of a format that holds a program.
func otherWay(to file.Format) string {
	if to == file.ONNX {
		return "pt2onnx converts to ONNX; forget writes the ONNX model of an edited checkpoint where --onnx says"
	}
	return "give the output an extension of the input's format"
}

// sameState reads a file back and compares it with what it must hold.
func sameState(r io.ReaderAt, size int64, want *model.StateDict, opts pickle.Options, external func(string) (io.ReaderAt, int64, error)) error {
	f, err := readFile(r, size, opts, external)
	if err != nil {
		return fmt.Errorf("reading back the state dict: %w", err)
	}
	got := f.State()
	if !slices.Equal(got.Names(), want.Names()) {
		return errors.New("reading back the state dict: the names of its entries differ")
	}
	for name, t := range want.All() {
		if same, err := model.SameBits(got.Get(name), t); err != nil || !same {
			return errors.Join(fmt.Errorf("reading back the state dict: %q differs", name), err)
		}
	}
	return nil
}
