package learn

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"lethe/model"
)

// version is part of the key of a cached network. Raise it with every change
// that gives other weights: TestVersion notices.
const version = "lethe/train/v1"

// cached returns what train returns, from the cache if it is there.
func (r *run) cached(ctx context.Context) (*model.StateDict, error) {
	key := r.key()
	path := filepath.Join(r.opts.Cache, fmt.Sprintf("%x.f32", key))
	if sd, err := load(path, key, r.start); err == nil {
		return sd, nil
	}
	sd, err := r.train(ctx)
	if err != nil {
		return nil, err
	}
	_ = store(path, key, sd) // the network is there all the same
	return sd, nil
}

// key digests what the weights of a network depend on.
func (r *run) key() []byte {
	h := sha256.New()
	classes := slices.Clone(r.opts.Classes)
	slices.Sort(classes)
	g := r.net.Graph()
	c := r.recipe
	fmt.Fprintf(h, "%s {Optimizer:%s Rate:%v Batch:%d Together:%d Steps:%d Images:%d Seed:%d} %v", version, c.Optimizer, c.Rate, c.Batch, c.Together, c.Steps, c.Images, c.Seed, slices.Compact(classes))
	for _, name := range c.Variations {
		fmt.Fprintf(h, " %s", name)
	}
	for _, x := range slices.Concat(r.opts.Norm.Mean, r.opts.Norm.Std) {
		fmt.Fprintf(h, " %x", math.Float32bits(x))
	}
	fmt.Fprintln(h)
	fmt.Fprintf(h, "%v %v\n", g.Inputs, g.Outputs)
	for _, n := range g.Nodes {
		fmt.Fprintf(h, "%q %q %q %v\n", n.Op, n.Inputs, n.Outputs, n.Attrs) // the keys of a map are printed in order
	}
	for name, t := range r.start.All() {
		fmt.Fprintf(h, "%q %v\n", name, t.Shape())
	}
	_, _ = r.set.WriteTo(h) // what cannot be read cannot be trained on either
	return h.Sum(nil)
}

// A file holds the elements of all weights as little-endian float32, in the
// order of the graph, and the SHA-256 digest of the key and of these.

func load(path string, key []byte, like *model.StateDict) (*model.StateDict, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size := sha256.Size
	for _, t := range like.All() {
		size += 4 * t.Len()
	}
	b, err := io.ReadAll(io.LimitReader(f, int64(size)+1))
	if err != nil {
		return nil, err
	}
	if len(b) != size || !bytes.Equal(b[size-sha256.Size:], seal(key, b[:size-sha256.Size])) {
		return nil, errors.New("the file is damaged")
	}
	var entries []model.Entry
	for name, t := range like.All() {
		v := make([]float32, t.Len())
		n, err := binary.Decode(b, binary.LittleEndian, v)
		if err != nil {
			return nil, err
		}
		b = b[n:]
		entries = append(entries, model.Entry{Name: name, Tensor: model.Float32Tensor(t.Shape(), v)})
	}
	return like.WithAll(entries...), nil
}

func store(path string, key []byte, sd *model.StateDict) (err error) {
	var b []byte
	for _, t := range sd.All() {
		elements, err := t.Bytes()
		if err != nil {
			return err
		}
		b = append(b, elements...)
	}
	b = append(b, seal(key, b)...)
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".tmp-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// seal returns the digest that ends a file.
func seal(key, elements []byte) []byte {
	h := sha256.New()
	h.Write(key)
	h.Write(elements)
	return h.Sum(nil)
}
