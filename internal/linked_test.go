package internal_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// notLinked lists for each command what its program must not contain: packages,
// with all that is below them. Nothing that only tests and generators use is in any.
var notLinked = map[string][]string{
	"ptconvert": {
		onnxGo, gorgonia, protobuf, compress, "gonum.org", "github.com/apache/arrow", "github.com/gogo/protobuf", "github.com/golang/protobuf", "github.com/chewxy",
		"lethe/fixtures", "lethe/convert", "lethe/ops", "lethe/edit", "lethe/verify", "lethe/evidence",
		"lethe/internal/nn", "lethe/internal/kernel", "lethe/dataset", "lethe/internal/learn", "lethe/internal/htmlreport", "lethe/internal/job",
	},
	"ptcheck": {},
	"pt2onnx": {},
	"forget":  {},
}

// ofTests is linked into no command.
var ofTests = []string{
	avo, "github.com/google/go-containerregistry", "github.com/in-toto", "github.com/santhosh-tekuri", "github.com/rogpeppe", "testing",
	"lethe/internal/oracle", "lethe/internal/vectors", "lethe/internal/bench",
}

// linked returns the packages that a command is built of.
func linked(t *testing.T, command string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", "../cmd/"+command).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

func TestNotLinked(t *testing.T) {
	for command, forbidden := range notLinked {
		for _, p := range linked(t, command) {
			for _, not := range slices.Concat(forbidden, ofTests) {
				if within(p, not) {
					t.Errorf("%s contains %s; see go mod why and go list -deps ./cmd/%s", command, p, command)
				}
			}
		}
	}
	// The names are right: the others have what ptconvert must not.
	forget := linked(t, "forget")
	for _, not := range notLinked["ptconvert"] {
		if !slices.ContainsFunc(forget, func(p string) bool { return within(p, not) }) {
			t.Errorf("forget does not contain %s either; is it the right name?", not)
		}
	}
}
