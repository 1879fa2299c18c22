package job

import (
	"context"
	"fmt"
	"io"

	"lethe/convert/aten"
	"lethe/internal/drawing"
	"lethe/internal/stage"
	"lethe/internal/structure"
	"lethe/internal/weights"
)

// DrawSettings say which network is drawn.
type DrawSettings struct {
	In      string // a path, a Hugging Face folder, a reference to a model in a registry, or -
	Reading Reading
	SVG     string // output: the drawing; "" is none
	Force   bool   // replace an existing drawing
}

// Draw returns the layers of a network, and draws them if that is asked for.
func Draw(ctx context.Context, s DrawSettings, std stage.Streams) (*drawing.Network, error) {
	path, config, err := structure.Folder(s.In)
	if err != nil {
		return nil, err
	}
	outs := stage.NewOutputs(std.Out, s.Force, append(s.Reading.files(), path)...)
	defer outs.Discard()
	svg, err := outs.Open(ctx, s.SVG)
	if err != nil {
		return nil, err
	}
	n, err := weights.Open(ctx, path, std.In, s.Reading.Options)
	if err != nil {
		return nil, err
	}
	defer n.Close()
	found, err := structure.Read(n.File(), structure.Options{Config: config, Convert: aten.Options{ForceEval: true}})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.Name, err)
	}
	net, err := drawing.New(found.Graph, found.State)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.Name, err)
	}
	if err := svg.Stage(ctx, func(w io.Writer) error { return net.SVG(w, drawing.Options{}) }, nil); err != nil {
		return nil, err
	}
	if err := n.Unchanged(); err != nil {
		return nil, err
	}
	return net, outs.Commit(ctx)
}
