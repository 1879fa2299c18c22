package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"lethe/dataset"
	"lethe/internal/network"
	"lethe/pickle"
	"lethe/verify"
)

// forgetSection times whole processes: the commands as a person runs them, and
// the published way to forget in torch.
func forgetSection() error {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "lethe-speed-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "./cmd/...")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return err
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	c := fmt.Sprint(*class)
	commands := []struct {
		name string
		args []string
	}{
		{"forget, all images", []string{in("forget"), "--force", "--quiet", "--class", c, "--data", *data, *base, in("out.pt")}},
		{"forget, embedded sample", []string{in("forget"), "--force", "--quiet", "--class", c, *base, in("sample.pt")}},
		{"forget --help", []string{in("forget"), "--help"}},
		{"pt2onnx", []string{in("pt2onnx"), "--force", "--quiet", *base, in("out.onnx")}},
	}
	fastest := map[string]time.Duration{}
	for range 5 {
		for _, cmd := range commands {
			took, err := run(ctx, cmd.args[0], cmd.args[1:]...)
			if err != nil {
				return fmt.Errorf("%s: %w", cmd.name, err)
			}
			if f, ok := fastest[cmd.name]; !ok || took < f {
				fastest[cmd.name] = took
			}
		}
	}
	reference, err := run(ctx, *python, filepath.Join("internal", "bench", "speed", "peers.py"), "reference", *base, c, *data, in("reference.pt"))
	if err != nil {
		return err
	}
	fmt.Println("| whole process | seconds | score on all images |\n|---|---|---|")
	for _, cmd := range commands {
		score := ""
		if out := cmd.args[len(cmd.args)-1]; filepath.Ext(out) == ".pt" {
			if score, err = judge(ctx, out); err != nil {
				return err
			}
		}
		fmt.Printf("| %s | %.3f | %s |\n", cmd.name, fastest[cmd.name].Seconds(), score)
	}
	score, err := judge(ctx, in("reference.pt"))
	if err != nil {
		return err
	}
	fmt.Printf("| published reference in torch, 4 epochs | %.1f | %s |\n", reference.Seconds(), score)
	fmt.Printf("\nreference / forget: %.1f\n", reference.Seconds()/fastest[commands[0].name].Seconds())
	return nil
}

// judge returns the score of an edited checkpoint on all training images.
func judge(ctx context.Context, path string) (string, error) {
	before, err := network.Open(ctx, *base, nil, pickle.Options{})
	if err != nil {
		return "", err
	}
	defer before.Close()
	after, err := network.Open(ctx, path, nil, pickle.Options{})
	if err != nil {
		return "", err
	}
	defer after.Close()
	d, err := dataset.Open(*data)
	if err != nil {
		return "", err
	}
	r, err := verify.Judge(ctx, verify.Edit{
		Before: before.Net, After: verify.NewNetwork(before.Graph, after.State), Gate: verify.GateNone,
		Classes: []int{*class}, Train: d.Train, Norm: dataset.FashionNorm,
	})
	if err != nil {
		return "", err
	}
	if r.Score == nil {
		return "an invariant is broken", nil
	}
	return fmt.Sprintf("%.2f", r.Score.Total), nil
}
