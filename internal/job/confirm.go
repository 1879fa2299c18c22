package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"lethe/dataset"
	"lethe/edit"
	"lethe/evidence"
	"lethe/internal/network"
	"lethe/internal/stage"
	"lethe/internal/usage"
	"lethe/internal/version"
	"lethe/internal/weights"
	"lethe/model"
	"lethe/report"
	"lethe/verify"
)

// confirm computes a report again, from the two files, the images and the seed,
// and finds out whether it tells the truth.
func (c *checking) confirm(ctx context.Context, after *stage.Input) error {
	claim, err := c.openClaim(ctx, c.std.In)
	if err != nil {
		return err
	}
	images := sync.OnceValues(func() (*Data, error) { return c.claimedImages(ctx, claim) })
	if c.net, err = network.OpenFor(ctx, c.Before, c.std.In, c.Reading.Options, c.Reading.hints(images)); err != nil {
		return err
	}
	defer c.net.Close()
	read, err := weights.Read(after, c.Reading.Options)
	if err != nil {
		return err
	}
	edited, err := network.Recognize(ctx, read, c.Reading.Options, c.Reading.hints(images))
	if err != nil {
		return err
	}
	// Before any work: is it about these files at all?
	files, err := claimedFiles(claim, c.net, edited)
	if err != nil {
		return err
	}
	settings, err := claimedSettings(claim)
	if err != nil {
		return err
	}
	settings.Threads = c.Threads
	q := verify.Edit{Before: c.net.Net, After: verify.NewNetwork(c.net.Graph, edited.State), Gate: claim.Gate, Limits: settings.Limits, Rules: settings.Rules, MaxLoss: claimedMaxLoss(claim, settings), Threads: settings.Threads}
	labels, err := c.claimedData(claim, images, &q)
	if err != nil {
		return err
	}
	if claim.Audit != nil && c.data != nil {
		if err := c.prepareAudit(ctx, &q, claim.Audit.Seed, len(claim.Audit.Retrained) > 0); err != nil {
			return err
		}
	}
	computed, err := c.judge(ctx, q)
	if err != nil {
		return err
	}
	// What made the report cannot be computed; a false version shows in the
	// digest of the ONNX model, which names it.
	computed.Tool, computed.Labels, computed.Files, computed.OwnRules = claim.Tool, labels, files, claim.OwnRules
	if err := c.repeat(ctx, claim, settings, computed, edited); err != nil {
		return err
	}
	if err := claim.Check(computed); err != nil {
		if own := version.String(); claim.Tool.Version != own {
			return fmt.Errorf("%w; it was made by %.100q, this is version %s, which may edit and write in another way", err, claim.Tool.String(), own)
		}
		return err
	}
	if err := errors.Join(c.net.Unchanged(), edited.Unchanged()); err != nil {
		return err
	}
	if c.done.Statements, err = c.checkAttestation(ctx, claim); err != nil {
		return err
	}
	if c.Audit && q.Audit == nil {
		if err := c.prepareAudit(ctx, &q, c.Seed, c.Retrain); err != nil {
			return err
		}
		audited, err := c.judge(ctx, q)
		if err != nil {
			return err
		}
		computed.Audit, computed.NotMeasured = audited.Audit, audited.NotMeasured
	}
	c.done.Claim, c.done.Report = claim, computed
	return c.writePage(ctx, computed, edited.Checkpoint, q.After)
}

// claimedFiles returns the digests of the files, which a report must be about.
func claimedFiles(claim *evidence.Claim, before, after *network.Network) (map[string]report.Digest, error) {
	files, err := weights.Digests(before.Checkpoint, after.Checkpoint)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"input", "output"} {
		if claimed, actual := claim.Files[name], files[name]; claimed != actual {
			return nil, verify.Err([]verify.Check{{Name: "report", Detail: fmt.Sprintf("it is of an %s with SHA-256 %.64s and %d bytes, this one has %s and %d", name, claimed.SHA256, claimed.Bytes, actual.SHA256, actual.Bytes)}})
		}
	}
	return files, nil
}

// claimedImages opens the images that a report was measured on. Without measures in
// it there are none, and it returns nil.
func (c *checking) claimedImages(ctx context.Context, claim *evidence.Claim) (*Data, error) {
	if len(claim.Classes) == 0 {
		return nil, nil
	}
	if claim.Data != nil && (claim.Data.Source == report.SourceFiles || claim.Data.Source == report.SourceForgetOnly) && c.CheckSettings.Data.Path == "" {
		return nil, usage.Errorf("the report was measured on %s; give the folder with --data", claim.Data.Source)
	}
	settings := c.CheckSettings.Data
	if claim.Data != nil {
		settings.Norm = dataset.Norm{Mean: claim.Data.Mean, Std: claim.Data.Std, Scale: claim.Data.Scale}
		settings.Preprocess = claim.Data.Preprocess
		if err := settings.Check(); err != nil {
			return nil, &model.FormatError{Format: "report", Offset: -1, Reason: err.Error()}
		}
	}
	data, err := OpenData(ctx, settings)
	if err != nil {
		return nil, err
	}
	if claim.Data != nil && claim.Data.Source == report.SourceForgetOnly {
		data.Source = report.SourceForgetOnly
		data.Only(claim.Classes)
	}
	return data, nil
}

// claimedData completes the question with the images that a report was measured on,
// and returns the labels of the forgotten classes.
func (c *checking) claimedData(claim *evidence.Claim, images func() (*Data, error), q *verify.Edit) (labels []string, err error) {
	data, err := images()
	if err != nil || data == nil {
		return []string{}, err
	}
	q.Classes = claim.Classes
	data.ask(q)
	for _, class := range claim.Classes {
		if class < 0 || class >= min(c.net.Net.Classes(), len(data.Names)) {
			return nil, &model.FormatError{Format: "report", Offset: -1, Reason: fmt.Sprintf("it names class %d, the network has %d classes and the data %d", class, c.net.Net.Classes(), len(data.Names))}
		}
		labels = append(labels, data.Names[class])
	}
	c.data = data
	return labels, nil
}

// claimedMaxLoss returns the bound of the others' loss that the report was made
// with. A report of before there was one has no check of that name.
func claimedMaxLoss(claim *evidence.Claim, settings edit.Options) float64 {
	if claim.Gate == verify.GateNone || claim.Method == nil {
		return 0
	}
	return cmp.Or(settings.MaxLoss, edit.DefaultMaxLoss)
}

// claimedSettings returns the options of an edit that its report names.
func claimedSettings(claim *evidence.Claim) (edit.Options, error) {
	opts := edit.Options{Classes: claim.Classes, Seed: claim.Seed, Rules: claim.RulesOf()}
	if claim.Method == nil {
		return opts, nil
	}
	method := claim.Method
	opts.Limits, opts.Prefer, opts.Aim, opts.MaxLoss = method.Limits, method.Prefer, method.Aim, method.MaxLoss
	if method.Selected {
		opts.Train = method.Trained
	}
	opts.ForgetOnly = claim.Data != nil && claim.Data.Source == report.SourceForgetOnly
	if err := opts.Check(); err != nil {
		return opts, &model.FormatError{Format: "report", Offset: -1, Reason: fmt.Sprintf("its method cannot be: %.200v", err)}
	}
	return opts, nil
}

// repeat encodes the ONNX model and runs the edit again, as far as the report says
// that there were any, and puts into computed what came out.
func (c *checking) repeat(ctx context.Context, claim *evidence.Claim, settings edit.Options, computed *verify.Report, edited *network.Network) error {
	if _, ok := claim.Files["onnx"]; ok {
		parity, digest, err := network.EditedONNX(edited.Net, edited.Structure, network.EditedOptions(edited.Graph, computed.Labels, claim.Tool.Version))
		if err != nil {
			return err
		}
		computed.Parity, computed.Files["onnx"] = parity, digest
	}
	if claim.Method == nil || c.data == nil {
		return nil
	}
	ref, err := c.claimedReference(ctx, claim.Method.Reference, &settings)
	if err != nil {
		return err
	}
	result, err := runEdit(ctx, c.net, c.data, settings, c.std)
	if err != nil {
		return err
	}
	result.Method.Reference = ref
	computed.Seed, computed.Method, computed.Course = settings.Seed, &result.Method, result.Course
	for name, t := range result.StateDict.All() {
		same := slices.Contains(edited.State.Names(), name)
		if same {
			if same, err = model.SameBits(edited.State.Get(name), t); err != nil {
				return err
			}
		}
		if !same {
			return verify.Err([]verify.Check{{Name: "report", Detail: fmt.Sprintf("the edit, run again with seed %d, gives another %.200q", settings.Seed, name)}})
		}
	}
	return nil
}
