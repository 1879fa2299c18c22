// Package pt2onnx is the command pt2onnx: it converts a PyTorch checkpoint to ONNX.
package pt2onnx

import (
	"context"
	"fmt"
	"io"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"lethe/convert"
	"lethe/convert/aten"
	"lethe/file"
	"lethe/graph"
	"lethe/internal/cli"
	"lethe/internal/network"
	"lethe/internal/stage"
	"lethe/internal/structure"
	"lethe/internal/usage"
	"lethe/internal/version"
	"lethe/internal/weights"
	"lethe/model"
	"lethe/onnxio"
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
			&urfave.IntFlag{Name: "opset", Value: graph.DefaultOpset, Usage: "version of ONNX's operator set, 13 to 21; up to 28 for exported programs and TorchScript"},
			&urfave.BoolFlag{Name: "fold-batchnorm", Usage: "fold batch normalization into the convolutions (their weights then differ from the checkpoint's)"},
			&urfave.BoolFlag{Name: "optimize", Usage: "make the graph of a program smaller: constants computed, batch normalization folded, nodes that do nothing removed; what it computes is compared"},
			&urfave.StringFlag{Name: "input", Usage: "`SHAPE` of one sample, such as 3x224x224, for a state dict or scripted TorchScript; with commas for several inputs"},
			&urfave.StringFlag{Name: "input-names", Usage: "`NAMES` for the inputs of a program, with commas between them"},
			&urfave.StringFlag{Name: "output-names", Usage: "`NAMES` for the outputs of a program, with commas between them"},
			&urfave.IntFlag{Name: "batch", DefaultText: "any", Usage: "`N` samples in every batch of a program"},
			&urfave.BoolFlag{Name: "force-eval", Usage: "convert a program that was exported or saved in training mode as if it had been in evaluation mode"},
			&urfave.BoolFlag{Name: "external-data", Usage: "write the weights of a program to a second file, out.onnx.data, as is done above 2 GiB"},
			&urfave.BoolFlag{Name: "force", Usage: "replace an existing output"},
			cli.DryFlag(),
			&urfave.BoolFlag{Name: "json", Usage: "print what was read and written as JSON"},
			&urfave.BoolFlag{Name: "quiet", Usage: "print nothing but errors"},
		}, slices.Concat(wiringFlags(), cli.ReadFlags(), cli.ResultFlags())...),
		Action: func(c *urfave.Context) error { return convertFile(c, stdin, stdout, stderr) },
	}
	return cli.Run(ctx, app, args, stdin, stdout, stderr)
}

func convertFile(c *urfave.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	paths, err := cli.Args(c, "in.pt", "out.onnx")
	if err != nil {
		return err
	}
	if err := checkWiring(c); err != nil {
		return err
	}
	in, out := paths[0], paths[1]
	in, config, err := structure.Folder(in)
	if err != nil {
		return err
	}
	data := dataFile(c, in, out)
	outs, err := stage.NewOutputs(c.Context, stdout, c.Bool("force"), []string{in}, append(cli.ResultFilesOf(c).Paths(), out, data)...)
	if err != nil {
		return err
	}
	defer outs.Discard()
	if err := outs.SetResults(out, cli.ResultFilesOf(c)); err != nil {
		return err
	}
	held, err := weights.Open(c.Context, in, stdin, cli.ReadOptions(c))
	if err != nil {
		return err
	}
	defer held.Close()
	if held.Format() == file.ONNX {
		return fmt.Errorf("%s: %w", held.Name, &model.UnsupportedError{What: "it is an ONNX model already",
			Advice: "ptcheck shows what is in it, ptconvert takes its weights out"})
	}
	inputs, err := inputShapes(c)
	if err != nil {
		return err
	}
	var input []int
	if len(inputs) == 1 {
		input = inputs[0]
	} else if len(inputs) > 1 && held.Format() != file.TorchScript {
		return usage.Errorf("--input with several shapes is for TorchScript")
	}
	if c.Bool("print-layers") {
		net, notes, err := layersOf(c, held, input, stderr)
		if err != nil {
			return err
		}
		return printLayers(c, held, net, notes, outs, out)
	}
	s, err := structureOf(c, held, structure.Options{
		Convert: aten.Options{Opset: c.Int("opset"), ForceEval: c.Bool("force-eval"), Batch: c.Int("batch")},
		Input:   input, Inputs: inputs, Config: config,
		Edit: func(p *aten.Program) error { return rename(c, p) },
	}, stderr)
	if err != nil {
		return tellUnsupported(stderr, held.Name, err)
	}
	if !s.LeNet {
		return writeProgram(c, held, s.Result, outs, out, data, stdout, stderr)
	}
	return convertLeNet(c, held, s, outs, out, stdout, stderr)
}

// convertLeNet writes the network that is known by its names and shapes alone.
func convertLeNet(c *urfave.Context, held *weights.Checkpoint, s *structure.Structure, outs *stage.Outputs, out string, stdout, stderr io.Writer) error {
	n, err := network.Bind(held, s)
	if err != nil {
		return err
	}
	if err := onlyForPrograms(c); err != nil {
		return err
	}
	sd := s.State
	if c.Bool("fold-batchnorm") {
		if s.Graph, sd, err = convert.FoldBatchNorm(s.Graph, sd); err != nil {
			return err
		}
	}
	opts := onnxio.EncodeOptions{Opset: c.Int("opset")}
	plan, err := network.NewPlan(cli.PlanSettingsOf(c), n)
	if err != nil {
		return err
	}
	written, err := network.PlanONNX(plan, outs, out, s, sd, opts)
	if err != nil {
		return err
	}
	plan.WriteResults(outs, cli.ResultFilesOf(c))
	if c.Bool("dry-run") {
		return plan.Print(stdout)
	}
	parity, digest, err := network.StageONNX(c.Context, outs, out, n.Graph, n.State, s, sd, opts)
	if err != nil {
		return err
	}
	plan.Parity, written.Digest = parity, &digest
	if err := n.Checkpoint.SetSource(outs, ".onnx", map[string]string{"lethe.tool": "pt2onnx " + version.String()}); err != nil {
		return err
	}
	if err := outs.Commit(c.Context); err != nil {
		return err
	}
	report := stdout
	if out == "-" {
		report = stderr
	}
	if c.Bool("quiet") || c.Bool("json") {
		return plan.Print(report)
	}
	fmt.Fprintf(report, "%s: %s, input %v, %d classes, opset %d\n", out, s.Graph.Name, n.Net.InputShape(), n.Net.Classes(), c.Int("opset"))
	_, err = fmt.Fprintf(report, "%s\n", parity)
	return err
}
