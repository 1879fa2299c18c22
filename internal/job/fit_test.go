package job

import (
	"context"
	"math"
	"strings"
	"testing"

	"lethe/dataset"
	"lethe/internal/network"
	"lethe/pickle"
)

func TestAssigned(t *testing.T) {
	share, order := assigned([][]int{{0, 9, 1}, {8, 0, 2}, {0, 0, 10}})
	if share != 0.9 || order != "0 is 1, 1 is 0" {
		t.Errorf("got %v, %q", share, order)
	}
	if share, _ := assigned([][]int{{0}}); share != 0 {
		t.Errorf("without images: got %v", share)
	}
}

// What a network knows is told from what it would get right by chance, whatever the
// number of classes and however many images each has.
func TestKnown(t *testing.T) {
	even := func(classes, right, of int) [][]int {
		c := make([][]int, classes)
		for i := range c {
			c[i] = make([]int, classes)
			for k := range c[i] {
				c[i][k] = (of - right) / (classes - 1)
			}
			c[i][i] = right
		}
		return c
	}
	rare := even(10, 0, 0) // one class has nearly all images, and is the only answer
	rare[3][3], rare[4][3] = 990, 10
	alone := even(10, 0, 0)
	alone[3] = []int{10, 0, 0, 40, 50, 0, 0, 0, 0, 0}
	for _, test := range []struct {
		name      string
		confusion [][]int
		chance    float64
		knows     bool
	}{
		{"ten classes, 42 %", even(10, 420, 1000), 0.1, true},
		{"ten classes, 14 %", even(10, 140, 1000), 0.1, false},
		{"few images, 40 %", even(10, 2, 5), 0.1, true},
		{"hundred classes, 6 %", even(100, 60, 1000), 0.01, true},
		{"hundred classes, 2 %", even(100, 20, 1000), 0.01, false},
		{"two classes, 52 %", even(2, 520, 1000), 0.5, false},
		{"two classes, 65 %", even(2, 650, 1000), 0.5, true},
		{"two images, both right", even(2, 1, 1), 0.5, true},
		{"always the same answer", rare, 0.5, false},
		{"images of one class", alone, 0.1, true},
		{"no images", even(10, 0, 0), 0.1, false},
	} {
		k := known(test.confusion)
		if math.Abs(k.chance-test.chance) > 0.01 || (k.right >= k.least()) != test.knows {
			t.Errorf("%s: %+v, at least %.3f; want a chance of %v, knows %v", test.name, k, k.least(), test.chance, test.knows)
		}
	}
}

// A network that gets its images wrong for a reason is told that reason.
func TestCheckAccuracy(t *testing.T) {
	ctx := context.Background()
	n, err := network.Open(ctx, "../../cmd/testdata/tiny/lenet.pt", nil, pickle.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for _, c := range []struct {
		name   string
		change func(d *Data)
		says   string
	}{
		{"right", func(*Data) {}, ""},
		{"order of classes", func(d *Data) {
			for i, l := range d.Train.Labels {
				d.Train.Labels[i] = (l + 1) % d.Train.Classes
			}
		}, "the classes are in another order"},
		{"many labels wrong", func(d *Data) { // as if it had learned little
			for i := range d.Train.Labels {
				if i%4 != 0 {
					d.Train.Labels[i] = i / 4 % d.Train.Classes
				}
			}
		}, ""},
		{"normalization", func(d *Data) { d.Norm = dataset.OneNorm(-4, 2) }, "trained with the normalization of Fashion-MNIST"},
		{"wrong data", func(d *Data) { clear(d.Train.Pixels) }, "give its training data with --data"},
	} {
		d, err := OpenData(ctx, DataSettings{Settings: dataset.Settings{Path: "../../cmd/testdata/tiny"}})
		if err != nil {
			t.Fatal(err)
		}
		c.change(d)
		m, err := n.Net.Measure(ctx, d.Train, nil, d.Norm, 0)
		if err != nil {
			t.Fatal(err)
		}
		err = d.CheckAccuracy(ctx, n.Net, m)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q in it", c.name, err, c.says)
		}
	}
}
