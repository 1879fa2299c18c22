// Command forgetting measures the edit on every class of the given checkpoints
// and prints the tables of the README and of docs/forgetting.md.
//
//	go run ./internal/bench/forgetting --data /usr/share/datasets/fashion-mnist fixtures/*.pt
//
// Scores are those of all training images, also where the edit sees only some.
// The last columns are measured on the test images, which no edit ever sees: the
// accuracy on the other classes and how far it is from the base model's.
// bases.py trains other checkpoints to try.
//
// With --fit it trains the networks of the files from scratch instead, as
// recipes.py wrote them, and writes NAME.safetensors beside each.
//
// With --frontier FILE it draws instead what the others gain or lose for each
// budget, as an SVG picture.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"lethe/dataset"
	"lethe/edit"
	"lethe/internal/learn"
	"lethe/internal/network"
	"lethe/model"
	"lethe/pickle"
	"lethe/report"
	"lethe/verify"
)

// task is what a method is given: a network, a class, and images.
type task struct {
	net   *network.Network
	class int
	seen  *dataset.Set
	norm  dataset.Norm
	rules report.Rules
	seed  uint64
}

// rules returns the rules that hold for forgetting a class.
func rules(ctx context.Context, n *network.Network, set *dataset.Set, class int, norm dataset.Norm) (report.Rules, error) {
	move, _, err := learn.Movable(n.Graph, learn.Selection{})
	if err != nil {
		return report.Rules{}, err
	}
	before, err := n.Net.Measure(ctx, set, []int{class}, norm, 0)
	if err != nil {
		return report.Rules{}, err
	}
	return n.Net.Rules(move, before.Remain)
}

// method is a way to forget, and how many images of each class it sees; 0: all.
type method struct {
	name     string
	perClass int
	forget   func(ctx context.Context, t task) (*model.StateDict, error)
}

// lethe returns the edit of this repository with some options.
func lethe(opts edit.Options) func(context.Context, task) (*model.StateDict, error) {
	return func(ctx context.Context, t task) (*model.StateDict, error) {
		opts := opts
		opts.Classes, opts.Norm, opts.Rules, opts.Seed = []int{t.class}, t.norm, t.rules, t.seed
		res, err := edit.Forget(ctx, t.net.Graph, t.net.State, t.seen, opts)
		if err != nil {
			return nil, err
		}
		return res.StateDict, nil
	}
}

var methods = []method{
	{"all", 0, lethe(edit.Options{})},
	{"minimal", 0, lethe(edit.Options{Prefer: edit.PreferMinimal})},
	{"600", 600, lethe(edit.Options{})},
	{"100", 100, lethe(edit.Options{})},
	{"20", 20, lethe(edit.Options{})},
	{"forget-only", 0, lethe(edit.Options{ForgetOnly: true})},
	{"noise", 0, noise},
	{"reference", 0, reference.forget},
	{"reconstruction", 0, reconstruction.forget},
}

func main() {
	log.SetFlags(0)
	var names []string
	for _, m := range methods {
		names = append(names, m.name)
	}
	b := bench{}
	dir := flag.String("data", "", "folder with IDX files, training and test images")
	tables := flag.String("tables", strings.Join(names, ","), "which tables to print")
	frontier := flag.String("frontier", "", "draw the frontier of the first checkpoint into this SVG file instead")
	fit := flag.Bool("fit", false, "train the networks of the files from scratch instead")
	perClass := flag.Int("images", 0, "with --fit: images of each class to train on; 0: all")
	flag.Uint64Var(&b.seed, "seed", 0, "seed of the edit")
	flag.IntVar(&b.offset, "offset", 0, "leave out so many images of each class before taking few")
	mean := flag.String("mean", "", "mean of the pixels / 255, one or one for each channel; default as for forget")
	std := flag.String("std", "", "standard deviation of the pixels / 255, likewise")
	flag.Func("classes", "classes to forget, with commas; default: all", func(s string) error {
		for _, word := range strings.Split(s, ",") {
			class, err := strconv.Atoi(word)
			if err != nil {
				return err
			}
			b.classes = append(b.classes, class)
		}
		return nil
	})
	flag.Parse()
	b.paths = flag.Args()
	if err := b.normalize(*mean, *std); err != nil {
		log.Fatal(err)
	}
	if err := b.open(*dir); err != nil {
		log.Fatal(err)
	}
	if *fit {
		if err := b.fit(*perClass); err != nil {
			log.Fatal(err)
		}
		return
	}
	if err := b.run(strings.Split(*tables, ","), names, *frontier); err != nil {
		log.Fatal(err)
	}
}

type bench struct {
	data    *dataset.Data
	norm    dataset.Norm
	seed    uint64
	offset  int
	paths   []string
	classes []int // to forget, one after the other; none: all
}

// normalize reads --mean and --std.
func (b *bench) normalize(mean, std string) (err error) {
	if mean != "" {
		if b.norm.Mean, err = dataset.ParsePerChannel(mean); err != nil {
			return err
		}
	}
	if std != "" {
		b.norm.Std, err = dataset.ParsePerChannel(std)
	}
	return err
}

// open reads the images.
func (b *bench) open(dir string) (err error) {
	if b.data, err = dataset.Open(dir); err != nil {
		return err
	}
	if b.data.Test == nil {
		return fmt.Errorf("%s has no test images", dir)
	}
	b.norm = b.norm.Or(dataset.DefaultNorm(b.data.Train.Shape[0]))
	if len(b.paths) == 0 {
		return fmt.Errorf("no checkpoints")
	}
	return nil
}

func (b *bench) run(tables, names []string, frontier string) error {
	if frontier != "" {
		return b.frontier(frontier)
	}
	var summary []string
	for _, table := range tables {
		i := slices.Index(names, table)
		if i < 0 {
			return fmt.Errorf("no table %q: there are %s", table, strings.Join(names, ", "))
		}
		line, err := b.table(methods[i])
		if err != nil {
			return err
		}
		summary = append(summary, line)
	}
	fmt.Println("| method | score | worst | L2 | unseen change | worst | unseen KL, worst | seconds |\n|---|---|---|---|---|---|---|---|")
	for _, line := range summary {
		fmt.Println(line)
	}
	return nil
}

// table prints what a method does with every class of every checkpoint, and
// returns a line for the summary.
func (b *bench) table(m method) (string, error) {
	fmt.Printf("%s:\n\n| model | class | score | target | remain | KL | L2 | unseen | change | unseen KL | unseen target | seconds |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n", m.name)
	sum, cells := cell{}, 0.0
	leastScore, leastChange, mostKL := math.Inf(1), math.Inf(1), 0.0
	for _, path := range b.paths {
		for class := range b.data.Train.Classes {
			if len(b.classes) > 0 && !slices.Contains(b.classes, class) {
				continue
			}
			c, err := b.cell(path, class, m)
			if err != nil {
				return "", err
			}
			fmt.Printf("| %s | %d | %.2f | %.4f | %.4f | %.4f | %.4f | %.4f | %+.4f | %.4f | %.4f | %.0f |\n", strings.TrimSuffix(filepath.Base(path), ".pt"), class,
				c.score, c.after.Target, c.after.Remain, c.after.KL, c.l2, c.unseen.Remain, c.change, c.unseen.KL, c.unseen.Target, c.elapsed.Seconds())
			sum.score, sum.l2, sum.change, sum.elapsed = sum.score+c.score, sum.l2+c.l2, sum.change+c.change, sum.elapsed+c.elapsed
			leastScore, leastChange, mostKL = min(leastScore, c.score), min(leastChange, c.change), max(mostKL, c.unseen.KL)
			cells++
		}
	}
	fmt.Println()
	return fmt.Sprintf("| %s | %.2f | %.2f | %.2f | %+.4f | %+.4f | %.4f | %.1f |", m.name, sum.score/cells, leastScore, sum.l2/cells,
		sum.change/cells, leastChange, mostKL, sum.elapsed.Seconds()/cells), nil
}

// cell is a class of a checkpoint, forgotten and judged.
type cell struct {
	score, l2, change float64
	after, unseen     *verify.Measures // of the training and of the test images
	elapsed           time.Duration
}

func (b *bench) cell(path string, class int, m method) (cell, error) {
	ctx := context.Background()
	n, err := network.Open(ctx, path, os.Stdin, pickle.Options{})
	if err != nil {
		return cell{}, err
	}
	defer n.Close()
	seen := b.data.Train
	if m.perClass > 0 {
		seen = seen.Stratified(m.perClass, b.offset)
	}
	rules, err := rules(ctx, n, b.data.Train, class, b.norm)
	if err != nil {
		return cell{}, err
	}
	start := time.Now()
	edited, err := m.forget(ctx, task{n, class, seen, b.norm, rules, b.seed})
	if err != nil {
		return cell{}, err
	}
	elapsed := time.Since(start)
	r, err := verify.Judge(ctx, verify.Edit{
		Before: n.Net, After: verify.NewNetwork(n.Graph, edited), Gate: verify.GateNone, Rules: rules,
		Classes: []int{class}, Train: b.data.Train, Test: b.data.Test, Norm: b.norm,
	})
	if err != nil {
		return cell{}, err
	}
	if err := verify.Err(r.AllChecks()); err != nil {
		return cell{}, err
	}
	return cell{
		score: r.Score.Total, l2: r.Comparison.L2, after: r.Data.TrainAfter, elapsed: elapsed,
		unseen: r.Data.TestAfter, change: r.Data.TestAfter.Remain - r.Data.TestBefore.Remain,
	}, nil
}
