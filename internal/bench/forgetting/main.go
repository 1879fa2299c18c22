// Command forgetting measures the edit on every class of the given checkpoints
// and prints the table of the README.
//
//	go run ./internal/bench/forgetting --data /usr/share/datasets/fashion-mnist fixtures/*.pt
//
// Scores are those of the training images. The last columns are measured on the
// test images, which no edit ever sees: the accuracy on the other classes and
// how far it is from the base model's. bases.py trains other checkpoints to try.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"path/filepath"
	"time"

	"lethe/edit"
	"lethe/internal/cli"
	"lethe/internal/dataset"
	"lethe/pickle"
	"lethe/verify"
)

func main() {
	log.SetFlags(0)
	dir := flag.String("data", "", "folder with the IDX files of Fashion-MNIST, training and test images")
	perClass := flag.Int("per-class", 0, "let the edit see only so many images of each class; 0: all")
	seed := flag.Uint64("seed", 0, "seed of the edit")
	flag.Parse()
	if err := run(*dir, *perClass, *seed, flag.Args()); err != nil {
		log.Fatal(err)
	}
}

func run(dir string, perClass int, seed uint64, paths []string) error {
	data, err := dataset.Open(dir)
	if err != nil {
		return err
	}
	if data.Test == nil {
		return fmt.Errorf("%s has no test images", dir)
	}
	seen := data.Train
	if perClass > 0 {
		seen = seen.Stratified(perClass, 0)
	}
	fmt.Printf("%-20s %5s %7s %7s %7s %7s %7s %8s %8s %6s\n", "model", "class", "score", "target", "remain", "KL", "L2", "unseen", "change", "time")
	scores, changes, worst := 0.0, 0.0, math.Inf(1)
	cells := 0
	for _, path := range paths {
		for class := range data.Train.Classes {
			r, elapsed, err := forget(path, class, seed, data, seen)
			if err != nil {
				return err
			}
			m, change := r.Data.TrainAfter, r.Data.TestAfter.Remain-r.Data.TestBefore.Remain
			fmt.Printf("%-20s %5d %7.2f %7.4f %7.4f %7.4f %7.4f %8.4f %+8.4f %5.1fs\n", filepath.Base(path), class,
				r.Score.Total, m.Target, m.Remain, m.KL, r.Comparison.L2, r.Data.TestAfter.Remain, change, elapsed.Seconds())
			scores, changes, worst = scores+r.Score.Total, changes+change, min(worst, change)
			cells++
		}
	}
	fmt.Printf("mean score %.2f, mean change on unseen images %+.4f, worst %+.4f\n", scores/float64(cells), changes/float64(cells), worst)
	return nil
}

// forget edits one class of one checkpoint on the images that the edit may see
// and judges it on all of them.
func forget(path string, class int, seed uint64, data *dataset.Data, seen *dataset.Set) (*verify.Report, time.Duration, error) {
	ctx := context.Background()
	n, err := cli.OpenNetwork(ctx, path, os.Stdin, pickle.Options{})
	if err != nil {
		return nil, 0, err
	}
	defer n.Close()
	start := time.Now()
	res, err := edit.Forget(ctx, n.Net, n.State, seen, edit.Options{Classes: []int{class}, Norm: dataset.FashionNorm, Seed: seed})
	if err != nil {
		return nil, 0, err
	}
	elapsed := time.Since(start)
	r, err := verify.Judge(ctx, verify.Question{
		Net: n.Net, Before: n.State, After: res.StateDict, Gate: verify.GateNone,
		Classes: []int{class}, Train: data.Train, Test: data.Test, Norm: dataset.FashionNorm,
	})
	if err != nil {
		return nil, 0, err
	}
	return r, elapsed, verify.Err(r.AllChecks())
}
