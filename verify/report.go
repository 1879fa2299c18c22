package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"lethe/dataset"
	"lethe/internal/nn"
	"lethe/report"
)

// ReportSchema names the form of a [Report]; it changes with any change that a
// reader could stumble over.
const ReportSchema = "lethe/report/v1"

// Report is the evidence of an edit: what was asked, what changed, what was
// measured and what was not. Equal edits give equal reports: it holds no time
// and no path of the machine.
type Report struct {
	Schema       string                   `json:"schema"`
	Tool         report.Tool              `json:"tool"`
	Architecture string                   `json:"architecture"`
	Classes      []int                    `json:"classes"`
	Labels       []string                 `json:"labels"` // of Classes
	Seed         uint64                   `json:"seed"`
	Gate         Gate                     `json:"gate"`
	Passed       bool                     `json:"passed"`
	Rules        *report.Rules            `json:"rules,omitempty"`     // of the score and the gate, unless they are those of the reference task
	OwnRules     bool                     `json:"own_rules,omitempty"` // somebody gave them
	Score        *Score                   `json:"score,omitempty"`     // on the training images; none without images of the others
	Files        map[string]report.Digest `json:"files"`               // "input", "output", "onnx"
	Data         *Data                    `json:"data,omitempty"`
	Comparison   *Comparison              `json:"comparison"`
	Checks       []Check                  `json:"checks"` // the gate's; the invariants are in Comparison
	Parity       *report.Parity           `json:"onnx_parity,omitempty"`
	Audit        *Audit                   `json:"audit,omitempty"`
	Method       *report.Method           `json:"method,omitempty"` // settings of the edit, if it is known
	Course       []report.Point           `json:"course,omitempty"` // its measures as it ran
	NotMeasured  []string                 `json:"not_measured"`
}

// Data is what was measured on which images.
type Data struct {
	Source      report.Source      `json:"source"`
	TrainSHA256 string             `json:"train_sha256"`          // of all pixels, then all labels
	TestSHA256  string             `json:"test_sha256,omitempty"` // likewise
	Mean        dataset.PerChannel `json:"mean"`                  // of the normalization, pixels / 255
	Std         dataset.PerChannel `json:"std"`
	Scale       float64            `json:"scale,omitempty"`     // of pixels before that; 0: 1/255
	Preprocess  dataset.Preprocess `json:"preprocess,omitzero"` // of images, before that
	Notes       []string           `json:"notes,omitempty"`     // how the data was split, what its labels are
	TrainBefore *Measures          `json:"train_before"`
	TrainAfter  *Measures          `json:"train_after"`
	TestBefore  *Measures          `json:"test_before,omitempty"` // images that the edit never saw
	TestAfter   *Measures          `json:"test_after,omitempty"`
	// What the training images of the forgotten classes are taken for, class by
	// class of the network.
	Predicted []Predicted `json:"forgotten_predicted_as"`
}

// Predicted is the share of images that are taken for one class.
type Predicted struct {
	Class  int     `json:"class"`
	Label  string  `json:"label,omitempty"`
	Before float64 `json:"before"`
	After  float64 `json:"after"`
}

// Edit is an edit of a network that [Judge] judges: the weights before and after, and
// what they are judged on and by.
type Edit struct {
	Before, After *Network // of the same graph
	Gate          Gate
	Limits        report.Limits // of GateFull
	Rules         report.Rules  // of the score and the gate; none: [report.FashionMNIST]
	MaxLoss       float64       // largest loss of accuracy on the other classes in Test; 0: not checked
	Threads       int           // 0: one for each processor

	// The forgotten classes and the images to measure on. Without classes only
	// the invariants are checked.
	Classes     []int
	Source      report.Source
	Train, Test *dataset.Set // Test may be nil
	Norm        dataset.Norm
	TrainBefore *Measures          // before the edit, on Train, if it is already known
	Names       []string           // labels of all classes, or nil
	Preprocess  dataset.Preprocess // what was done to the images, for the report
	Notes       []string           // of the data, for the report

	Audit *AuditOptions // nil: no audit. It takes classes, and test images that the edit never saw

	net *nn.Net // before the edit
}

// Judge compares two state dicts, measures the edited network and applies the
// gate. What does not hold is in the checks of the report, not in the error; if
// an invariant does not hold, nothing is measured. The caller fills in what
// Judge cannot know: Tool, Labels, Seed, Files, Parity, Method and Course.
//
// Errors are those of [Compare] and [Measure], weights that the graph cannot
// take, and training images without one of every forgotten class, which any
// network would pass.
func Judge(ctx context.Context, q Edit) (*Report, error) {
	g := q.Before.graph
	if q.After.graph != g {
		return nil, errors.New("verify: the networks before and after the edit have two graphs")
	}
	r := &Report{
		Schema: ReportSchema, Architecture: g.Name, Classes: append([]int{}, q.Classes...), Gate: q.Gate,
		Checks: []Check{}, // a list, never null in JSON
	}
	var err error
	if r.Comparison, err = Compare(g, q.Before.state, q.After.state); err != nil {
		return nil, err
	}
	if len(q.Classes) > 0 && Err(r.Comparison.Checks) == nil {
		if err := r.measure(ctx, q); err != nil {
			return nil, err
		}
		rules := q.Rules
		if rules == (report.Rules{}) {
			rules = report.FashionMNIST
		}
		if rules != report.FashionMNIST {
			r.Rules = &rules
		}
		if r.Data.TrainAfter.alone() {
			r.NotMeasured = append(r.NotMeasured, "the other classes: there was no image of them, so there is no score")
		} else {
			score := Grade(rules, r.Data.TrainAfter, r.Comparison.L2)
			r.Score = &score
		}
		if _, measured := r.Loss(); q.MaxLoss > 0 && measured {
			r.Checks = append(r.Checks, checkLoss(rules.Aim, r.Data.TestBefore, r.Data.TestAfter, q.MaxLoss))
		} else if q.MaxLoss > 0 {
			r.NotMeasured = append(r.NotMeasured, "what the others lose on images that the edit did not learn from: there were none")
		}
		r.Checks = append(r.Checks, q.Gate.Check(rules, r.Data.TrainAfter, r.Comparison.L2, q.Limits))
	}
	r.NotMeasured = append(r.NotMeasured, notMeasured(r.Audit)...)
	r.Passed = Err(r.AllChecks()) == nil
	return r, nil
}

// checkLoss holds an edit to what it may cost the other classes.
func checkLoss(aim report.Aim, before, after *Measures, most float64) Check {
	larger := "a larger --budget-l2 or --max-kl"
	if aim == report.AimUnseen { // which has no limit of the divergence
		larger = "a larger --budget-l2"
	}
	c := Check{Name: "the others keep their accuracy", OK: before.Remain-after.Remain <= most}
	if !c.OK {
		c.Detail = fmt.Sprintf("on unseen images it falls from %.4f to %.4f, by more than %g: give more images, %s, or allow it with --max-loss", before.Remain, after.Remain, most, larger)
	}
	return c
}

// Loss returns what the edit costs the accuracy on the other classes in images that
// it did not learn from, below 0 where that grows; ok is false if there were none.
func (r *Report) Loss() (loss float64, ok bool) {
	if r.Data == nil || r.Data.TestAfter == nil || r.Data.TestAfter.alone() {
		return 0, false
	}
	return r.Data.TestBefore.Remain - r.Data.TestAfter.Remain, true
}

// RulesOf returns the rules that the report judges by.
func (r *Report) RulesOf() report.Rules {
	if r.Rules == nil {
		return report.FashionMNIST
	}
	return *r.Rules
}

func (r *Report) measure(ctx context.Context, q Edit) error {
	if q.Train == nil {
		return errors.New("verify: there are classes and no training images to measure on")
	}
	after, err := q.After.logits()
	if err != nil {
		return err
	}
	if q.net, err = q.Before.logits(); err != nil {
		return err
	}
	r.Data = &Data{
		Source: q.Source,
		Mean:   q.Norm.Mean, Std: q.Norm.Std, Scale: q.Norm.Scale, Preprocess: q.Preprocess, Notes: q.Notes, TrainBefore: q.TrainBefore,
	}
	if r.Data.TrainSHA256, err = setDigest(q.Train); err != nil {
		return err
	}
	if q.Test != nil {
		if r.Data.TestSHA256, err = setDigest(q.Test); err != nil {
			return err
		}
	}
	for _, m := range []struct {
		to  **Measures
		net *nn.Net
		set *dataset.Set
	}{
		{&r.Data.TrainBefore, q.net, q.Train},
		{&r.Data.TrainAfter, after, q.Train},
		{&r.Data.TestBefore, q.net, q.Test},
		{&r.Data.TestAfter, after, q.Test},
	} {
		if m.set == nil || *m.to != nil {
			continue
		}
		if *m.to, err = measure(ctx, m.net, m.set, q.Classes, q.Norm, q.Threads); err != nil {
			return err
		}
	}
	for _, c := range q.Classes {
		if !slices.Contains(q.Train.Labels, c) {
			return fmt.Errorf("none of the %d training images is of class %d: there is nothing to measure its forgetting on", q.Train.Len(), c)
		}
	}
	r.Data.predicted(q)
	if q.Audit != nil {
		r.Audit, err = audit(ctx, &q, after)
	}
	return err
}

func (d *Data) predicted(q Edit) {
	for c := range d.TrainAfter.Confusion {
		p := Predicted{Class: c}
		if c < len(q.Names) {
			p.Label = q.Names[c]
		}
		for label, n := range d.TrainBefore.Confusion {
			if slices.Contains(q.Classes, label) {
				p.Before += float64(n[c])
				p.After += float64(d.TrainAfter.Confusion[label][c])
			}
		}
		p.Before, p.After = ratio(p.Before, d.TrainBefore.Forgotten), ratio(p.After, d.TrainAfter.Forgotten)
		d.Predicted = append(d.Predicted, p)
	}
}

func setDigest(s *dataset.Set) (string, error) {
	h := sha256.New()
	_, err := s.WriteTo(h)
	return hex.EncodeToString(h.Sum(nil)), err
}

// AllChecks returns the invariants and the gate's checks.
func (r *Report) AllChecks() []Check {
	return slices.Concat(r.Comparison.Checks, r.Checks)
}
