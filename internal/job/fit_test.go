package job

import (
	"context"
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

func TestFitting(t *testing.T) {
	for classes, want := range map[int]float64{1: 0.5, 2: 0.5, 10: 0.5, 100: 0.05, 1000: 0.005} {
		if got := fitting(classes); got != want {
			t.Errorf("%d classes: got %v, want %v", classes, got, want)
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
