package job

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"lethe/convert/layers"
	"lethe/internal/network"
	"lethe/internal/structure"
	"lethe/internal/wiring"
	"lethe/model"
)

// described reports whether the wiring is not left to names and shapes.
func (s *ConvertSettings) described() bool {
	return s.Reading.Layers != "" || s.PrintLayers || s.Data != nil
}

// likeStructure returns the graph of the file Like of the settings with the weights of the input.
func (c *converting) likeStructure(ctx context.Context, opts structure.Options) (*structure.Structure, error) {
	s, like, err := network.Like(ctx, c.held, c.Reading.Like, c.Reading.Options, opts)
	c.like = like // to be closed when the model is written
	return s, err
}

// layersOf returns the description of the network's layers: that of the file
// Layers of the settings, or a draft, with what the images tell. Notes are for a person.
func (c *converting) layersOf(ctx context.Context, input []int) (net *layers.Net, notes []string, err error) {
	var images *Data
	open := false
	if c.Data != nil {
		open = len(c.Data.Mean) == 0 && len(c.Data.Std) == 0 && c.Data.Scale == 0
		if images, err = OpenData(ctx, *c.Data); err != nil {
			return nil, nil, err
		}
		if input == nil {
			input = images.Train.Shape
		}
	}
	if c.Reading.Layers != "" {
		if net, err = structure.ReadLayers(c.Reading.Layers); err != nil {
			return nil, nil, err
		}
		if net.Input == nil || c.Inputs != nil {
			net.Input = input
		}
	} else if net, err = layers.Draft(c.held.State, input); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", c.held.Name, err)
	}
	if images == nil {
		return net, nil, nil
	}
	opts := wiring.Options{}
	if opts.Norms = wiring.Norms(images.Train); !open {
		opts.Norms = append(opts.Norms[:0], images.Norm)
	}
	progress := c.std.Progress()
	opts.Progress = func(tried int) { progress.Update(tried, 0, "wirings") }
	found, err := wiring.Find(ctx, c.held.State, net, images.Train, opts)
	progress.Done()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", c.held.Name, err)
	}
	return found.Best.Net, found.Notes(), nil
}

// writeLayers writes the description of the layers.
func (c *converting) writeLayers(ctx context.Context, net *layers.Net, notes []string) error {
	comments := append([]string{"Layers for pt2onnx --layers, from names and shapes of weights."}, notes...)
	if notes == nil {
		comments = append(comments, "What the weights do not tell is open: leave one of each list, or give --data.")
	}
	var b bytes.Buffer
	if err := net.Encode(&b, comments...); err != nil {
		return err
	}
	err := c.out.Stage(ctx, func(w io.Writer) error {
		_, err := w.Write(b.Bytes())
		return err
	}, func(r io.ReaderAt, size int64) error {
		_, err := layers.Parse(io.NewSectionReader(r, 0, size))
		return err
	})
	if err != nil {
		return err
	}
	return c.outs.Commit(ctx)
}

// structureOf returns the graph of the input: what the settings say of it, or else
// what the file or its names and shapes tell.
func (c *converting) structureOf(ctx context.Context, opts structure.Options) (*structure.Structure, error) {
	switch {
	case c.Reading.Like != "":
		return c.likeStructure(ctx, opts)
	case c.described():
		net, notes, err := c.layersOf(ctx, opts.Input)
		if err != nil {
			return nil, err
		}
		s, err := structure.FromLayers(c.held.State, net, opts)
		if err != nil {
			return nil, err
		}
		s.Notes = append(s.Notes, notes...)
		return s, nil
	}
	s, err := structure.Read(c.held.File(), opts)
	if unsupported, ok := err.(*model.UnsupportedError); ok && !c.held.Format().Program() {
		if _, failed := layers.Draft(c.held.State, opts.Input); failed == nil {
			return nil, &model.UnsupportedError{What: unsupported.What,
				Advice: "its layers seem to follow one another: --data finds out the wiring with the images that it was trained on; --print-layers writes a description to complete for --layers; --like takes the graph of another file"}
		}
	}
	return s, err
}
