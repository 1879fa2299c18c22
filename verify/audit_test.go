package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lethe/dataset"
	"lethe/fixtures"
	"lethe/internal/learn"
	"lethe/internal/nn"
	"lethe/model"
	"lethe/report"
)

// The toy that audits are tested on: three classes of images of 2 x 2 pixels.
// Class 2 is class 1 and one lit pixel more.
func toyImages(each int) *dataset.Set {
	s := &dataset.Set{Shape: []int{1, 2, 2}, Classes: 3}
	for i := range each {
		dim := uint8(10 * i % 50) // so that images differ
		s.Pixels = append(s.Pixels, 255-dim, 0, 0, dim, 0, 255-dim, 0, dim, 0, 255-dim, 255-dim, dim, 0, 255-dim, 0, dim)
		s.Labels = append(s.Labels, 0, 1, 2, 1)
	}
	return s
}

// toy returns three networks: one that knows class 2; one that hides it, by a
// bias of the last layer; and one that has lost the pixel that makes it.
func toy(t testing.TB) (q Edit, hidden, lost *model.StateDict) {
	net, sd := deep(t)
	sd = sd.With("fc.weight", model.Float32Tensor([]int{3, 4}, []float32{1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0})).
		With("fc.bias", model.Float32Tensor([]int{3}, []float32{0, 0, -2}))
	hidden = set(t, sd, "fc.bias", 2, to(-10))
	lost = set(t, sd, "pass.weight", 10, to(0))
	return Edit{
		Before: NewNetwork(net.Graph(), sd), net: bind(t, net.Graph(), sd), Classes: []int{2}, Norm: plain, Threads: 2,
		Train: toyImages(30), Test: toyImages(20), Audit: &AuditOptions{},
	}, hidden, lost
}

// audited runs an audit and returns its measures by name.
func audited(t testing.TB, q Edit, after *model.StateDict) (*Audit, map[string]*AuditMeasure) {
	t.Helper()
	q.After = NewNetwork(q.Before.Graph(), after)
	a, err := audit(context.Background(), &q, bind(t, q.net.Graph(), after))
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*AuditMeasure{}
	for i := range a.Measures {
		byName[a.Measures[i].Name] = &a.Measures[i]
	}
	return a, byName
}

// A class that is hidden is found; one that is lost is not.
func TestAuditFindsWhatIsHidden(t *testing.T) {
	q, hidden, lost := toy(t)
	q.Audit.Retrained = []Retrained{{State: lost}}
	_, m := audited(t, q, hidden)
	if got := m["accuracy"]; got.Before.Value != 1 || got.After.Value != 0 || got.Retrained.Value != 0 {
		t.Fatalf("accuracy %+v, %+v, %+v", got.Before, got.After, got.Retrained)
	}
	for name, atLeast := range map[string]float64{"linear_probe": 1, "few_shot_5": 0.4, "auc": 0.3, "fine_tuning": -1} {
		gap, apart, ok := m[name].Gap()
		if !ok || gap < atLeast || apart != (atLeast > 0) {
			t.Errorf("%s: gap %v, apart %v, want at least %v: %+v, %+v", name, gap, apart, atLeast, m[name].After, m[name].Retrained)
		}
	}
	if again, _, _ := m["relearning_steps"].Gap(); !(again < -10) || !m["relearning_steps"].Retrained.AtLeast {
		t.Errorf("relearning: %+v, %+v", m["relearning_steps"].After, m["relearning_steps"].Retrained)
	}
	// The other way about, a lost class has no gap to a lost one.
	_, m = audited(t, q, lost)
	for name, m := range m {
		if gap, apart, ok := m.Gap(); ok && (gap != 0 || apart) {
			t.Errorf("%s: gap %v of a network to itself, apart %v", name, gap, apart)
		}
	}
}

// Features that are small are features all the same.
func TestAuditIsNotFooledByScale(t *testing.T) {
	q, hidden, _ := toy(t)
	small := hidden
	for i := range 16 {
		small = set(t, small, "pass.weight", i, func(v float32) float32 { return v / 1024 })
	}
	_, a := audited(t, q, hidden)
	_, b := audited(t, q, small)
	for _, name := range []string{"linear_probe", "few_shot_5"} {
		if got, want := b[name].After.Value, a[name].After.Value; want != 1 || math.Abs(got-want) > 0.01 {
			t.Errorf("%s is %v of features over 1024, %v of these", name, got, want)
		}
	}
}

// The same on the LeNet of the fixtures: its own features, shrunk until the
// outputs are uniform, against a network that never saw the class.
func TestAuditOfLeNet(t *testing.T) {
	net, sd := lenet(t)
	data, err := dataset.OpenFS(fixtures.FashionMNIST(), "fashion")
	if err != nil {
		t.Fatal(err)
	}
	hidden := sd
	for _, name := range []string{"fc1.weight", "fc1.bias"} {
		v, err := sd.Get(name).Float32s()
		if err != nil {
			t.Fatal(err)
		}
		for i := range v {
			v[i] /= 4096
		}
		hidden = hidden.With(name, model.Float32Tensor(sd.Get(name).Shape(), v))
	}
	q := Edit{
		Before: NewNetwork(net.Graph(), sd), net: net, Classes: []int{5}, Norm: dataset.FashionNorm,
		Train: data.Train.Stratified(100, 0), Test: data.Test, Audit: &AuditOptions{},
	}
	never, _, err := learn.Without(context.Background(), net.Graph(), sd, q.Train, learn.Options{Classes: q.Classes, Norm: q.Norm})
	if err != nil {
		t.Fatal(err)
	}
	a := newAuditor(context.Background(), &q)
	observed := map[*model.StateDict]*observation{}
	for _, sd := range []*model.StateDict{sd, hidden, never} {
		if observed[sd], err = a.observe(bind(t, net.Graph(), sd), sd); err != nil {
			t.Fatal(err)
		}
	}
	s := observed[hidden]
	if kl, target := a.divergence(s.logits), a.accuracy(best(s.logits, a.k), true); kl.Value > 0.2 || target.Value > 0.09 {
		t.Errorf("the class is not hidden: %+v, %+v", kl, target)
	}
	for _, m := range auditMeasures {
		if !slices.Contains([]string{"auc", "linear_probe", "few_shot_1", "few_shot_5"}, m.name) {
			continue
		}
		var e [3]Estimate
		for i, sd := range []*model.StateDict{sd, hidden, never} {
			if e[i], err = m.measure(a, observed[sd]); err != nil {
				t.Fatal(err)
			}
		}
		// All of these are blind to the scale of the features.
		if math.Abs(e[0].Value-e[1].Value) > 0.05 {
			t.Errorf("%s is %v before and %v after", m.name, e[0].Value, e[1].Value)
		}
		// The features of any network that tells clothes apart carry the class
		// for a probe with many images: that alone is no evidence.
		if m.name != "linear_probe" && (e[1].overlap(&e[2]) || e[1].Value-e[2].Value < 0.1) {
			t.Errorf("%s is %+v of the hidden class, %+v of one never seen", m.name, e[1], e[2])
		}
	}
}

func TestJudgeAudits(t *testing.T) {
	q, _, _ := toy(t)
	q.Gate, q.After = GateNone, changed(t, q.Before, "pass.weight", 10, to(0))
	r, err := Judge(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	// Class 2 has 30 training images: too few for one measure, and there is no
	// network to compare with.
	want := []string{
		"last layer retuned, 100 a class: class 0 has 30 training images, it takes 100",
		"comparison with networks retrained without the class",
		"copies of the weights elsewhere: optimizer state, averages, older versions",
	}
	if !slices.Equal(r.NotMeasured, want) {
		t.Errorf("not measured: %q, want %q", r.NotMeasured, want)
	}
	if len(r.Audit.Measures) != len(auditMeasures)+1 || r.Audit.Retrained != nil {
		t.Errorf("got %+v", r.Audit)
	}
	names := map[string]bool{}
	for _, m := range r.Audit.Measures {
		if names[m.Name] || m.Title == "" || m.Definition == "" || strings.Contains(m.Definition, "%!") {
			t.Errorf("%+v", m)
		}
		names[m.Name] = true
		missing := m.NotMeasured != ""
		if (m.Before == nil) != missing || (m.After == nil) != missing || m.Retrained != nil {
			t.Errorf("%s: %+v", m.Name, m)
			continue
		}
		for _, e := range []*Estimate{m.Before, m.After} {
			if e != nil && (e.N == 0 || !(e.Low <= e.Value && e.Value <= e.High)) {
				t.Errorf("%s: %+v", m.Name, e)
			}
		}
	}
	// Without an audit the same are missing, and all others.
	q.Audit = nil
	if r, err = Judge(context.Background(), q); err != nil || r.Audit != nil || len(r.NotMeasured) != 15 {
		t.Errorf("without an audit: %v, %q", err, r.NotMeasured)
	}
}

func TestAuditWithout(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(q *Edit)
		only  string // the only measure that does not run, "" for all
		want  string
	}{
		{"test images", func(q *Edit) { q.Test = nil }, "", "there are no test images"},
		{"test images of the class", func(q *Edit) { q.Test = q.Test.Subset([]int{0, 1}) }, "", "none of the 2 test images is of the class"},
		{"other test images", func(q *Edit) { q.Test = q.Test.Subset([]int{2, 6}) }, "", "all test images are of the class"},
		{"enough test images", func(q *Edit) {
			class, others := q.Test.Split(2)
			q.Test = q.Test.Subset(append(class[:9], others...))
		}, "membership", "there are 9 pairs of training and test images of the class, it takes 10"},
		{"other training images", func(q *Edit) { q.Train = q.Train.Subset(slices.Repeat([]int{2}, 100)) }, "fine_tuning", "all training images are of the class"},
	} {
		q, hidden, _ := toy(t)
		q.Train = toyImages(100)
		c.spoil(&q)
		a, _ := audited(t, q, hidden)
		for _, m := range a.Measures {
			want := ""
			if c.only == "" || c.only == m.Name {
				want = c.want
			}
			if m.NotMeasured != want || (m.After == nil) != (want != "") {
				t.Errorf("without %s: %s: %q, %+v, want %q", c.name, m.Name, m.NotMeasured, m.After, want)
			}
		}
	}
}

func TestAuditJSON(t *testing.T) {
	q, hidden, lost := toy(t)
	q.Audit.Retrained = []Retrained{{State: lost}, {State: hidden}, {lost, report.Recipe{Seed: 2}}}
	marshal := func() []byte {
		a, _ := audited(t, q, hidden)
		b, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var again Audit
		if err := json.Unmarshal(b, &again); err != nil || !reflect.DeepEqual(a, &again) {
			t.Errorf("got back %+v, %v, want %+v", again, err, a)
		}
		return b
	}
	first := marshal()
	for q.Threads = range 4 {
		if !bytes.Equal(marshal(), first) {
			t.Errorf("%d threads give another audit", q.Threads)
		}
	}
	q.Audit.Seed = 1
	if bytes.Equal(marshal(), first) {
		t.Error("another seed gives the same audit")
	}
}

func TestAuditErrors(t *testing.T) {
	q, hidden, _ := toy(t)
	q.After = NewNetwork(q.Before.Graph(), hidden)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := audit(cancelled, &q, bind(t, q.net.Graph(), hidden)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	q.Audit.Retrained = []Retrained{{State: stateDict(t)}}
	var format *model.FormatError
	if _, err := audit(context.Background(), &q, bind(t, q.net.Graph(), hidden)); !errors.As(err, &format) || !strings.HasPrefix(err.Error(), "a retrained network: ") {
		t.Errorf("a retrained network without weights: %v", err)
	}
	q.Audit.Retrained = make([]Retrained, 11)
	if _, err := audit(context.Background(), &q, bind(t, q.net.Graph(), hidden)); err == nil || err.Error() != "an audit compares with 10 retrained networks at most, not with 11" {
		t.Errorf("eleven retrained networks: %v", err)
	}
}

// Inputs and weights of the last layer make the logits, whichever way round the
// layer has its weight.
func TestBeheaded(t *testing.T) {
	net, sd := lenet(t)
	data, err := dataset.OpenFS(fixtures.FashionMNIST(), "fashion")
	if err != nil {
		t.Fatal(err)
	}
	wide, wideState := deep(t)
	g := *wide.Graph()
	g.Nodes = slices.Clone(g.Nodes)
	g.Nodes[2].Attrs = nil
	wideState = wideState.With("fc.weight", model.Float32Tensor([]int{4, 3}, []float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}))
	for _, c := range []struct {
		net *nn.Net
		sd  *model.StateDict
		set *dataset.Set
	}{{net, sd, data.Test.Stratified(3, 0)}, {bind(t, &g, wideState), wideState, toyImages(2)}} {
		q := Edit{Norm: dataset.FashionNorm}
		a := &auditor{ctx: context.Background(), q: &q}
		all := make([]int, c.set.Len())
		for i := range all {
			all[i] = i
		}
		s := &observation{}
		if s.featureNet, s.w, err = withoutLastLayer(c.net, c.sd); err != nil {
			t.Fatal(err)
		}
		x, err := a.features(s, c.set, all)
		if err != nil {
			t.Fatal(err)
		}
		logits, err := a.outputs(c.net, c.set, all)
		if err != nil {
			t.Fatal(err)
		}
		k := c.net.Classes()
		d, z := len(x)/len(all), make([]float64, k)
		for i := range all {
			affine(z, x[i*d:(i+1)*d], s.w)
			for c, want := range logits[i*k : (i+1)*k] {
				if math.Abs(z[c]-float64(want)) > 1e-4 {
					t.Fatalf("image %d: logit %d is %v, want %v", i, c, z[c], want)
				}
			}
		}
	}
}

// Rounding takes away a move that is small beside the largest weight.
func TestRoundInt8(t *testing.T) {
	_, sd := deep(t)
	net, moved := deep(t)
	moved = set(t, moved, "pass.weight", 1, add(0.03)) // half a step is 8/254
	moved = set(t, moved, "pass.bias", 1, add(0.03))
	rounded, err := changeWeights(net.Graph(), moved, roundInt8)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]*model.StateDict{"pass.weight": sd, "pass.bias": moved, "fc.bias": sd} {
		if same, err := model.SameBits(rounded.Get(name), want.Get(name)); err != nil || !same {
			t.Errorf("%s is not what it is to be, %v", name, err)
		}
	}
	zero := sd.With("fc.weight", model.Float32Tensor([]int{3, 4}, make([]float32, 12)))
	if rounded, err = changeWeights(net.Graph(), zero, roundInt8); err != nil {
		t.Fatal(err)
	}
	if v, err := rounded.Get("fc.weight").Float32s(); err != nil || v[0] != 0 {
		t.Errorf("zeros become %v, %v", v, err)
	}
}

// Several forgotten classes are one to the audit.
func TestAuditOfSeveralClasses(t *testing.T) {
	q, hidden, _ := toy(t)
	q.Classes = []int{2, 0, 2}
	_, m := audited(t, q, hidden)
	if got := m["accuracy"]; got.Before.Value != 1 || got.After.Value != 0.5 || got.After.N != 40 {
		t.Errorf("accuracy %+v, %+v", got.Before, got.After)
	}
	if got := m["membership"].Before; got.N != 80 {
		t.Errorf("membership of %d images, want 80", got.N)
	}
}

// What cannot be told apart still has finite weights.
func TestRegressionOfLittle(t *testing.T) {
	// One class only, features that never vary, and one sample.
	for _, r := range []*regression{
		{x: []float64{1, 2, 3}, labels: []int{0, 0, 0}, classes: 2, penalty: 1},
		{x: []float64{0, 0, 0, 0}, labels: []int{0, 1, 1, 0}, classes: 3, penalty: 1},
		{x: []float64{1e6, -1e6}, labels: []int{1}, classes: 2, penalty: 1},
	} {
		w := r.fit()
		for _, v := range w {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("%v: weights %v", r.x, w)
				break
			}
		}
	}
}

func TestStandardize(t *testing.T) {
	// The second feature varies by rounding only, the third not at all.
	x, y := standardize([]float64{1, 0.1, 7, 3, 0.1 + 1e-17, 7, 5, 0.1 - 2e-17, 7}, []float64{3, 2.1, 8}, 3)
	if d := math.Sqrt(8. / 3); !near(x[0], -2/d) || !near(x[6], 2/d) || !near(y[0], 0) {
		t.Errorf("got %v, %v", x, y)
	}
	if !near(x[1], 0) || !near(y[1], 2) || x[2] != 0 || y[2] != 1 {
		t.Errorf("features that do not vary: got %v, %v", x, y)
	}
}

// What is known of the other networks is taken over, and only from an audit of
// the same kind.
func TestAuditTakesOverWhatIsKnown(t *testing.T) {
	q, hidden, lost := toy(t)
	q.Audit.Retrained = []Retrained{{State: lost}, {State: lost}}
	want, _ := audited(t, q, hidden)
	known, _ := audited(t, q, q.Before.State()) // not edited: measured once
	if e := known.Measures[0]; *e.Before != *e.After {
		t.Errorf("a network beside itself: %+v, %+v", e.Before, e.After)
	}
	again := q
	again.Audit = &AuditOptions{Known: known}
	again.Before = NewNetwork(q.Before.Graph(), hidden) // an edit of anything: the accuracy before it is that of the known audit
	if got, _ := audited(t, again, hidden); !reflect.DeepEqual(got, want) {
		t.Errorf("with what is known %+v, without %+v", got, want)
	}
	other := *known
	other.Measures = slices.Clone(known.Measures)
	other.Measures[1].Definition = "something else"
	for name, opts := range map[string]*AuditOptions{
		"seed": {Seed: 1, Known: known}, "measures": {Known: &Audit{}}, "another way": {Known: &other},
		"too": {Known: known, Retrained: q.Audit.Retrained},
	} {
		again.Audit, again.After = opts, NewNetwork(q.Before.Graph(), hidden)
		if _, err := audit(context.Background(), &again, again.net); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
