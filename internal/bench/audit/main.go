// Command audit forgets every class of the given checkpoints, audits each edit
// against networks retrained without the class, and prints the tables of
// docs/audit.md: means over the classes, and in how many of them the intervals
// of the edited and of the retrained networks lie apart.
//
//	go run ./internal/bench/audit --data /usr/share/datasets/fashion-mnist fixtures/*.pt
//
// The retrained networks are shared by checkpoints of one architecture. With
// --control nothing is edited: in the place of the edited network stands one
// more retrained network, which shows what the audit says of a class that a
// network has never seen.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"lethe/edit"
	"lethe/internal/dataset"
	"lethe/internal/learn"
	"lethe/internal/network"
	"lethe/internal/nn"
	"lethe/pickle"
	"lethe/verify"
)

func main() {
	log.SetFlags(0)
	dir := flag.String("data", "", "folder with the IDX files of Fashion-MNIST, training and test images")
	control := flag.Bool("control", false, "audit a retrained network, not an edited one")
	flag.Parse()
	if err := run(*dir, *control, flag.Args()); err != nil {
		log.Fatal(err)
	}
}

// networks is how many retrained networks ptcheck compares with.
const networks = 3

func run(dir string, control bool, paths []string) error {
	data, err := dataset.Open(dir)
	if err != nil {
		return err
	}
	cache, err := os.MkdirTemp("", "lethe-audit-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(cache)
	for _, path := range paths {
		var sums []row
		for class := range data.Train.Classes {
			a, err := audit(path, class, control, data, cache)
			if err != nil {
				return err
			}
			if sums == nil {
				sums = make([]row, len(a.Measures))
			}
			for i := range a.Measures {
				sums[i].add(&a.Measures[i])
			}
			log.Printf("%s class %d", filepath.Base(path), class)
		}
		fmt.Printf("\n%s, means over %d classes\n\n", filepath.Base(path), data.Train.Classes)
		fmt.Println("| measure | before | after | retrained | gap, least to most | apart |")
		fmt.Println("|---|---|---|---|---|---|")
		for _, r := range sums {
			n := float64(r.classes)
			fmt.Printf("| %s | %.3f | %.3f | %.3f | %+.3f to %+.3f | %d |\n", r.title, r.before/n, r.after/n, r.retrained/n, r.least, r.most, r.apart)
		}
	}
	return nil
}

// row sums up one measure over the classes.
type row struct {
	title                    string
	classes, apart           int
	before, after, retrained float64
	least, most              float64 // gap
}

func (r *row) add(m *verify.AuditMeasure) {
	gap, apart, ok := m.Gap()
	if !ok {
		return
	}
	if r.classes == 0 {
		r.title, r.least, r.most = m.Title, gap, gap
	}
	r.classes++
	r.before, r.after, r.retrained = r.before+m.Before.Value, r.after+m.After.Value, r.retrained+m.Retrained.Value
	r.least, r.most = min(r.least, gap), max(r.most, gap)
	if apart {
		r.apart++
	}
}

// audit edits one class of one checkpoint and audits the edit.
func audit(path string, class int, control bool, data *dataset.Data, cache string) (*verify.Audit, error) {
	ctx := context.Background()
	n, err := network.Open(ctx, path, os.Stdin, pickle.Options{})
	if err != nil {
		return nil, err
	}
	defer n.Close()
	q := verify.Question{
		Net: n.Net, Before: n.State, Gate: verify.GateNone, Classes: []int{class},
		Train: data.Train, Test: data.Test, Norm: dataset.FashionNorm, Audit: &verify.AuditOptions{},
	}
	retrain := func(seed int) (verify.Retrained, error) {
		sd, recipe, err := learn.Without(ctx, n.Graph, n.State, data.Train, learn.Options{
			Classes: q.Classes, Norm: q.Norm, Seed: uint64(seed), Cache: cache,
		})
		if err != nil {
			return verify.Retrained{}, err
		}
		return verify.Retrained{State: sd, Recipe: *recipe}, nil
	}
	for seed := range networks {
		r, err := retrain(seed)
		if err != nil {
			return nil, err
		}
		q.Audit.Retrained = append(q.Audit.Retrained, r)
	}
	if control {
		r, err := retrain(networks)
		if err != nil {
			return nil, err
		}
		if q.Net, err = nn.Bind(n.Graph, r.State); err != nil {
			return nil, err
		}
		q.Before, q.After = r.State, r.State
	} else {
		res, err := edit.Forget(ctx, n.Net, n.State, data.Train, edit.Options{Classes: q.Classes, Norm: q.Norm})
		if err != nil {
			return nil, err
		}
		q.After = res.StateDict
	}
	r, err := verify.Judge(ctx, q)
	if err != nil {
		return nil, err
	}
	return r.Audit, verify.Err(r.AllChecks())
}
