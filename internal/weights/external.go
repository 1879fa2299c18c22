package weights

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"lethe/file"
	"lethe/internal/stage"
	"lethe/model"
	"lethe/onnxio"
)

// externalNames returns where the other files of the input go beside the output
// at path, by their locations.
func (n *Checkpoint) externalNames(path string) map[string]string {
	names := map[string]string{}
	for _, e := range n.file.External() {
		names[e.Location] = onnxio.ExternalName(e.Location, filepath.Base(n.Name), filepath.Base(path))
	}
	return names
}

// sibling returns the path of a file beside an output.
func sibling(path, location string) string {
	return filepath.Join(filepath.Dir(path), filepath.FromSlash(location))
}

// OpenExternal opens the files that one of the input's format needs beside the output.
func (n *Checkpoint) OpenExternal(ctx context.Context, outs *stage.Outputs, out *stage.Output, to file.Format) error {
	if to != n.Format() || len(n.file.External()) == 0 {
		return nil
	}
	if out.Kind() != stage.Local {
		return &model.UnsupportedError{What: "the model has its data in other files", Advice: "give the output a file name, and its data goes beside it"}
	}
	outs.Protect(n.Name)
	for _, e := range n.file.External() {
		outs.Protect(sibling(n.Name, e.Location))
	}
	names := n.externalNames(out.Path())
	n.external = map[string]*stage.Output{}
	for _, e := range n.file.External() {
		f, err := outs.Open(ctx, sibling(out.Path(), names[e.Location]))
		if err != nil {
			return err
		}
		n.external[e.Location] = f
	}
	return nil
}

// stageExternal stages the files beside an output, and returns the file with the
// locations of these and a way to open them.
func (n *Checkpoint) stageExternal(ctx context.Context, out *stage.Output, f file.File) (open func(string) (io.ReaderAt, int64, error), _ file.File, err error) {
	relocator, ok := f.(file.Relocator)
	if !ok || len(f.External()) == 0 {
		return nil, f, nil
	}
	type part struct {
		r    io.ReaderAt
		size int64
	}
	staged := map[string]part{}
	names := n.externalNames(out.Path())
	for _, e := range f.External() {
		err := n.external[e.Location].Stage(ctx, e.Encode, func(r io.ReaderAt, size int64) error {
			staged[names[e.Location]] = part{r, size}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	f, err = relocator.Relocate(names)
	return func(location string) (io.ReaderAt, int64, error) {
		p, ok := staged[location]
		if !ok {
			return nil, 0, fmt.Errorf("there is no file %s", location)
		}
		return p.r, p.size, nil
	}, f, err
}
