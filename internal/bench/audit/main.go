// Command audit forgets every class of the given checkpoints, audits each edit
// against networks retrained without the class, and prints the tables of
// docs/audit.md: means over the classes, and in how many of them the intervals
// of the edited and of the retrained networks lie apart.
//
//	go run ./internal/bench/audit --data /usr/share/datasets/fashion-mnist fixtures/*.pt
//
// With --aim unseen it makes the table of docs/unseen.md, and with --others the one
// of methods that others published, beside it and retraining itself. With --images
// the edits see only so many images of each class; the audit sees them all.
// The retrained networks are shared by checkpoints of one architecture. With
// --control nothing is edited: in the place of the edited network stands one
// more retrained network, which shows what the audit says of a class that a
// network has never seen.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"log"
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

// settings are the flags.
type settings struct {
	dir, cache string
	control    bool
	others     string
	aim        report.Aim
	class      string // the only ones; "": all
	seed       uint64
	images     int // of each class, that the edits see; 0: all
	reference  bool
}

func main() {
	log.SetFlags(0)
	var s settings
	flag.StringVar(&s.dir, "data", "", "images to train and to test on, as forget takes them")
	flag.BoolVar(&s.control, "control", false, "audit a retrained network, not an edited one")
	flag.StringVar(&s.others, "others", "", "audit methods that others published, too, with commas between their names; all: each, and retraining")
	flag.StringVar((*string)(&s.aim), "aim", string(report.AimUniform), "aim of the edits, uniform or unseen")
	flag.StringVar(&s.cache, "cache", "", "folder that keeps the retrained networks, and what is measured of them, for another run")
	flag.StringVar(&s.class, "class", "", "the only classes to audit, with commas between them")
	flag.Uint64Var(&s.seed, "seed", 0, "seed of the edits")
	flag.IntVar(&s.images, "images", 0, "images of each class that the edits see; 0: all")
	flag.BoolVar(&s.reference, "reference", false, "let an edit with the aim unseen steer by one more retrained network")
	draw := flag.String("draw", "", "draw the table of edits that standard input has into this SVG file, and do nothing else")
	flag.Parse()
	if *draw != "" {
		points, err := readTable(os.Stdin)
		if err == nil {
			err = os.WriteFile(*draw, []byte(picture(points)), 0o666)
		}
		if err != nil {
			log.Fatal(err)
		}
		return
	}
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
		sums, marks := []row{}, []mark{}
		for class := range data.Train.Classes {
			if s.class != "" && !slices.Contains(strings.Split(s.class, ","), strconv.Itoa(class)) {
				continue
			}
			a := &auditing{settings: s, path: path, class: class, data: data, seen: data.Train, norm: dataset.DefaultNorm(data.Train.Shape[0])}
			if s.images > 0 {
				a.seen = data.Train.Stratified(s.images, 0)
			}
			found, err := a.run()
			if err != nil {
				return err
			}
			of := found[0].audit // of the edit
			if len(sums) == 0 {
				sums = make([]row, len(of.Measures))
			}
			for i := range of.Measures {
				sums[i].add(&of.Measures[i])
			}
			for i, f := range found {
				if i == len(marks) {
					marks = append(marks, mark{})
				}
				marks[i].add(f)
			}
		}
		fmt.Printf("\n%s, means over the classes\n\n", filepath.Base(path))
		fmt.Println("| measure | before | after | retrained | gap, least to most | apart |")
		fmt.Println("|---|---|---|---|---|---|")
		for _, r := range sums {
			n := float64(r.classes)
			fmt.Printf("| %s | %.3f | %.3f | %.3f | %+.3f to %+.3f | %d |\n", r.title, r.before/n, r.after/n, r.retrained/n, r.least, r.most, r.apart)
		}
		fmt.Println("\n| edit | apart | accuracy on the class | others | worst of the others | relearning | worst of relearning | distance | seconds |")
		fmt.Println("|---|---|---|---|---|---|---|---|---|")
		for _, m := range marks {
			n := float64(m.classes)
			fmt.Printf("| %s | %d of %d | %.3f | %+.4f | %+.4f | %.2f | %.2f | %.1f | %.0f |\n",
				m.name, m.apart, m.compared, m.target/n, m.others/n, m.worstOthers, m.relearning/n, m.worstRelearning, m.distance/n, m.seconds/n)
		}
	}
	return nil
}

// mark sums up one kind of edit over the classes.
type mark struct {
	name                              string
	classes, apart, compared          int
	target, others, distance, seconds float64
	worstOthers                       float64 // change of the accuracy on unseen images
	relearning, worstRelearning       float64 // steps, as a share of those of retrained networks
}

func (m *mark) add(f finding) {
	others, relearning := 0.0, 0.0
	for i := range f.audit.Measures {
		am := &f.audit.Measures[i]
		_, apart, ok := am.Gap()
		if ok {
			m.compared++
		}
		if ok && apart {
			m.apart++
		}
		switch am.Name {
		case "accuracy":
			m.target += am.After.Value
		case "others":
			others = am.After.Value - am.Before.Value
		case "relearning_steps":
			relearning = am.After.Value / am.Retrained.Value
		}
	}
	if m.classes == 0 {
		m.worstOthers, m.worstRelearning = others, relearning
	}
	m.name = f.name
	m.classes++
	m.others, m.worstOthers = m.others+others, min(m.worstOthers, others)
	m.relearning, m.worstRelearning = m.relearning+relearning, min(m.worstRelearning, relearning)
	m.distance, m.seconds = m.distance+f.distance, m.seconds+f.seconds
}

// apart says which measures lie apart.
func apart(a *verify.Audit) string {
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
	return fmt.Sprintf("%d of %d apart: %s", len(apart), compared, strings.Join(apart, ", "))
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

// auditing is the work on one class of one checkpoint.
type auditing struct {
	settings
	path  string
	class int
	data  *dataset.Data
	seen  *dataset.Set // by the edits
	norm  dataset.Norm // of the images
	net   *network.Network
	known *verify.Audit // what is measured of the base and the retrained networks
}

// finding is what the audit says of one edit.
type finding struct {
	name              string
	audit             *verify.Audit
	distance, seconds float64
}

func (a *auditing) run() ([]finding, error) {
	ctx := context.Background()
	var err error
	if a.net, err = network.Open(ctx, a.path, os.Stdin, pickle.Options{}); err != nil {
		return nil, err
	}
	defer a.net.Close()
	start := time.Now()
	first := finding{name: "forget --aim " + string(a.aim)}
	var after *model.StateDict
	if a.control {
		if after, err = a.retrained(ctx, networks); err != nil {
			return nil, err
		}
		first.name = "control"
	} else {
		opts := edit.Options{Classes: []int{a.class}, Norm: a.norm, Aim: a.aim, Seed: a.seed}
		if a.reference {
			if opts.Reference, err = a.retrained(ctx, networks); err != nil {
				return nil, err
			}
			first.name += " --reference"
		}
		res, err := edit.Forget(ctx, a.net.Graph, a.net.State, a.seen, opts)
		if err != nil {
			return nil, err
		}
		after = res.StateDict
	}
	if err := a.judge(ctx, &first, after, start); err != nil {
		return nil, err
	}
	found := []finding{first}
	if a.others == "" {
		return found, nil
	}
	for _, m := range methods {
		if a.others != "all" && !slices.Contains(strings.Split(a.others, ","), m.name) {
			continue
		}
		start := time.Now()
		sd, setting, err := try(a.net.Graph, a.net.State, a.seen, a.norm, a.class, a.seed, m)
		if err != nil {
			return nil, err
		}
		log.Printf("%s: of %v the best is %g", m.name, m.settings, setting)
		f := finding{name: m.name}
		if err := a.judge(ctx, &f, sd, start); err != nil {
			return nil, err
		}
		f.seconds /= float64(len(m.settings)) // a person would not try them all
		found = append(found, f)
	}
	if a.others != "all" {
		return found, nil
	}
	again := finding{name: "retraining"}
	start = time.Now()
	sd, err := a.retrained(ctx, networks)
	if err != nil {
		return nil, err
	}
	if err := a.judge(ctx, &again, sd, start); err != nil {
		return nil, err
	}
	return append(found, again), nil
}

// retrained returns a network that was trained without the class.
func (a *auditing) retrained(ctx context.Context, seed int) (*model.StateDict, error) {
	sd, _, err := learn.Without(ctx, a.net.Graph, a.net.State, a.data.Train, learn.Options{
		Classes: []int{a.class}, Norm: a.norm, Seed: uint64(seed), Cache: a.cache,
	})
	return sd, err
}

// judge audits an edited network and completes the finding.
func (a *auditing) judge(ctx context.Context, f *finding, after *model.StateDict, start time.Time) error {
	f.seconds = time.Since(start).Seconds()
	var err error
	if f.distance, err = distance(a.net.Graph, a.net.State, after); err != nil {
		return err
	}
	if a.known == nil {
		if a.known, err = a.know(ctx); err != nil {
			return err
		}
	}
	// Others move the last layer, which is not an edit in the eyes of a judge: to it,
	// nothing has changed.
	if f.audit, err = a.audit(ctx, after, after, &verify.AuditOptions{Known: a.known}); err != nil {
		return err
	}
	log.Printf("%s class %d, %s in %.0f s, distance %.2f: %s", filepath.Base(a.path), a.class, f.name, f.seconds, f.distance, apart(f.audit))
	return nil
}

// know measures the base and the retrained networks, unless an earlier run did.
func (a *auditing) know(ctx context.Context) (*verify.Audit, error) {
	b, err := os.ReadFile(a.path)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	h.Write(b)
	opts := &verify.AuditOptions{}
	for seed := range networks {
		sd, err := a.retrained(ctx, seed)
		if err != nil {
			return nil, err
		}
		for _, t := range sd.All() {
			b, err := t.Bytes()
			if err != nil {
				return nil, err
			}
			h.Write(b)
		}
		opts.Retrained = append(opts.Retrained, verify.Retrained{State: sd})
	}
	path := filepath.Join(a.cache, fmt.Sprintf("%x-%d.json", h.Sum(nil), a.class))
	if b, err := os.ReadFile(path); err == nil {
		known := &verify.Audit{}
		if err := json.Unmarshal(b, known); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return known, nil
	}
	known, err := a.audit(ctx, a.net.State, a.net.State, opts)
	if err != nil {
		return nil, err
	}
	if b, err = json.Marshal(known); err != nil {
		return nil, err
	}
	return known, os.WriteFile(path, b, 0o600)
}

func (a *auditing) audit(ctx context.Context, before, after *model.StateDict, opts *verify.AuditOptions) (*verify.Audit, error) {
	r, err := verify.Judge(ctx, verify.Edit{
		Before: verify.NewNetwork(a.net.Graph, before), After: verify.NewNetwork(a.net.Graph, after), Gate: verify.GateNone, Classes: []int{a.class},
		Train: a.data.Train, Test: a.data.Test, Norm: a.norm, Audit: opts,
	})
	if err != nil {
		return nil, err
	}
	return r.Audit, verify.Err(r.AllChecks())
}
