package verify

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"lethe/report"
)

// measured is an edit whose measures are the arguments of [Grade].
type measured struct{ target, remain, l2, kl float64 }

func (e measured) measures() *Measures {
	return &Measures{Target: e.target, Remain: e.remain, KL: e.kl}
}

var perfect = measured{0, 1, 0, 0}

// with returns the edit with another value of one measure.
func (e measured) with(measure string, v float64) measured {
	*map[string]*float64{"target": &e.target, "remain": &e.remain, "L2": &e.l2, "KL": &e.kl}[measure] = v
	return e
}

func TestLimits(t *testing.T) {
	// The rules of the task, written down a second time.
	for _, l := range []struct {
		measure          string
		full, none, hard float64
		worse            float64 // which way
	}{
		{"target", 0.09, 0.30, 0.5, +1},
		{"remain", 0.90, 0.87, 0.75, -1},
		{"L2", 1.3, 3.0, 8, +1},
		{"KL", 0.2, 0.5, 1.75, +1},
	} {
		const step = 1e-9
		better, worse := math.Inf(int(-l.worse)), math.Inf(int(l.worse))
		middle := (l.full + l.none) / 2
		for _, c := range []struct {
			name       string
			v          float64
			mark       float64
			full, hard bool // the gate lets it pass
		}{
			{"far inside full", better, 100, true, true},
			{"just inside full", l.full - step*l.worse, 100, true, true},
			{"full", l.full, 100, true, true},
			{"just outside full", l.full + step*l.worse, 100, false, true},
			{"halfway", middle, 50, false, true},
			{"just inside none", l.none - step*l.worse, 0, false, true},
			{"none", l.none, 0, false, true},
			{"just outside none", l.none + step*l.worse, 0, false, true},
			{"just inside hard", l.hard - step*l.worse, 0, false, true},
			{"hard", l.hard, 0, false, true},
			{"just outside hard", l.hard + step*l.worse, 0, false, false},
			{"far outside", worse, 0, false, false},
			{"NaN", math.NaN(), 0, false, false},
		} {
			e := perfect.with(l.measure, c.v)
			name := fmt.Sprintf("%s %s (%v)", l.measure, c.name, c.v)
			s := Grade(report.FashionMNIST, e.measures(), e.l2)
			marks := map[string]float64{"target": s.Target, "remain": s.Remain, "L2": s.L2, "KL": s.KL}
			for measure, mark := range marks {
				want := 100.0
				if measure == l.measure {
					want = c.mark
				}
				// A step from a limit costs less than a millionth of a mark.
				if !(math.Abs(mark-want) < 1e-5) || mark < 0 || mark > 100 {
					t.Errorf("%s: %v marks for %s, want %v", name, mark, measure, want)
				}
			}
			want := 75 + c.mark/4
			if !c.hard {
				want = 0
			}
			if !(math.Abs(s.Total-want) < 1e-5) {
				t.Errorf("%s: %v marks in all, want %v", name, s.Total, want)
			}
			for gate, want := range map[Gate]bool{GateNone: true, GateHard: c.hard, GateFull: c.full} {
				check := gate.Check(report.FashionMNIST, e.measures(), e.l2, report.Limits{})
				if check.Name != "gate "+string(gate) || check.OK != want || check.OK != (check.Detail == "") {
					t.Errorf("%s: %+v of gate %s, want %v", name, check, gate, want)
				}
				if !check.OK && !strings.HasPrefix(check.Detail, l.measure+" ") {
					t.Errorf("%s: gate %s names the wrong measure: %s", name, gate, check.Detail)
				}
			}
		}
	}
}

// At the limits themselves the marks are exact.
func TestGradeIsExactAtTheLimits(t *testing.T) {
	for _, c := range []struct {
		e    measured
		want Score
	}{
		{measured{0.09, 0.90, 1.3, 0.2}, Score{100, 100, 100, 100, 100}},
		{measured{0.30, 0.87, 3, 0.5}, Score{}},
		{measured{0.5, 0.75, 8, 1.75}, Score{}},
	} {
		if got := Grade(report.FashionMNIST, c.e.measures(), c.e.l2); got != c.want {
			t.Errorf("%v: got %+v, want %+v", c.e, got, c.want)
		}
	}
}

func TestGradeByHand(t *testing.T) {
	for _, c := range []struct {
		e    measured
		want Score
	}{
		// (0.30-0.195)/0.21, (0.885-0.87)/0.03, (3-2.15)/1.7, (0.5-0.35)/0.3
		{measured{0.195, 0.885, 2.15, 0.35}, Score{50, 50, 50, 50, 50}},
		// (0.30-0.132)/0.21, (0.897-0.87)/0.03, (3-1.64)/1.7, (0.5-0.26)/0.3
		{measured{0.132, 0.897, 1.64, 0.26}, Score{82.5, 80, 90, 80, 80}},
		{measured{0.07, 0.90, 0.66, 0.21}, Score{(300 + 100*0.29/0.3) / 4, 100, 100, 100, 100 * 0.29 / 0.3}},
		// One broken hard limit takes all, whatever the rest is worth.
		{measured{0.07, 0.95, 20.7, 0.1}, Score{0, 100, 100, 0, 100}},
	} {
		s := Grade(report.FashionMNIST, c.e.measures(), c.e.l2)
		got, want := []float64{s.Total, s.Target, s.Remain, s.L2, s.KL}, []float64{c.want.Total, c.want.Target, c.want.Remain, c.want.L2, c.want.KL}
		if !slices.EqualFunc(got, want, func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }) {
			t.Errorf("%v: got %v, want %v", c.e, got, want)
		}
	}
}

func TestGateDetail(t *testing.T) {
	for _, c := range []struct {
		gate Gate
		e    measured
		want string
	}{
		{GateHard, measured{0.6, 0.5, 9, 2}, "target 0.6000 is over 0.5, remain 0.5000 is under 0.75, L2 9.0000 is over 8, KL 2.0000 is over 1.75"},
		{GateFull, measured{0.1, 0.95, 1, 0.1}, "target 0.1000 is over 0.09"},
		// Four decimals would say that 0.9 is under 0.9.
		{GateFull, measured{0, 0.899981, 1, 0.1}, "remain 0.899981 is under 0.9"},
		{GateHard, perfect.with("KL", math.NaN()), "KL NaN is over 1.75"},
		{"", perfect, `unknown gate "": the gates are none, hard and full`},
		{"Full", perfect, `unknown gate "Full": the gates are none, hard and full`},
	} {
		check := c.gate.Check(report.FashionMNIST, c.e.measures(), c.e.l2, report.Limits{})
		if check.OK || check.Detail != c.want {
			t.Errorf("gate %q of %v: %v, %q, want %q", c.gate, c.e, check.OK, check.Detail, c.want)
		}
	}
	nothing := measured{math.NaN(), math.NaN(), math.NaN(), math.NaN()}
	if check := GateNone.Check(report.FashionMNIST, nothing.measures(), nothing.l2, report.Limits{}); !check.OK {
		t.Errorf("gate none holds always, got %+v", check)
	}
}

func TestParseGate(t *testing.T) {
	for _, g := range []Gate{GateNone, GateHard, GateFull} {
		if got, err := ParseGate(string(g)); got != g || err != nil {
			t.Errorf("%s: %v, %v", g, got, err)
		}
	}
	for _, s := range []string{"", "FULL", "hard "} {
		if g, err := ParseGate(s); err == nil || g != "" {
			t.Errorf("%q: %q, %v", s, g, err)
		}
	}
}

func TestErr(t *testing.T) {
	if err := Err(nil); err != nil {
		t.Errorf("no checks: %v", err)
	}
	if err := Err([]Check{{Name: "a", OK: true}}); err != nil {
		t.Errorf("a check that holds: %v", err)
	}
	err := fmt.Errorf("around: %w", Err([]Check{{Name: "a", Detail: "1"}, {Name: "b", OK: true}, {Name: "c"}, {Name: "d", Detail: "2, 3"}}))
	if want := "around: check failed: a (1); c; d (2, 3)"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	var failed *FailedError
	if !errors.As(err, &failed) || !failed.CheckFailed() || len(failed.Failed) != 3 {
		t.Errorf("got %#v", err)
	}
	// What package cli looks at for the exit code.
	var marked interface{ CheckFailed() bool }
	if !errors.As(err, &marked) || !marked.CheckFailed() {
		t.Error("the error is not marked as a failed check")
	}
}
