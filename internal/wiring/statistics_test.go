package wiring

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"lethe/convert/layers"
	"lethe/dataset"
	"lethe/internal/nn"
	"lethe/model"
)

const pooledAfter = `input: [1, 12, 12]
layers: [{conv: a}, {batch_norm: an}, gelu, {max_pool: 2}, {conv: b}, {batch_norm: bn}, gelu, flatten, {linear: c}]`

// normalized returns a network of a description with weights that are drawn, whose
// running statistics are those of its images.
func normalized(t *testing.T, set *dataset.Set, description string) *model.StateDict {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 3))
	var entries []model.Entry
	add := func(name string, scale, shift float32, shape ...int) {
		n, _ := model.Elements(shape)
		v := make([]float32, n)
		for i := range v {
			v[i] = shift + scale*float32(rng.NormFloat64())
		}
		entries = append(entries, model.Entry{Name: name, Tensor: model.Float32Tensor(shape, v)})
	}
	for _, conv := range []struct {
		name    string
		out, in int
	}{{"a", 6, 1}, {"b", 8, 6}} {
		add(conv.name+".weight", 0.3, 0, conv.out, conv.in, 3, 3)
		add(conv.name+"n.weight", 0.2, 1, conv.out)
		add(conv.name+"n.bias", 0.2, -0.8, conv.out) // so that the activation sees what is below 0
		add(conv.name+"n.running_mean", 0, 0, conv.out)
		add(conv.name+"n.running_var", 0, 1, conv.out)
	}
	add("c.weight", 0.1, 0, 4, 8*3*3)
	sd, err := model.NewStateDict(entries...)
	if err != nil {
		t.Fatal(err)
	}
	net, err := Bind(sd, parsed(t, description))
	if err != nil {
		t.Fatal(err)
	}
	session, err := net.NewTrainingSession(nn.ChunkSamples, 1)
	if err != nil {
		t.Fatal(err)
	}
	read := set.Reader(dataset.OneNorm(0, 1))
	for range 80 {
		first := rng.IntN(set.Len() - nn.ChunkSamples)
		session.Step(nn.ChunkSamples, func(i int, x []float32) { read(first+i, x) }, func(_ int, _, grad []float32) { clear(grad) })
	}
	if sd, err = session.StateDict(sd); err != nil {
		t.Fatal(err)
	}
	return sd
}

func parsed(t *testing.T, description string) *layers.Net {
	t.Helper()
	net, err := layers.Parse(strings.NewReader(description))
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// What batch normalization remembers tells a pooling before an activation from one
// after it, and one activation from another; where nothing is normalized later,
// it tells nothing.
func TestRunningStatistics(t *testing.T) {
	set := squares(2048)
	sd := normalized(t, set, pooledAfter)
	found := func(description string) []float64 {
		net := parsed(t, description)
		s := &search{ctx: t.Context(), sd: sd, net: net, set: set, opts: Options{Norms: []dataset.Norm{dataset.OneNorm(0, 1)}}}
		for i := range set.Len() {
			s.images = append(s.images, i)
		}
		n := len(net.Slots)
		d, err := s.deviations(&candidate{wiring: layers.Wiring{Alternative: make([]int, n), Activation: make([]int, n), Pooling: make([]int, n)}}, statisticsImages)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	own := found(pooledAfter)
	if len(own) != 2*(6+8) {
		t.Fatalf("%d deviations of 14 features", len(own))
	}
	for other, sure := range map[string]bool{
		"{max_pool: 2}, gelu, {conv: b}, {batch_norm: bn}, gelu, flatten": true,
		"silu, {max_pool: 2}, {conv: b}, {batch_norm: bn}, gelu, flatten": true,
		"relu, {max_pool: 2}, {conv: b}, {batch_norm: bn}, relu, flatten": true,
		"gelu, {max_pool: 2}, {conv: b}, {batch_norm: bn}, relu, flatten": false,
		"gelu, {max_pool: 2}, {conv: b}, {batch_norm: bn}, tanh, flatten": false,
	} {
		rival := found("input: [1, 12, 12]\nlayers: [{conv: a}, {batch_norm: an}, " + other + ", {linear: c}]")
		if got := odds(own, rival); sure != (got > sureOdds) || sure != ruledOut(own, rival) || !sure && got != 0 {
			t.Errorf("%s: the logarithm of the odds is %.2f, ruled out %v", other, got, ruledOut(own, rival))
		}
	}
}

// A pooling before a normalization and ReLU computes what one behind them does, so one of the
// two goes on, with the other as its twin. The statistics are those of whichever the network
// was trained as.
func TestTwins(t *testing.T) {
	const end = "{conv: b}, {batch_norm: bn}, relu, flatten, {linear: c}]"
	wirings := []string{"[{conv: a}, {batch_norm: an}, relu, {max_pool: 2}, " + end, "[{conv: a}, {max_pool: 2}, {batch_norm: an}, relu, " + end}
	for i, own := range wirings {
		other := wirings[1-i]
		set := squares(2048)
		sd := normalized(t, set, "input: [1, 12, 12]\nlayers: "+own)
		net, err := layers.Draft(sd, set.Shape)
		if err != nil {
			t.Fatal(err)
		}
		s := &search{ctx: t.Context(), sd: sd, net: net, set: set, opts: Options{Norms: []dataset.Norm{dataset.OneNorm(0, 1)}}, shapes: layers.ShapesOf(sd), seen: map[string]*candidate{}}
		for i := range set.Len() {
			s.images = append(s.images, i)
		}
		list, _, err := net.Wirings(s.shapes, wiringsMax)
		if err != nil {
			t.Fatal(err)
		}
		pair := slices.DeleteFunc(s.everywhere(list), func(c *candidate) bool { return !slices.Contains(wirings, text(t, s, c)) })
		if pair, err = s.evaluate(pair, len(s.images)); err != nil {
			t.Fatal(err)
		}
		left := distinct(pair, len(s.images))
		if len(left) != 1 || len(left[0].twins) != 1 {
			t.Fatalf("%d wirings are left of two that compute the same", len(left))
		}
		deviations := map[string][]float64{}
		for _, c := range []*candidate{left[0], left[0].twins[0]} {
			if deviations[text(t, s, c)], err = s.deviations(c, statisticsImages); err != nil {
				t.Fatal(err)
			}
		}
		if got := odds(deviations[own], deviations[other]); got < sureOdds {
			t.Errorf("%s: the statistics speak with a logarithm of %.2f against %s", own, got, other)
		}
		if got, err := s.leastDeviations(left[0]); err != nil || !slices.Equal(got, deviations[own]) {
			t.Errorf("%s: the statistics are not those of the wiring that the network was trained as (%v)", own, err)
		}
	}
}

// text returns the layers of a candidate.
func text(t *testing.T, s *search, c *candidate) string {
	t.Helper()
	fixed, err := s.net.Fix(c.wiring).Fixed()
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, l := range fixed {
		words = append(words, l.String())
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// The odds are those of the sums. A wiring is ruled out if the deviations of most features
// are larger under it, and not by a single one.
func TestRuledOut(t *testing.T) {
	const features = 14
	rng := rand.New(rand.NewPCG(5, 5))
	own, most, one, few := make([]float64, 2*features), make([]float64, 2*features), make([]float64, 2*features), make([]float64, 2*features)
	for i := range own {
		x := rng.NormFloat64()
		own[i] = x * x
		most[i], one[i], few[i] = own[i]+1+rng.Float64(), own[i], own[i]+0.05
	}
	one[3] += 60
	mixed := slices.Clone(own)
	for i := range 14 { // seven features, two of which are much worse and five better
		mixed[i] = own[i] / 4
		if i < 4 {
			mixed[i] = own[i] + 30
		}
	}
	sum := func(v []float64) (s float64) {
		for _, x := range v {
			s += x
		}
		return s
	}
	for _, c := range []struct {
		name  string
		rival []float64
		sure  bool // by its odds
		out   bool
	}{{"the same", own, false, false}, {"most", most, true, true}, {"one", one, true, false}, {"mixed", mixed, true, false}, {"a little", few, false, false}} {
		want := features * math.Log(sum(c.rival)/sum(own))
		if got := odds(own, c.rival); math.Abs(got-want) > 1e-9 || (got >= sureOdds) != c.sure || ruledOut(own, c.rival) != c.out {
			t.Errorf("%s: the logarithm of the odds is %.3f, want %.3f; ruled out %v", c.name, got, want, ruledOut(own, c.rival))
		}
	}
	if odds(own[:2], most[:4]) != 0 || ruledOut(nil, nil) || ruledOut(most, own) {
		t.Error("what is no evidence counts")
	}
}

// Where training has ended is a place of rest of the network's own wiring.
func TestRest(t *testing.T) {
	set := squares(2048)
	const description = "input: [1, 12, 12]\nlayers: [{conv: conv, padding: 1}, ACTIVATION, {max_pool: 2}, flatten, {linear: fc1}, ACTIVATION, {linear: fc2}]"
	with := func(activation string) string { return strings.ReplaceAll(description, "ACTIVATION", activation) }
	for _, own := range []string{"relu", "tanh"} {
		sd := trained(t, with(own), set)
		s := &search{ctx: t.Context(), sd: sd, set: set, opts: Options{Norms: []dataset.Norm{dataset.OneNorm(0, 1)}}}
		for i := range set.Len() {
			s.every = append(s.every, i)
		}
		const others = 3
		s.net = parsed(t, with("{one_of: ["+strings.Join([]string{own, "silu", "gelu", "{leaky_relu: 0.3}"}, ", ")+"]}"))
		candidate := func(i int) *candidate {
			w := layers.Wiring{Alternative: make([]int, len(s.net.Slots)), Activation: make([]int, len(s.net.Slots)), Pooling: make([]int, len(s.net.Slots))}
			for j, slot := range s.net.Slots {
				if len(slot.Alternatives) > 1 {
					w.Alternative[j] = i
				}
			}
			return &candidate{wiring: w}
		}
		for i := 1; i <= others; i++ {
			mine, lead, err := s.rest(candidate(0), candidate(i))
			if err != nil {
				t.Fatal(err)
			}
			other, behind, err := s.rest(candidate(i), candidate(0))
			if err != nil {
				t.Fatal(err)
			}
			if !(mine > 0.6 && other < 0.4 && lead != 0 && behind == -lead) {
				t.Errorf("%s: rest of its own %.2f, of rival %d %.2f; leads %.2f and %.2f", own, mine, i, other, lead, behind)
			}
		}
	}
}
