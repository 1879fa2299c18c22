package job

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lethe/edit"
	"lethe/file"
	"lethe/internal/drawing"
	"lethe/internal/htmlreport"
	"lethe/internal/learn"
	"lethe/internal/network"
	"lethe/internal/registry"
	"lethe/internal/stage"
	"lethe/internal/usage"
	"lethe/internal/version"
	"lethe/internal/weights"
	"lethe/model"
	"lethe/onnxio"
	"lethe/report"
	"lethe/verify"
)

// ForgetSettings say what is to be forgotten, of what, and what is written.
type ForgetSettings struct {
	In, Out string // paths, references to models in registries, or -
	ONNX    string // path of the ONNX model; "" is that of Out with .onnx at its end
	NoONNX  bool   // write none
	Reading Reading
	Class   string // an index or a label; several with commas
	Gate    string // see [verify.ParseGate]
	Rules   string // a file, see [report.ParseRules]; "" is the default
	// Reference is the file with a network that never saw the classes, which an edit
	// with the aim unseen steers by, or ReferenceRetrain; "" is none.
	Reference string
	Edit      edit.Options // but for its classes, normalization and progress, which come from the data
	Data      DataSettings
	Evidence  EvidenceSettings
	Results   stage.ResultFiles
	Plan      weights.PlanSettings // with DryRun, all ends before the work
	Force     bool                 // replace existing outputs
}

// toolForget is the name of the command that edits, in reports.
const toolForget = "forget"

// Forgotten is what [Forget] has done.
type Forgotten struct {
	Plan   *weights.Plan  // of a dry run, or nil
	Report *verify.Report // of what was written, or nil
	Stdout bool           // an output is standard output: what a person is to read goes elsewhere
}

// largestSeed is the largest integer that every reader of JSON understands.
const largestSeed = 1<<53 - 1

// Forget edits a network until it has forgotten classes, judges the result, and
// writes it with its ONNX model and its evidence, all or none. It writes nothing if
// a check fails, which is a [verify.FailedError].
func Forget(ctx context.Context, s ForgetSettings, std stage.Streams) (*Forgotten, error) {
	f := &forgetting{ForgetSettings: s, std: std}
	if err := f.check(ctx); err != nil {
		return nil, err
	}
	f.outs = stage.NewOutputs(std.Out, s.Force, s.files()...)
	defer f.outs.Discard()
	err := f.open(ctx)
	if err != nil {
		return nil, err
	}
	images := StartData(ctx, s.Data)
	if f.net, err = network.OpenFor(ctx, s.In, std.In, s.Reading.Options, s.Reading.hints(images)); err != nil {
		return nil, err
	}
	defer f.net.Close()
	if err := f.openONNX(ctx); err != nil {
		return nil, err
	}
	if err := f.openExternal(ctx); err != nil {
		return nil, err
	}
	if f.data, err = images(); err != nil {
		return nil, err
	}
	if err := f.measure(ctx); err != nil {
		return nil, err
	}
	done := &Forgotten{Stdout: f.outs.Standard()}
	if s.Plan.DryRun {
		done.Plan, err = f.plan()
		return done, err
	}
	done.Report, err = f.run(ctx)
	return done, err
}

// forgetting is an edit under way.
type forgetting struct {
	ForgetSettings
	std    stage.Streams
	gate   verify.Gate
	proof  *Evidence
	outs   *stage.Outputs
	out    *stage.Output   // of the edited network, in the format of the input
	onnx   *stage.Output   // of its ONNX model, or nil
	tell   []*stage.Output // of [ForgetSettings.Results]
	net    *network.Network
	data   *Data
	labels []string // of the forgotten classes
	before *verify.Measures
}

// open opens the outputs that are known before the input is.
func (f *forgetting) open(ctx context.Context) (err error) {
	if err := f.proof.OpenOutputs(ctx, f.outs); err != nil {
		return err
	}
	if f.out, err = f.outs.Open(ctx, f.Out); err != nil {
		return err
	}
	if f.onnx, err = f.outs.Open(ctx, f.ONNX); err != nil {
		return err
	}
	f.tell, err = f.outs.OpenResults(ctx, f.out, f.Results)
	return err
}

// check refuses settings that cannot be, whatever the files hold.
func (f *forgetting) check(ctx context.Context) (err error) {
	if f.ONNX, err = f.onnxPath(); err != nil {
		return err
	}
	if f.gate, err = verify.ParseGate(f.Gate); err != nil {
		return usage.Errorf("%v", err)
	}
	f.Edit.ForgetOnly = f.Data.ForgetOnly != ""
	if err := f.Edit.Check(); err != nil {
		return usage.Errorf("%v", err)
	}
	if err := checkReference(f.Reference, &f.Edit); err != nil {
		return err
	}
	if f.Edit.Seed > largestSeed {
		return usage.Errorf("--seed %d is larger than %d, the largest integer that all readers of a report understand", f.Edit.Seed, largestSeed)
	}
	f.proof, err = f.Evidence.Open(ctx, f.std.In, f.In, f.Out, f.Reading.Flags)
	return err
}

// onnxPath returns where the ONNX model goes; "" is nowhere.
func (f *forgetting) onnxPath() (string, error) {
	switch {
	case f.NoONNX && f.ONNX != "":
		return "", usage.Errorf("--onnx and --no-onnx contradict each other")
	case f.NoONNX || f.ONNX == "" && (stage.KindOf(f.Out) == stage.Standard || filepath.Ext(f.Out) == ".onnx"):
		return "", nil
	case stage.KindOf(f.ONNX) == stage.Registry:
		return "", usage.Errorf("--onnx takes a file; in a registry, the ONNX model is beside the checkpoint")
	case f.ONNX != "":
		return f.ONNX, nil
	case stage.KindOf(f.Out) == stage.Registry:
		return "", nil // see openONNX
	}
	return strings.TrimSuffix(f.Out, filepath.Ext(f.Out)) + ".onnx", nil
}

// openONNX adds the ONNX model to a model in a registry, unless that is one.
func (f *forgetting) openONNX(ctx context.Context) (err error) {
	if f.NoONNX || f.onnx != nil || f.out.Kind() != stage.Registry || weights.KeptFormat(f.Out, f.net.Format()) == file.ONNX {
		return nil
	}
	f.onnx, err = f.outs.Open(ctx, registry.WithFile(f.Out, ".onnx"))
	return err
}

// openExternal opens the files beside the model that an edit of it writes, and
// refuses evidence that would not cover them.
func (f *forgetting) openExternal(ctx context.Context) error {
	if err := f.net.OpenExternal(ctx, f.outs, f.out, weights.KeptFormat(f.Out, f.net.Format())); err != nil {
		return err
	}
	if len(f.net.File().External()) > 0 && (f.Evidence.Attest != "" || f.Evidence.Sign != "") {
		return fmt.Errorf("%s: %w", f.net.Name, &model.UnsupportedError{What: "the model has its data in other files, which the evidence would not cover",
			Advice: "save the model in one file (onnx.save_model with save_as_external_data=False), or leave out --attest and --sign"})
	}
	return nil
}

// measure finds the classes and what the network knows of the images, and refuses
// images that it was not trained on.
func (f *forgetting) measure(ctx context.Context) (err error) {
	if f.Edit.Classes, f.labels, err = f.data.Classes(f.Class, f.net.Net.Classes()); err != nil {
		return err
	}
	f.Edit.Norm = f.data.Norm
	if f.Edit.ForgetOnly {
		f.data.Only(f.Edit.Classes)
	}
	if f.before, err = f.net.Net.Measure(ctx, f.data.Train, f.Edit.Classes, f.data.Norm, f.Edit.Threads); err != nil {
		return err
	}
	if err := f.data.CheckAccuracy(ctx, f.net.Net, f.before); err != nil {
		return err
	}
	if f.Edit.Rules, err = readRules(ctx, f.Rules, f.std.In, f.net, learn.Selection{Train: f.Edit.Train, Freeze: f.Edit.Freeze}, f.Edit.Aim, f.before.Remain); err != nil {
		return err
	}
	f.Edit.Limits = f.Edit.Limits.Or(f.Edit.Rules.FullMarks())
	return nil
}

// maxLoss returns what the gate lets the others lose on unseen images, 0 if anything.
func (f *forgetting) maxLoss() float64 {
	if f.gate == verify.GateNone {
		return 0
	}
	return cmp.Or(f.Edit.MaxLoss, edit.DefaultMaxLoss)
}

// damage warns of an edit that was written although it costs the others more than
// most, because no gate was asked for; else it is "".
func damage(r *verify.Report, most float64) string {
	loss, ok := r.Loss()
	if r.Gate != verify.GateNone || !ok || loss <= most {
		return ""
	}
	return fmt.Sprintf("WARNING: on unseen images of the other classes the accuracy falls by %.4f, more than %g; without --gate none nothing would have been written\n", loss, most)
}

// plan says what [forgetting.run] would do.
func (f *forgetting) plan() (*weights.Plan, error) {
	if err := f.Edit.CheckInputs(f.net.Graph, f.net.State, f.data.Train); err != nil {
		return nil, err
	}
	plan, err := network.NewPlan(f.ForgetSettings.Plan, f.net)
	if err != nil {
		return nil, err
	}
	plan.Edit = f.data.Plan(f.Edit.Classes, f.labels, f.before)
	plan.Edit.Gate, plan.Edit.Aim, plan.Edit.Limits, plan.Edit.Seed = string(f.gate), f.Edit.Aim, f.Edit.Limits, f.Edit.Seed
	if f.Edit.Aim != report.AimUnseen {
		plan.Edit.Prefer = string(f.Edit.Prefer)
	}
	if _, err := plan.WriteState(f.out, f.net.Checkpoint, weights.KeptFormat(f.Out, f.net.Format())); err != nil {
		return nil, err
	}
	if f.onnx != nil {
		if _, err := network.PlanONNX(plan, f.onnx, f.net.Structure, f.net.State, onnxio.EncodeOptions{}); err != nil {
			return nil, err
		}
	}
	f.proof.Plan(plan, f.out)
	plan.WriteResults(f.tell)
	return plan, nil
}

// run edits, judges and writes.
func (f *forgetting) run(ctx context.Context) (*verify.Report, error) {
	ref, err := addReference(ctx, f.net, f.data, f.Reference, &f.Edit, f.Reading, f.std)
	if err != nil {
		return nil, err
	}
	result, err := runEdit(ctx, f.net, f.data, f.Edit, f.std)
	if err != nil {
		return nil, err
	}
	result.Method.Reference = ref
	edited := verify.NewNetwork(f.net.Graph, result.StateDict)
	q := verify.Edit{
		MaxLoss: f.maxLoss(), Before: f.net.Net, After: edited, Gate: f.gate, Limits: f.Edit.Limits, Rules: f.Edit.Rules, Threads: f.Edit.Threads,
		Classes: f.Edit.Classes, TrainBefore: f.before,
	}
	f.data.ask(&q)
	r, err := verify.Judge(ctx, q)
	if err != nil {
		return nil, err
	}
	r.Tool, r.Labels, r.Seed, r.OwnRules = version.Tool(toolForget), f.labels, f.Edit.Seed, f.Rules != ""
	r.Method, r.Course = &result.Method, result.Course
	input, err := f.net.Digest()
	if err != nil {
		return nil, err
	}
	r.Files = map[string]report.Digest{"input": input}
	if err := verify.Err(r.AllChecks()); err != nil {
		return nil, fmt.Errorf("%w; nothing was written%s", err, f.advice(r))
	}
	if err := f.write(ctx, edited, r); err != nil {
		return nil, err
	}
	if !f.std.Quiet {
		f.outs.TellLeft(f.std.Err)
		f.net.TellLost(f.std.Err, f.Out, weights.KeptFormat(f.Out, f.net.Format()))
		fmt.Fprint(f.std.Err, damage(r, cmp.Or(f.Edit.MaxLoss, edit.DefaultMaxLoss)))
	}
	return r, nil
}

// advice returns what may help an edit that its gate keeps from being written; "" if it
// is not the gate.
func (f *forgetting) advice(r *verify.Report) string {
	gate := "gate " + string(f.gate)
	if !slices.ContainsFunc(r.Checks, func(c verify.Check) bool { return c.Name == gate && !c.OK }) {
		return ""
	}
	return ": more images, another --budget-l2 or a larger --max-loss may give a better edit, and --gate none writes this one"
}

// runEdit edits a network and shows how far it is.
func runEdit(ctx context.Context, n *network.Network, data *Data, opts edit.Options, std stage.Streams) (*edit.Result, error) {
	progress := std.Progress()
	defer progress.Done()
	opts.Norm = data.Norm
	opts.Progress = func(p report.Point, steps int) { progress.Update(p.Step, steps, p.String()) }
	return edit.Forget(ctx, n.Graph, n.State, data.Train, opts)
}

// write writes the outputs and completes the report with what is known of them.
func (f *forgetting) write(ctx context.Context, edited *verify.Network, r *verify.Report) error {
	_, err := f.net.StageState(ctx, f.out, edited.State(), weights.WriteOptions{Format: weights.KeptFormat(f.Out, f.net.Format()), Digest: true})
	if err != nil {
		return err
	}
	if r.Files["output"], err = f.out.Digest(); err != nil {
		return err
	}
	if f.onnx != nil {
		parity, digest, err := network.StageONNX(ctx, f.onnx, edited, f.net.Structure, edited.State(), network.EditedOptions(f.net.Graph, r.Labels, version.String()))
		if err != nil {
			return err
		}
		r.Parity, r.Files["onnx"] = parity, digest
	}
	if err := f.net.SetSource(f.outs, "", lineage(r)); err != nil {
		return err
	}
	if f.proof.Network, err = drawing.New(f.net.Graph, f.net.State); err != nil {
		return err
	}
	err = f.proof.Stage(ctx, f.outs, f.out, r, func() ([]htmlreport.Sample, error) {
		return Samples(f.data, f.net.Net, edited, f.Edit.Classes)
	})
	if err != nil {
		return err
	}
	return f.outs.Commit(ctx)
}

// lineage returns the annotations of an edited model in a registry.
func lineage(r *verify.Report) map[string]string {
	classes := make([]string, len(r.Classes))
	for i, c := range r.Classes {
		classes[i] = strconv.Itoa(c)
	}
	return map[string]string{
		"lethe.tool":             r.Tool.String(),
		"lethe.forgotten.class":  strings.Join(classes, ","),
		"lethe.forgotten.labels": strings.Join(r.Labels, ","),
		"lethe.seed":             strconv.FormatUint(r.Seed, 10),
	}
}
