package verify

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"lethe/dataset"
	"lethe/graph"
	"lethe/model"
)

var (
	ln2 = float32(math.Ln2)

	// The softmax of a lit pixel is (1/2, 1/4, 1/4), (1/4, 1/2, 1/4),
	// (1/6, 1/6, 2/3) and (1/3, 1/3, 1/3), in which the first class wins.
	weights = [][4]float32{{ln2, 0, 0, 0}, {0, ln2, 0, 0}, {0, 0, 2 * ln2, 0}}

	// Divergence from uniform, by hand: 1/2 ln 3/2 + 2/4 ln 3/4, and so on.
	kls = []float64{0.5 * math.Log(1.125), 0.5 * math.Log(1.125), math.Ln2 / 3, 0}

	// Labels 0, 1 and 2 have 1, 1 and 2 hits in 2, 2 and 3 images.
	seven = []lit{{0, 0}, {0, 1}, {1, 1}, {1, 3}, {2, 2}, {2, 2}, {2, 0}}
)

func near(a, b float64) bool { return math.Abs(a-b) < 1e-7 }

func TestMeasureByHand(t *testing.T) {
	net, _ := flat(t, weights)
	// 7 images are not a whole group, 2100 are more than two batches.
	for _, times := range []int{1, 300} {
		set := images(times, seven...)
		for _, c := range []struct {
			classes                    []int
			forgotten                  int
			target, remain, divergence float64
		}{
			{[]int{2}, 3, 2. / 3, 1. / 2, (2*kls[2] + kls[0]) / 3},
			{[]int{1}, 2, 1. / 2, 3. / 5, (kls[1] + kls[3]) / 2},
			{[]int{0, 2}, 5, 3. / 5, 1. / 2, (2*kls[0] + kls[1] + 2*kls[2]) / 5},
			{[]int{2, 0, 2}, 5, 3. / 5, 1. / 2, (2*kls[0] + kls[1] + 2*kls[2]) / 5},
			{nil, 0, 0, 4. / 7, 0},
			{[]int{0, 1, 2}, 7, 4. / 7, 0, (2*kls[0] + 2*kls[1] + kls[3] + 2*kls[2]) / 7},
		} {
			m, err := measure(context.Background(), net, set, c.classes, plain, 0)
			if err != nil {
				t.Fatal(err)
			}
			if m.Images != 7*times || m.Forgotten != c.forgotten*times {
				t.Errorf("%v of %d: %d images, %d forgotten", c.classes, set.Len(), m.Images, m.Forgotten)
			}
			if m.Target != c.target || m.Remain != c.remain || m.Accuracy != 4./7 || !near(m.KL, c.divergence) {
				t.Errorf("%v of %d: got %+v, want %+v", c.classes, set.Len(), m, c)
			}
			confusion := [][]int{{times, times, 0}, {times, times, 0}, {times, 0, 2 * times}}
			if !reflect.DeepEqual(m.Confusion, confusion) {
				t.Errorf("%v of %d: confusion %v, want %v", c.classes, set.Len(), m.Confusion, confusion)
			}
		}
	}
}

// A set may end anywhere in a group or a batch, and each image counts once.
func TestMeasureSizes(t *testing.T) {
	net, _ := flat(t, weights)
	for _, n := range []int{0, 1, 15, 16, 17, 1023, 1024, 1025, 2048, 2049} {
		// The last image alone is of class 2, and right.
		set := images(n, lit{0, 1})
		if n > 0 {
			set.Labels[n-1] = 2
			copy(set.Image(n-1), []uint8{0, 0, 255, 0})
		}
		m, err := measure(context.Background(), net, set, []int{2}, plain, 0)
		if err != nil {
			t.Fatal(err)
		}
		want := min(n, 1)
		if m.Images != n || m.Forgotten != want || m.Confusion[2][2] != want || m.Confusion[0][1] != n-want || m.Target != float64(want) || !near(m.KL, float64(want)*kls[2]) {
			t.Errorf("%d images: got %+v", n, m)
		}
	}
}

func TestMeasureWithoutForgottenImages(t *testing.T) {
	net, _ := flat(t, weights)
	m, err := measure(context.Background(), net, images(1, lit{0, 0}, lit{1, 0}), []int{2}, plain, 0)
	if err != nil {
		t.Fatal(err)
	}
	if m.Forgotten != 0 || m.Target != 0 || m.KL != 0 || m.Remain != 0.5 {
		t.Errorf("got %+v", m)
	}
}

func TestMeasureNormalizes(t *testing.T) {
	net, _ := flat(t, weights)
	// A lit pixel is (1 - 0.5) / 0.25 = 2 and a dark one -2.
	m, err := measure(context.Background(), net, images(1, lit{2, 2}), []int{2}, dataset.OneNorm(0.5, 0.25), 0)
	if err != nil {
		t.Fatal(err)
	}
	// Logits -2 ln 2, -2 ln 2 and 4 ln 2: (1/66, 1/66, 64/66).
	want := 2./66*math.Log(3./66) + 64./66*math.Log(3*64./66)
	if !near(m.KL, want) {
		t.Errorf("KL %v, want %v", m.KL, want)
	}
}

// The divergence is at least 0 and at most ln K, however extreme the logits.
func TestMeasureDivergenceIsInRange(t *testing.T) {
	for _, w := range []float32{0, 1e-7, -3e-8, 1, 100, 1e4, 1e30, -1e30} {
		net, _ := flat(t, [][4]float32{{w}, {w / 3}, {w / 7}})
		m, err := measure(context.Background(), net, images(1, lit{0, 0}), []int{0}, plain, 0)
		if err != nil {
			t.Fatal(err)
		}
		if !(m.KL >= 0 && m.KL <= math.Log(3)+1e-12) {
			t.Errorf("weight %v: KL %v", w, m.KL)
		}
		if math.Abs(float64(w)) >= 1e4 && !near(m.KL, math.Log(3)) {
			t.Errorf("weight %v: KL %v of a certain prediction, want ln 3", w, m.KL)
		}
	}
}

func TestMeasureDivergenceOfUniform(t *testing.T) {
	for k := 2; k <= 100; k++ {
		net, _ := flat(t, make([][4]float32, k))
		m, err := measure(context.Background(), net, images(1, lit{0, 0}), []int{0}, plain, 0)
		if err != nil || !(m.KL >= 0 && m.KL < 1e-12) {
			t.Errorf("%d classes: KL %v, %v", k, m.KL, err)
		}
	}
}

func TestMeasureDoesNotDependOnThreads(t *testing.T) {
	net, _ := lenet(t)
	set := images(320*28, lit{0, 0}, lit{3, 1}, lit{9, 2}, lit{4, 3}, lit{9, 0}, lit{5, 0}, lit{5, 1})
	set.Shape = []int{1, 28, 28} // 320 images, a chunk of work for each of five threads
	set.Labels = set.Labels[:len(set.Pixels)/(28*28)]
	one, err := measure(context.Background(), net, set, []int{0, 9}, dataset.FashionNorm, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, threads := range []int{0, 2, 3, 8} {
		m, err := measure(context.Background(), net, set, []int{0, 9}, dataset.FashionNorm, threads)
		if err != nil || !reflect.DeepEqual(m, one) {
			t.Errorf("%d threads: %+v, %v, want %+v", threads, m, err, one)
		}
	}
}

func TestMeasureErrors(t *testing.T) {
	net, sd := flat(t, weights)
	good := images(1, seven...)
	wide := images(1, seven...)
	wide.Shape = []int{1, 1, 4}
	colour := *net.Graph()
	colour.Inputs = []graph.Value{graph.TensorValue("input", model.Float32, graph.Batch(4, 1, 1))}
	// Pixels 0 and 1 together are beyond float32; the image of both is the last one.
	huge, _ := flat(t, [][4]float32{{3e38, 3e38}, {}, {}})
	both := images(200, seven...)
	both.Image(1399)[1] = 255 // in the second batch
	dot := images(1, seven...)
	dot.Shape = []int{1, 1, 1}
	opposed, _ := flat(t, [][4]float32{{3e38, 3e38, -3e38, -3e38}, {}, {}})
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()

	for _, c := range []struct {
		name string
		err  func() error
		want string
	}{
		{"a class above", func() error {
			_, err := measure(context.Background(), net, good, []int{0, 3}, plain, 0)
			return err
		}, "class 3 does not exist: the network has classes 0 to 2"},
		{"a class below", func() error {
			_, err := measure(context.Background(), net, good, []int{-1}, plain, 0)
			return err
		}, "class -1 does not exist: the network has classes 0 to 2"},
		{"a label above", func() error {
			_, err := measure(context.Background(), net, images(1, lit{0, 0}, lit{3, 0}), nil, plain, 0)
			return err
		}, "the data has label 3, the network has classes 0 to 2: give the data that it was trained on"},
		{"another size", func() error {
			_, err := measure(context.Background(), net, wide, nil, plain, 0)
			return err
		}, "the network takes inputs of shape [1 2 2], the images have the shape [1 1 4] (channels, rows, columns): give the data that it was trained on"},
		{"colours", func() error {
			_, err := measure(context.Background(), bind(t, &colour, sd), dot, nil, plain, 0)
			return err
		}, "the network takes inputs of shape [4 1 1], the images have the shape [1 1 1]"},
		{"an infinite logit", func() error {
			_, err := measure(context.Background(), huge, both, nil, plain, 0)
			return err
		}, "the network gives logits that are NaN or infinite for image 1399: its weights or the normalization (mean 0, standard deviation 1) are out of all proportion"},
		{"a NaN logit", func() error {
			_, err := measure(context.Background(), opposed, both, nil, dataset.OneNorm(0, 0), 0)
			return err
		}, "the network gives logits that are NaN or infinite for image 0: its weights or the normalization (mean 0, standard deviation 0)"},
		{"cancelled", func() error {
			_, err := measure(cancelled, net, good, nil, plain, 0)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled: %v", err)
			}
			return err
		}, "context canceled"},
	} {
		if err := c.err(); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}
