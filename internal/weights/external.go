package weights

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"lethe/file"
	"lethe/internal/registry"
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

// AnnounceExternal announces the files beside the output at path that a file of
// the input's format needs there, see [stage.NewOutputs].
func (n *Checkpoint) AnnounceExternal(outs *stage.Outputs, path string, to file.Format) error {
	if to != n.Format() || len(n.file.External()) == 0 {
		return nil
	}
	if path == "-" || registry.IsReference(path) {
		return &model.UnsupportedError{What: "the model has its data in other files", Advice: "give the output a file name, and its data goes beside it"}
	}
	var paths, inputs []string
	for _, e := range n.file.External() {
		paths = append(paths, sibling(path, n.externalNames(path)[e.Location]))
		inputs = append(inputs, sibling(n.Name, e.Location))
	}
	return outs.Announce(append(inputs, n.Name), paths...)
}

// stageExternal stages the files beside an output, and returns the file with the
// locations of these and a way to open them.
func (n *Checkpoint) stageExternal(ctx context.Context, outs *stage.Outputs, path string, f file.File) (open func(string) (io.ReaderAt, int64, error), _ file.File, err error) {
	relocator, ok := f.(file.Relocator)
	if !ok || len(f.External()) == 0 {
		return nil, f, nil
	}
	type part struct {
		r    io.ReaderAt
		size int64
	}
	staged := map[string]part{}
	names := n.externalNames(path)
	for _, e := range f.External() {
		err := outs.Stage(ctx, sibling(path, names[e.Location]), e.Encode, func(r io.ReaderAt, size int64) error {
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
