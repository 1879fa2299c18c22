package verify

import (
	"fmt"
	"math"
	"strings"

	"lethe/report"
)

// Score is the mark of an edit out of 100, and that of each measure, by the
// rules of its task: linear between full marks and none.
type Score struct {
	Total  float64 `json:"total"` // mean of the four; 0 if a hard limit is broken
	Target float64 `json:"target"`
	Remain float64 `json:"remain"`
	L2     float64 `json:"l2"`
	KL     float64 `json:"kl"`
}

// measures says where the value of a rule is found and its mark is kept.
var measures = map[string]struct {
	value func(m *Measures, l2 float64) float64
	mark  func(s *Score) *float64
}{
	"target": {func(m *Measures, _ float64) float64 { return m.Target }, func(s *Score) *float64 { return &s.Target }},
	"remain": {func(m *Measures, _ float64) float64 { return m.Remain }, func(s *Score) *float64 { return &s.Remain }},
	"L2":     {func(_ *Measures, l2 float64) float64 { return l2 }, func(s *Score) *float64 { return &s.L2 }},
	"KL":     {func(m *Measures, _ float64) float64 { return m.KL }, func(s *Score) *float64 { return &s.KL }},
}

// Grade returns the score, by the rules of a task, of an edit that moved the parameters by l2, the
// Euclidean norm of the difference. A measure that is NaN has no marks and
// breaks its hard limit. The invariants are the caller's: the task gives 0 to an
// edit that breaks one, whatever is measured.
func Grade(rules report.Rules, m *Measures, l2 float64) Score {
	var s Score
	all := rules.All()
	for _, r := range all {
		mark := r.Mark(measures[r.Name].value(m, l2))
		*measures[r.Name].mark(&s) = mark
		s.Total += mark / float64(len(all))
	}
	if len(beyond(rules, m, l2, false, report.Limits{})) > 0 {
		s.Total = 0
	}
	return s
}

// beyond lists the measures outside of the limits for full marks or their
// replacements, or outside of the hard ones. The others count only if there
// were images of them.
func beyond(rules report.Rules, m *Measures, l2 float64, full bool, own report.Limits) []string {
	owned := map[string]float64{"target": own.Target, "KL": own.KL, "L2": own.L2}
	var broken []string
	for _, r := range rules.All() {
		if r.Name == "remain" && m.alone() {
			continue
		}
		limit := r.Hard
		if full {
			limit = r.Full
			if o := owned[r.Name]; o > 0 {
				limit = o
			}
		}
		v := measures[r.Name].value(m, l2)
		relation := "over"
		bad := !(v <= limit)
		if r.MoreIsBetter() {
			relation, bad = "under", !(v >= limit)
		}
		if bad {
			broken = append(broken, fmt.Sprintf("%s %s is %s %g", r.Name, formatBeyond(v, limit), relation, limit))
		}
	}
	return broken
}

// formatBeyond formats v with four decimals, or with all that it has where four
// would make it look like the limit that it breaks.
func formatBeyond(v, limit float64) string {
	if math.Abs(v-limit) < 1e-4 {
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%.4f", v)
}

// Gate is how much an edit must achieve to be written.
type Gate string

// The gates. Each includes the one before.
const (
	GateNone Gate = "none" // the invariants alone
	GateHard Gate = "hard" // and no measure beyond a hard limit
	GateFull Gate = "full" // and full marks in every measure, or within the limits that replace those
)

// ParseGate returns the gate of a name.
func ParseGate(s string) (Gate, error) {
	switch g := Gate(s); g {
	case GateNone, GateHard, GateFull:
		return g, nil
	}
	return "", fmt.Errorf("unknown gate %q: the gates are none, hard and full", s)
}

// Check applies the gate to what was measured, by the rules of a task. A limit itself is allowed; NaN
// is beyond every limit. A gate that does not exist lets nothing pass.
func (g Gate) Check(rules report.Rules, m *Measures, l2 float64, own report.Limits) Check {
	var broken []string
	if _, err := ParseGate(string(g)); err != nil {
		broken = []string{err.Error()}
	} else if g != GateNone {
		broken = beyond(rules, m, l2, g == GateFull, own)
	}
	return Check{Name: "gate " + string(g), OK: len(broken) == 0, Detail: strings.Join(broken, ", ")}
}

// FailedError reports checks that do not hold: the input and the output are
// sound, the edit or the conversion is not good enough.
type FailedError struct{ Failed []Check }

func (e *FailedError) Error() string {
	var all []string
	for _, c := range e.Failed {
		if c.Detail == "" {
			all = append(all, c.Name)
			continue
		}
		all = append(all, fmt.Sprintf("%s (%s)", c.Name, c.Detail))
	}
	return "check failed: " + strings.Join(all, "; ")
}

// CheckFailed marks the error for the exit code.
func (e *FailedError) CheckFailed() bool { return true }

// Err returns a [FailedError] with the checks that do not hold, or nil.
func Err(checks []Check) error {
	var failed []Check
	for _, c := range checks {
		if !c.OK {
			failed = append(failed, c)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return &FailedError{failed}
}
