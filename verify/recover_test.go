package verify

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lethe/internal/nn"
	"lethe/internal/oracle"
	"lethe/model"
)

// Nearest means, nearest neighbours, pooling and pruning against NumPy and PyTorch.
func TestRecoverOracle(t *testing.T) {
	python := oracle.Python(t, "numpy", "torch")
	rng := rand.New(rand.NewPCG(3, 0))
	normal := func(n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = math.Round(1000*rng.NormFloat64()) / 1000
		}
		return v
	}
	const inputs, classes, nearest = 5, 4, 7
	labels := make([]int, 60)
	for i := range labels {
		labels[i] = i % (classes - 1) // the last class has no sample
	}
	x, test := normal(len(labels)*inputs), normal(40*inputs)
	copy(test[:inputs], x[inputs:2*inputs])
	p := newPooling([]int{3, 7, 5}, 3*3*3)
	value := normal(3 * 7 * 5)
	weight := normal(64)
	weight[3], weight[9] = 0.5, -0.5
	cases := map[string]any{"x": x, "test": test, "inputs": inputs, "labels": labels, "classes": classes, "neighbours": nearest,
		"value": value, "shape": []int{1, 3, 7, 5}, "cells": []int{3, 3}, "weight": weight}
	b, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cases.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var want struct {
		NearestMean []int `json:"nearest_mean"`
		Neighbours  []int
		Pooled      []float64
		Pruned      []float64
	}
	if err := json.Unmarshal(oracle.Run(t, python, "testdata/recover.py", path), &want); err != nil {
		t.Fatal(err)
	}
	if got := classify(test, meanRule(x, labels, classes), classes, 2); !slices.Equal(got, want.NearestMean) {
		t.Errorf("nearest means: %v, NumPy has %v", got, want.NearestMean)
	}
	for _, threads := range []int{1, 3} {
		if got := majority(x, test, labels, classes, nearest, threads); !slices.Equal(got, want.Neighbours) {
			t.Errorf("neighbours: %v, NumPy has %v", got, want.Neighbours)
		}
	}
	pooled, single := make([]float64, p.size()), make([]float32, len(value))
	for i, v := range value {
		single[i] = float32(v)
	}
	if p.pool(pooled, single); farthest(pooled, want.Pooled) > 1e-6 {
		t.Errorf("pooled %v, PyTorch has %v", pooled, want.Pooled)
	}
	net, sd := flat(t, [][4]float32{{}})
	single = single[:0]
	for _, v := range weight {
		single = append(single, float32(v))
	}
	sd, err = changeWeights(net.Graph(), sd.With("fc.weight", model.Float32Tensor([]int{16, 4}, single)), prune)
	if err != nil {
		t.Fatal(err)
	}
	got, err := sd.Get("fc.weight").Float32s()
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range want.Pruned {
		if math.Abs(float64(got[i])-v) > 1e-6 {
			t.Errorf("weight %d becomes %v, PyTorch has %v", i, got[i], v)
		}
	}
}

// What hides a class by a bias of the last layer is found by every measure that
// does not ask that layer; what has lost it is not.
func TestRecoverFindsWhatIsHidden(t *testing.T) {
	q, hidden, lost := toy(t)
	q.Audit.Retrained = []Retrained{{State: lost}}
	_, m := audited(t, q, hidden)
	for _, name := range []string{"nearest_mean", "nearest_mean_5", "neighbours"} {
		if gap, apart, ok := m[name].Gap(); !ok || !apart || gap < 0.4 {
			t.Errorf("%s: gap %v, apart %v: %+v, %+v", name, gap, apart, m[name].After, m[name].Retrained)
		}
	}
	if gap, _, _ := m["relearning_few"].Gap(); !(gap < -10) {
		t.Errorf("relearning from few: %+v, %+v", m["relearning_few"].After, m["relearning_few"].Retrained)
	}
	// The layer before the one that lost the class has it in every network.
	if e := m["layer_probe_2"].Retrained; e == nil {
		t.Errorf("the input of the second layer was not probed: %+v", m)
	}
}

func TestLayersThatAreProbed(t *testing.T) {
	net, sd := lenet(t)
	values := nn.InputsOfLayers(net.Graph(), sd)
	if len(values) != 3 { // the second convolution and two fully connected layers
		t.Fatalf("%q", values)
	}
	for i, want := range [][]int{{6, 12, 12}, {256}, {120}} {
		_, shape, err := nn.BindTo(net, sd, values[i])
		if err != nil || !slices.Equal(shape, want) {
			t.Errorf("%s has shape %v, want %v, %v", values[i], shape, want, err)
		}
	}
	if _, _, err := nn.BindTo(net, sd, "nowhere"); err == nil {
		t.Error("a value that is not there was bound")
	}
	for _, c := range []struct {
		shape []int
		size  int
	}{{[]int{6, 12, 12}, 96}, {[]int{64, 8, 8}, 256}, {[]int{512, 4, 4}, 512}, {[]int{120}, 120}, {[]int{3, 2, 9}, 24}} {
		if got := newPooling(c.shape, layerInputs).size(); got != c.size {
			t.Errorf("%v is pooled to %d numbers, want %d", c.shape, got, c.size)
		}
	}
}
