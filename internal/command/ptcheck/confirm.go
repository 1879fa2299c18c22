package ptcheck

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lethe/edit"
	"lethe/evidence"
	"lethe/internal/classifier"
	"lethe/internal/cli"
	"lethe/internal/dataset"
	"lethe/internal/drawing"
	"lethe/internal/htmlreport"
	"lethe/internal/nn"
	"lethe/model"
	"lethe/report"
	"lethe/verify"
)

// signed verifies the signature of a model, if that is asked for, and says so.
func signed(c *urfave.Context, path string, in *cli.Input, stdout io.Writer) (*evidence.PublicKey, error) {
	line, key, err := classifier.VerifySignature(c, path, in)
	if err != nil || c.Bool("json") {
		return key, err
	}
	_, err = io.WriteString(stdout, line)
	return key, err
}

// confirm computes a report again, from the two files, the images and the seed,
// and says whether it tells the truth.
func confirm(c *urfave.Context, before string, after *cli.Input, key *evidence.PublicKey, stdin io.Reader, stdout, stderr io.Writer) error {
	for _, flag := range []string{"class", "gate"} {
		if cli.Typed(c, flag) {
			return cli.Usagef("--%s is in the report that --report gives", flag)
		}
	}
	outs, err := pageOutput(c, before, after.Name, stdout)
	if err != nil {
		return err
	}
	defer outs.Discard()
	claim, err := classifier.OpenClaim(c)
	if err != nil {
		return err
	}
	n, err := classifier.Open(c.Context, before, stdin, cli.ReadOptions(c))
	if err != nil {
		return err
	}
	defer n.Close()
	edited, err := cli.ReadCheckpoint(after, cli.ReadOptions(c))
	if err != nil {
		return err
	}
	e, err := classifier.Recognize(edited)
	if err != nil {
		return err
	}
	// Before any work: is it about these files at all?
	files, err := cli.Digests(n.Checkpoint, e.Checkpoint)
	if err != nil {
		return err
	}
	for _, name := range []string{"input", "output"} {
		if claimed, found := claim.Files[name], files[name]; claimed != found {
			return verify.Err([]verify.Check{{Name: "report", Detail: fmt.Sprintf("it is of an %s with SHA-256 %.64s and %d bytes, this one has %s and %d", name, claimed.SHA256, claimed.Bytes, found.SHA256, found.Bytes)}})
		}
	}
	settings, err := claimedSettings(claim)
	if err != nil {
		return err
	}
	settings.Threads = c.Int("threads")
	q := verify.Question{Net: n.Net, Before: n.State, After: e.State, Gate: claim.Gate, Limits: settings.Limits, Rules: settings.Rules, Threads: settings.Threads}
	data, labels, err := claimedData(c, claim, &q)
	if err != nil {
		return err
	}
	if claim.Audit != nil && data != nil {
		if err := prepareAudit(c, n, &q, claim.Audit.Seed, len(claim.Audit.Retrained) > 0, stderr); err != nil {
			return err
		}
	}
	found, err := judge(c, q, stderr)
	if err != nil {
		return err
	}
	// What made the report cannot be computed; a false version shows in the
	// digest of the ONNX model, which names it.
	found.Tool, found.Labels = claim.Tool, labels
	found.Files = files
	if _, ok := claim.Files["onnx"]; ok {
		version := strings.TrimPrefix(claim.Tool, "forget ")
		var onnx report.Digest
		if found.Parity, onnx, err = classifier.EditedONNX(e.Net, e.Structure, e.State, classifier.EditedOptions(e.Graph, labels, version)); err != nil {
			return err
		}
		found.Files["onnx"] = onnx
	}
	if claim.Method != nil && data != nil {
		if err := again(c, settings, found, n, e, data, stderr); err != nil {
			return err
		}
	}
	if err := claim.Check(found); err != nil {
		if own := cli.Version(); !strings.HasSuffix(claim.Tool, " "+own) {
			return fmt.Errorf("%w; it was made by %.100q, this is version %s, which may edit and write in another way", err, claim.Tool, own)
		}
		return err
	}
	if err := errors.Join(n.Unchanged(), e.Unchanged()); err != nil {
		return err
	}
	lines, err := classifier.CheckAttestation(c, claim, key)
	if err != nil {
		return err
	}
	if c.Bool("audit") && q.Audit == nil {
		if err := prepareAudit(c, n, &q, c.Uint64("seed"), c.Bool("retrain"), stderr); err != nil {
			return err
		}
		audited, err := judge(c, q, stderr)
		if err != nil {
			return err
		}
		found.Audit, found.NotMeasured = audited.Audit, audited.NotMeasured
	}
	if err := writePage(c, outs, found, data, n, e.Checkpoint); err != nil {
		return err
	}
	if c.Bool("json") {
		err = cli.PrintJSON(stdout, found)
	} else {
		_, err = io.WriteString(stdout, confirmed(claim)+lines)
	}
	if err == nil && c.Bool("audit") && !c.Bool("json") {
		err = classifier.PrintDetails(stdout, found, c.Bool("verbose"))
	}
	if err != nil {
		return err
	}
	return verify.Err(found.AllChecks())
}

// confirmed says what was computed again.
func confirmed(claim *evidence.Claim) string {
	var b strings.Builder
	b.WriteString("the report tells the truth\n")
	if claim.Method != nil {
		fmt.Fprintf(&b, "the edit, run again with seed %d, gives these weights\n", claim.Seed)
	}
	if claim.Data == nil {
		b.WriteString("it claims no measures\n")
	} else {
		b.WriteString("invariants, measures, checks and digests were computed again\n")
	}
	fmt.Fprintf(&b, "made by %q, by the report alone\n", claim.Tool)
	return b.String()
}

// claimedData opens the images that a report was measured on and completes the
// question with what it says of them. Without measures in it there are none.
func claimedData(c *urfave.Context, claim *evidence.Claim, q *verify.Question) (*classifier.Data, []string, error) {
	if len(claim.Classes) == 0 {
		return nil, []string{}, nil
	}
	if claim.Data != nil && (claim.Data.Source == classifier.FilesOfData || claim.Data.Source == classifier.FilesOfForgetOnly) && !c.IsSet("data") {
		return nil, nil, cli.Usagef("the report was measured on %s; give the folder with --data", claim.Data.Source)
	}
	settings, err := classifier.DataSettings(c)
	if err != nil {
		return nil, nil, err
	}
	if claim.Data != nil {
		settings.Norm = dataset.Norm{Mean: claim.Data.Mean, Std: claim.Data.Std, Scale: claim.Data.Scale}
		settings.Preprocess = claim.Data.Preprocess
		if err := settings.Check(); err != nil {
			return nil, nil, &model.FormatError{Format: "report", Offset: -1, Reason: err.Error()}
		}
	}
	data, err := classifier.ReadData(c.Context, settings, classifier.FilesOfData)
	if err != nil {
		return nil, nil, err
	}
	if claim.Data != nil {
		if claim.Data.Source == classifier.FilesOfForgetOnly {
			data.Source = classifier.FilesOfForgetOnly
			data.Only(claim.Classes)
		}
	}
	q.Classes = claim.Classes
	q.Source, q.Train, q.Test, q.Norm, q.Names = data.Source, data.Train, data.Test, data.Norm, data.Names
	q.Preprocess, q.Notes = data.Preprocess, data.Notes
	labels := []string{}
	for _, class := range claim.Classes {
		if class < 0 || class >= min(q.Net.Classes(), len(data.Names)) {
			return nil, nil, &model.FormatError{Format: "report", Offset: -1, Reason: fmt.Sprintf("it names class %d, the network has %d classes and the data %d", class, q.Net.Classes(), len(data.Names))}
		}
		labels = append(labels, data.Names[class])
	}
	return data, labels, nil
}

// claimedSettings returns the options of an edit that its report names.
func claimedSettings(claim *evidence.Claim) (edit.Options, error) {
	opts := edit.Options{Classes: claim.Classes, Seed: claim.Seed, Rules: claim.RulesOf()}
	if claim.Method == nil {
		return opts, nil
	}
	var method edit.Method
	text, err := json.Marshal(claim.Method)
	if err == nil {
		err = json.Unmarshal(text, &method)
	}
	if err != nil {
		return opts, &model.FormatError{Format: "report", Offset: -1, Reason: fmt.Sprintf("its method is not one of an edit: %.200v", err)}
	}
	opts.Limits, opts.Prefer = method.Limits, method.Prefer
	opts.ForgetOnly = claim.Data != nil && claim.Data.Source == classifier.FilesOfForgetOnly
	if err := opts.Check(); err != nil {
		return opts, &model.FormatError{Format: "report", Offset: -1, Reason: fmt.Sprintf("its method cannot be: %.200v", err)}
	}
	return opts, nil
}

// again runs the edit and takes over its method and its course if it gives the
// weights that are there.
func again(c *urfave.Context, settings edit.Options, found *verify.Report, n, e *classifier.Network, data *classifier.Data, stderr io.Writer) error {
	progress := cli.NewProgress(stderr, c.Bool("quiet"))
	defer progress.Done()
	settings.Norm = data.Norm
	settings.Progress = func(p edit.Point, steps int) { progress.Update(p.Step, steps, p.String()) }
	result, err := edit.Forget(c.Context, n.Net, n.State, data.Train, settings)
	if err != nil {
		return err
	}
	found.Seed, found.Method, found.Course = settings.Seed, result.Method, result.Course
	for name, t := range result.StateDict.All() {
		same := slices.Contains(e.State.Names(), name)
		if same {
			if same, err = model.SameBits(e.State.Get(name), t); err != nil {
				return err
			}
		}
		if !same {
			return verify.Err([]verify.Check{{Name: "report", Detail: fmt.Sprintf("the edit, run again with seed %d, gives another %.200q", settings.Seed, name)}})
		}
	}
	return nil
}

// pageOutput announces the page of --html.
func pageOutput(c *urfave.Context, before, after string, stdout io.Writer) (*cli.Outputs, error) {
	return cli.NewOutputs(c.Context, stdout, c.Bool("force"), []string{before, after, c.String("report"), c.String("attest")}, c.String("html"))
}

// writePage writes the page of --html, if that is asked for.
func writePage(c *urfave.Context, outs *cli.Outputs, r *verify.Report, data *classifier.Data, n *classifier.Network, e *cli.Checkpoint) error {
	path := c.String("html")
	if path == "" {
		return nil
	}
	network, err := drawing.New(n.Graph, n.State)
	if err != nil {
		return err
	}
	page := htmlreport.Page{Report: r, Network: network, Input: classifier.PageName(n.Name), Output: classifier.PageName(e.Name), Reading: cli.ReadingFlags(c)}
	if r.Data != nil {
		after, err := nn.Bind(n.Graph, e.State)
		if err != nil {
			return err
		}
		if page.Samples, err = classifier.Samples(data, n.Net, after, r.Classes); err != nil {
			return err
		}
	}
	if err := classifier.StagePage(c.Context, outs, path, page); err != nil {
		return err
	}
	return outs.Commit(c.Context)
}
