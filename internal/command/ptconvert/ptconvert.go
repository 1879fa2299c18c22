// Package ptconvert is the command ptconvert: it rewrites a state dict between
// PyTorch checkpoints, safetensors and other files that hold one.
package ptconvert

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lethe/file"
	"lethe/internal/cli"
	"lethe/internal/registry"
	"lethe/internal/rewrite"
	"lethe/internal/stage"
	"lethe/internal/usage"
	"lethe/internal/version"
	"lethe/internal/weights"
	"lethe/pickle"
	"lethe/report"
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
			&urfave.BoolFlag{Name: "quiet", Usage: "print nothing but errors"},
		}, slices.Concat(rewriteFlags(), cli.ReadFlags(), cli.ResultFlags())...),
		Action: func(c *urfave.Context) error { return convert(c, stdin, stdout, stderr) },
	}
	return cli.Run(ctx, app, args, stdin, stdout, stderr)
}

// settings are what the flags ask for.
type settings struct {
	write weights.WriteOptions // but for the format
	rules rewrite.Rules
	shard int64 // largest bytes of tensors in a file; 0 for no bound
}

func readSettings(c *urfave.Context, out string) (s settings, err error) {
	if name := c.String("profile"); name != "" {
		if s.write.Layout.Profile, err = pickle.ParseProfile(name); err != nil {
			return s, usage.Errorf("%v", err)
		}
	}
	file := out != "-" && !registry.IsReference(out)
	s.write.Layout.Root = c.String("root")
	if s.write.Layout.Root == "" && file {
		name := filepath.Base(out)
		s.write.Layout.Root = strings.TrimSuffix(name, filepath.Ext(name))
	}
	if s.rules, err = rewriteRules(c); err != nil {
		return s, err
	}
	if s.shard, err = shardSize(c); err == nil && s.shard > 0 && !(file && cli.ResultFilesOf(c) == stage.ResultFiles{}) {
		err = usage.Errorf("--max-shard-size writes several files; give the output a file name, and no file for its URI or digest")
	}
	return s, err
}

func convert(c *urfave.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	paths, err := cli.Args(c, "in", "out")
	if err != nil {
		return err
	}
	in, out := paths[0], paths[1]
	set, err := readSettings(c, out)
	if err != nil {
		return err
	}
	opts := set.write
	announced := append(cli.ResultFilesOf(c).Paths(), out)
	if set.shard > 0 { // what the files are called is known later
		announced = nil
	}
	outs, err := stage.NewOutputs(c.Context, stdout, c.Bool("force"), []string{in}, announced...)
	if err != nil {
		return err
	}
	defer outs.Discard()
	if err := outs.SetResults(out, cli.ResultFilesOf(c)); err != nil {
		return err
	}
	n, err := weights.Open(c.Context, in, stdin, cli.ReadOptions(c))
	if err != nil {
		return err
	}
	defer n.Close()
	opts.Format = stage.FormatOf(out, n.Format())
	if opts.Format != file.Checkpoint && (c.IsSet("profile") || c.IsSet("root")) {
		return usage.Errorf("--profile and --root are for checkpoints, %s is %s", out, opts.Format)
	}
	if err := n.AnnounceExternal(outs, out, opts.Format); err != nil {
		return err
	}
	plan, err := weights.NewPlan(cli.PlanSettingsOf(c), n)
	if err != nil {
		return err
	}
	changes, err := n.Rewrite(set.rules)
	if err != nil {
		return err
	}
	for _, change := range changes {
		plan.Changes = append(plan.Changes, change.String())
	}
	if set.shard > 0 {
		if done, err := shard(c, n, outs, plan, in, out, set, stdout, stderr, opts.Format); done || err != nil {
			return err
		}
		if err := outs.Announce([]string{in}, out); err != nil {
			return err
		}
	}
	written, err := plan.WriteState(outs, out, n, opts.Format)
	if err != nil {
		return err
	}
	plan.WriteResults(outs, cli.ResultFilesOf(c))
	if c.Bool("dry-run") {
		return plan.Print(stdout)
	}
	if c.Bool("json") {
		opts.Digest = new(report.Digest)
		written.Digest = opts.Digest
	}
	size, err := n.StageState(c.Context, outs, out, n.State, opts)
	if err != nil {
		return err
	}
	if err := n.SetSource(outs, "", map[string]string{"lethe.tool": "ptconvert " + version.String()}); err != nil {
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
	n.TellLost(stderr, out, opts.Format)
	_, err = fmt.Fprintf(report, "%s: %s, %d tensors, %d bytes\n", out, opts.Format, n.State.Len(), size)
	return err
}

// shard writes the state dict as several files; done is false if one has room for
// all.
func shard(c *urfave.Context, n *weights.Checkpoint, outs *stage.Outputs, plan *weights.Plan, in, out string, set settings, stdout, stderr io.Writer, format file.Format) (done bool, err error) {
	opts := set.write
	opts.Format = format
	shards, err := n.Shard(out, set.shard)
	if shards == nil || err != nil {
		return false, err
	}
	if opts.Format.Program() {
		return false, usage.Errorf("--max-shard-size is for checkpoints and safetensors, %s is %s", out, opts.Format)
	}
	if err := outs.Announce([]string{in}, shards.Paths()...); err != nil {
		return false, err
	}
	for _, path := range shards.Paths() {
		what := string(opts.Format)
		if filepath.Ext(path) == ".json" {
			what = "index"
		}
		plan.Write(outs, path, what)
	}
	plan.Lost = append(plan.Lost, file.Lost(n.File(), opts.Format)...)
	if c.Bool("dry-run") {
		return true, plan.Print(stdout)
	}
	size, err := n.StageShards(c.Context, outs, shards, opts)
	if err != nil {
		return false, err
	}
	if err := outs.Commit(c.Context); err != nil {
		return false, err
	}
	if c.Bool("quiet") || c.Bool("json") {
		return true, plan.Print(stdout)
	}
	n.TellLost(stderr, out, opts.Format)
	files := len(shards.Paths()) - 1
	_, err = fmt.Fprintf(stdout, "%s: %s, %d tensors, %d bytes in %d files\n", out, opts.Format, n.State.Len(), size, files)
	return true, err
}
