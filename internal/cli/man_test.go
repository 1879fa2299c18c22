package cli

import (
	"strings"
	"testing"
)

func TestMan(t *testing.T) {
	var out strings.Builder
	if code := Run(t.Context(), awkward(), []string{"--man"}, nil, &out, &out); code != ExitOK {
		t.Fatalf("exit %d, %s", code, &out)
	}
	for _, part := range []string{
		".TH FORGET 1 \"\" Lethe\n", "\n\\&'a' \\(ti \\e\n", "\n.nf\n\\&.x\n.fi\n",
		".TP\n\\fB\\-\\-one\\fR \\fIx|y\\fR\nit's [a] $b:c \\ed, and more\n", ".TP\n\\fB\\-\\-three, \\-t\\fR \\fIDIR\\fR\n\n",
	} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("no %q in\n%s", part, &out)
		}
	}
}
