package classifier

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"lethe/evidence"
	"lethe/graph"
	"lethe/internal/cli"
	"lethe/internal/drawing"
	"lethe/internal/htmlreport"
	"lethe/internal/learn"
	"lethe/internal/nn"
	"lethe/internal/registry"
	"lethe/internal/structure"
	"lethe/model"
	"lethe/onnxio"
	"lethe/report"
	"lethe/verify"
)

// EvidenceFlags are the flags for what an edit leaves behind for those who must
// judge it later.
func EvidenceFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "report", Usage: "`FILE` for the report, as canonical JSON (RFC 8785)"},
		&urfave.StringFlag{Name: "html", Usage: "`FILE` for the report as a page for people"},
		&urfave.StringFlag{Name: "attest", Usage: "`FILE` for in-toto statements about the outputs, an envelope on each line; signed if there is --sign"},
		&urfave.StringFlag{Name: "sign", Usage: "`FILE` with the private key in PEM that signs the output: OpenSSF Model Signing"},
		&urfave.StringFlag{Name: "signature", Usage: "`FILE` for the signature; default: the output with .sig appended"},
		&urfave.StringFlag{Name: "request", Usage: "`ID` of who asked for the edit, such as a ticket, for --attest; no personal data"},
	}
}

// Evidence is what [EvidenceFlags] ask for.
type Evidence struct {
	Network *drawing.Network // for the page

	report, html, attest, signature string // paths; "" is none
	in, out                         string // paths of the edit; out is the one that is signed
	reading                         []string
	key                             *evidence.PrivateKey
	run                             evidence.Run
}

// largestSeed is the largest integer that every reader of JSON understands.
const largestSeed = 1<<53 - 1

// OpenEvidence reads the key and everything else that can be wrong before the
// work begins. in and out are the paths of the edit.
func OpenEvidence(c *urfave.Context, in, out string) (*Evidence, error) {
	e := &Evidence{
		report: c.String("report"), html: c.String("html"), attest: c.String("attest"), signature: c.String("signature"),
		in: in, out: out, reading: cli.ReadingFlags(c),
		run: evidence.Run{Request: c.String("request")},
	}
	switch {
	case c.IsSet("signature") && !c.IsSet("sign"):
		return nil, cli.Usagef("--signature says where the signature goes and needs --sign")
	case c.IsSet("request") && !c.IsSet("attest"):
		return nil, cli.Usagef("--request is told in the statements of --attest and needs it")
	case c.IsSet("sign") && e.signature == "" && out == "-":
		return nil, cli.Usagef("the output is standard output; say with --signature where its signature goes")
	case c.Uint64("seed") > largestSeed:
		return nil, cli.Usagef("--seed %d is larger than %d, the largest integer that all readers of a report understand", c.Uint64("seed"), largestSeed)
	}
	if path := c.String("sign"); path != "" {
		text, err := cli.ReadSmall(c, path)
		if err != nil {
			return nil, err
		}
		if e.key, err = evidence.ParsePrivateKey(text); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		// Beside a model in a registry it is another document there.
		if e.signature == "" && !registry.IsReference(out) {
			e.signature = out + ".sig"
		}
	}
	if e.attest == "" {
		return e, nil
	}
	var err error
	if e.run.Time, err = cli.SourceDate(); err != nil {
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

// Paths returns the outputs to announce to [cli.NewOutputs].
func (e *Evidence) Paths() []string { return []string{e.report, e.html, e.attest, e.signature} }

// UsesStdout tells whether one of the outputs is standard output.
func (e *Evidence) UsesStdout() bool {
	for _, path := range e.Paths() {
		if path == "-" {
			return true
		}
	}
	return false
}

// Media types of what is attached to a model in a registry.
const (
	reportType    = "application/vnd.lethe.report.v1+json"
	statementType = "application/vnd.in-toto+json"
	bundleType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

// Stage stages all evidence of an edit whose report is complete. samples returns
// images for the page. A model in a registry gets the report, and the statements
// and the signature that were asked for, as documents that refer to it.
func (e *Evidence) Stage(ctx context.Context, outs *cli.Outputs, r *verify.Report, samples func() ([]htmlreport.Sample, error)) error {
	put := func(path, mediaType, name string, b []byte) error {
		outs.Attach(registry.Evidence{MediaType: mediaType, Name: name, Content: b})
		if path == "" {
			return nil
		}
		return outs.Stage(ctx, path, func(w io.Writer) error {
			_, err := w.Write(b)
			return err
		}, nil)
	}
	b, err := evidence.Canonical(r)
	if err != nil {
		return err
	}
	if err := put(e.report, reportType, "report.json", b); err != nil {
		return err
	}
	if e.html != "" {
		shown, err := samples()
		if err != nil {
			return err
		}
		if err := StagePage(ctx, outs, e.html, htmlreport.Page{Report: r, Network: e.Network, Samples: shown, Input: PageName(e.in), Output: PageName(e.out), Reading: e.reading}); err != nil {
			return err
		}
	}
	if e.attest != "" {
		var b bytes.Buffer
		if err := evidence.Attest(&b, r, e.run, e.key); err != nil {
			return err
		}
		if err := put(e.attest, statementType, "statements.jsonl", b.Bytes()); err != nil {
			return err
		}
	}
	if e.key == nil {
		return nil
	}
	if b, err = evidence.SignModel(outs.FileName(e.out), r.Files["output"].SHA256, e.key); err != nil {
		return err
	}
	return put(e.signature, bundleType, "model.sig", b)
}

// PageName returns what a page calls a file of the command line: its name without
// folders, so that a page does not tell where somebody works.
func PageName(path string) string {
	if registry.IsReference(path) || path == "-" {
		return path
	}
	name := filepath.Base(path)
	if strings.HasPrefix(name, "-") {
		name = "./" + name
	}
	return name
}

// StagePage stages a report as a page for people.
func StagePage(ctx context.Context, outs *cli.Outputs, path string, page htmlreport.Page) error {
	return outs.Stage(ctx, path, func(w io.Writer) error { return htmlreport.Write(w, page) }, nil)
}

// mostSamples is how many images a page shows.
const mostSamples = 24

// Samples returns the first images of the forgotten classes, unseen ones if
// there are any, and what the networks before and after the edit take them for.
func Samples(d *Data, before, after *nn.Net, classes []int) ([]htmlreport.Sample, error) {
	set, unseen := d.Test, true
	if set == nil {
		set, unseen = d.Train, false
	}
	images, _ := set.Split(classes...)
	images = images[:min(len(images), mostSamples)]
	size := set.Size()
	x := make([]float32, len(images)*size)
	read := set.Reader(d.Norm)
	for i, image := range images {
		read(image, x[i*size:(i+1)*size])
	}
	var taken [2][]int
	for i, net := range []*nn.Net{before, after} {
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

// EditedOptions are those of the ONNX model of an edit.
func EditedOptions(g *graph.Graph, labels []string, version string) onnxio.EncodeOptions {
	return onnxio.EncodeOptions{
		ProducerVersion: version,
		DocString:       fmt.Sprintf("%s edited to forget %s", g.Name, strings.Join(labels, ", ")),
	}
}

// CheckFlags are the flags for checking what [EvidenceFlags] made.
func CheckFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "report", Usage: "`FILE` with the report of an edit: compute it again and tell whether it is true"},
		&urfave.StringFlag{Name: "html", Usage: "`FILE` for what was found as a page for people"},
		&urfave.StringFlag{Name: "attest", Usage: "`FILE` with in-toto statements: tell whether they say what --report says"},
		&urfave.StringFlag{Name: "verify-signature", Usage: "`FILE` with a public key in PEM: verify the signature of the model (OpenSSF Model Signing) and of --attest"},
		&urfave.StringFlag{Name: "signature", Usage: "`FILE` with the signature of the model; default: the model with .sig appended"},
		&urfave.BoolFlag{Name: "force", Usage: "replace an existing page"},
	}
}

// OpenClaim reads the report that is to be checked.
func OpenClaim(c *urfave.Context) (*evidence.Claim, error) {
	path := c.String("report")
	b, err := cli.ReadSmall(c, path)
	if err != nil {
		return nil, err
	}
	claim, err := evidence.ParseReport(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return claim, nil
}

// VerifySignature verifies the signature of the file or folder at path, if
// [CheckFlags] ask for that, and returns a line that says so and the key; the
// key is nil if they do not. If in is not nil, it is the file at path: what is read
// from it later is what was verified.
func VerifySignature(c *urfave.Context, path string, in *cli.Input) (line string, key *evidence.PublicKey, err error) {
	name := c.String("verify-signature")
	if name == "" {
		return "", nil, nil
	}
	text, err := cli.ReadSmall(c, name)
	if err != nil {
		return "", nil, err
	}
	if key, err = evidence.ParsePublicKey(text); err != nil {
		return "", nil, fmt.Errorf("%s: %w", name, err)
	}
	signature := c.String("signature")
	if signature == "" {
		signature = path + ".sig"
	}
	if text, err = cli.ReadSmall(c, signature); err != nil {
		return "", nil, err
	}
	files := 1
	if in == nil {
		files, err = evidence.VerifyModel(text, key, path, signature)
	} else {
		var digest report.Digest
		if digest, err = cli.Digest(in, in.Size); err != nil {
			return "", nil, err
		}
		err = evidence.VerifyFile(text, key, digest.SHA256)
	}
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", signature, err)
	}
	return fmt.Sprintf("signature of %s holds (%d files, key %.16s)\n", cli.Name(path), files, key.ID), key, nil
}

// CheckAttestation checks the statements that [CheckFlags] give against a
// report that is known to be true, and returns lines that say so.
func CheckAttestation(c *urfave.Context, claim *evidence.Claim, key *evidence.PublicKey) (string, error) {
	path := c.String("attest")
	if path == "" {
		return "", nil
	}
	b, err := cli.ReadSmall(c, path)
	if err != nil {
		return "", err
	}
	run, err := claim.CheckAttestation(b, key)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	var s strings.Builder
	signed := "their signatures were not verified: no --verify-signature"
	if key != nil {
		signed = "signed by the key"
	}
	fmt.Fprintf(&s, "statements in %s say what the report says (%s)\n", path, signed)
	for _, l := range []struct{ what, value string }{{"request", run.Request}, {"program", run.Binary}} {
		if l.value != "" {
			fmt.Fprintf(&s, "%s, by the statements alone: %s\n", l.what, cli.OneLine(l.value))
		}
	}
	if !run.Time.IsZero() {
		fmt.Fprintf(&s, "time, by the statements alone: %s\n", run.Time.Format(time.RFC3339))
	}
	return s.String(), nil
}

// EditedONNX encodes the ONNX model of an edit in memory and checks it against
// the network.
func EditedONNX(net *nn.Net, s *structure.Structure, sd *model.StateDict, opts onnxio.EncodeOptions) (*verify.Parity, report.Digest, error) {
	var b bytes.Buffer
	if err := encodeONNX(&b, s, sd, opts); err != nil {
		return nil, report.Digest{}, err
	}
	digest, err := cli.Digest(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		return nil, report.Digest{}, err
	}
	parity, err := verify.ONNX(b.Bytes(), net)
	return parity, digest, err
}
