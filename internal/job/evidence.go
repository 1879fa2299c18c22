package job

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lethe/evidence"
	"lethe/internal/drawing"
	"lethe/internal/htmlreport"
	"lethe/internal/learn"
	"lethe/internal/registry"
	"lethe/internal/stage"
	"lethe/internal/usage"
	"lethe/internal/weights"
	"lethe/verify"
)

// EvidenceSettings say what an edit leaves behind for those who must judge it
// later.
type EvidenceSettings struct {
	Report, HTML, Attest string // outputs: canonical JSON, a page, in-toto statements; "" is none
	Sign                 string // the file with the private key; "" signs nothing
	Signature            string // its output; "" is the output of the edit with .sig appended
	Request              string // who asked for the edit, for the statements
}

// Evidence is what [EvidenceSettings] ask for, ready to be made.
type Evidence struct {
	EvidenceSettings
	Network *drawing.Network // for the page

	in, out string // paths of the edit; out is the one that is signed
	outputs []*stage.Output
	reading []string // the flags that say how the model is read, for the page
	key     *evidence.PrivateKey
	run     evidence.Run
}

// Open reads the key and everything else that can be wrong before the work begins.
// in and out are the paths of the edit, reading the flags that say how in is read.
func (s EvidenceSettings) Open(ctx context.Context, stdin io.Reader, in, out string, reading []string) (*Evidence, error) {
	e := &Evidence{EvidenceSettings: s, in: in, out: out, reading: reading, run: evidence.Run{Request: s.Request}}
	switch {
	case s.Signature != "" && s.Sign == "":
		return nil, usage.Errorf("--signature says where the signature goes and needs --sign")
	case s.Request != "" && s.Attest == "":
		return nil, usage.Errorf("--request is told in the statements of --attest and needs it")
	case s.Sign != "" && s.Signature == "" && stage.KindOf(out) == stage.Standard:
		return nil, usage.Errorf("the output is standard output; say with --signature where its signature goes")
	}
	if s.Sign != "" {
		text, err := stage.ReadSmall(ctx, s.Sign, stdin)
		if err != nil {
			return nil, err
		}
		if e.key, err = evidence.ParsePrivateKey(text); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Sign, err)
		}
		// Beside a model in a registry it is another document there.
		if e.Signature == "" && stage.KindOf(out) == stage.Local {
			e.Signature = out + ".sig"
		}
	}
	if s.Attest == "" {
		return e, nil
	}
	var err error
	if e.run.Time, err = stage.SourceDate(); err != nil {
		return nil, err
	}
	e.run.Binary, err = programDigest()
	return e, err
}

// programDigest returns the SHA-256 of the program that runs.
func programDigest() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("cannot open the program itself: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), err
}

// OpenOutputs opens the outputs.
func (e *Evidence) OpenOutputs(ctx context.Context, outs *stage.Outputs) (err error) {
	e.outputs, err = outs.OpenAll(ctx, e.Report, e.HTML, e.Attest, e.Signature)
	return err
}

// Indices of what [Evidence.OpenOutputs] opens.
const (
	reportOutput = iota
	pageOutput
	statementsOutput
	signatureOutput
)

// Media types of what is attached to a model in a registry.
const (
	reportType    = "application/vnd.lethe.report.v1+json"
	statementType = "application/vnd.in-toto+json"
	bundleType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

// Stage stages all evidence of an edit whose report is complete; edited is its output. samples returns
// images for the page. A model in a registry gets the report, and the statements
// and the signature that were asked for, as documents that refer to it.
func (e *Evidence) Stage(ctx context.Context, outs *stage.Outputs, edited *stage.Output, r *verify.Report, samples func() ([]htmlreport.Sample, error)) error {
	put := func(output int, mediaType, name string, b []byte) error {
		outs.Attach(registry.Evidence{MediaType: mediaType, Name: name, Content: b})
		return e.outputs[output].StageBytes(ctx, b)
	}
	b, err := evidence.Canonical(r)
	if err != nil {
		return err
	}
	if err := put(reportOutput, reportType, "report.json", b); err != nil {
		return err
	}
	if e.HTML != "" {
		shown, err := samples()
		if err != nil {
			return err
		}
		if err := StagePage(ctx, e.outputs[pageOutput], htmlreport.Page{Report: r, Network: e.Network, Samples: shown, Input: PageName(e.in), Output: PageName(e.out), Reading: e.reading}); err != nil {
			return err
		}
	}
	if e.Attest != "" {
		var b bytes.Buffer
		if err := evidence.Attest(&b, r, e.run, e.key); err != nil {
			return err
		}
		if err := put(statementsOutput, statementType, "statements.jsonl", b.Bytes()); err != nil {
			return err
		}
	}
	if e.key == nil {
		return nil
	}
	if b, err = evidence.SignModel(edited.FileName(), r.Files["output"].SHA256, e.key); err != nil {
		return err
	}
	return put(signatureOutput, bundleType, "model.sig", b)
}

// PageName returns what a page calls a file of the command line: its name without
// folders, so that a page does not tell where somebody works.
func PageName(path string) string {
	if stage.KindOf(path) != stage.Local {
		return path
	}
	name := filepath.Base(path)
	if strings.HasPrefix(name, "-") {
		name = "./" + name
	}
	return name
}

// StagePage stages a report as a page for people.
func StagePage(ctx context.Context, out *stage.Output, page htmlreport.Page) error {
	return out.Stage(ctx, func(w io.Writer) error { return htmlreport.Write(w, page) }, nil)
}

// mostSamples is how many images a page shows.
const mostSamples = 24

// Samples returns the first images of each forgotten class, as many of one as of
// another, unseen ones if there are any, and what the networks before and after the edit take them for.
func Samples(d *Data, before, after *verify.Network, classes []int) ([]htmlreport.Sample, error) {
	set, unseen := d.Test, true
	if set == nil {
		set, unseen = d.Train, false
	}
	if !set.Images() {
		return nil, nil
	}
	images, _ := set.Split(classes...)
	seen, each := map[int]int{}, max(mostSamples/max(len(classes), 1), 1)
	images = slices.DeleteFunc(images, func(i int) bool {
		seen[set.Labels[i]]++
		return seen[set.Labels[i]] > each
	})
	images = images[:min(len(images), mostSamples)]
	size := set.Size()
	x := make([]float32, len(images)*size)
	read := set.Reader(d.Norm)
	for i, image := range images {
		read(image, x[i*size:(i+1)*size])
	}
	var taken [2][]int
	for i, net := range []*verify.Network{before, after} {
		if len(images) == 0 {
			break
		}
		logits, err := net.Logits(x, 1)
		if err != nil {
			return nil, err
		}
		k := net.Classes()
		for at := 0; at < len(logits); at += k {
			taken[i] = append(taken[i], learn.Best(logits[at:at+k]))
		}
	}
	var all []htmlreport.Sample
	for i, at := range images {
		all = append(all, htmlreport.Sample{
			Pixels: set.Image(at), Shape: set.Shape, Unseen: unseen,
			Label: set.Labels[at], Before: taken[0][i], After: taken[1][i],
		})
	}
	return all, nil
}

// Plan adds the evidence of an edit with the given output to a plan.
func (e *Evidence) Plan(p *weights.Plan, edited *stage.Output) {
	p.Write(e.outputs[reportOutput], "report")
	p.Write(e.outputs[pageOutput], "report as a page")
	p.Write(e.outputs[statementsOutput], "in-toto statements")
	p.Write(e.outputs[signatureOutput], "signature")
	if edited.Kind() != stage.Registry {
		return
	}
	beside := []string{"report"}
	if e.Attest != "" {
		beside = append(beside, "in-toto statements")
	}
	if e.key != nil {
		beside = append(beside, "signature")
	}
	p.Write(edited, "evidence: "+strings.Join(beside, ", "))
}
