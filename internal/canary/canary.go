// Package canary makes files that run code when something loads them, to test
// the scan: each calls, in one of many ways, spellings and containers, something
// harmless that creates one empty file or folder, the canary, in the working
// folder of whoever loads it.
package canary

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Path is the path of the canary, relative to the working folder. Some calls
// put a suffix on it.
const Path = "canary"

// File is one file with a canary.
type File struct {
	Name                           string // unique, with an extension
	Way, Host, Spelling, Container string
	Data                           []byte
}

// Kind tells what the file is made of.
func (f File) Kind() string {
	return fmt.Sprintf("%s | %s | %s | %s", f.Container, f.Way, f.Spelling, f.Host)
}

// own are the containers that bring a call of their own.
var own = func() map[string]bool {
	all := map[string]bool{"legacy, source of a container": true, "tar whose name calls": true, "tar, sparse": true, "pickle of protocol 0 that looks like text": true}
	for _, c := range append(exportContainers, scriptContainers...) {
		for _, prefix := range []string{"pt2, expression", "pt2, guard", "TorchScript, from_file", "TorchScript, save"} {
			if strings.HasPrefix(c.name, prefix) {
				all[c.name] = true
			}
		}
	}
	return all
}()

// deck hands out the numbers below n in random order, each equally often.
type deck struct {
	n    int
	left []int
}

func (d *deck) draw(rng *rand.Rand) int {
	if len(d.left) == 0 {
		d.left = rng.Perm(d.n)
	}
	i := d.left[0]
	d.left = d.left[1:]
	return i
}

// Generate calls yield with n files. The same seed gives the same files; every
// way, spelling and container comes as often as every other.
func Generate(seed uint64, n int, yield func(File) error) error {
	rng := rand.New(rand.NewPCG(seed, 0))
	ways, containers := ways(), containers()
	decks := []deck{{n: len(ways)}, {n: len(containers)}, {n: len(spellings)}, {n: len(hosts)}}
	for i := range n {
		w, c := ways[decks[0].draw(rng)], containers[decks[1].draw(rng)]
		st, spelt := spell(rng, spellings[decks[2].draw(rng)])
		h := hosts[decks[3].draw(rng)]
		m := &maker{rng: rng, style: st, node: w.make(Path, rng), host: h.wrap, path: Path}
		f := File{Name: fmt.Sprintf("%05d%s", i, c.ext), Way: w.name, Host: h.name, Spelling: spelt, Container: c.name, Data: c.make(m)}
		if own[c.name] {
			f.Way, f.Host, f.Spelling = c.name, "its own", "its own"
		}
		if err := yield(f); err != nil {
			return err
		}
	}
	return nil
}
