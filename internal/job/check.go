package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"lethe/evidence"
	"lethe/internal/drawing"
	"lethe/internal/htmlreport"
	"lethe/internal/learn"
	"lethe/internal/network"
	"lethe/internal/stage"
	"lethe/internal/terminal"
	"lethe/internal/usage"
	"lethe/internal/version"
	"lethe/internal/weights"
	"lethe/report"
	"lethe/verify"
)

// CheckSettings say what is to be found out about an edit.
type CheckSettings struct {
	Before, After string // paths, references to models in registries, or -
	Reading       Reading
	Class         string     // the forgotten one, or "": nothing is measured
	Aim           report.Aim // of the edit; "": report.AimUniform
	Gate          string     // see [verify.ParseGate]
	Rules         string     // a file, see [report.ParseRules]; "" is the default
	Data          DataSettings
	Audit         bool   // look for what is left of the class
	Retrain       bool   // compare that with networks that never saw it
	Seed          uint64 // of the audit
	Threads       int    // 0: one for each processor

	Report    string // a report to compute again; "" judges the edit without one
	Reference string // the network that the edit of the report steered by, if somebody gave it
	Attest    string // statements to compare with the report
	PublicKey string // the file with the key that signed the model and the statements
	Signature string // of the model; "" is After with .sig appended
	HTML      string // output: a page; "" is none
	Force     bool   // replace an existing page
}

// Checked is what [Check] found.
type Checked struct {
	Signature  string          // what the signature of the model is known to be, a line; "" if nobody asked
	Statements string          // what the statements say, lines
	Claim      *evidence.Claim // the report that was computed again, or nil
	Report     *verify.Report  // its checks are not all met, necessarily
}

// Check judges an edit, or computes the report of one again. That a check of the
// edit is not met is no error but in the report; a report that does not tell the
// truth is a [verify.FailedError]. With an error, what was known of the signature
// is returned too.
func Check(ctx context.Context, s CheckSettings, std stage.Streams) (*Checked, error) {
	c := &checking{CheckSettings: s, std: std, done: &Checked{}}
	// The file whose signature holds is the one that is read.
	after, err := stage.OpenInput(ctx, s.After, std.In)
	if err != nil {
		return nil, err
	}
	defer after.Close()
	signed := VerifySettings{In: s.After, PublicKey: s.PublicKey, Signature: s.Signature}
	if c.done.Signature, c.key, err = signed.verify(ctx, after, std.In); err != nil {
		return nil, err
	}
	c.outs = stage.NewOutputs(std.Out, s.Force, append(s.Reading.files(), s.Before, s.After, s.Report, s.Attest, s.Reference, s.Rules, s.PublicKey, s.Signature)...)
	c.outs.Protect(s.Data.files()...)
	defer c.outs.Discard()
	if c.page, err = c.outs.Open(ctx, s.HTML); err != nil {
		return c.done, err
	}
	if s.Report != "" {
		err = c.confirm(ctx, after)
	} else {
		err = c.compare(ctx, after)
	}
	return c.done, err
}

// checking is a check under way.
type checking struct {
	CheckSettings
	std  stage.Streams
	done *Checked
	key  *evidence.PublicKey // nil: the signature is not verified
	outs *stage.Outputs
	page *stage.Output    // nil: no page
	net  *network.Network // before the edit
	data *Data            // nil: nothing is measured
}

// compare judges an edit without a report.
func (c *checking) compare(ctx context.Context, after *stage.Input) error {
	gate, err := verify.ParseGate(c.Gate)
	if err != nil {
		return usage.Errorf("%v", err)
	}
	images := sync.OnceValues(func() (*Data, error) {
		if c.Class == "" {
			return nil, nil
		}
		return OpenData(ctx, c.CheckSettings.Data)
	})
	if c.net, err = network.OpenFor(ctx, c.Before, c.std.In, c.Reading.Options, c.Reading.hints(images)); err != nil {
		return err
	}
	defer c.net.Close()
	e, err := weights.Read(after, c.Reading.Options)
	if err != nil {
		return err
	}
	q := verify.Edit{Before: c.net.Net, After: verify.NewNetwork(c.net.Graph, e.State), Gate: gate, Threads: c.Threads}
	labels := []string{}
	if c.Class != "" {
		if c.data, err = images(); err != nil {
			return err
		}
		if q.Classes, labels, err = c.data.Classes(c.Class, c.net.Net.Classes()); err != nil {
			return err
		}
		c.data.ask(&q)
		if q.TrainBefore, err = c.net.Net.Measure(ctx, q.Train, q.Classes, q.Norm, q.Threads); err != nil {
			return err
		}
		if err := c.data.CheckAccuracy(ctx, c.net.Net, q.TrainBefore); err != nil {
			return err
		}
		if q.Rules, err = readRules(ctx, c.Rules, c.std.In, c.net, learn.Selection{}, c.Aim, q.TrainBefore.Remain); err != nil {
			return err
		}
	}
	if c.Audit {
		if err := c.prepareAudit(ctx, &q, c.Seed, c.Retrain); err != nil {
			return err
		}
	}
	r, err := c.judge(ctx, q)
	if err != nil {
		return err
	}
	r.Tool, r.Labels, r.OwnRules = version.Tool("ptcheck"), labels, c.Rules != ""
	if r.Files, err = weights.Digests(c.net.Checkpoint, e); err != nil {
		return err
	}
	if err := errors.Join(c.net.Unchanged(), e.Unchanged()); err != nil {
		return err
	}
	c.done.Report = r
	return c.writePage(ctx, r, e, q.After)
}

// ask completes a question with the images.
func (d *Data) ask(q *verify.Edit) {
	q.Source, q.Train, q.Test, q.Norm, q.Names = d.Source, d.Train, d.Test, d.Norm, d.Names
	q.Preprocess, q.Notes = d.Preprocess, d.Notes
}

// judge is [verify.Judge] with the progress of the audit.
func (c *checking) judge(ctx context.Context, q verify.Edit) (*verify.Report, error) {
	if q.Audit != nil {
		progress := c.std.Progress()
		defer progress.Done()
		q.Audit.Progress = progress.Update
	}
	return verify.Judge(ctx, q)
}

// retrainings is how many networks an audit is compared with: enough to see how
// far apart networks are that differ in their seed alone.
const retrainings = 3

// prepareAudit asks for an audit, and trains the networks that it compares with.
func (c *checking) prepareAudit(ctx context.Context, q *verify.Edit, seed uint64, retrain bool) error {
	q.Audit = &verify.AuditOptions{Seed: seed}
	if !retrain {
		return nil
	}
	opts := learn.Options{Classes: q.Classes, Norm: q.Norm, Threads: q.Threads, Cache: retrainedCache()}
	progress := c.std.Progress()
	defer progress.Done()
	for i := range retrainings {
		opts.Seed = q.Audit.Seed + uint64(i)
		opts.Progress = func(step, steps int, loss float64) {
			progress.Update(i*steps+step, retrainings*steps, fmt.Sprintf("training without the class  loss %.3f", loss))
		}
		sd, recipe, err := learn.Without(ctx, c.net.Graph, c.net.State, q.Train, opts)
		if err != nil {
			return err
		}
		q.Audit.Retrained = append(q.Audit.Retrained, verify.Retrained{State: sd, Recipe: *recipe})
	}
	return nil
}

// writePage writes the page, if that is asked for. after is the network of the
// checkpoint e.
func (c *checking) writePage(ctx context.Context, r *verify.Report, e *weights.Checkpoint, after *verify.Network) error {
	if c.page == nil {
		return nil
	}
	drawn, err := drawing.New(c.net.Graph, c.net.State)
	if err != nil {
		return err
	}
	page := htmlreport.Page{Report: r, Network: drawn, Input: PageName(c.net.Name), Output: PageName(e.Name), Reading: c.Reading.Flags}
	if r.Data != nil {
		if page.Samples, err = Samples(c.data, c.net.Net, after, r.Classes); err != nil {
			return err
		}
	}
	if err := StagePage(ctx, c.page, page); err != nil {
		return err
	}
	return c.outs.Commit(ctx)
}

// VerifySettings say whose signature is to be verified, and by which key.
type VerifySettings struct {
	In        string // path of a file or folder
	PublicKey string // the file with the key
	Signature string // the file with the signature; "" is In with .sig appended
}

// Verify verifies the signature of a file or folder, and returns a line that says
// that it holds. That it does not hold is a [verify.FailedError].
func Verify(ctx context.Context, s VerifySettings, std stage.Streams) (line string, err error) {
	line, _, err = s.verify(ctx, nil, std.In)
	return line, err
}

// verify is [Verify], and returns the key; without one in the settings nothing is
// verified and the key is nil. If in is not nil, it is the file that is signed: what
// is read from it later is what was verified.
func (s *VerifySettings) verify(ctx context.Context, in *stage.Input, stdin io.Reader) (line string, key *evidence.PublicKey, err error) {
	if s.PublicKey == "" {
		return "", nil, nil
	}
	text, err := stage.ReadSmall(ctx, s.PublicKey, stdin)
	if err != nil {
		return "", nil, err
	}
	if key, err = evidence.ParsePublicKey(text); err != nil {
		return "", nil, fmt.Errorf("%s: %w", s.PublicKey, err)
	}
	signature := cmp.Or(s.Signature, s.In+".sig")
	if text, err = stage.ReadSmall(ctx, signature, stdin); err != nil {
		return "", nil, err
	}
	files := 1
	if in == nil {
		files, err = evidence.VerifyModel(text, key, s.In, signature)
	} else {
		var digest report.Digest
		if digest, err = stage.Digest(in, in.Size); err != nil {
			return "", nil, err
		}
		err = evidence.VerifyFile(text, key, digest.SHA256)
	}
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", signature, err)
	}
	return fmt.Sprintf("signature of %s holds (%d files, key %.16s)\n", terminal.Name(s.In), files, key.ID), key, nil
}

// openClaim reads the report that is to be computed again.
func (s *CheckSettings) openClaim(ctx context.Context, stdin io.Reader) (*evidence.Claim, error) {
	b, err := stage.ReadSmall(ctx, s.Report, stdin)
	if err != nil {
		return nil, err
	}
	claim, err := evidence.ParseReport(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Report, err)
	}
	return claim, nil
}

// checkAttestation checks the statements against a report that is known to be true,
// and returns lines that say so.
func (c *checking) checkAttestation(ctx context.Context, claim *evidence.Claim) (string, error) {
	if c.Attest == "" {
		return "", nil
	}
	b, err := stage.ReadSmall(ctx, c.Attest, c.std.In)
	if err != nil {
		return "", err
	}
	run, err := claim.CheckAttestation(b, c.key)
	if err != nil {
		return "", fmt.Errorf("%s: %w", c.Attest, err)
	}
	var s strings.Builder
	signed := "their signatures were not verified: no --verify-signature"
	if c.key != nil {
		signed = "signed by the key"
	}
	fmt.Fprintf(&s, "statements in %s say what the report says (%s)\n", c.Attest, signed)
	for _, l := range []struct{ what, value string }{{"request", run.Request}, {"program", run.Binary}} {
		if l.value != "" {
			fmt.Fprintf(&s, "%s, by the statements alone: %s\n", l.what, terminal.OneLine(l.value))
		}
	}
	if !run.Time.IsZero() {
		fmt.Fprintf(&s, "time, by the statements alone: %s\n", run.Time.Format(time.RFC3339))
	}
	return s.String(), nil
}
