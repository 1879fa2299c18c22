package pt2onnx

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lethe/convert/layers"
	"lethe/internal/cli"
	"lethe/internal/job"
	"lethe/internal/jobflags"
	"lethe/internal/stage"
	"lethe/internal/structure"
	"lethe/internal/terminal"
	"lethe/internal/usage"
	"lethe/internal/weights"
	"lethe/internal/wiring"
	"lethe/model"
)

// wiringFlags are the flags that say the wiring of weights that nobody wrote down.
func wiringFlags() []urfave.Flag {
	flags := []urfave.Flag{
		&urfave.StringFlag{Name: "like", Usage: "`FILE` with the graph of the network, an ONNX model or a program, whose names and shapes of weights fit"},
		&urfave.StringFlag{Name: "layers", Usage: "YAML `FILE` that describes a network of layers in a row (docs/conversion.md)"},
		&urfave.BoolFlag{Name: "print-layers", Usage: "write the description of the layers instead of an ONNX model: a draft from names and shapes, or with --data what the images tell"},
	}
	for _, f := range jobflags.DataFlags() {
		switch f := f.(*urfave.StringFlag); f.Name {
		case "data":
			f.Usage = "`FILE` or folder of labelled images, as for forget, to find out the wiring of a network of layers in a row: the images that it was trained on"
			flags = append(flags, f)
		case "mean", "std":
			usage, _, _ := strings.Cut(f.Usage, "; default")
			f.Usage = usage + "; default: what fits best"
			flags = append(flags, f)
		case "preprocess", "resize", "crop", "channels", "scale":
			flags = append(flags, f)
		}
	}
	return flags
}

// described reports whether the wiring is not left to names and shapes.
func described(c *urfave.Context) bool {
	return c.IsSet("layers") || c.Bool("print-layers") || c.IsSet("data")
}

// checkWiring refuses flags that contradict each other.
func checkWiring(c *urfave.Context) error {
	if c.IsSet("like") && described(c) {
		return usage.Errorf("--like takes the graph of another file, --layers, --print-layers and --data find one: give either")
	}
	for _, name := range []string{"mean", "std", "preprocess", "resize", "crop", "channels", "scale"} {
		if c.IsSet(name) && !c.IsSet("data") {
			return usage.Errorf("--%s is for the images of --data", name)
		}
	}
	return nil
}

// likeStructure returns the graph of the file of --like with the weights of held.
func likeStructure(c *urfave.Context, held *weights.Checkpoint, opts structure.Options) (*structure.Structure, error) {
	path := c.String("like")
	if path == "-" {
		return nil, usage.Errorf("--like is a file, not standard input")
	}
	like, err := weights.Open(c.Context, path, nil, cli.ReadOptions(c))
	if err != nil {
		return nil, err
	}
	// The graph may read constants from the file until the model is written.
	context.AfterFunc(c.Context, func() { like.Close() })
	s, err := structure.Like(held.State, like.File(), opts)
	if err != nil {
		return nil, fmt.Errorf("the graph of %s: %w", path, err)
	}
	return s, nil
}

// layersOf returns the description of the network's layers: that of --layers, or a
// draft, with what the images of --data tell. Notes are for a person.
func layersOf(c *urfave.Context, held *weights.Checkpoint, input []int, stderr io.Writer) (net *layers.Net, notes []string, err error) {
	var images *job.Data
	open := false
	if c.IsSet("data") {
		settings, err := jobflags.Data(c)
		if err != nil {
			return nil, nil, err
		}
		open = len(settings.Mean) == 0 && len(settings.Std) == 0 && settings.Scale == 0
		if images, err = job.OpenData(c.Context, settings); err != nil {
			return nil, nil, err
		}
		if input == nil {
			input = images.Train.Shape
		}
	}
	if path := c.String("layers"); path != "" {
		f, err := os.Open(path)
		if err != nil {
			return nil, nil, err
		}
		defer f.Close()
		if net, err = layers.Parse(f); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		if net.Input == nil || c.IsSet("input") {
			net.Input = input
		}
	} else if net, err = layers.Draft(held.State, input); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", held.Name, err)
	}
	if images == nil {
		return net, nil, nil
	}
	opts := wiring.Options{}
	if opts.Norms = wiring.Norms(images.Train); !open {
		opts.Norms = append(opts.Norms[:0], images.Norm)
	}
	progress := terminal.NewProgress(stderr, c.Bool("quiet"))
	opts.Progress = func(tried int) { progress.Update(tried, 0, "wirings") }
	found, err := wiring.Find(c.Context, held.State, net, images.Train, opts)
	progress.Done()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", held.Name, err)
	}
	return found.Best.Net, found.Notes(), nil
}

// printLayers writes the description of the layers to out.
func printLayers(c *urfave.Context, held *weights.Checkpoint, net *layers.Net, notes []string, outs *stage.Outputs, out string) error {
	comments := append([]string{"Layers for pt2onnx --layers, from names and shapes of weights."}, notes...)
	if notes == nil {
		comments = append(comments, "What the weights do not tell is open: leave one of each list, or give --data.")
	}
	var b bytes.Buffer
	if err := net.Encode(&b, comments...); err != nil {
		return err
	}
	err := outs.Stage(c.Context, out, func(w io.Writer) error {
		_, err := w.Write(b.Bytes())
		return err
	}, func(r io.ReaderAt, size int64) error {
		_, err := layers.Parse(io.NewSectionReader(r, 0, size))
		return err
	})
	if err != nil {
		return err
	}
	return outs.Commit(c.Context)
}

// structureOf returns the graph of a file: what a flag says of it, or else what
// the file or its names and shapes tell.
func structureOf(c *urfave.Context, held *weights.Checkpoint, opts structure.Options, stderr io.Writer) (*structure.Structure, error) {
	switch {
	case c.IsSet("like"):
		return likeStructure(c, held, opts)
	case described(c):
		net, notes, err := layersOf(c, held, opts.Input, stderr)
		if err != nil {
			return nil, err
		}
		s, err := structure.FromLayers(held.State, net, opts)
		if err != nil {
			return nil, err
		}
		s.Notes = append(s.Notes, notes...)
		return s, nil
	}
	s, err := structure.Read(held.File(), opts)
	if unsupported, ok := err.(*model.UnsupportedError); ok && !held.Format().Program() {
		if _, failed := layers.Draft(held.State, opts.Input); failed == nil {
			return nil, &model.UnsupportedError{What: unsupported.What,
				Advice: "its layers seem to follow one another: --data finds out the wiring with the images that it was trained on; --print-layers writes a description to complete for --layers; --like takes the graph of another file"}
		}
	}
	return s, err
}
