package verify

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"lethe/model"
)

// golden is what scikit-learn, SciPy and PyTorch compute: testdata/audit_golden.py.
func golden(t *testing.T, v any) {
	t.Helper()
	b, err := os.ReadFile("testdata/audit_golden.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

// interval is an estimate of the golden file.
type interval struct{ Value, Low, High float64 }

func (want interval) compare(t *testing.T, what string, got Estimate) {
	t.Helper()
	for name, pair := range map[string][2]float64{"value": {got.Value, want.Value}, "low": {got.Low, want.Low}, "high": {got.High, want.High}} {
		if !(math.Abs(pair[0]-pair[1]) < 1e-12) {
			t.Errorf("%s: %s %v, want %v", what, name, pair[0], pair[1])
		}
	}
}

func TestGoldenWilson(t *testing.T) {
	var g struct {
		Wilson []struct {
			Hits, N   int
			Low, High float64
		}
	}
	golden(t, &g)
	if len(g.Wilson) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range g.Wilson {
		got := proportion(c.Hits, c.N)
		interval{float64(c.Hits) / float64(c.N), c.Low, c.High}.compare(t, "share", got)
		if got.N != c.N {
			t.Errorf("n %d, want %d", got.N, c.N)
		}
	}
}

func TestGoldenStudent(t *testing.T) {
	var g struct {
		Student []struct {
			Values []float64
			interval
		}
	}
	golden(t, &g)
	if len(g.Student) != len(student)-2 {
		t.Fatalf("%d cases for %d quantiles", len(g.Student), len(student)-2)
	}
	for _, c := range g.Student {
		c.compare(t, "runs", meanOfRuns(c.Values))
	}
}

func TestGoldenAUC(t *testing.T) {
	var g struct {
		AUC []struct {
			Positive, Negative []float64
			interval
		}
	}
	golden(t, &g)
	if len(g.AUC) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range g.AUC {
		got := auc(c.Positive, c.Negative)
		c.compare(t, "auc", got)
		if got.N != len(c.Positive)+len(c.Negative) {
			t.Errorf("n %d", got.N)
		}
	}
}

func farthest(got, want []float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	d := 0.0
	for i := range got {
		d = math.Max(d, math.Abs(got[i]-want[i]))
	}
	return d
}

func TestGoldenProbe(t *testing.T) {
	var g struct {
		Probe struct {
			X, Test, Weights    []float64
			Labels, Predictions []int
			Classes             int
		}
	}
	golden(t, &g)
	p := g.Probe
	for _, threads := range []int{1, 3} {
		x, test := standardize(p.X, p.Test, len(p.X)/len(p.Labels))
		r := &regression{x: x, labels: p.Labels, classes: p.Classes, penalty: probePenalty, threads: threads}
		w := r.fit()
		centre(w, p.Classes)
		if d := farthest(w, p.Weights); !(d < 1e-5) {
			t.Errorf("weights differ by %v from scikit-learn's", d)
		}
		if got := classify(test, w, p.Classes, threads); !slices.Equal(got, p.Predictions) {
			t.Errorf("predictions %v, want %v", got, p.Predictions)
		}
	}
}

func TestGoldenRetune(t *testing.T) {
	var g struct {
		Retune struct {
			X, W0, Weights []float64
			Labels         []int
			Classes        int
		}
	}
	golden(t, &g)
	p := g.Retune
	w := retuned(p.X, p.Labels, p.Classes, p.W0, 2)
	if d := farthest(w, p.Weights); !(d < 1e-6) {
		t.Errorf("weights differ by %v from SciPy's", d)
	}
	if d := farthest(p.W0, p.Weights); d < 0.1 {
		t.Errorf("the case moves the weights by %v only", d)
	}
}

func TestGoldenMembership(t *testing.T) {
	var g struct {
		Membership []struct {
			Members, Others []float64
			Hits            int
		}
	}
	golden(t, &g)
	if len(g.Membership) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range g.Membership {
		n := 2 * len(c.Members)
		if got, want := membership(c.Members, c.Others), proportion(c.Hits, n); got != want {
			t.Errorf("%d pairs: got %+v, want %+v", n/2, got, want)
		}
	}
}

func TestGoldenInt8(t *testing.T) {
	var g struct {
		Int8 []struct {
			Weights []float32
			Rounded []float64
		}
	}
	golden(t, &g)
	net, sd := flat(t, [][4]float32{{}})
	for _, c := range g.Int8 {
		v := slices.Concat(c.Weights, make([]float32, 64-len(c.Weights)))
		sd := sd.With("fc.weight", model.Float32Tensor([]int{16, 4}, v))
		rounded, err := changeWeights(net.Graph(), sd, roundInt8)
		if err != nil {
			t.Fatal(err)
		}
		got, err := rounded.Get("fc.weight").Float32s()
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range c.Rounded {
			if !(math.Abs(float64(got[i])-want) <= 2e-7*math.Abs(want)) { // torch keeps the scale in float32
				t.Errorf("weight %v becomes %v, want %v", c.Weights[i], got[i], want)
			}
		}
	}
}
