// Package evidence writes and checks what an auditor needs of an edit: the
// report in a form whose digest means something, attestations of it, and the
// signature of the model.
//
// A key alone makes signatures here, with crypto/ecdsa. Signatures by an identity
// need services that a command without network access does not have.
package evidence

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"lethe/internal/strictjson"
	"lethe/model"
	"lethe/verify"
)

// Claim is a report that somebody gives and that is to be checked.
type Claim struct {
	verify.Report
	tree any
	sum  [sha256.Size]byte // of its bytes
}

// ParseReport reads a report in JSON, canonical or not. Bytes that are none are a
// [model.FormatError], a form that Lethe does not read a [model.UnsupportedError].
func ParseReport(b []byte) (*Claim, error) {
	tree, err := strictjson.Parse(b)
	if err != nil {
		return nil, err
	}
	c := &Claim{tree: tree, sum: sha256.Sum256(b)}
	if object, _ := tree.(map[string]any); object["schema"] != verify.ReportSchema {
		return nil, &model.UnsupportedError{What: fmt.Sprintf("the report has the form %.100v", object["schema"]), Advice: "this version reads " + verify.ReportSchema}
	}
	if err := strictjson.Decode(b, &c.Report); err != nil {
		return nil, err
	}
	if c.Comparison == nil || c.Files == nil {
		return nil, &model.FormatError{Format: "report", Offset: -1, Reason: "it has no comparison or no files"}
	}
	return c, nil
}

// Check reports whether the claim is what was found: every member, no more and no
// less. Otherwise it is a [verify.FailedError] that names the members.
func (c *Claim) Check(found *verify.Report) error {
	b, err := Canonical(found)
	if err != nil {
		return err
	}
	tree, err := strictjson.Parse(b)
	if err != nil {
		return err
	}
	if d := differences(c.tree, tree); len(d) > 0 {
		return failed("report", strings.Join(d, ", "))
	}
	return nil
}
