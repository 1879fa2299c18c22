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

// What a search finds where score and loss depend on both limits as told, in multiples
// of those of full marks.
func TestSearch(t *testing.T) {
	rules := report.RulesFor(10, 0.9, 20) // full marks of the distance: 1, none: 2.308, hard: 6.154; of the divergence: 0.2 to 0.5
	full := rules.FullMarks()
	mark := func(x float64) float64 { return rules.L2.Mark(x*full.L2) / 4 }
	for _, c := range []struct {
		name        string
		score, loss func(l2, kl float64) float64
		from, to    float64 // of the score
	}{
		{name: "all at once", score: func(x, y float64) float64 { return 100 }, from: 100, to: 100},
		{name: "a valley before all but the distance can be had", score: func(x, y float64) float64 { return mark(x) + min(75, 25+15*(x-1)) }, from: 74.9, to: 76},
		{name: "a peak of both", score: func(x, y float64) float64 { return 96 - 30*math.Abs(x-1.4) - 10*math.Abs(y-1.5) }, from: 93, to: 96},
		{name: "a plateau beyond a peak", score: func(x, y float64) float64 {
			if x < 1.3 {
				return 50
			}
			return 75 + mark(x)
		}, from: 88, to: 95},
		{name: "damage nearby", score: func(x, y float64) float64 { return 60 + 15/x }, loss: func(x, y float64) float64 { return 0.1 - 0.03*x }, from: 63, to: 66},
		{name: "damage that a laxer divergence mends", score: func(x, y float64) float64 { return 90 - 4*y }, loss: func(x, y float64) float64 { return 0.05 - 0.02*y }, from: 78, to: 85},
		{name: "a peak of the distance behind a laxer divergence", score: func(x, y float64) float64 {
			if y > 2 {
				return 70 - 5*(x-1)
			}
			return max(48, 86-60*math.Abs(x-1.7))
		}, from: 84, to: 86},
		{name: "nothing helps", score: func(x, y float64) float64 { return 40 }, loss: func(x, y float64) float64 { return 0.3 }, from: 40, to: 40},
	} {
		r := &run{opts: Options{MaxLoss: 0.02, Rules: rules, Limits: full}, products: 1e5}
		try := func(l report.Limits) (*attempt, error) {
			a := &attempt{Attempt: report.Attempt{Limits: l, Score: c.score(l.L2/full.L2, l.KL/full.KL)}}
			if c.loss != nil {
				a.Loss = c.loss(l.L2/full.L2, l.KL/full.KL)
			}
			r.tried = append(r.tried, a)
			return a, nil
		}
		first, _ := try(full)
		best, err := r.search(first, try)
		if err != nil {
			t.Fatal(err)
		}
		if best.Score < c.from || best.Score > c.to || len(r.tried) > moreAttempts {
			t.Errorf("%s: the score is %.2f after %d attempts, want %v to %v", c.name, best.Score, len(r.tried), c.from, c.to)
		}
		for _, a := range r.tried {
			if r.better(a, best) || a.Limits.L2 < full.L2 || a.Limits.L2 > rules.L2.Hard || a.Limits.KL < full.KL || a.Limits.Target != full.Target {
				t.Errorf("%s: %+v beside %+v", c.name, a.Attempt, best.Attempt)
			}
		}
	}
	// Limits that somebody asked for stay.
	r := &run{opts: Options{MaxLoss: 0.02, Rules: rules}, products: 1e5}
	own := report.Limits{Target: full.Target, KL: 0.3, L2: 2}
	first := &attempt{Attempt: report.Attempt{Limits: own, Score: 10}}
	if best, err := r.search(first, func(report.Limits) (*attempt, error) { t.Error("tried another"); return first, nil }); best != first || err != nil {
		t.Error(err)
	}
}

// Few classes leave less room for a probability below the others than many do.
func TestResidualWithin(t *testing.T) {
	for _, c := range []struct {
		classes, forgotten int
		first, most, want  float64
	}{
		{10, 1, 0.06, 0.04, 0.06},
		{2, 1, 0.06, 0.012, 0.4226},
		{3, 1, 0.06, 0.019, 0.2457},
		{4, 3, 0.06, 0.024, 0.2172},
	} {
		r := &run{k: c.classes, opts: Options{Classes: make([]int, c.forgotten)}}
		if got := r.residualWithin(c.first, c.most); math.Abs(got-c.want) > 2e-3 {
			t.Errorf("%d of %d classes: %.4f, want %.4f", c.forgotten, c.classes, got, c.want)
		}
	}
}
