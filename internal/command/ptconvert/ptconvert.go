// Package ptconvert is the command ptconvert: it rewrites a state dict between
// PyTorch checkpoints, safetensors and other files that hold one.
package ptconvert

import (
	"context"
	"fmt"
	"io"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"lethe/internal/cli"
	"lethe/internal/stage"
	"lethe/internal/usage"
	"lethe/internal/weights"
	"lethe/pickle"
)

// Run runs the command and returns its exit code.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	app := &urfave.App{
		Name:      "ptconvert",
		Usage:     "rewrite a state dict as a PyTorch checkpoint or as safetensors",
		ArgsUsage: "in out",
		Description: "Knows the input by its content: a checkpoint, safetensors, ONNX, TorchScript or\n" +
			".pt2. Writes what the output's extension names (.pt, .pth, .bin, .ckpt;\n" +
			".safetensors), and reads it back before the file appears. A checkpoint comes out\n" +
			"as torch.save of the chosen version writes the same object.",
		UsageText: "ptconvert in.pt out.safetensors\n" +
			"ptconvert --profile 2.7 --key ema in.pt out.pt",
		Flags: append([]urfave.Flag{
			&urfave.StringFlag{Name: "profile", Usage: "PyTorch whose checkpoints to write, `1.6|2.1|2.7`: from 1.6 to 2.0, from 2.1 to 2.6, or from 2.7; default: that of the input, or 2.1"},
			&urfave.StringFlag{Name: "root", Usage: "`NAME` of the folder inside a checkpoint; default: the output's name without its last extension, as torch.save has it"},
			&urfave.BoolFlag{Name: "force", Usage: "replace an existing output"},
			cli.DryFlag(),
			&urfave.BoolFlag{Name: "json", Usage: "print what was read and written as JSON"},
			cli.QuietFlag(),
		}, slices.Concat(rewriteFlags(), cli.ReadFlags(), cli.ResultFlags())...),
		Action: func(c *urfave.Context) error {
			return convert(c, stage.Streams{In: stdin, Out: stdout, Err: stderr, Quiet: c.Bool("quiet")})
		},
	}
	return cli.Run(ctx, app, args, stdin, stdout, stderr)
}

// settings reads the flags.
func settings(c *urfave.Context) (s weights.ConvertSettings, err error) {
	paths, err := cli.Args(c, "in", "out")
	if err != nil {
		return s, err
	}
	s = weights.ConvertSettings{
		In: paths[0], Out: paths[1], Reading: cli.ReadOptions(c), Layout: pickle.EncodeOptions{Root: c.String("root")},
		Results: cli.ResultFilesOf(c), Plan: cli.PlanSettingsOf(c), Force: c.Bool("force"),
	}
	if name := c.String("profile"); name != "" {
		if s.Layout.Profile, err = pickle.ParseProfile(name); err != nil {
			return s, usage.Errorf("%v", err)
		}
	}
	if s.Rules, err = rewriteRules(c); err != nil {
		return s, err
	}
	s.Shard, err = shardSize(c)
	return s, err
}

func convert(c *urfave.Context, std stage.Streams) error {
	s, err := settings(c)
	if err != nil {
		return err
	}
	done, err := weights.Convert(c.Context, s, std)
	if err != nil {
		return err
	}
	out := std.Out
	if done.Stdout {
		out = std.Err
	}
	if s.Plan.DryRun || std.Quiet || s.Plan.JSON {
		return done.Plan.Print(out)
	}
	files := ""
	if done.Files > 0 {
		files = fmt.Sprintf(" in %d files", done.Files)
	}
	_, err = fmt.Fprintf(out, "%s: %s, %d tensors, %d bytes%s\n", s.Out, done.Format, done.Tensors, done.Bytes, files)
	return err
}
