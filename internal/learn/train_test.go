package learn

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lethe/convert"
	"lethe/dataset"
	"lethe/fixtures"
	"lethe/graph"
	"lethe/internal/nn"
	"lethe/internal/oracle"
	"lethe/model"
	"lethe/ops"
	"lethe/pickle"
	"lethe/report"
)

func lenet(t testing.TB) (*graph.Graph, *model.StateDict) {
	t.Helper()
	b, err := os.ReadFile("../../fixtures/lenet-fashion.pt")
	if err != nil {
		t.Fatal(err)
	}
	c, err := pickle.Decode(bytes.NewReader(b), int64(len(b)), pickle.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := convert.Recognize(c.StateDict())
	if err != nil {
		t.Fatal(err)
	}
	return g, c.StateDict()
}

// sample returns perClass images of each class.
func sample(t testing.TB, perClass int) *dataset.Set {
	t.Helper()
	d, err := dataset.OpenFS(fixtures.FashionMNIST(), "fashion")
	if err != nil {
		t.Fatal(err)
	}
	return d.Train.Stratified(perClass, 0)
}

var few = Options{Classes: []int{3}, Norm: dataset.FashionNorm}

// elements returns the values of the named entries side by side.
func elements(t testing.TB, sd *model.StateDict, names ...string) []float32 {
	t.Helper()
	var all []float32
	for _, name := range names {
		v, err := sd.Get(name).Float32s()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v...)
	}
	return all
}

func fingerprint(t testing.TB, sd *model.StateDict) string {
	t.Helper()
	h := sha256.New()
	for _, name := range sd.Names() {
		binary.Write(h, binary.LittleEndian, elements(t, sd, name))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// The cache keeps what one version of the engine trained. If this fails because
// the same recipe gives other weights, raise version.
func TestVersion(t *testing.T) {
	g, like := lenet(t)
	sd, _, err := without(context.Background(), g, like, sample(t, 60), few, length{0, 3})
	if err != nil {
		t.Fatal(err)
	}
	const v1 = "b8d0c910bc14d229d79533c254639b589dcb61bac223b05ff109faabfbfbe611"
	if got := fingerprint(t, sd); version != "lethe/train/v1" || got != v1 {
		t.Errorf("%s trains a network with digest %s, want %s", version, got, v1)
	}
}

func TestWithoutDoesNotDependOnThreads(t *testing.T) {
	g, like := lenet(t)
	set := sample(t, 40)
	prints := map[string][]int{}
	for _, threads := range []int{1, 2, 5} {
		opts := few
		opts.Threads = threads
		sd, _, err := without(context.Background(), g, like, set, opts, length{0, 4})
		if err != nil {
			t.Fatal(err)
		}
		prints[fingerprint(t, sd)] = append(prints[fingerprint(t, sd)], threads)
	}
	if len(prints) != 1 {
		t.Errorf("networks by numbers of threads: %v", prints)
	}
}

// A short run tells the other classes apart and has never heard of the one.
func TestWithoutLearnsTheOthers(t *testing.T) {
	g, like := lenet(t)
	set := sample(t, 600)
	losses := []float64{}
	opts := few
	opts.Progress = func(step, steps int, loss float64) {
		if step != len(losses)+1 || steps != 120 {
			t.Errorf("step %d of %d after %d", step, steps, len(losses))
		}
		losses = append(losses, loss)
	}
	sd, recipe, err := without(context.Background(), g, like, set, opts, length{0, 120})
	if err != nil {
		t.Fatal(err)
	}
	if want := (report.Recipe{Optimizer: "Adam", Rate: 2e-3, Batch: 256, Together: 64, Steps: 120, Images: 5400}); !reflect.DeepEqual(*recipe, want) {
		t.Errorf("recipe %+v, want %+v", recipe, want)
	}
	if !slices.Equal(sd.Names(), slices.DeleteFunc(like.Names(), func(n string) bool { return strings.HasSuffix(n, "num_batches_tracked") })) {
		t.Errorf("weights %q", sd.Names())
	}
	if first, last := losses[0], losses[119]; !(first > 2 && last < 0.8) {
		t.Errorf("the loss goes from %v to %v", first, last)
	}
	net, err := nn.Bind(g, sd)
	if err != nil {
		t.Fatal(err)
	}
	var pixels []float32
	read, image := set.Reader(dataset.FashionNorm), make([]float32, 784)
	for i := range set.Len() {
		read(i, image)
		pixels = append(pixels, image...)
	}
	logits, err := net.Logits(pixels, 0)
	if err != nil {
		t.Fatal(err)
	}
	hits := 0
	for i, label := range set.Labels {
		best := 0
		for c, v := range logits[i*10 : i*10+10] {
			if v > logits[i*10+best] {
				best = c
			}
		}
		if best == 3 {
			t.Fatalf("image %d is taken for the class that was left out", i)
		}
		if best == int(label) {
			hits++
		}
	}
	if share := float64(hits) / 5400; share < 0.75 {
		t.Errorf("accuracy on the others %v after 120 steps", share)
	}
}

func TestFreshWeights(t *testing.T) {
	g, like := lenet(t)
	sd, err := fresh(g, like, rand.New(rand.NewPCG(1, 0)))
	if err != nil {
		t.Fatal(err)
	}
	for name, inputs := range map[string]float64{"block1.0": 25, "block2.0": 150, "fc": 256, "fc1": 120, "fc2": 84} {
		for _, part := range []string{".weight", ".bias"} {
			v := elements(t, sd, name+part)
			top, squares := 0.0, 0.0
			for _, x := range v {
				top = math.Max(top, math.Abs(float64(x)))
				squares += float64(x) * float64(x)
			}
			bound := 1 / math.Sqrt(inputs)
			if top > bound || top < 0.5*bound {
				t.Errorf("%s%s is within %v, want %v", name, part, top, bound)
			}
			// The standard deviation of a uniform distribution is bound/sqrt(3).
			if n := float64(len(v)); n > 1000 && math.Abs(math.Sqrt(squares/n)*math.Sqrt(3)/bound-1) > 0.05 {
				t.Errorf("%s%s has deviation %v, want %v", name, part, math.Sqrt(squares/n), bound/math.Sqrt(3))
			}
		}
	}
	for name, want := range map[string]float32{"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1} {
		for _, v := range elements(t, sd, "block1.1."+name, "block2.1."+name) {
			if v != want {
				t.Fatalf("%s holds %v, want %v", name, v, want)
			}
		}
	}
}

// A few steps move the weights as torch's Adam moves them, with the running
// statistics fixed and in training mode.
func TestOracle(t *testing.T) {
	python := oracle.Python(t, "torch")
	g, trained := lenet(t)
	set := sample(t, 60)
	images := make([]int, set.Len())
	for i := range images {
		images[i] = i
	}
	begin, err := fresh(g, trained, rand.New(rand.NewPCG(7, 0)))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		start *model.StateDict
		chunk int
	}{{"evaluation mode", trained, 0}, {"training mode", begin, nn.ChunkSamples}} {
		t.Run(c.name, func(t *testing.T) {
			const batch, steps = 128, 5
			net, err := nn.Bind(g, c.start)
			if err != nil {
				t.Fatal(err)
			}
			session, err := net.NewSession(batch, 2, ops.Parameters(g))
			if c.chunk > 0 {
				session, err = net.NewTrainingSession(batch, 2)
			}
			if err != nil {
				t.Fatal(err)
			}
			f := NewFitter(session, set, dataset.FashionNorm, images, batch, rand.New(rand.NewPCG(5, 5)))
			var losses, rates []float64
			var labels [][]int
			var pixels []float32
			for step := range steps {
				rates = append(rates, 1e-3/float64(step+1))
				losses = append(losses, f.Step(rates[step]))
				labels = append(labels, nil)
				for _, image := range f.batch {
					x := make([]float32, 784)
					set.Reader(dataset.FashionNorm)(image, x)
					pixels = append(pixels, x...)
					labels[step] = append(labels[step], int(set.Labels[image]))
				}
			}
			all := append(ops.Parameters(g), ops.Buffers(g)...)
			var shapes [][2]any
			for _, name := range all {
				shapes = append(shapes, [2]any{name, c.start.Get(name).Shape()})
			}
			dir := t.TempDir()
			b, err := json.Marshal(map[string]any{"weights": shapes, "params": ops.Parameters(g), "labels": labels, "rates": rates, "chunk": c.chunk})
			if err != nil {
				t.Fatal(err)
			}
			for name, b := range map[string][]byte{"case.json": b, "weights.f32": encode(t, elements(t, c.start, all...)), "images.f32": encode(t, pixels)} {
				if err := os.WriteFile(filepath.Join(dir, name), b, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			oracle.Run(t, python, filepath.Join("testdata", "oracle.py"), dir)

			for i, want := range decode(t, filepath.Join(dir, "losses.f64")) {
				if math.Abs(losses[i]-want) > 1e-4*want {
					t.Errorf("loss %v in step %d, torch has %v", losses[i], i, want)
				}
			}
			end, err := session.StateDict(c.start)
			if err != nil {
				t.Fatal(err)
			}
			want := decode(t, filepath.Join(dir, "weights.f64"))
			for _, name := range all {
				before, after := elements(t, c.start, name), elements(t, end, name)
				var moved, apart float64
				for i := range after {
					moved += math.Pow(want[i]-float64(before[i]), 2)
					apart += math.Pow(want[i]-float64(after[i]), 2)
				}
				want = want[len(after):]
				// What is added before a normalization has gradient 0 up to rounding, which
				// Adam blows up; and it moves the running mean along.
				if c.chunk > 0 && (strings.HasSuffix(name, ".0.bias") || strings.HasSuffix(name, "running_mean")) {
					continue
				}
				if !(math.Sqrt(apart) <= 1e-3*math.Sqrt(moved)) { // measured: 8e-5 at most
					t.Errorf("%s is %.2g from where torch has it, and moved by %.2g", name, math.Sqrt(apart), math.Sqrt(moved))
				}
			}
		})
	}
}

func encode(t testing.TB, v []float32) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func decode(t testing.TB, path string) []float64 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v := make([]float64, len(b)/8)
	if _, err := binary.Decode(b, binary.LittleEndian, v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestCache(t *testing.T) {
	g, like := lenet(t)
	set := sample(t, 30)
	dir := filepath.Join(t.TempDir(), "made", "here")
	steps := 0
	train := func(opts Options) string {
		t.Helper()
		opts.Cache, opts.Progress = dir, func(int, int, float64) { steps++ }
		sd, recipe, err := without(context.Background(), g, like, set, opts, length{0, 2})
		if err != nil || recipe.Steps != 2 {
			t.Fatalf("%+v, %v", recipe, err)
		}
		return fingerprint(t, sd)
	}
	files := func() []string {
		t.Helper()
		names, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	plain, _, err := without(context.Background(), g, like, set, few, length{0, 2})
	if err != nil {
		t.Fatal(err)
	}
	want := fingerprint(t, plain)
	if got := train(few); got != want || steps != 2 || len(files()) != 1 {
		t.Fatalf("%s after %d steps, want %s; files %q", got, steps, want, files())
	}
	if got := train(few); got != want || steps != 2 {
		t.Fatalf("from the cache %s after %d steps, want %s", got, steps, want)
	}
	path := files()[0]
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(b []byte) []byte{
		"a bit of a weight": func(b []byte) []byte { b[1000] ^= 1; return b },
		"a bit of the seal": func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"a byte is missing": func(b []byte) []byte { return b[:len(b)-1] },
		"a byte too many":   func(b []byte) []byte { return append(b, 0) },
		"nothing":           func([]byte) []byte { return nil },
		"zeros":             func(b []byte) []byte { clear(b); return b },
		"weights exchanged": func(b []byte) []byte { b[0], b[4] = b[4], b[0]; return b },
		"another key's file": func(b []byte) []byte {
			other := len(b) - sha256.Size
			return append(b[:other], seal(nil, b[:other])...)
		},
	} {
		if err := os.WriteFile(path, damage(slices.Clone(good)), 0o666); err != nil {
			t.Fatal(err)
		}
		steps = 0
		if got := train(few); got != want || steps != 2 {
			t.Errorf("%s: %s after %d steps, want %s", name, got, steps, want)
		}
		if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, good) {
			t.Errorf("%s: the file was not replaced, %v", name, err)
		}
	}
	// Whatever the weights depend on gives another file; what they do not, none.
	for name, change := range map[string]struct {
		change func(o *Options)
		fresh  bool
	}{
		"classes": {func(o *Options) { o.Classes = []int{4} }, true},
		"order":   {func(o *Options) { o.Classes = []int{3, 3} }, false},
		"norm":    {func(o *Options) { o.Norm.Std = dataset.PerChannel{0.5} }, true},
		"seed":    {func(o *Options) { o.Seed = 1 }, true},
		"threads": {func(o *Options) { o.Threads = 3 }, false},
	} {
		opts, before := few, len(files())
		change.change(&opts)
		steps = 0
		train(opts)
		if made := len(files()) > before; made != change.fresh || made != (steps == 2) {
			t.Errorf("another %s: %d steps, a new file: %v", name, steps, made)
		}
	}
	before := len(files())
	set = set.Subset([]int{0, 1, 2})
	if train(few); len(files()) != before+1 {
		t.Errorf("other images: no new file")
	}
}

func TestCacheThatCannotBe(t *testing.T) {
	g, like := lenet(t)
	opts := few
	opts.Cache = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(opts.Cache, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if sd, _, err := without(context.Background(), g, like, sample(t, 30), opts, length{0, 1}); err != nil || sd == nil {
		t.Errorf("a cache that is a file: %v", err)
	}
	opts.Cache = t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	opts.Progress = func(int, int, float64) { cancel() }
	if _, _, err := without(ctx, g, like, sample(t, 30), opts, length{0, 2}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if left, err := os.ReadDir(opts.Cache); err != nil || len(left) != 0 {
		t.Errorf("interrupted: %v is left, %v", left, err)
	}
}

func TestWithoutErrors(t *testing.T) {
	g, like := lenet(t)
	set := sample(t, 5)
	for _, c := range []struct {
		name string
		like *model.StateDict
		set  *dataset.Set
		opts Options
		want string
	}{
		{"no such class", like, set, Options{Classes: []int{10}}, "class 10 does not exist: the network has classes 0 to 9"},
		{"a negative class", like, set, Options{Classes: []int{-1}}, "class -1 does not exist"},
		{"nothing remains", like, set, Options{Classes: []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}}, "none of the 50 images is of a class that remains"},
		{"other images", like, &dataset.Set{Shape: []int{1, 4, 4}}, Options{}, "the network takes inputs of shape [1 28 28]"},
		{"other shapes", like.With("fc.bias", like.Get("fc1.bias")), set, few, "node \"fc\""},
	} {
		if _, _, err := Without(context.Background(), g, c.like, c.set, c.opts); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}
