package edit

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"lethe/dataset"
	"lethe/fixtures"
	"lethe/internal/network"
	"lethe/internal/nn"
	"lethe/model"
	"lethe/ops"
	"lethe/pickle"
	"lethe/report"
)

func base(t testing.TB) (*nn.Net, *model.StateDict, *dataset.Set) {
	t.Helper()
	n, err := network.Open(t.Context(), "../fixtures/lenet-fashion.pt", nil, pickle.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	d, err := dataset.OpenFS(fixtures.FashionMNIST(), "fashion")
	if err != nil {
		t.Fatal(err)
	}
	net, err := nn.BindLogits(n.Graph, n.State)
	if err != nil {
		t.Fatal(err)
	}
	return net, n.State, d.Train
}

// checkMoved compares what moved with what an edit says that it trained.
func checkMoved(t *testing.T, sd *model.StateDict, res *Result) {
	t.Helper()
	for name, before := range sd.All() {
		same, err := model.SameBits(before, res.StateDict.Get(name))
		if err != nil {
			t.Fatal(err)
		}
		if moves := slices.Contains(res.Method.Trained, name); same == moves {
			t.Errorf("%s: moved is %v, want %v", name, !same, moves)
		}
	}
}

var options = Options{Classes: []int{3}, Norm: dataset.FashionNorm}

func TestForgetMovesWhatItShould(t *testing.T) {
	net, sd, set := base(t)
	res, err := forget(context.Background(), net, sd, set, options, 150)
	if err != nil {
		t.Fatal(err)
	}
	checkMoved(t, sd, res)
	if want := []string{"fc2.weight", "fc2.bias"}; !slices.Equal(res.Method.Frozen, want) {
		t.Errorf("frozen are %v, want %v", res.Method.Frozen, want)
	}
	if len(res.Method.Trained) != 12 {
		t.Errorf("%d parameters were trained, want 12", len(res.Method.Trained))
	}
	end := res.Course[len(res.Course)-1]
	if end.Step != 150 || end.Target > 0.5 || end.Remain < 0.7 || end.KL > 1 {
		t.Errorf("after a short edit: step %d, %v", end.Step, end)
	}
}

// The distance that the edit reports is that of the state dicts, and what it
// aims for holds whatever the controllers did before.
func TestForgetKeepsTheDistance(t *testing.T) {
	net, sd, set := base(t)
	res, err := forget(context.Background(), net, sd, set, options, 400)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for name, before := range sd.All() {
		if !before.DType().IsFloat() {
			continue
		}
		x, err := before.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		y, err := res.StateDict.Get(name).Float32s()
		if err != nil {
			t.Fatal(err)
		}
		for i := range x {
			sum += (float64(x[i]) - float64(y[i])) * (float64(x[i]) - float64(y[i]))
		}
	}
	end := res.Course[len(res.Course)-1]
	if got := math.Sqrt(sum); math.Abs(got-end.L2) > 1e-6 || got > largestL2*report.FashionMNIST.FullMarks().L2+1e-6 {
		t.Errorf("the distance is %v, reported is %v, allowed %v", got, end.L2, largestL2*report.FashionMNIST.FullMarks().L2)
	}
}

func TestForgetIsReproducible(t *testing.T) {
	net, sd, set := base(t)
	weights := func(opts Options) []byte {
		res, err := forget(context.Background(), net, sd, set, opts, 25)
		if err != nil {
			t.Fatal(err)
		}
		var all []byte
		for _, tensor := range res.StateDict.All() {
			b, err := tensor.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b...)
		}
		return all
	}
	opts := options
	opts.Threads = 1
	want := weights(opts)
	for _, opts.Threads = range []int{0, 2, 3, 8} {
		if !bytes.Equal(weights(opts), want) {
			t.Errorf("%d threads give other weights than one", opts.Threads)
		}
	}
	opts.Seed = 1
	if bytes.Equal(weights(opts), want) {
		t.Error("another seed gives the same weights")
	}
	opts = Options{Classes: options.Classes, Norm: options.Norm, ForgetOnly: true, Threads: 1}
	want = weights(opts)
	opts.Threads = 3
	if !bytes.Equal(weights(opts), want) {
		t.Error("from images of the class alone, 3 threads give other weights than one")
	}
}

func TestForgetSeveralClasses(t *testing.T) {
	net, sd, set := base(t)
	opts := options
	opts.Classes = []int{0, 8}
	res, err := forget(context.Background(), net, sd, set, opts, 200)
	if err != nil {
		t.Fatal(err)
	}
	if end := res.Course[len(res.Course)-1]; end.Target > 0.4 || end.Remain < 0.7 {
		t.Errorf("after a short edit: %v", end)
	}
}

func TestForgetStopsWhenItIsCancelled(t *testing.T) {
	net, sd, set := base(t)
	ctx, cancel := context.WithCancel(context.Background())
	opts := options
	calls := 0
	opts.Progress = func(p Point, total int) {
		if calls++; p.Step == 5 {
			cancel()
		}
	}
	res, err := Forget(ctx, net.Graph(), sd, set, opts)
	if !errors.Is(err, context.Canceled) || res != nil || calls != 5 {
		t.Errorf("after %d steps: got %v and %v, want nothing and a cancellation after 5", calls, res, err)
	}
}

func TestForgetRefuses(t *testing.T) {
	net, sd, set := base(t)
	one := set.Subset(set.ByClass()[3])
	for name, c := range map[string]struct {
		set     *dataset.Set
		classes []int
	}{
		"no class":            {set, nil},
		"unknown class":       {set, []int{10}},
		"negative class":      {set, []int{-1}},
		"no other images":     {one, []int{3}},
		"no images to forget": {one, []int{4}},
		"other size":          {&dataset.Set{Pixels: make([]uint8, 20), Labels: []int{3, 4}, Shape: []int{1, 5, 2}, Classes: 10}, []int{3}},
	} {
		opts := options
		opts.Classes = c.classes
		if _, err := Forget(context.Background(), net.Graph(), sd, c.set, opts); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A sampler gives every image once before it gives one twice.
func TestSamplerCoversThePool(t *testing.T) {
	net, sd, set := base(t)
	r := &run{opts: options, net: net, set: set, k: net.Classes(), steps: 1}
	if err := r.prepare(t.Context(), sd); err != nil {
		t.Fatal(err)
	}
	n := len(r.learned)
	drawn := make([]int, 2*n)
	for at := 0; at < 2*n; at += 7 {
		r.forget.Draw(drawn[at:min(at+7, 2*n)])
	}
	for _, half := range [][]int{drawn[:n], drawn[n:]} {
		half = slices.Clone(half)
		slices.Sort(half)
		want := slices.Sorted(slices.Values(r.learned))
		if !slices.Equal(half, want) {
			t.Error("an image was drawn twice before the others")
		}
	}
	if slices.Equal(drawn[:n], drawn[n:]) {
		t.Error("both rounds have the same order")
	}
}

// Held-out images steer the edit, so no step may learn from them.
func TestHeldOutImagesAreNotLearnedFrom(t *testing.T) {
	net, sd, set := base(t)
	r := &run{opts: options, net: net, set: set, k: net.Classes(), steps: 1}
	if err := r.prepare(t.Context(), sd); err != nil {
		t.Fatal(err)
	}
	own := slices.DeleteFunc(slices.Clone(r.learned), func(i int) bool { return i >= set.Len() }) // without variants
	if len(r.heldOut) != 120 || len(own) != 480 {
		t.Fatalf("%d images are held out and %d learned from, want 120 and 480", len(r.heldOut), len(own))
	}
	all := slices.Sorted(slices.Values(slices.Concat(r.heldOut, own)))
	if !slices.Equal(all, set.ByClass()[3]) {
		t.Error("the held-out images and the others are not the images of the class")
	}
}

// look agrees with a computation from the logits of the public evaluator.
func TestLookMeasures(t *testing.T) {
	net, sd, set := base(t)
	r := &run{opts: options, net: net, set: set, k: net.Classes(), steps: 1}
	if err := r.prepare(t.Context(), sd); err != nil {
		t.Fatal(err)
	}
	r.heldOut = r.learned[:300] // more than a batch, and not whole groups
	n := len(r.heldOut)
	images := make([]float32, n*28*28)
	for i, at := range r.heldOut {
		set.Reader(options.Norm)(at, images[i*28*28:(i+1)*28*28])
	}
	logits, err := net.Logits(images, 1)
	if err != nil {
		t.Fatal(err)
	}
	var sum, squares, hits float64
	for i := range n {
		row := logits[i*10 : (i+1)*10]
		total, kl := 0.0, math.Log(10)
		for _, v := range row {
			total += math.Exp(float64(v))
		}
		for _, v := range row {
			p := math.Exp(float64(v)) / total
			kl += p * math.Log(p)
		}
		sum += kl
		squares += kl * kl
		if slices.Index(row, slices.Max(row)) == 3 {
			hits++
		}
	}
	mean := sum / float64(n)
	kl, target, deviation := r.look(r.heldOut)
	if math.Abs(kl-mean) > 1e-6 || target != hits/float64(n) || math.Abs(deviation-math.Sqrt(squares/float64(n)-mean*mean)) > 1e-6 {
		t.Errorf("look measures %v, %v, %v; want %v, %v", kl, target, deviation, mean, hits/float64(n))
	}
}

func TestFewImagesHoldNoneOut(t *testing.T) {
	net, sd, set := base(t)
	res, err := forget(context.Background(), net, sd, set.Stratified(5, 0), options, 130)
	if err != nil {
		t.Fatal(err)
	}
	if res.Method.HeldOut != 0 || len(res.Course) == 0 {
		t.Errorf("%d of 5 images are held out, want none", res.Method.HeldOut)
	}
}

func TestOptionsRefuse(t *testing.T) {
	for name, o := range map[string]Options{
		"preference":        {Prefer: "quick"},
		"negative target":   {Limits: report.Limits{Target: -0.1, KL: 0.2, L2: 1}},
		"target of 1":       {Limits: report.Limits{Target: 1, KL: 0.2, L2: 1}},
		"negative KL":       {Limits: report.Limits{Target: 0.1, KL: -1, L2: 1}},
		"infinite KL":       {Limits: report.Limits{Target: 0.1, KL: math.Inf(1), L2: 1}},
		"NaN distance":      {Limits: report.Limits{Target: 0.1, KL: 0.2, L2: math.NaN()}},
		"negative distance": {Limits: report.Limits{Target: 0.1, KL: 0.2, L2: -1}},
	} {
		if o.Check() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, o := range []Options{{}, {Prefer: PreferMinimal, Limits: report.FashionMNIST.FullMarks()}} {
		if err := o.Check(); err != nil {
			t.Error(err)
		}
	}
}

// A smaller budget is kept, whatever the edit then achieves.
func TestForgetKeepsASmallerDistance(t *testing.T) {
	net, sd, set := base(t)
	for _, c := range []struct {
		opts  Options
		steps int
	}{{options, 150}, {unseenOptions(0, 0), 12}} {
		c.opts.Limits = report.Limits{Target: 0.09, KL: 0.2, L2: 0.3}
		res, err := forget(context.Background(), net, sd, set, c.opts, c.steps)
		if err != nil {
			t.Fatal(err)
		}
		if end := res.Course[len(res.Course)-1]; end.L2 > 0.3 {
			t.Errorf("%s: the distance is %v, allowed 0.3", c.opts.Aim, end.L2)
		}
	}
}

// Without images of the others the edit learns from none of them, and still
// leaves them largely alone.
func TestForgetOnly(t *testing.T) {
	net, sd, set := base(t)
	opts := options
	opts.ForgetOnly = true
	weights := func(set *dataset.Set) *model.StateDict {
		res, err := forget(context.Background(), net, sd, set, opts, 150)
		if err != nil {
			t.Fatal(err)
		}
		return res.StateDict
	}
	got, alone := weights(set), weights(set.Subset(set.ByClass()[3]))
	for name, want := range alone.All() {
		if same, err := model.SameBits(got.Get(name), want); err != nil || !same {
			t.Fatalf("%s depends on images of other classes (%v)", name, err)
		}
	}
	edited, err := nn.Bind(net.Graph(), got)
	if err != nil {
		t.Fatal(err)
	}
	r := &run{opts: options, net: edited, set: set, k: net.Classes(), steps: 1}
	if err := r.prepare(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	forgotten, others := set.Split(3)
	if target, remain := r.accuracy(set, forgotten), r.accuracy(set, others); target > 0.3 || remain < 0.8 {
		t.Errorf("accuracy %.3f on the class and %.3f on the others after a short edit", target, remain)
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	net, sd, set := base(t)
	r := &run{opts: options, net: net, set: set, k: net.Classes(), steps: 1000}
	r.limits = report.FashionMNIST.FullMarks()
	if err := r.prepare(t.Context(), sd); err != nil {
		t.Fatal(err)
	}
	r.step(1) // before the controllers start, which look at images now and then
	if n := testing.AllocsPerRun(10, func() { r.step(1) }); n > 0 {
		t.Errorf("%v allocations a step", n)
	}
}

// A loss that is not a number ends the edit, with the place where that began.
func TestLossThatIsNotANumberIsExplained(t *testing.T) {
	net, sd, set := base(t)
	r := &run{opts: options, net: net, set: set, k: net.Classes(), steps: 10}
	r.limits = report.FashionMNIST.FullMarks()
	if err := r.prepare(t.Context(), sd); err != nil {
		t.Fatal(err)
	}
	r.session.Theta()[0] = float32(math.NaN())
	r.session.Refresh()
	if _, err := r.walk(context.Background(), r.step); err == nil || !strings.Contains(err.Error(), "step 1 is not a number") || !strings.Contains(err.Error(), "NaN") {
		t.Errorf("the error is %v", err)
	}
}

// Steps through a large network have half as many images, whole blocks of them; where
// only its last layers move, those count.
func TestStepsOfLargeNetworks(t *testing.T) {
	for _, c := range []struct {
		products            float64
		ofClasses, ofOthers int
	}{
		{0, 96, 160},
		{4.1e7, 96, 160}, // a ResNet-20
		{1.5e8, 48, 80},  // a VGG-11
		{math.Inf(1), 48, 80},
	} {
		ofClasses, ofOthers := batchFor(c.products)
		if ofClasses != c.ofClasses || ofOthers != c.ofOthers || ofClasses%tallyBlock != 0 || ofOthers%tallyBlock != 0 {
			t.Errorf("%g products: %d and %d images, want %d and %d in blocks of %d", c.products, ofClasses, ofOthers, c.ofClasses, c.ofOthers, tallyBlock)
		}
	}
	net, sd, _ := base(t)
	whole, last := ops.Products(net.Graph(), sd), divide(net, sd, []string{"fc.weight", "fc.bias"})
	if last == nil || !(last.products > 0 && last.products < whole) {
		t.Errorf("%v of %g products are behind the convolutions", last, whole)
	}
}
