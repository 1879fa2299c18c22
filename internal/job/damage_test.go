package job

import (
	"strings"
	"testing"

	"lethe/verify"
)

func TestDamage(t *testing.T) {
	report := func(gate verify.Gate, before, after float64) *verify.Report {
		return &verify.Report{Gate: gate, Data: &verify.Data{
			TestBefore: &verify.Measures{Images: 20, Forgotten: 10, Remain: before}, TestAfter: &verify.Measures{Images: 20, Forgotten: 10, Remain: after},
		}}
	}
	for _, c := range []struct {
		name  string
		r     *verify.Report
		warns bool
	}{
		{"more than allowed", report(verify.GateNone, 0.9, 0.85), true},
		{"as much as allowed", report(verify.GateNone, 0.75, 0.625), false},
		{"a gain", report(verify.GateNone, 0.8, 0.9), false},
		{"held back by the gate", report(verify.GateHard, 0.9, 0.85), false},
		{"nothing measured", &verify.Report{Gate: verify.GateNone, Data: &verify.Data{}}, false},
	} {
		most := 0.02
		if c.name == "as much as allowed" {
			most = 0.125
		}
		if got := damage(c.r, most); (got != "") != c.warns || c.warns && !strings.Contains(got, "falls by 0.0500, more than 0.02") {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}
