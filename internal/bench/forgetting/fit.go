package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lethe/dataset"
	"lethe/internal/learn"
	"lethe/internal/network"
	"lethe/pickle"
	"lethe/safetensors"
	"lethe/verify"
)

// fit trains the networks of all paths from scratch by the recipe of
// [learn.Without], on perClass images of each class (0: all).
func (b *bench) fit(perClass int) error {
	set := b.data.Train
	if perClass > 0 {
		set = set.Stratified(perClass, b.offset)
	}
	fmt.Println("| network | steps | accuracy, trained on | unseen | seconds |\n|---|---|---|---|---|")
	for _, path := range b.paths {
		if err := b.fitOne(path, set); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// fitOne trains the network of a file and writes its weights beside it, with the
// ending .safetensors.
func (b *bench) fitOne(path string, set *dataset.Set) error {
	ctx := context.Background()
	n, err := network.Open(ctx, path, os.Stdin, pickle.Options{})
	if err != nil {
		return err
	}
	defer n.Close()
	start := time.Now()
	sd, recipe, err := learn.Without(ctx, n.Graph, n.State, set, learn.Options{Norm: b.norm, Seed: b.seed})
	if err != nil {
		return err
	}
	elapsed := time.Since(start)
	trained := verify.NewNetwork(n.Graph, sd)
	seen, err := trained.Measure(ctx, set, nil, b.norm, 0)
	if err != nil {
		return err
	}
	unseen, err := trained.Measure(ctx, b.data.Test, nil, b.norm, 0)
	if err != nil {
		return err
	}
	name := strings.TrimSuffix(path, filepath.Ext(path))
	fmt.Printf("| %s | %d | %.4f | %.4f | %.0f |\n", filepath.Base(name), recipe.Steps, seen.Accuracy, unseen.Accuracy, elapsed.Seconds())
	f, err := safetensors.New(sd)
	if err != nil {
		return err
	}
	out, err := os.Create(name + ".safetensors")
	if err != nil {
		return err
	}
	defer out.Close()
	if err := safetensors.Encode(out, f); err != nil {
		return err
	}
	return out.Close()
}
