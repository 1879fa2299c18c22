package onnxio

import (
	"io"

	"lethe/file"
	"lethe/model"
)

// AsFile returns the file as a [file.File], which is a [file.Relocator] too.
func (f *File) AsFile() file.File { return asFile{f} }

type asFile struct{ *File }

func (f asFile) Format() file.Format { return file.ONNX }

func (f asFile) State() *model.StateDict { return f.state }

func (f asFile) With(sd *model.StateDict) (file.File, error) {
	with, err := f.File.With(sd)
	return asFile{with}, err
}

func (f asFile) Relocate(names map[string]string) (file.File, error) {
	with, err := f.File.Relocate(names)
	return asFile{with}, err
}

func (f asFile) External() []file.External {
	var list []file.External
	for _, e := range f.outside {
		list = append(list, file.External{Location: e.Location, Encode: func(w io.Writer) error { return f.EncodeExternal(w, e) }})
	}
	return list
}

func (f asFile) Info() *file.Info {
	info := &file.Info{Container: string(file.ONNX), Beside: []file.Left{{Name: "graph"}}}
	for _, name := range f.strings {
		info.Beside = append(info.Beside, file.Left{What: "strings", Name: name})
	}
	sharing := map[*model.Storage]int{}
	for _, t := range f.weights {
		sharing[t.tensor.Storage()]++
	}
	for _, t := range f.weights {
		e := file.Entry{Name: t.name, Sharing: sharing[t.tensor.Storage()]}
		if t.place != nil {
			e.Location = t.place.file.Location
		}
		info.Entries = append(info.Entries, e)
	}
	return info
}

// Sniff reports whether a file starts as an ONNX model does: with fields of one,
// up to its graph, which may be cut off.
func Sniff(r io.ReaderAt, size int64) bool {
	w := wire{r: r, size: size, limit: 1000}
	for at := int64(0); at < size; {
		tag, _, err := w.varint(at, size)
		if err != nil {
			return false
		}
		switch tag {
		case modelGraph<<3 | wireBytes:
			return true
		case 1<<3 | wireVarint, 5<<3 | wireVarint: // versions
		case 2<<3 | wireBytes, 3<<3 | wireBytes, 4<<3 | wireBytes, 6<<3 | wireBytes, 8<<3 | wireBytes, 14<<3 | wireBytes, modelTraining<<3 | wireBytes,
			modelFunctions<<3 | wireBytes, 26<<3 | wireBytes:
		default:
			return false
		}
		f, err := w.next(at, size)
		if err != nil {
			return false
		}
		at = f.value.end
	}
	return false
}
