// Package forget is the command forget: it makes a trained classifier forget a class.
package forget

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lethe/edit"
	"lethe/internal/classifier"
	"lethe/internal/cli"
	"lethe/internal/drawing"
	"lethe/internal/htmlreport"
	"lethe/internal/learn"
	"lethe/internal/nn"
	"lethe/internal/registry"
	"lethe/model"
	"lethe/onnxio"
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
			&urfave.StringFlag{Name: "prefer", Value: string(edit.PreferRetain), Usage: "what to do with what the limits leave, `retain|minimal`: keep the highest accuracy on the other classes, or make the smallest change"},
			&urfave.Float64Flag{Name: "budget-l2", Usage: "largest distance of the parameters; default: full marks by the rules, 1.3 for the reference task"},
			&urfave.Float64Flag{Name: "max-kl", Usage: "largest mean divergence from uniform on the class, in nats; default: full marks by the rules, 0.2 for ten classes"},
			&urfave.Float64Flag{Name: "max-target", Usage: "largest accuracy on the class, 0 to 1; default: full marks by the rules, 0.09 for ten classes"},
			&urfave.Uint64Flag{Name: "seed", Usage: "seed of every random draw"},
			&urfave.IntFlag{Name: "threads", Usage: "goroutines that compute; 0: one for each processor; the output does not depend on it"},
			&urfave.BoolFlag{Name: "force", Usage: "replace existing outputs"},
			cli.DryFlag(),
			&urfave.BoolFlag{Name: "json", Usage: "print the report as JSON"},
			&urfave.BoolFlag{Name: "quiet", Usage: "print nothing but errors"},
		}, slices.Concat(classifier.EvidenceFlags(), cli.ReadFlags(), cli.ResultFlags(), classifier.DataFlags())...),
		Action: func(c *urfave.Context) error { return forget(c, stdin, stdout, stderr) },
	}
	return cli.Run(ctx, app, args, stdin, stdout, stderr)
}

// onnxPath returns where the ONNX model goes; "" is nowhere.
func onnxPath(c *urfave.Context, out string) (string, error) {
	onnx := c.String("onnx")
	switch {
	case c.Bool("no-onnx") && onnx != "":
		return "", cli.Usagef("--onnx and --no-onnx contradict each other")
	case c.Bool("no-onnx") || onnx == "" && (out == "-" || filepath.Ext(out) == ".onnx"):
		return "", nil
	case registry.IsReference(onnx):
		return "", cli.Usagef("--onnx takes a file; in a registry, the ONNX model is beside the checkpoint")
	case onnx != "":
		return onnx, nil
	case registry.IsReference(out):
		return registry.WithFile(out, ".onnx"), nil
	}
	return strings.TrimSuffix(out, filepath.Ext(out)) + ".onnx", nil
}

// options reads the flags that say how to forget.
func options(c *urfave.Context) (edit.Options, error) {
	opts := edit.Options{
		Seed: c.Uint64("seed"), Threads: c.Int("threads"), Prefer: edit.Preference(c.String("prefer")), ForgetOnly: c.String("forget-only") != "",
		Limits: report.Limits{Target: c.Float64("max-target"), KL: c.Float64("max-kl"), L2: c.Float64("budget-l2")},
	}
	if err := opts.Check(); err != nil {
		return opts, cli.Usagef("limits (--max-target, --max-kl, --budget-l2): %v", err)
	}
	return opts, nil
}

func forget(c *urfave.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	ctx := c.Context
	paths, err := cli.Args(c, "in.pt", "out.pt")
	if err != nil {
		return err
	}
	in, out := paths[0], paths[1]
	onnx, err := onnxPath(c, out)
	if err != nil {
		return err
	}
	gate, err := verify.ParseGate(c.String("gate"))
	if err != nil {
		return cli.Usagef("%v", err)
	}
	settings, err := options(c)
	if err != nil {
		return err
	}
	proof, err := classifier.OpenEvidence(c, in, out)
	if err != nil {
		return err
	}
	outs, err := cli.NewOutputs(ctx, stdout, c.Bool("force"), []string{in, c.String("sign")}, slices.Concat(proof.Paths(), cli.ResultFiles(c), []string{out, onnx})...)
	if err != nil {
		return err
	}
	defer outs.Discard()
	if err := outs.Tell(out, cli.ResultFiles(c)); err != nil {
		return err
	}
	images := classifier.StartData(c)
	n, err := classifier.Open(ctx, in, stdin, cli.ReadOptions(c))
	if err != nil {
		return err
	}
	defer n.Close()
	if err := n.AnnounceExternal(outs, out, cli.KeptFormat(out, n.Format())); err != nil {
		return err
	}
	if len(n.File().External()) > 0 && (c.IsSet("attest") || c.IsSet("sign")) {
		return fmt.Errorf("%s: %w", n.Name, &model.UnsupportedError{What: "the model has its data in other files, which the evidence would not cover",
			Advice: "save the model in one file (onnx.save_model with save_as_external_data=False), or leave out --attest and --sign"})
	}
	data, err := images()
	if err != nil {
		return err
	}
	classes, labels, err := data.Classes(c.String("class"), n.Net.Classes())
	if err != nil {
		return err
	}
	if settings.ForgetOnly {
		data.Only(classes)
	}
	before, err := verify.Measure(ctx, n.Net, data.Train, classes, data.Norm, c.Int("threads"))
	if err != nil {
		return err
	}
	if err := data.Fit(before); err != nil {
		return err
	}

	settings.Classes, settings.Norm = classes, data.Norm
	if settings.Rules, err = classifier.Rules(c, n, learn.Selection{}, before.Remain); err != nil {
		return err
	}
	settings.Limits = settings.Limits.Or(settings.Rules.FullMarks())
	if c.Bool("dry-run") {
		if err := settings.CheckInputs(n.Net, data.Train); err != nil {
			return err
		}
		plan, err := classifier.NewPlan(c, n)
		if err != nil {
			return err
		}
		plan.Edit = data.Plan(classes, labels, before)
		plan.Edit.Gate, plan.Edit.Limits, plan.Edit.Prefer, plan.Edit.Seed = string(gate), settings.Limits, string(settings.Prefer), settings.Seed
		if err := planOutputs(plan, outs, n, out, onnx); err != nil {
			return err
		}
		proof.Plan(plan, outs)
		plan.WriteResults(c, outs)
		return plan.Print(c, stdout)
	}
	progress := cli.NewProgress(stderr, c.Bool("quiet"))
	settings.Progress = func(p edit.Point, steps int) { progress.Update(p.Step, steps, p.String()) }
	result, err := edit.Forget(ctx, n.Net, n.State, data.Train, settings)
	progress.Done()
	if err != nil {
		return err
	}

	r, err := verify.Judge(ctx, verify.Question{
		Net: n.Net, Before: n.State, After: result.StateDict, Gate: gate, Limits: settings.Limits, Rules: settings.Rules, Threads: settings.Threads,
		Classes: classes, Source: data.Source, Train: data.Train, Test: data.Test, Norm: data.Norm, TrainBefore: before, Names: data.Names,
		Preprocess: data.Preprocess, Notes: data.Notes,
	})
	if err != nil {
		return err
	}
	r.Tool, r.Labels, r.Seed = "forget "+cli.Version(), labels, settings.Seed
	r.Method, r.Course = result.Method, result.Course
	input, err := n.Digest()
	if err != nil {
		return err
	}
	r.Files = map[string]report.Digest{"input": input}
	if err := verify.Err(r.AllChecks()); err != nil {
		return fmt.Errorf("%w; nothing was written", err)
	}
	edited, err := stage(ctx, outs, n, result, r, out, onnx)
	if err != nil {
		return err
	}
	if err := outs.From(n.Checkpoint, "", lineage(r)); err != nil {
		return err
	}
	if proof.Network, err = drawing.New(n.Graph, n.State); err != nil {
		return err
	}
	err = proof.Stage(ctx, outs, r, func() ([]htmlreport.Sample, error) {
		return classifier.Samples(data, n.Net, edited, classes)
	})
	if err != nil {
		return err
	}
	if err := outs.Commit(ctx); err != nil {
		return err
	}
	if !c.Bool("quiet") {
		outs.TellLeft(stderr)
		n.TellLost(stderr, out, cli.KeptFormat(out, n.Format()))
	}
	results := stdout
	if out == "-" || onnx == "-" || proof.UsesStdout() {
		results = stderr
	}
	switch {
	case c.Bool("quiet"):
		return nil
	case c.Bool("json"):
		return cli.PrintJSON(results, r)
	}
	return classifier.PrintReport(results, r)
}

// planOutputs adds the two models to a plan.
func planOutputs(plan *cli.Plan, outs *cli.Outputs, n *classifier.Network, out, onnx string) error {
	if _, err := plan.WriteState(outs, out, n.Checkpoint, cli.KeptFormat(out, n.Format())); err != nil || onnx == "" {
		return err
	}
	_, err := classifier.PlanONNX(plan, outs, onnx, n.Structure, n.State, onnxio.EncodeOptions{})
	return err
}

// lineage returns the annotations of an edited model in a registry.
func lineage(r *verify.Report) map[string]string {
	classes := make([]string, len(r.Classes))
	for i, c := range r.Classes {
		classes[i] = strconv.Itoa(c)
	}
	return map[string]string{
		"lethe.tool":             r.Tool,
		"lethe.forgotten.class":  strings.Join(classes, ","),
		"lethe.forgotten.labels": strings.Join(r.Labels, ","),
		"lethe.seed":             strconv.FormatUint(r.Seed, 10),
	}
}

// stage prepares the outputs and completes the report with what is known of
// them. It returns the edited network.
func stage(ctx context.Context, outs *cli.Outputs, n *classifier.Network, result *edit.Result, r *verify.Report, out, onnx string) (*nn.Net, error) {
	var digest report.Digest
	if _, err := n.StageState(ctx, outs, out, result.StateDict, cli.WriteOptions{Format: cli.KeptFormat(out, n.Format()), Digest: &digest}); err != nil {
		return nil, err
	}
	r.Files["output"] = digest
	net, err := nn.Bind(n.Graph, result.StateDict)
	if err != nil || onnx == "" {
		return net, err
	}
	parity, digest, err := classifier.StageONNX(ctx, outs, onnx, net, n.Structure, result.StateDict, classifier.EditedOptions(n.Graph, r.Labels, cli.Version()))
	if err != nil {
		return nil, err
	}
	r.Parity, r.Files["onnx"] = parity, digest
	return net, nil
}
