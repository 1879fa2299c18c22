package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"lethe/internal/strictjson"
	"lethe/model"
	"lethe/report"
	"lethe/verify"
)

// The types of the statements and what they say.
const (
	statementType  = "https://in-toto.io/Statement/v1"
	provenanceType = "https://slsa.dev/provenance/v1"
	testResultType = "https://in-toto.io/attestation/test-result/v0.1"
	// EditType is our own predicate: what was forgotten, how well, and what was
	// not looked at.
	EditType = "urn:lethe:edit:v1"
	// BuildType says what the parameters of the provenance mean: the flags of
	// the command forget.
	BuildType = "urn:lethe:forget:v1"
	builderID = "urn:lethe:forget"
)

// Run is what is known of one run of the tool and is not part of the report,
// because it may differ between equal edits.
type Run struct {
	Request string    // who asked for it, such as the number of a ticket; may be empty
	Time    time.Time // when it ended; zero: not told
	Binary  string    // SHA-256 of the program in hex; may be empty
}

// statement is an in-toto Statement v1.
type statement struct {
	Type          string     `json:"_type"`
	Subject       []resource `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     any        `json:"predicate"`
}

// resource is a ResourceDescriptor.
type resource struct {
	Name        string            `json:"name,omitempty"`
	Digest      map[string]string `json:"digest"`
	MediaType   string            `json:"mediaType,omitempty"`
	Annotations map[string]any    `json:"annotations,omitempty"`
}

func file(name, sha256 string) resource {
	return resource{Name: name, Digest: map[string]string{"sha256": sha256}}
}

// provenance is SLSA's Provenance v1.
type provenance struct {
	BuildDefinition struct {
		BuildType            string         `json:"buildType"`
		ExternalParameters   parameters     `json:"externalParameters"`
		InternalParameters   *report.Method `json:"internalParameters,omitempty"`
		ResolvedDependencies []resource     `json:"resolvedDependencies"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder struct {
			ID           string            `json:"id"`
			Version      map[string]string `json:"version"`
			Dependencies []resource        `json:"builderDependencies,omitempty"`
		} `json:"builder"`
		Metadata   *metadata  `json:"metadata,omitempty"`
		Byproducts []resource `json:"byproducts"`
	} `json:"runDetails"`
}

type metadata struct {
	InvocationID string     `json:"invocationId,omitempty"`
	FinishedOn   *time.Time `json:"finishedOn,omitempty"`
}

// parameters are the flags of forget that decide what comes out.
type parameters struct {
	Class      []int       `json:"class"`
	Gate       verify.Gate `json:"gate"`
	Seed       string      `json:"seed"`
	Mean       any         `json:"mean"` // a number, or a list with one for each channel
	Std        any         `json:"std"`
	Scale      float64     `json:"scale,omitempty"`
	Preprocess any         `json:"preprocess,omitempty"`
}

// testResult is in-toto's Test Result v0.1.
type testResult struct {
	Result        string     `json:"result"` // PASSED or FAILED
	Configuration []resource `json:"configuration"`
	PassedTests   []string   `json:"passedTests"`
	FailedTests   []string   `json:"failedTests"`
}

// editPredicate is the predicate of [EditType].
type editPredicate struct {
	Report       resource      `json:"report"` // digest of the canonical report
	Architecture string        `json:"architecture"`
	Classes      []int         `json:"classes"`
	Labels       []string      `json:"labels"`
	Score        *verify.Score `json:"score,omitempty"`
	L2           float64       `json:"l2"`
	Before       *figures      `json:"before,omitempty"` // on the training images
	After        *figures      `json:"after,omitempty"`
	UnseenBefore *figures      `json:"unseenBefore,omitempty"`
	UnseenAfter  *figures      `json:"unseenAfter,omitempty"`
	Changed      []string      `json:"changed"`   // entries of the state dict
	Unchanged    []string      `json:"unchanged"` // bit-identical
	NotMeasured  []string      `json:"notMeasured"`
}

type figures struct {
	Images int     `json:"images"`
	Target float64 `json:"target"`
	Remain float64 `json:"remain"`
	KL     float64 `json:"kl"`
}

func figuresOf(m *verify.Measures) *figures {
	if m == nil {
		return nil
	}
	return &figures{m.Images, m.Target, m.Remain, m.KL}
}

// statements returns what a report says as three in-toto statements about its
// outputs: where they come from, which checks they passed, and what the edit
// did. They are a function of the report and of run alone.
func statements(r *verify.Report, run Run) ([]statement, error) {
	canonical, err := Canonical(r)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(canonical)
	reportFile := resource{Name: "report", Digest: map[string]string{"sha256": hex.EncodeToString(sum[:])}, MediaType: "application/json"}
	data := r.Data
	if data == nil {
		return nil, &model.UnsupportedError{What: "the report has no measures", Advice: "an attestation is of an edit that was measured"}
	}

	subjects := []resource{file("output", r.Files["output"].SHA256)}
	if onnx, ok := r.Files["onnx"]; ok {
		subjects = append(subjects, file("onnx", onnx.SHA256))
	}
	pixels := func(name, sha256 string) resource {
		d := file(name, sha256)
		d.Annotations = map[string]any{"digestOf": "all pixels, one byte each, then all labels, one byte each", "source": data.Source}
		return d
	}
	images := []resource{pixels("training images", data.TrainSHA256)}
	if data.TestSHA256 != "" {
		images = append(images, pixels("test images", data.TestSHA256))
	}

	var p provenance
	p.BuildDefinition.BuildType = BuildType
	p.BuildDefinition.ExternalParameters = parameters{Class: r.Classes, Gate: r.Gate, Seed: fmt.Sprint(r.Seed), Mean: data.Mean, Std: data.Std, Scale: data.Scale}
	if len(data.Preprocess.Words()) > 0 {
		p.BuildDefinition.ExternalParameters.Preprocess = data.Preprocess
	}
	p.BuildDefinition.InternalParameters = r.Method
	p.BuildDefinition.ResolvedDependencies = append([]resource{file("input", r.Files["input"].SHA256)}, images...)
	p.RunDetails.Builder.ID = builderID
	p.RunDetails.Builder.Version = map[string]string{"lethe": r.Tool.String()}
	if run.Binary != "" {
		p.RunDetails.Builder.Dependencies = []resource{file("program", run.Binary)}
	}
	if run.Request != "" || !run.Time.IsZero() {
		p.RunDetails.Metadata = &metadata{InvocationID: run.Request}
		if !run.Time.IsZero() {
			end := run.Time.UTC()
			p.RunDetails.Metadata.FinishedOn = &end
		}
	}
	p.RunDetails.Byproducts = []resource{reportFile}

	t := testResult{Result: "PASSED", Configuration: images, PassedTests: []string{}, FailedTests: []string{}}
	for _, c := range r.AllChecks() {
		if c.OK {
			t.PassedTests = append(t.PassedTests, c.Name)
		} else {
			t.FailedTests = append(t.FailedTests, c.Name)
			t.Result = "FAILED"
		}
	}
	if r.Parity != nil {
		t.PassedTests = append(t.PassedTests, "ONNX parity") // or there would be no file
	}

	e := editPredicate{
		Report: reportFile, Architecture: r.Architecture, Classes: r.Classes, Labels: r.Labels, Score: r.Score, L2: r.Comparison.L2,
		Before: figuresOf(data.TrainBefore), After: figuresOf(data.TrainAfter),
		UnseenBefore: figuresOf(data.TestBefore), UnseenAfter: figuresOf(data.TestAfter),
		Changed: []string{}, Unchanged: []string{}, NotMeasured: r.NotMeasured,
	}
	for _, c := range r.Comparison.Changes {
		if c.Changed() {
			e.Changed = append(e.Changed, c.Name)
		} else {
			e.Unchanged = append(e.Unchanged, c.Name)
		}
	}
	return []statement{
		{statementType, subjects, provenanceType, p},
		{statementType, subjects, testResultType, t},
		{statementType, subjects, EditType, e},
	}, nil
}

// Attest writes the statements of a report as an in-toto bundle: a line of JSON
// for each envelope. Without a key the envelopes have no signatures. Equal
// edits of equal runs give equal bytes, with a key too.
func Attest(w io.Writer, r *verify.Report, run Run, key *PrivateKey) error {
	all, err := statements(r, run)
	if err != nil {
		return err
	}
	for _, s := range all {
		payload, err := Canonical(s)
		if err != nil {
			return err
		}
		e, err := seal(payload, key)
		if err != nil {
			return err
		}
		line, err := Canonical(e)
		if err != nil {
			return err
		}
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// CheckAttestation reports whether a bundle of [Attest] says of the report what
// is in it and has the digest of its bytes, and verifies its signatures unless key
// is nil. The report must have been checked before with [Claim.Check]. What a run
// tells beside the report, its request, its time and the digest of the program, it
// returns: only a signature vouches for that.
//
// A bundle that says something else is a [verify.FailedError], one that is
// broken a [model.FormatError].
func (c *Claim) CheckAttestation(bundle []byte, key *PublicKey) (Run, error) {
	var run Run
	lines := strings.Split(strings.TrimSuffix(string(bundle), "\n"), "\n")
	var payloads [][]byte
	for i, line := range lines {
		var e Envelope
		err := strictjson.DecodeKnown([]byte(line), &e)
		if err == nil {
			var payload []byte
			payload, err = e.open(key)
			payloads = append(payloads, payload)
		}
		if err != nil {
			return run, fmt.Errorf("attestation, line %d: %w", i+1, err)
		}
	}
	run, err := claimedRun(payloads[0])
	if err != nil {
		return run, err
	}
	want, err := statements(&c.Report, run)
	if err != nil {
		return run, err
	}
	canonical, err := Canonical(&c.Report)
	if err != nil {
		return run, err
	}
	// The statements name the digest of the canonical bytes. Others with the same
	// meaning are another file, which nobody can look up by that digest.
	if sum := sha256.Sum256(canonical); sum != c.sum {
		return run, failed("attestation", fmt.Sprintf("it is of a report with SHA-256 %x, the one given has %x: the report is not in canonical form", sum, c.sum))
	}
	if len(payloads) != len(want) {
		return run, failed("attestation", fmt.Sprintf("it has %d statements, want %d", len(payloads), len(want)))
	}
	var wrong []string
	for i, payload := range payloads {
		claimed, err := strictjson.Parse(payload)
		if err != nil {
			return run, fmt.Errorf("attestation, line %d: %w", i+1, err)
		}
		b, err := Canonical(want[i])
		if err != nil {
			return run, err
		}
		found, err := strictjson.Parse(b)
		if err != nil {
			return run, err
		}
		for _, d := range differences(claimed, found) {
			wrong = append(wrong, fmt.Sprintf("statement %d: %s", i+1, d))
		}
		// Only the canonical bytes have a digest that others can refer to.
		if len(wrong) == 0 && !bytes.Equal(payload, b) {
			wrong = append(wrong, fmt.Sprintf("statement %d is not in canonical form", i+1))
		}
	}
	if len(wrong) > 0 {
		return run, failed("attestation", strings.Join(wrong[:min(len(wrong), mostDifferences)], ", "))
	}
	return run, nil
}

// claimedRun reads what only the provenance tells.
func claimedRun(payload []byte) (Run, error) {
	var s struct {
		Predicate provenance `json:"predicate"`
	}
	if err := strictjson.Decode(payload, &s); err != nil {
		return Run{}, fmt.Errorf("attestation, line 1: %w", err)
	}
	var run Run
	if m := s.Predicate.RunDetails.Metadata; m != nil {
		run.Request = m.InvocationID
		if m.FinishedOn != nil {
			run.Time = *m.FinishedOn
		}
	}
	i := slices.IndexFunc(s.Predicate.RunDetails.Builder.Dependencies, func(d resource) bool { return d.Name == "program" })
	if i >= 0 {
		run.Binary = s.Predicate.RunDetails.Builder.Dependencies[i].Digest["sha256"]
	}
	return run, nil
}
