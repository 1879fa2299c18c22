package weights

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"lethe/file"
	"lethe/internal/rewrite"
	"lethe/internal/stage"
	"lethe/model"
	"lethe/pickle"
	"lethe/safetensors"
)

// rewritten is a file whose state dict has other names or types. It has no
// format of its own: the state dict is written anew.
type rewritten struct {
	file.File
	state *model.StateDict
}

func (r rewritten) Format() file.Format       { return r.File.Format() + ", rewritten" }
func (r rewritten) State() *model.StateDict   { return r.state }
func (r rewritten) External() []file.External { return nil }

// Rewrite rewrites the state dict; see [Rules]. It returns what changed.
func (n *Checkpoint) Rewrite(rules rewrite.Rules) ([]rewrite.Change, error) {
	if rules.IsZero() {
		return nil, nil
	}
	sd, changes, err := rules.Apply(n.State)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.Name, err)
	}
	n.file, n.State = rewritten{n.file, sd}, sd
	return changes, nil
}

// shards are the files of a state dict that one file would be too small for.
type shards struct {
	paths  []string
	states []*model.StateDict
	index  string
	text   []byte // of the index

	outputs []*stage.Output // of the paths and the index
}

// shard splits the state dict into files of at most limit bytes of tensors beside
// path, in its order; tensors over one storage stay together, and a tensor that
// is larger has a file of its own. It returns nil if one file has room for all.
func (n *Checkpoint) shard(path string, limit int64) (*shards, error) {
	var groups [][]model.Entry
	var size, total int64
	in := map[*model.Storage]int{}
	where := map[string]int{}
	for name, t := range n.State.All() {
		bytes := int64(t.Len()) * int64(t.DType().Size())
		total += bytes
		at, tied := in[t.Storage()]
		if !tied {
			if len(groups) == 0 || size > 0 && size+bytes > limit {
				groups, size = append(groups, nil), 0
			}
			at, size = len(groups)-1, size+bytes
			in[t.Storage()] = at
		}
		groups[at] = append(groups[at], model.Entry{Name: name, Tensor: t})
		where[name] = at
	}
	if len(groups) < 2 {
		return nil, nil
	}
	s := &shards{index: path + indexSuffix}
	ext := filepath.Ext(path)
	for i, g := range groups {
		sd, err := model.NewStateDict(g...)
		if err != nil {
			return nil, err
		}
		s.states = append(s.states, sd)
		s.paths = append(s.paths, fmt.Sprintf("%s-%05d-of-%05d%s", strings.TrimSuffix(path, ext), i+1, len(groups), ext))
	}
	// In the order of the state dict, which a reader of the index keeps.
	var list []string
	for name := range n.State.All() {
		key, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(filepath.Base(s.paths[where[name]]))
		if err != nil {
			return nil, err
		}
		list = append(list, fmt.Sprintf("    %s: %s", key, value))
	}
	s.text = fmt.Appendf(nil, "{\n  \"metadata\": {\n    \"total_size\": %d\n  },\n  \"weight_map\": {\n%s\n  }\n}\n", total, strings.Join(list, ",\n"))
	return s, nil
}

// open opens the outputs, the index last.
func (s *shards) open(ctx context.Context, outs *stage.Outputs) (err error) {
	s.outputs, err = outs.OpenAll(ctx, append(slices.Clone(s.paths), s.index)...)
	return err
}

// stage stages the files, in a format, and their index, and reads the files back. It
// returns the bytes of all but the index.
func (s *shards) stage(ctx context.Context, opts WriteOptions) (written int64, err error) {
	for i, sd := range s.states {
		opts.Layout.Root = withoutExtension(s.paths[i])
		f, err := newFile(sd, opts)
		if err != nil {
			return 0, err
		}
		err = s.outputs[i].Stage(ctx, f.Encode, func(r io.ReaderAt, size int64) error {
			written += size
			return sameState(r, size, sd, pickle.Options{}, nil)
		})
		if err != nil {
			return 0, err
		}
	}
	return written, s.outputs[len(s.states)].StageBytes(ctx, s.text)
}

// newFile returns a file of a format that holds a state dict and nothing else.
func newFile(sd *model.StateDict, opts WriteOptions) (file.File, error) {
	switch opts.Format {
	case file.Checkpoint:
		c, err := pickle.New(sd)
		return pickle.File{Checkpoint: c, Layout: opts.Layout}, err
	case file.Safetensors:
		f, err := safetensors.New(sd, safetensors.TorchMetadata)
		if err != nil {
			return nil, err
		}
		return f.AsFile(), nil
	}
	return nil, errors.ErrUnsupported
}
