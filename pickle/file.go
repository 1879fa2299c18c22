package pickle

import (
	"io"

	"lethe/file"
	"lethe/graph"
	"lethe/model"
)

// File is a checkpoint, or another archive that [Decode] reads, as a
// [file.File].
type File struct {
	*Checkpoint
	Layout EncodeOptions // how to write a checkpoint
}

// Format returns the format of the file.
func (f File) Format() file.Format {
	switch f.container {
	case scriptContainer:
		return file.TorchScript
	case exportContainer:
		return file.Exported
	}
	return file.Checkpoint
}

// State returns the state dict.
func (f File) State() *model.StateDict { return f.current }

// Graph returns nil: code and programs are read by package convert.
func (f File) Graph() (*graph.Graph, error) { return nil, nil }

// With is [Checkpoint.With].
func (f File) With(sd *model.StateDict) (file.File, error) {
	c, err := f.Checkpoint.With(sd)
	return File{c, f.Layout}, err
}

// Encode is [Encode].
func (f File) Encode(w io.Writer) error { return Encode(w, f.Checkpoint, f.Layout) }

// LeftOut returns what the file holds and no output has.
func (f File) LeftOut() []file.Left {
	if f.container == distributedContainer {
		return f.left
	}
	return nil
}

// External returns nil: such a file is whole.
func (f File) External() []file.External { return nil }

// Info returns the structure of the file.
func (f File) Info() *file.Info {
	c := f.Checkpoint.Info()
	info := &file.Info{Container: c.Container, Protocol: c.Protocol, Path: c.Path, Beside: f.Beside()}
	for _, e := range c.Entries {
		info.Entries = append(info.Entries, file.Entry{Name: e.Name, Storage: e.Storage, Sharing: e.Sharing, Location: e.Location})
	}
	return info
}
