package safetensors

import (
	"io"

	"lethe/file"
	"lethe/graph"
	"lethe/model"
)

// AsFile returns the file as a [file.File].
func (f *File) AsFile() file.File { return asFile{f} }

type asFile struct{ *File }

func (f asFile) Format() file.Format { return file.Safetensors }

func (f asFile) State() *model.StateDict { return f.state }

func (f asFile) Graph() (*graph.Graph, error) { return nil, nil }

func (f asFile) With(sd *model.StateDict) (file.File, error) {
	with, err := f.File.With(sd)
	return asFile{with}, err
}

func (f asFile) Encode(w io.Writer) error { return Encode(w, f.File) }

func (f asFile) External() []file.External { return nil }

func (f asFile) Info() *file.Info {
	info := &file.Info{Container: string(file.Safetensors)}
	for _, p := range f.metadata {
		if p != TorchMetadata {
			info.Beside = append(info.Beside, file.Left{What: "metadata", Name: p.Key})
		}
	}
	for name := range f.state.All() {
		info.Entries = append(info.Entries, file.Entry{Name: name, Sharing: 1})
	}
	return info
}
