//go:build linux

// Command large measures how long an edit and a conversion of a large
// checkpoint take beside a plain copy of it, and how much memory. It runs on
// Linux.
//
//	go run ./internal/bench/large --dir DIR
//
// DIR needs room for two files. All outputs are flushed to the disk. The codec
// alone checks every CRC of the input; the edit and the conversion of the
// commands also read the output back and compare it with what it must hold, and
// the edit makes the SHA-256 of both files for its report.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"lethe/internal/stage"
	"lethe/internal/weights"
	"lethe/model"
	"lethe/pickle"
)

func main() {
	log.SetFlags(0)
	dir := flag.String("dir", ".", "folder for the files, which are removed")
	mib := flag.Int("mib", 4096, "size of the checkpoint in MiB")
	flag.Parse()
	if err := run(*dir, *mib); err != nil {
		log.Fatal(err)
	}
}

// rounds is how often each step runs; the fastest counts.
const rounds = 7

// fastest returns the least and the median of times, in seconds.
func fastest(took []time.Duration) (best, median float64) {
	slices.Sort(took)
	return took[0].Seconds(), took[len(took)/2].Seconds()
}

// layer is the number of float32 in each tensor: 4 MiB.
const layer = 1 << 20

func run(dir string, mib int) error {
	dir, err := os.MkdirTemp(dir, "lethe-large")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	in, out := filepath.Join(dir, "in.pt"), func(ext string) string { return filepath.Join(dir, "out"+ext) }
	if err := create(in, mib/4); err != nil {
		return err
	}
	steps := []struct {
		name, ext string
		do        func(out string) error
	}{
		{"copy", ".copy", func(out string) error { return copyFile(in, out) }},
		{"copy, SHA-256 of both", ".copy", func(out string) error {
			return errors.Join(copyFile(in, out), digest(in), digest(out))
		}},
		{"edit, codec alone", ".pt", func(out string) error { return recode(in, out) }},
		{"edit, as forget writes it", ".pt", func(out string) error { return rewrite(in, out, true) }},
		{"conversion to safetensors", ".safetensors", func(out string) error { return rewrite(in, out, false) }},
	}
	// Disks and memory differ from minute to minute, so the steps take turns.
	took := make([][]time.Duration, len(steps))
	for range rounds {
		for i, step := range steps {
			start := time.Now()
			if err := step.do(out(step.ext)); err != nil {
				return err
			}
			took[i] = append(took[i], time.Since(start))
			if err := os.Remove(out(step.ext)); err != nil {
				return err
			}
		}
	}
	for i, step := range steps {
		best, median := fastest(took[i])
		copied, _ := fastest(took[0])
		fmt.Printf("%-28s %6.1f s (median %.1f), %.2f of the copy\n", step.name, best, median, best/copied)
	}
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		return err
	}
	fmt.Printf("%-28s %6.1f MiB\n", "most memory of all steps", float64(use.Maxrss)/1024)
	return nil
}

// noise is a storage of numbers that follow from their place.
type noise uint64

func (n noise) ReadAt(p []byte, off int64) (int, error) {
	r := rand.New(rand.NewPCG(uint64(n), uint64(off)))
	for i := 0; i+8 <= len(p); i += 8 {
		binary.LittleEndian.PutUint64(p[i:], r.Uint64()&0x3fffffff3fffffff) // finite
	}
	return len(p), nil
}

// create writes a checkpoint with so many layers.
func create(path string, layers int) error {
	var entries []model.Entry
	for i := range layers {
		t, err := model.NewTensor(model.Float32, []int{layer}, nil, 0, model.NewStorage(noise(i), 4*layer))
		if err != nil {
			return err
		}
		entries = append(entries, model.Entry{Name: fmt.Sprintf("layer%d.weight", i), Tensor: t})
	}
	sd, err := model.NewStateDict(entries...)
	if err != nil {
		return err
	}
	c, err := pickle.New(sd)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	if err := pickle.Encode(w, c, pickle.EncodeOptions{}); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Sync()
}

func copyFile(from, to string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := io.Copy(w, r); err != nil {
		return err
	}
	return w.Sync()
}

func digest(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	_, err = stage.Digest(f, info.Size())
	return err
}

// edit halves the first three layers.
func edit(sd *model.StateDict) (*model.StateDict, error) {
	for _, name := range sd.Names()[:3] {
		v, err := sd.Get(name).Float32s()
		if err != nil {
			return nil, err
		}
		for i := range v {
			v[i] /= 2
		}
		sd = sd.With(name, model.Float32Tensor([]int{len(v)}, v))
	}
	return sd, nil
}

// recode edits a checkpoint with nothing but package pickle.
func recode(in, out string) error {
	r, err := os.Open(in)
	if err != nil {
		return err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return err
	}
	c, err := pickle.Decode(r, info.Size(), pickle.Options{})
	if err != nil {
		return err
	}
	sd, err := edit(c.StateDict())
	if err != nil {
		return err
	}
	if c, err = c.With(sd); err != nil {
		return err
	}
	w, err := os.Create(out)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := pickle.Encode(w, c, pickle.EncodeOptions{}); err != nil {
		return err
	}
	return w.Sync()
}

// rewrite edits, or only converts, and writes the output as the commands do.
func rewrite(in, out string, edits bool) error {
	ctx := context.Background()
	outs := stage.NewOutputs(io.Discard, false, in)
	defer outs.Discard()
	output, err := outs.Open(ctx, out)
	if err != nil {
		return err
	}
	n, err := weights.Open(ctx, in, nil, pickle.Options{})
	if err != nil {
		return err
	}
	defer n.Close()
	sd, opts := n.State, weights.WriteOptions{Format: stage.FormatOf(out, n.Format())}
	if edits {
		n.StartDigest()
		opts.Digest = true
		if sd, err = edit(sd); err != nil {
			return err
		}
	}
	if _, err := n.StageState(ctx, output, sd, opts); err != nil {
		return err
	}
	if edits {
		if _, err := output.Digest(); err != nil {
			return err
		}
		if _, err := n.Digest(); err != nil {
			return err
		}
	}
	return outs.Commit(ctx)
}
