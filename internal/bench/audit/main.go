// Command audit forgets every class of the given checkpoints, audits each edit
// against networks retrained without the class, and prints the tables of
// docs/audit.md: means over the classes, and in how many of them the intervals
// of the edited and of the retrained networks lie apart.
//
//	go run ./internal/bench/audit --data /usr/share/datasets/fashion-mnist fixtures/*.pt
//
// With --aim unseen it makes the table of docs/unseen.md.
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
	"strings"
	"time"

	"lethe/dataset"
	"lethe/edit"
	"lethe/internal/learn"
	"lethe/internal/network"
	"lethe/pickle"
	"lethe/report"
	"lethe/verify"
)

// settings are the flags.
type settings struct {
	dir, cache string
	control    bool
	aim        report.Aim
	class      int // the only one; -1: all
	seed       uint64
	reference  bool
}

func main() {
	log.SetFlags(0)
	var s settings
	flag.StringVar(&s.dir, "data", "", "folder with the IDX files of Fashion-MNIST, training and test images")
	flag.BoolVar(&s.control, "control", false, "audit a retrained network, not an edited one")
	flag.StringVar((*string)(&s.aim), "aim", string(report.AimUniform), "aim of the edits, uniform or unseen")
	flag.StringVar(&s.cache, "cache", "", "folder that keeps the retrained networks for another run")
	flag.IntVar(&s.class, "class", -1, "the only class to audit")
	flag.Uint64Var(&s.seed, "seed", 0, "seed of the edits")
	flag.BoolVar(&s.reference, "reference", false, "let an edit with the aim unseen steer by one more retrained network")
	flag.Parse()
	if err := run(s, flag.Args()); err != nil {
		log.Fatal(err)
	}
}

// networks is how many retrained networks ptcheck compares with.
const networks = 3

func run(s settings, paths []string) error {
	data, err := dataset.Open(s.dir)
	if err != nil {
		return err
	}
	if s.cache == "" {
		if s.cache, err = os.MkdirTemp("", "lethe-audit-*"); err != nil {
			return err
		}
		defer os.RemoveAll(s.cache)
	}
	for _, path := range paths {
		var sums []row
		for class := range data.Train.Classes {
			if s.class >= 0 && class != s.class {
				continue
			}
			a, err := audit(path, class, s, data)
			if err != nil {
				return err
			}
			if sums == nil {
				sums = make([]row, len(a.Measures))
			}
			for i := range a.Measures {
				sums[i].add(&a.Measures[i])
			}
			logApart(fmt.Sprintf("%s class %d", filepath.Base(path), class), a)
		}
		fmt.Printf("\n%s, means over the classes\n\n", filepath.Base(path))
		fmt.Println("| measure | before | after | retrained | gap, least to most | apart |")
		fmt.Println("|---|---|---|---|---|---|")
		for _, r := range sums {
			n := float64(r.classes)
			fmt.Printf("| %s | %.3f | %.3f | %.3f | %+.3f to %+.3f | %d |\n", r.title, r.before/n, r.after/n, r.retrained/n, r.least, r.most, r.apart)
		}
	}
	return nil
}

// logApart says of one edit which measures lie apart.
func logApart(what string, a *verify.Audit) {
	compared, apart := 0, []string{}
	for i := range a.Measures {
		m := &a.Measures[i]
		_, is, ok := m.Gap()
		if ok {
			compared++
		}
		if ok && is {
			apart = append(apart, fmt.Sprintf("%s %.3f beside %.3f", m.Title, m.After.Value, m.Retrained.Value))
		}
	}
	log.Printf("%s: %d of %d apart: %s", what, len(apart), compared, strings.Join(apart, ", "))
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
func audit(path string, class int, s settings, data *dataset.Data) (*verify.Audit, error) {
	ctx := context.Background()
	n, err := network.Open(ctx, path, os.Stdin, pickle.Options{})
	if err != nil {
		return nil, err
	}
	defer n.Close()
	q := verify.Question{
		Graph: n.Graph, Before: n.State, Gate: verify.GateNone, Classes: []int{class},
		Train: data.Train, Test: data.Test, Norm: dataset.FashionNorm, Audit: &verify.AuditOptions{},
	}
	retrain := func(seed int) (verify.Retrained, error) {
		sd, recipe, err := learn.Without(ctx, n.Graph, n.State, data.Train, learn.Options{
			Classes: q.Classes, Norm: q.Norm, Seed: uint64(seed), Cache: s.cache,
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
	if s.control {
		r, err := retrain(networks)
		if err != nil {
			return nil, err
		}
		q.Before, q.After = r.State, r.State
	} else {
		opts := edit.Options{Classes: q.Classes, Norm: q.Norm, Aim: s.aim, Seed: s.seed}
		if s.reference {
			r, err := retrain(networks)
			if err != nil {
				return nil, err
			}
			opts.Reference = r.State
		}
		start := time.Now()
		res, err := edit.Forget(ctx, n.Graph, n.State, data.Train, opts)
		if err != nil {
			return nil, err
		}
		log.Printf("edited in %.0f s, %v", time.Since(start).Seconds(), res.Course[len(res.Course)-1])
		q.After = res.StateDict
	}
	r, err := verify.Judge(ctx, q)
	if err != nil {
		return nil, err
	}
	return r.Audit, verify.Err(r.AllChecks())
}
