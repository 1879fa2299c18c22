package verify

import (
	"fmt"
	"math"
	"strings"
)

// Score is the mark of an edit out of 100, and that of each measure, by the
// rules of the Fashion-MNIST class-forgetting task: linear between full marks
// and none.
//
//	         100    0     hard limit
//	target   0.09   0.30  0.5   accuracy on the forgotten classes
//	remain   0.90   0.87  0.75  accuracy on the others
//	L2       1.3    3     8     distance of the parameters
//	KL       0.2    0.5   1.75  divergence from uniform, nats
type Score struct {
	Total  float64 `json:"total"` // mean of the four; 0 if a hard limit is broken
	Target float64 `json:"target"`
	Remain float64 `json:"remain"`
	L2     float64 `json:"l2"`
	KL     float64 `json:"kl"`
}

// limits are the rules of the task: each measure has full marks up to full,
// none from none on, and breaks the edit beyond hard.
var limits = []struct {
	name             string
	full, none, hard float64
	value            func(m *Measures, l2 float64) float64
	mark             func(s *Score) *float64
}{
	{"target", 0.09, 0.30, 0.5, func(m *Measures, _ float64) float64 { return m.Target }, func(s *Score) *float64 { return &s.Target }},
	{"remain", 0.90, 0.87, 0.75, func(m *Measures, _ float64) float64 { return m.Remain }, func(s *Score) *float64 { return &s.Remain }},
	{"L2", 1.3, 3, 8, func(_ *Measures, l2 float64) float64 { return l2 }, func(s *Score) *float64 { return &s.L2 }},
	{"KL", 0.2, 0.5, 1.75, func(m *Measures, _ float64) float64 { return m.KL }, func(s *Score) *float64 { return &s.KL }},
}

// Rule is the rule for one measure: full marks up to Full, none from None on,
// broken beyond Hard. If None is below Full, more is better.
type Rule struct {
	Name             string // "target", "remain", "L2" or "KL"
	Full, None, Hard float64
}

// Rules returns the rules of the task.
func Rules() []Rule {
	var all []Rule
	for _, l := range limits {
		all = append(all, Rule{l.name, l.full, l.none, l.hard})
	}
	return all
}

// Grade returns the score of an edit that moved the parameters by l2, the
// Euclidean norm of the difference. A measure that is NaN has no marks and
// breaks its hard limit. The invariants are the caller's: the task gives 0 to an
// edit that breaks one, whatever is measured.
func Grade(m *Measures, l2 float64) Score {
	var s Score
	for _, l := range limits {
		mark := 0.0
		if share := (l.none - l.value(m, l2)) / (l.none - l.full); share > 0 { // not so for NaN
			mark = 100 * min(1, share)
		}
		*l.mark(&s) = mark
		s.Total += mark / float64(len(limits))
	}
	if len(beyond(m, l2, false, Limits{})) > 0 {
		s.Total = 0
	}
	return s
}

// Limits replace those of full marks in [GateFull]. What is 0 stays as the task
// has it.
type Limits struct {
	Target float64 `json:"target"` // largest accuracy on the forgotten classes, 0 to 1
	KL     float64 `json:"kl"`     // largest mean divergence from uniform on their images, nats
	L2     float64 `json:"l2"`     // largest distance of the parameters
}

// beyond lists the measures outside of the limits for full marks or their
// replacements, or outside of the hard ones. The others count only if there
// were images of them.
func beyond(m *Measures, l2 float64, full bool, own Limits) []string {
	owned := map[string]float64{"target": own.Target, "KL": own.KL, "L2": own.L2}
	var broken []string
	for _, l := range limits {
		if l.name == "remain" && m.alone() {
			continue
		}
		limit := l.hard
		if full {
			limit = l.full
			if o := owned[l.name]; o > 0 {
				limit = o
			}
		}
		v := l.value(m, l2)
		relation := "over"
		bad := !(v <= limit)
		if l.none < l.full { // more is better
			relation, bad = "under", !(v >= limit)
		}
		if bad {
			broken = append(broken, fmt.Sprintf("%s %s is %s %g", l.name, unlike(v, limit), relation, limit))
		}
	}
	return broken
}

// unlike formats v with four decimals, or with all that it has where four would
// make it look like the limit that it breaks.
func unlike(v, limit float64) string {
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

// Check applies the gate to what was measured. A limit itself is allowed; NaN
// is beyond every limit. A gate that does not exist lets nothing pass.
func (g Gate) Check(m *Measures, l2 float64, own Limits) Check {
	var broken []string
	if _, err := ParseGate(string(g)); err != nil {
		broken = []string{err.Error()}
	} else if g != GateNone {
		broken = beyond(m, l2, g == GateFull, own)
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
