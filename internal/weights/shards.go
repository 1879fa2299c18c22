package weights

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lethe/file"
	"lethe/internal/stage"
	"lethe/internal/usage"
	"lethe/model"
	"lethe/pickle"
	"lethe/safetensors"
)

// indexSuffix ends the name of a file that lists the tensors of a sharded model
// and the files that they are in.
const indexSuffix = ".index.json"

// indexMax bounds the bytes of such a file: room for half a million tensors.
const indexMax = 64 << 20

// openFolder returns the state dict in a folder: of torch.distributed.checkpoint,
// or with one index of shards. It returns nil if path is not a folder.
func openFolder(ctx context.Context, path string, opts pickle.Options) (*Checkpoint, error) {
	if stage.KindOf(path) != stage.Local {
		return nil, nil
	}
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return nil, nil // OpenInput says why
	}
	if _, err := os.Stat(filepath.Join(path, pickle.MetadataName)); err == nil {
		return openParts(ctx, path, opts)
	}
	indexes, err := filepath.Glob(filepath.Join(path, "*"+indexSuffix))
	switch {
	case err != nil:
		return nil, err
	case len(indexes) == 1:
		return Open(ctx, indexes[0], nil, opts)
	case len(indexes) > 1:
		return nil, usage.Errorf("%s has several indexes of sharded models; give one of them", path)
	}
	if _, err := os.Stat(filepath.Join(path, "saved_model.pb")); err == nil {
		return nil, fmt.Errorf("%s: %w", path, &model.UnsupportedError{What: "the folder is a SavedModel of TensorFlow", Advice: "load it with TensorFlow, and save the weights as safetensors"})
	}
	return nil, nil
}

// openParts reads a folder of torch.distributed.checkpoint. Its digest is that of
// the file that lists the others.
func openParts(ctx context.Context, path string, opts pickle.Options) (*Checkpoint, error) {
	n := &Checkpoint{Name: path, options: opts}
	var err error
	if n.input, err = stage.OpenInput(ctx, filepath.Join(path, pickle.MetadataName), nil); err != nil {
		return nil, err
	}
	opened := map[string]*stage.Input{pickle.MetadataName: n.input}
	c, err := pickle.DecodeDistributed(func(name string) (io.ReaderAt, int64, error) {
		in, err := n.part(ctx, path, name, opened)
		if err != nil {
			return nil, 0, err
		}
		return in, in.Size, nil
	}, opts)
	if err != nil {
		n.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	n.file, n.State = pickle.File{Checkpoint: c}, c.StateDict()
	return n, nil
}

// sharded is the state dict of several files.
type sharded struct {
	file.File
	left []file.Left // what is in them beside the tensors of the index
}

// LeftOut returns what no output has.
func (s sharded) LeftOut() []file.Left { return s.left }

// Info returns the structure of the whole.
func (s sharded) Info() *file.Info {
	info := s.File.Info()
	info.Beside = append(info.Beside, s.left...)
	return info
}

// part opens a file of the folder once.
func (n *Checkpoint) part(ctx context.Context, dir, name string, opened map[string]*stage.Input) (*stage.Input, error) {
	if in := opened[name]; in != nil {
		return in, nil
	}
	path := filepath.Join(dir, name)
	// A pipe would block. Links are followed: caches of models are made of them.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, &model.FormatError{Format: "index", Member: name, Offset: -1, Reason: "it is not a file"}
	}
	in, err := stage.OpenInput(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	opened[name] = in
	n.parts = append(n.parts, in)
	return in, nil
}

// isIndex reports whether an input is the index of a sharded model.
func isIndex(in *stage.Input) bool {
	head := make([]byte, 64)
	k, _ := in.ReadAt(head, 0)
	return in.Local() && strings.HasSuffix(in.Name, indexSuffix) && bytes.HasPrefix(bytes.TrimLeft(head[:k], " \t\r\n\xef\xbb\xbf"), []byte("{"))
}

// readIndex reads a sharded model by its index.
func (n *Checkpoint) readIndex() error {
	ctx := context.Background() // regular files do not block
	bad := func(format string, args ...any) error {
		return &model.FormatError{Format: "index", Offset: -1, Reason: fmt.Sprintf(format, args...)}
	}
	if n.input.Size > indexMax {
		return &model.LimitError{What: "size of the index", Unit: "bytes", Got: uint64(n.input.Size), Limit: indexMax}
	}
	names, files, err := weightMap(io.NewSectionReader(n.input, 0, n.input.Size))
	if err != nil {
		return bad("%v", err)
	}
	dir := filepath.Dir(n.input.Name)
	opened, shards := map[string]*stage.Input{}, map[string]file.File{}
	var left []file.Left
	var entries []model.Entry
	listed := map[string]int{}
	for i, name := range names {
		part := files[i]
		if part == "" || strings.ContainsAny(part, "/\\\x00") || part == ".." || strings.HasSuffix(part, indexSuffix) {
			return bad("%q is in %q, which is not a file beside the index", name, part)
		}
		shard, ok := shards[part]
		if !ok {
			in, err := n.part(ctx, dir, part, opened)
			if err != nil {
				return err
			}
			if shard, err = readFile(in, in.Size, n.options, nil); err != nil {
				return fmt.Errorf("%s: %w", part, err)
			}
			shards[part] = shard
			if shard.Format() == file.Checkpoint {
				left = append(left, shard.Info().Beside...)
			}
		}
		t := shard.State().Get(name)
		if t == nil {
			return bad("%s has no tensor %q", part, name)
		}
		entries = append(entries, model.Entry{Name: name, Tensor: t})
		listed[part]++
	}
	safe := true
	for _, part := range slices.Sorted(maps.Keys(shards)) {
		safe = safe && shards[part].Format() == file.Safetensors
		if extra := shards[part].State().Len() - listed[part]; extra > 0 {
			left = append(left, file.Left{Name: part + " beside what the index lists", Tensors: extra})
		}
	}
	sd, err := model.NewStateDict(entries...)
	if err != nil {
		return err
	}
	n.State = sd
	if safe {
		f, err := safetensors.New(sd, safetensors.TorchMetadata)
		if err != nil {
			return err
		}
		n.file = sharded{f.AsFile(), left}
		return nil
	}
	c, err := pickle.New(sd)
	n.file = sharded{pickle.File{Checkpoint: c}, left}
	return err
}

// weightMap returns the names and the files of an index, in its order.
func weightMap(r io.Reader) (names, files []string, err error) {
	var index struct {
		Map json.RawMessage `json:"weight_map"`
	}
	if err := json.NewDecoder(r).Decode(&index); err != nil {
		return nil, nil, err
	}
	d := json.NewDecoder(bytes.NewReader(index.Map))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, nil, errors.New("it has no weight_map, which says in which file each tensor is")
	}
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, nil, err
		}
		var file string
		if err := d.Decode(&file); err != nil {
			return nil, nil, err
		}
		name := key.(string)
		if seen[name] {
			return nil, nil, fmt.Errorf("%q occurs twice", name)
		}
		seen[name] = true
		names, files = append(names, name), append(files, file)
	}
	if len(names) == 0 {
		return nil, nil, errors.New("its weight_map is empty")
	}
	return names, files, nil
}
