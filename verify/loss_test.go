package verify

import (
	"math"
	"strings"
	"testing"

	"lethe/report"
)

// An edit may cost the others what it may, and not more.
func TestCheckLoss(t *testing.T) {
	for _, c := range []struct {
		before, after, most float64
		ok                  bool
	}{
		{0.75, 0.625, 0.125, true}, {0.75, 0.625, 0.124, false}, {0.5, 0.9, 0.02, true}, {0.9, math.NaN(), 0.02, false},
	} {
		got := checkLoss("", &Measures{Remain: c.before}, &Measures{Remain: c.after}, c.most)
		if got.OK != c.ok || !c.ok && !strings.Contains(got.Detail, "allow it with --max-loss") {
			t.Errorf("%+v: %+v", c, got)
		}
	}
	for aim, limited := range map[report.Aim]bool{report.AimUniform: true, report.AimUnseen: false} {
		got := checkLoss(aim, &Measures{Remain: 0.9}, &Measures{Remain: 0.5}, 0.02)
		if strings.Contains(got.Detail, "--max-kl") != limited || !strings.Contains(got.Detail, "--budget-l2") {
			t.Errorf("%s: %s", aim, got.Detail)
		}
	}
}
