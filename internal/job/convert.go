package job

import (
	"context"
	"fmt"

	"lethe/convert"
	"lethe/convert/aten"
	"lethe/file"
	"lethe/graph"
	"lethe/internal/network"
	"lethe/internal/stage"
	"lethe/internal/structure"
	"lethe/internal/usage"
	"lethe/internal/version"
	"lethe/internal/weights"
	"lethe/model"
	"lethe/onnxio"
	"lethe/report"
)

// ConvertSettings say what is to be converted to ONNX, and how.
type ConvertSettings struct {
	In, Out       string // paths, references to models in registries, or -; In may be a Hugging Face folder
	Reading       Reading
	Opset         int
	FoldBatchNorm bool          // fold batch normalization into the convolutions
	Inputs        [][]int       // shapes of one sample of each input; nil is what the file or the images say
	Types         []model.DType // their element types; Invalid is what the file says

	// Of programs alone.
	Optimize                bool     // make the graph smaller
	InputNames, OutputNames []string // nil: those of the program
	Batch                   int      // samples in every batch; 0 is any number
	ForceEval               bool     // convert a program in training mode as one in evaluation mode
	ExternalData            bool     // weights in a second file, as if they were too large for one

	// The wiring of a state dict; without any of these, or Like or Layers of Reading,
	// names and shapes must tell it.
	PrintLayers bool          // write such a description instead of a model
	Data        *DataSettings // labelled images that the network was trained on

	Results stage.ResultFiles
	Plan    weights.PlanSettings // with DryRun, all ends before the model is written
	Force   bool                 // replace existing outputs
}

// Converted is what [Convert] has done.
type Converted struct {
	Plan    *weights.Plan  // of what was written or, in a dry run, would be; nil for a description of layers
	Graph   *graph.Graph   // of the model; nil for a description of layers
	Program *aten.Result   // what the graph was converted with, or nil
	Parity  *report.Parity // of the network that is known by its names and shapes alone, with its checkpoint
	Shape   []int          // of an image that it takes
	Classes int            // that it tells apart
	Stdout  bool           // the output is standard output: what a person is to read goes elsewhere
}

// Convert writes a network as an ONNX model, reads it back and compares what it
// computes before the file appears. What cannot be converted is an error, after a
// line for each part of it on std.Err.
func Convert(ctx context.Context, s ConvertSettings, std stage.Streams) (*Converted, error) {
	c := &converting{ConvertSettings: s, std: std, done: &Converted{Stdout: stage.KindOf(s.Out) == stage.Standard && !s.Plan.DryRun}}
	if s.Reading.Like != "" && s.described() {
		return nil, usage.Errorf("--like takes the graph of another file, --layers, --print-layers and --data find one: give either")
	}
	what, extension := "an ONNX model", ".onnx"
	if s.PrintLayers {
		what, extension = "a description of layers", ".yaml"
	}
	if err := stage.OnlyONNX(s.Out, what, extension); err != nil {
		return nil, err
	}
	in, config, err := structure.Folder(s.In)
	if err != nil {
		return nil, err
	}
	c.outs = stage.NewOutputs(std.Out, s.Force, append(s.Reading.files(), in)...)
	if s.Data != nil {
		c.outs.Protect(s.Data.files()...)
	}
	defer c.outs.Discard()
	if err := c.open(ctx, in); err != nil {
		return nil, err
	}
	if c.held, err = weights.Open(ctx, in, std.In, s.Reading.Options); err != nil {
		return nil, err
	}
	defer c.close()
	if c.held.Format() == file.ONNX {
		return nil, fmt.Errorf("%s: %w", c.held.Name, &model.UnsupportedError{What: "it is an ONNX model already",
			Advice: "ptcheck shows what is in it, ptconvert takes its weights out"})
	}
	return c.done, c.run(ctx, structure.Options{
		Convert: aten.Options{Opset: s.Opset, ForceEval: s.ForceEval, Batch: s.Batch},
		Inputs:  s.Inputs, Types: s.Types, Config: config, Edit: s.rename,
	})
}

// converting is a conversion under way.
type converting struct {
	ConvertSettings
	std  stage.Streams
	done *Converted
	outs *stage.Outputs
	out  *stage.Output
	data *stage.Output   // the second file, with weights, or nil
	tell []*stage.Output // of [ConvertSettings.Results]
	held *weights.Checkpoint
	like *weights.Checkpoint // the file of Reading.Like, or nil
}

// open opens the outputs.
func (c *converting) open(ctx context.Context, in string) (err error) {
	if c.out, err = c.outs.Open(ctx, c.Out); err != nil {
		return err
	}
	if c.data, err = c.outs.Open(ctx, c.dataFile(in)); err != nil {
		return err
	}
	c.tell, err = c.outs.OpenResults(ctx, c.out, c.Results)
	return err
}

func (c *converting) close() {
	c.held.Close()
	if c.like != nil {
		c.like.Close()
	}
}

// run finds the structure of the network and writes it.
func (c *converting) run(ctx context.Context, opts structure.Options) error {
	if len(c.Inputs) == 1 {
		opts.Input = c.Inputs[0]
	} else if len(c.Inputs) > 1 && c.held.Format() != file.TorchScript {
		return usage.Errorf("--input with several shapes is for TorchScript")
	}
	if c.PrintLayers {
		net, notes, err := c.layersOf(ctx, opts.Input)
		if err != nil {
			return err
		}
		return c.writeLayers(ctx, net, notes)
	}
	s, err := c.structureOf(ctx, opts)
	if err != nil {
		return tellUnsupported(c.std.Err, c.held.Name, err)
	}
	if !s.LeNet {
		return c.writeProgram(ctx, s.Result)
	}
	return c.writeLeNet(ctx, s)
}

// onlyForPrograms refuses settings that a state dict cannot follow.
func (s *ConvertSettings) onlyForPrograms() error {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"optimize", s.Optimize}, {"input-names", s.InputNames != nil}, {"output-names", s.OutputNames != nil},
		{"batch", s.Batch != 0}, {"force-eval", s.ForceEval}, {"external-data", s.ExternalData},
	} {
		if f.set {
			return usage.Errorf("--%s is for exported programs (.pt2) and TorchScript", f.name)
		}
	}
	return nil
}

// writeLeNet writes the network that is known by its names and shapes alone.
func (c *converting) writeLeNet(ctx context.Context, s *structure.Structure) error {
	n, err := network.Bind(c.held, s)
	if err != nil {
		return err
	}
	if err := c.onlyForPrograms(); err != nil {
		return err
	}
	sd := s.State
	if c.FoldBatchNorm {
		if s.Graph, sd, err = convert.FoldBatchNorm(s.Graph, sd); err != nil {
			return err
		}
	}
	opts := onnxio.EncodeOptions{Opset: c.Opset}
	plan, err := network.NewPlan(c.Plan, n)
	if err != nil {
		return err
	}
	written, err := network.PlanONNX(plan, c.out, s, sd, opts)
	if err != nil {
		return err
	}
	plan.WriteResults(c.tell)
	c.done.Plan, c.done.Graph, c.done.Shape, c.done.Classes = plan, s.Graph, n.Net.InputShape(), n.Net.Classes()
	if c.Plan.DryRun {
		return nil
	}
	parity, digest, err := network.StageONNX(ctx, c.out, n.Net, s, sd, opts)
	if err != nil {
		return err
	}
	plan.Parity, written.Digest, c.done.Parity = parity, &digest, parity
	return c.commit(ctx)
}

// commit puts the model in its place.
func (c *converting) commit(ctx context.Context) error {
	if err := c.held.SetSource(c.outs, ".onnx", map[string]string{"lethe.tool": version.Tool("pt2onnx").String()}); err != nil {
		return err
	}
	if err := c.outs.Commit(ctx); err != nil {
		return err
	}
	if !c.std.Quiet {
		c.outs.TellLeft(c.std.Err)
	}
	return nil
}
