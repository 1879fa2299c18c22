// Package forget is the command forget: it makes a trained classifier forget a class.
package forget

import (
	"context"
	"io"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"lethe/edit"
	"lethe/internal/cli"
	"lethe/internal/job"
	"lethe/internal/jobflags"
	"lethe/internal/stage"
	"lethe/internal/terminal"
	"lethe/internal/usage"
	"lethe/report"
	"lethe/verify"
)

// Run runs the command and returns its exit code.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	app := &urfave.App{
		Name:      "forget",
		Usage:     "make a trained classifier forget a class",
		ArgsUsage: "in.pt out.pt",
		Description: "Edits the weights before the last layer until the network no longer knows the\n" +
			"class and still knows the others, verifies the result, and writes it as a\n" +
			"checkpoint and, beside it, as ONNX. Nothing is written if a check fails. Both\n" +
			"may be in a registry: oci://REGISTRY/REPOSITORY:TAG, or models:/NAME@ALIAS in\n" +
			"MLflow.",
		UsageText: "forget --class 3 in.pt out.pt\n" +
			"forget --class Shirt --gate full --report report.json --sign key.pem in.pt out.pt\n" +
			"forget --class 3 --dry-run oci://registry.example/models/lenet:v1 oci://registry.example/models/lenet:v2",
		Flags: append([]urfave.Flag{
			&urfave.StringFlag{Name: "class", Required: true, Usage: "`CLASS` to forget: an index or a label; several with commas"},
			&urfave.StringFlag{Name: "onnx", Usage: "`FILE` for the ONNX model; default: the output with .onnx at its end"},
			&urfave.BoolFlag{Name: "no-onnx", Usage: "write no ONNX model"},
			&urfave.StringFlag{Name: "gate", Value: string(verify.GateHard), Usage: "what the edit must achieve to be written, `none|hard|full`: the invariants alone, no measure beyond the hard limits, or full marks (or within --budget-l2, --max-kl and --max-target)"},
			&urfave.StringFlag{Name: "forget-only", Usage: "`DIR` as for --data, of which only the images of the class are used: the network itself says what is to remain"},
			jobflags.AimFlag(),
			&urfave.StringFlag{Name: "reference", Usage: "with --aim unseen: steer by a network that never saw the class, `retrain|FILE`: one that is trained now, in the time that it takes, or one of the same architecture in a file"},
			&urfave.StringFlag{Name: "prefer", Value: string(edit.PreferRetain), Usage: "what to do with what the limits leave, `retain|minimal`: keep the highest accuracy on the other classes, or make the smallest change"},
			&urfave.Float64Flag{Name: "budget-l2", Usage: "largest distance of the parameters; default: full marks by the rules, 1.3 for the reference task"},
			&urfave.Float64Flag{Name: "max-kl", Usage: "largest mean divergence from uniform on the class, in nats; default: full marks by the rules, 0.2 for ten classes"},
			&urfave.Float64Flag{Name: "max-target", Usage: "largest accuracy on the class, 0 to 1; default: full marks by the rules, 0.09 for ten classes"},
			&urfave.Float64Flag{Name: "max-loss", Value: edit.DefaultMaxLoss, Usage: "largest loss of accuracy on the other classes in unseen images, 0 to 1: an edit that costs more is not written; with --gate none it is"},
			&urfave.StringSliceFlag{Name: "train", Usage: "move nothing but the parameters of these `NAME`s: whole names, their beginnings up to a dot, or patterns with * and ?"},
			&urfave.StringSliceFlag{Name: "freeze", Usage: "leave the parameters of these `NAME`s as they are"},
			&urfave.Uint64Flag{Name: "seed", Usage: "seed of every random draw"},
			jobflags.ThreadsFlag(),
			&urfave.BoolFlag{Name: "force", Usage: "replace existing outputs"},
			cli.DryFlag(),
			&urfave.BoolFlag{Name: "json", Usage: "print the report as JSON"},
			cli.QuietFlag(),
		}, slices.Concat(jobflags.EvidenceFlags(), cli.ReadFlags(), jobflags.GraphFlags(), cli.ResultFlags(), jobflags.DataFlags(), jobflags.RulesFlags())...),
		Action: func(c *urfave.Context) error {
			return forget(c, stage.Streams{In: stdin, Out: stdout, Err: stderr, Quiet: c.Bool("quiet")})
		},
	}
	return cli.Run(ctx, app, args, stdin, stdout, stderr)
}

// settings reads the flags.
func settings(c *urfave.Context) (s job.ForgetSettings, err error) {
	paths, err := cli.Args(c, "in.pt", "out.pt")
	if err != nil {
		return s, err
	}
	s = job.ForgetSettings{
		In: paths[0], Out: paths[1], ONNX: c.String("onnx"), NoONNX: c.Bool("no-onnx"),
		Reading: jobflags.Reading(c), Class: c.String("class"), Gate: c.String("gate"), Rules: c.String("rules"), Reference: c.String("reference"),
		Edit: edit.Options{
			Seed: c.Uint64("seed"), Prefer: edit.Preference(c.String("prefer")), MaxLoss: c.Float64("max-loss"),
			Train: c.StringSlice("train"), Freeze: c.StringSlice("freeze"),
			Limits: report.Limits{Target: c.Float64("max-target"), KL: c.Float64("max-kl"), L2: c.Float64("budget-l2")},
		},
		Evidence: jobflags.Evidence(c), Results: cli.ResultFilesOf(c), Plan: cli.PlanSettingsOf(c), Force: c.Bool("force"),
	}
	for _, limit := range []struct{ flag, is string }{
		{"max-target", "accuracy on the class is 0: it must be above 0 and below 1"},
		{"max-kl", "divergence is 0: it must be a positive number"},
		{"budget-l2", "distance is 0: it must be a positive number"},
		{"max-loss", "loss of the others is 0: it must be above 0"},
	} {
		if c.IsSet(limit.flag) && c.Float64(limit.flag) == 0 { // which is not a limit, for a job
			return s, usage.Errorf("--%s: the largest %s", limit.flag, limit.is)
		}
	}
	if s.Edit.Aim, err = jobflags.Aim(c); err != nil {
		return s, err
	}
	if s.Edit.Threads, err = jobflags.Threads(c); err != nil {
		return s, err
	}
	for _, flag := range []string{"max-kl", "prefer"} {
		if s.Edit.Aim == report.AimUnseen && c.IsSet(flag) {
			return s, usage.Errorf("--%s is for --aim %s", flag, report.AimUniform)
		}
	}
	s.Data, err = jobflags.Data(c)
	return s, err
}

func forget(c *urfave.Context, std stage.Streams) error {
	s, err := settings(c)
	if err != nil {
		return err
	}
	done, err := job.Forget(c.Context, s, std)
	if err != nil {
		return err
	}
	results := std.Out
	if done.Stdout && done.Plan == nil {
		results = std.Err
	}
	switch {
	case done.Plan != nil:
		return done.Plan.Print(results)
	case std.Quiet:
		return nil
	case c.Bool("json"):
		return terminal.PrintJSON(results, done.Report)
	}
	return job.PrintReport(results, done.Report)
}
