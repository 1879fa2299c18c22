// Package pt2onnx is the command pt2onnx: it converts a PyTorch checkpoint to ONNX.
package pt2onnx

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lethe/convert/aten"
	"lethe/graph"
	"lethe/internal/cli"
	"lethe/internal/job"
	"lethe/internal/jobflags"
	"lethe/internal/stage"
	"lethe/internal/terminal"
	"lethe/internal/usage"
)

// Run runs the command and returns its exit code.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	app := &urfave.App{
		Name:      "pt2onnx",
		Usage:     "convert an exported program (.pt2), TorchScript or a state dict (.pt, .safetensors) to ONNX",
		ArgsUsage: "in.pt out.onnx",
		Description: "Converts the operators of an exported program or of TorchScript, or recognises\n" +
			"the architecture of a state dict; writes the model, reads it back and compares what it\n" +
			"computes before the file appears.",
		UsageText: "pt2onnx in.pt out.onnx\n" +
			"pt2onnx in.pt2 out.onnx\n" +
			"pt2onnx --input 3x224x224 scripted.pt out.onnx\n" +
			"pt2onnx --data DIR in.pt out.onnx\n" +
			"pt2onnx --print-layers in.pt layers.yaml\n" +
			"pt2onnx --opset 21 --fold-batchnorm in.safetensors out.onnx",
		Flags: append([]urfave.Flag{
			&urfave.IntFlag{Name: "opset", DefaultText: "17, or a later one that an operator needs", Usage: "version of ONNX's operator set, 13 to 28"},
			&urfave.BoolFlag{Name: "fold-batchnorm", Usage: "fold batch normalization into the convolutions (their weights then differ from the checkpoint's)"},
			&urfave.BoolFlag{Name: "optimize", Usage: "make the graph of a program smaller: constants computed, batch normalization folded, nodes that do nothing removed; what it computes is compared"},
			&urfave.StringFlag{Name: "input", Usage: "`SHAPE` of one sample, such as 3x224x224, for a state dict or scripted TorchScript, which may begin with an element type, as uint8:3x224x224 does; with commas for several inputs"},
			&urfave.StringFlag{Name: "input-names", Usage: "`NAMES` for the inputs of a program, with commas between them"},
			&urfave.StringFlag{Name: "output-names", Usage: "`NAMES` for the outputs of a program, with commas between them"},
			&urfave.IntFlag{Name: "batch", DefaultText: "any", Usage: "`N` samples in every batch of a program"},
			&urfave.BoolFlag{Name: "force-eval", Usage: "convert a program that was exported or saved in training mode as if it had been in evaluation mode"},
			&urfave.BoolFlag{Name: "external-data", Usage: "write the weights of a program to a second file, out.onnx.data, as is done above 2 GiB"},
			&urfave.BoolFlag{Name: "force", Usage: "replace an existing output"},
			cli.DryFlag(),
			&urfave.BoolFlag{Name: "json", Usage: "print what was read and written as JSON"},
			cli.QuietFlag(),
		}, slices.Concat(wiringFlags(), cli.ReadFlags(), cli.ResultFlags())...),
		Action: func(c *urfave.Context) error {
			return convert(c, stage.Streams{In: stdin, Out: stdout, Err: stderr, Quiet: c.Bool("quiet")})
		},
	}
	return cli.Run(ctx, app, args, stdin, stdout, stderr)
}

// settings reads the flags.
func settings(c *urfave.Context) (s job.ConvertSettings, err error) {
	paths, err := cli.Args(c, "in.pt", "out.onnx")
	if err != nil {
		return s, err
	}
	s = job.ConvertSettings{
		In: paths[0], Out: paths[1], Reading: jobflags.Reading(c), Opset: c.Int("opset"), FoldBatchNorm: c.Bool("fold-batchnorm"),
		Optimize: c.Bool("optimize"), InputNames: names(c, "input-names"), OutputNames: names(c, "output-names"),
		Batch: c.Int("batch"), ForceEval: c.Bool("force-eval"), ExternalData: c.Bool("external-data"),
		PrintLayers: c.Bool("print-layers"),
		Results:     cli.ResultFilesOf(c), Plan: cli.PlanSettingsOf(c), Force: c.Bool("force"),
	}
	if c.IsSet("data") {
		data, err := jobflags.Data(c)
		if err != nil {
			return s, err
		}
		s.Data = &data
	} else {
		for _, name := range imageFlags {
			if c.IsSet(name) {
				return s, usage.Errorf("--%s is for the images of --data", name)
			}
		}
	}
	s.Inputs, s.Types, err = inputShapes(c)
	return s, err
}

func convert(c *urfave.Context, std stage.Streams) error {
	s, err := settings(c)
	if err != nil {
		return err
	}
	done, err := job.Convert(c.Context, s, std)
	if err != nil || done.Plan == nil {
		return err
	}
	out := std.Out
	if done.Stdout {
		out = std.Err
	}
	switch {
	case s.Plan.DryRun || std.Quiet || s.Plan.JSON:
		return done.Plan.Print(out)
	case done.Program != nil:
		tellProgram(out, s.Out, done.Program)
		return nil
	}
	fmt.Fprintf(out, "%s: %s, input %v, %d classes, opset %d\n", s.Out, done.Graph.Name, done.Shape, done.Classes, cmp.Or(s.Opset, done.Graph.Opset("")))
	_, err = fmt.Fprintf(out, "%s\n", done.Parity)
	return err
}

// tellProgram says what was written.
func tellProgram(w io.Writer, out string, r *aten.Result) {
	values := func(list []graph.Value) string {
		var b strings.Builder
		for i, v := range list {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%s %v%v", v.Name, v.DType, v.Shape)
		}
		return b.String()
	}
	terminal.Linef(w, "%s: %s, %d nodes, opset %d", out, r.Graph.Name, len(r.Graph.Nodes), r.Graph.Opset(""))
	terminal.Linef(w, "input %s; output %s", values(r.Graph.Inputs), values(r.Graph.Outputs))
	if len(r.Unused) > 0 {
		terminal.Linef(w, "not read by the graph: %d tensors, such as %.100q", len(r.Unused), r.Unused[0])
	}
	for _, note := range r.Notes {
		terminal.Linef(w, "%s", note)
	}
}
