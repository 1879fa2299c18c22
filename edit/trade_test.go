package edit

import (
	"math"
	"testing"

	"lethe/report"
)

// What the attempts find where score and loss depend on the limit of the distance
// as told, from 1 on.
func TestWiden(t *testing.T) {
	for _, c := range []struct {
		name        string
		score, loss func(l2 float64) float64
		from, to    float64 // what the limit may be in the end
	}{
		{"a peak", func(x float64) float64 { return 95 - 20*math.Abs(x-1.5) }, func(float64) float64 { return 0 }, 1.4, 1.6},
		{"nothing helps", func(x float64) float64 { return 90 - x }, func(float64) float64 { return 0 }, 1, 1},
		{"enough at once", func(x float64) float64 { return 80 + 18*x }, func(float64) float64 { return 0 }, 1.06, 1.16},
		{"the least that does no damage", func(x float64) float64 { return 90 - 10*x }, func(x float64) float64 { return 0.06 - 0.04*x }, 1.05, 1.12},
		{"damage that rises before it falls", func(x float64) float64 { return 40 + 30*x }, func(x float64) float64 { return 0.1 - 0.5*(x-1.2)*(x-1.2) }, 1.6, 1.8},
		{"damage between here and there", func(x float64) float64 { return 50 + 20*x }, func(x float64) float64 {
			if x > 1.05 && x < 1.4 {
				return 0.03
			}
			return 0
		}, 1.4, 3},
		{"damage beyond", func(x float64) float64 { return 50 + 20*x }, func(x float64) float64 { return 0.01 * x }, 1.6, 1.8},
		{"damage everywhere", func(x float64) float64 { return 50 }, func(x float64) float64 { return 0.5 }, 1, 1},
	} {
		r := &run{opts: Options{MaxLoss: 0.02}}
		try := func(l report.Limits) (*attempt, error) {
			a := &attempt{Attempt: report.Attempt{Limits: l, Score: c.score(l.L2), Loss: c.loss(l.L2)}}
			r.tried = append(r.tried, a)
			return a, nil
		}
		first, _ := try(report.Limits{Target: 0.1, KL: 0.2, L2: 1})
		best, err := r.widen(first, try, func(l *report.Limits) *float64 { return &l.L2 })
		if err != nil {
			t.Fatal(err)
		}
		if at := best.Limits.L2; at < c.from || at > c.to {
			t.Errorf("%s: the limit is %.3f after %d attempts, want %v to %v", c.name, at, len(r.tried), c.from, c.to)
		}
		if len(r.tried) > mostAttempts {
			t.Errorf("%s: %d attempts", c.name, len(r.tried))
		}
		for _, a := range r.tried {
			if r.better(a, best) {
				t.Errorf("%s: %+v is better than %+v", c.name, a.Attempt, best.Attempt)
			}
		}
		if best.Limits.KL != 0.2 || best.Limits.Target != 0.1 {
			t.Errorf("%s: other limits are %+v", c.name, best.Limits)
		}
	}
}
