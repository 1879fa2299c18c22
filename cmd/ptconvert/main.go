// Command ptconvert rewrites a state dict between PyTorch checkpoints,
// safetensors and other files that hold one.
package main

//go:generate sh -c "go run . --man >../../docs/man/ptconvert.1"

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lethe/file"
	"lethe/internal/cli"
	"lethe/internal/registry"
	"lethe/pickle"
	"lethe/report"
)

func main() { os.Exit(cli.Main(run)) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
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
			&urfave.BoolFlag{Name: "quiet", Usage: "print nothing but errors"},
		}, append(cli.ReadFlags(), cli.ResultFlags()...)...),
		Action: func(c *urfave.Context) error { return convert(c, stdin, stdout, stderr) },
	}
	return cli.Run(ctx, app, args, stdin, stdout, stderr)
}

func convert(c *urfave.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	paths, err := cli.Args(c, "in", "out")
	if err != nil {
		return err
	}
	in, out := paths[0], paths[1]
	var opts cli.WriteOptions
	if name := c.String("profile"); name != "" {
		if opts.Layout.Profile, err = pickle.ParseProfile(name); err != nil {
			return cli.Usagef("%v", err)
		}
	}
	outs, err := cli.NewOutputs(c.Context, stdout, c.Bool("force"), []string{in}, append(cli.ResultFiles(c), out)...)
	if err != nil {
		return err
	}
	defer outs.Discard()
	if err := outs.Tell(out, cli.ResultFiles(c)); err != nil {
		return err
	}
	n, err := cli.OpenCheckpoint(c.Context, in, stdin, cli.ReadOptions(c))
	if err != nil {
		return err
	}
	defer n.Close()
	opts.Format = cli.FormatOf(out, n.Format())
	if opts.Format != file.Checkpoint && (c.IsSet("profile") || c.IsSet("root")) {
		return cli.Usagef("--profile and --root are for checkpoints, %s is %s", out, opts.Format)
	}
	if err := n.AnnounceExternal(outs, out, opts.Format); err != nil {
		return err
	}
	opts.Layout.Root = c.String("root")
	if opts.Layout.Root == "" && out != "-" && !registry.IsReference(out) {
		name := filepath.Base(out)
		opts.Layout.Root = strings.TrimSuffix(name, filepath.Ext(name))
	}
	plan, err := cli.NewPlan(c, n)
	if err != nil {
		return err
	}
	written, err := plan.WriteState(outs, out, n, opts.Format)
	if err != nil {
		return err
	}
	plan.WriteResults(c, outs)
	if c.Bool("dry-run") {
		return plan.Print(c, stdout)
	}
	if c.Bool("json") {
		opts.Digest = new(report.Digest)
		written.Digest = opts.Digest
	}
	size, err := n.StageState(c.Context, outs, out, n.State, opts)
	if err != nil {
		return err
	}
	if err := outs.From(n, "", map[string]string{"lethe.tool": "ptconvert " + cli.Version()}); err != nil {
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
		return plan.Print(c, report)
	}
	n.TellLost(stderr, out, opts.Format)
	_, err = fmt.Fprintf(report, "%s: %s, %d tensors, %d bytes\n", out, opts.Format, n.State.Len(), size)
	return err
}
