package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lethe/model"
	"lethe/pickle"
	"lethe/report"
	"lethe/safetensors"
)

// Format is a format of files with a state dict.
type Format string

// The formats that are read, by their content, and written, by the extension
// of the output.
const (
	FormatCheckpoint  Format = "checkpoint" // of torch.save
	FormatSafetensors Format = "safetensors"
)

// FormatOf returns the format of an output by its extension. Standard output
// and other extensions get that of the input.
func FormatOf(path string, input Format) Format {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".safetensors":
		return FormatSafetensors
	case ".pt", ".pth", ".bin", ".ckpt":
		return FormatCheckpoint
	}
	return input
}

// ReadFlags are the flags that say how to read a checkpoint.
func ReadFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "key", Usage: "`KEY` of the state dict to take where a checkpoint has several, such as ema; inner keys and places in lists after a slash; . is the top"},
		&urfave.BoolFlag{Name: "inert", Usage: "read a whole pickled module: its classes are named and carried along, never run"},
		&urfave.IntFlag{Name: "max-memory", DefaultText: "256", Usage: "`MIB` of memory that reading the structure of a file may take; tensors take none"},
		&urfave.IntFlag{Name: "max-depth", DefaultText: "128", Usage: "`LEVELS` of containers inside containers that a pickle may have"},
		&urfave.BoolFlag{Name: plainFlag, Usage: "reach oci:// registries without TLS; on loopback addresses only"},
	}
}

// ReadOptions returns what [ReadFlags] ask for.
func ReadOptions(c *urfave.Context) pickle.Options {
	return pickle.Options{Key: c.String("key"), Inert: c.Bool("inert"), Limits: pickle.Limits{Memory: c.Int("max-memory") << 20, Depth: c.Int("max-depth")}}
}

// state is what a file holds: one of the two is there.
type state struct {
	checkpoint *pickle.Checkpoint
	tensors    *safetensors.File
}

// readState reads a file in the format that its content shows.
func readState(r io.ReaderAt, size int64, opts pickle.Options) (s state, err error) {
	if !safetensors.Sniff(r, size) {
		s.checkpoint, err = pickle.Decode(r, size, opts)
		return s, err
	}
	if opts.Key != "" {
		return s, &model.UnsupportedError{What: "a safetensors file has one state dict and no keys", Advice: "leave out --key"}
	}
	s.tensors, err = safetensors.Decode(r, size, safetensors.Options{})
	return s, err
}

func (s state) stateDict() *model.StateDict {
	if s.tensors != nil {
		return s.tensors.StateDict()
	}
	return s.checkpoint.StateDict()
}

// Format returns the format that the file has.
func (n *Checkpoint) Format() Format {
	if n.file.tensors != nil {
		return FormatSafetensors
	}
	return FormatCheckpoint
}

// WriteOptions say how a state dict is written.
type WriteOptions struct {
	Format Format
	Digest *report.Digest // gets the digest of the file, unless it is nil
	pickle.EncodeOptions
}

// TellLost writes on w, a line for each, what the file holds and the output at
// path, in its format, does not.
func (n *Checkpoint) TellLost(w io.Writer, path string, format Format) {
	for _, what := range n.lost(format) {
		fmt.Fprintf(w, "not in %s: %s\n", path, OneLine(what))
	}
}

// lost returns what the file holds and a format cannot, for a person.
func (n *Checkpoint) lost(to Format) []string {
	var lost []string
	switch {
	case to == n.Format() && (n.file.tensors != nil || n.file.checkpoint.Whole()):
	case n.file.tensors != nil:
		for _, p := range n.file.tensors.Metadata() {
			if p != torchMetadata {
				lost = append(lost, fmt.Sprintf("metadata %q", p.Key))
			}
		}
	default:
		for _, left := range n.file.checkpoint.Beside() {
			lost = append(lost, left.String())
		}
		if to == n.Format() {
			break
		}
		names := map[*model.Storage][]string{}
		for name, t := range n.State.All() {
			names[t.Storage()] = append(names[t.Storage()], name)
		}
		for name, t := range n.State.All() {
			if tied := names[t.Storage()]; len(tied) > 1 && tied[0] == name {
				lost = append(lost, fmt.Sprintf("the tie of %s: each has its own elements", quoted(tied)))
			}
		}
	}
	return lost
}

// quoted lists names for a person, not more than fit a line.
func quoted(names []string) string {
	const most = 4
	var b strings.Builder
	for i, name := range names[:min(len(names), most)] {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%.100q", name)
	}
	if len(names) > most {
		fmt.Fprintf(&b, " and %d more", len(names)-most)
	}
	return b.String()
}

// torchMetadata says of a safetensors file that its names are those of PyTorch.
var torchMetadata = safetensors.Pair{Key: "format", Value: "pt"}

// StageState stages a state dict that has the names and shapes of the file's as
// the output at path, with everything else that the file holds and the format
// can, and reads it back. It returns the size of the file.
func (n *Checkpoint) StageState(ctx context.Context, outs *Outputs, path string, sd *model.StateDict, opts WriteOptions) (written int64, err error) {
	s, readBack, err := n.with(sd, opts.Format)
	if err != nil {
		return 0, err
	}
	err = outs.Stage(ctx, path, func(w io.Writer) error {
		if s.tensors != nil {
			return safetensors.Encode(w, s.tensors)
		}
		return pickle.Encode(w, s.checkpoint, opts.EncodeOptions)
	}, func(r io.ReaderAt, size int64) error {
		written = size
		if opts.Digest == nil {
			return sameState(r, size, sd, readBack)
		}
		sum := startDigest(r, size)
		if err := sameState(r, size, sd, readBack); err != nil {
			return err
		}
		*opts.Digest, err = sum()
		return err
	})
	return written, err
}

// with returns what is written, and how that is read.
func (n *Checkpoint) with(sd *model.StateDict, to Format) (s state, readBack pickle.Options, err error) {
	switch {
	case to == FormatSafetensors && n.file.tensors != nil:
		s.tensors, err = n.file.tensors.With(sd)
	case to == FormatSafetensors:
		s.tensors, err = safetensors.New(sd, torchMetadata)
	case n.file.tensors != nil:
		s.checkpoint, err = pickle.New(sd)
	default:
		if s.checkpoint, err = n.file.checkpoint.With(sd); err == nil {
			s.checkpoint = s.checkpoint.AsCheckpoint()
		}
		readBack = n.options
	}
	return s, readBack, err
}

// sameState reads a file back and compares it with what it must hold.
func sameState(r io.ReaderAt, size int64, want *model.StateDict, opts pickle.Options) error {
	s, err := readState(r, size, opts)
	if err != nil {
		return fmt.Errorf("reading back the state dict: %w", err)
	}
	got := s.stateDict()
	if !slices.Equal(got.Names(), want.Names()) {
		return errors.New("reading back the state dict: the names of its entries differ")
	}
	for name, t := range want.All() {
		if same, err := model.SameBits(got.Get(name), t); err != nil || !same {
			return errors.Join(fmt.Errorf("reading back the state dict: %q differs", name), err)
		}
	}
	return nil
}

// Info is the structure of a file in one of the formats.
type Info struct {
	Container string        // "zip", "legacy" or "safetensors"
	Protocol  int           // of the pickle; 0 if there is none
	Path      []string      // keys that lead to the state dict
	Beside    []pickle.Left // what else the file holds
	Entries   []EntryInfo   // in order
}

// EntryInfo is one tensor of a file.
type EntryInfo struct {
	Name     string
	Storage  string // key of its storage; "" where there are no storages
	Sharing  int    // entries over that storage, this one included
	Location string // device that it was saved from; "" if the format does not say
}

// Inspect returns the structure of the file.
func (n *Checkpoint) Inspect() *Info {
	if f := n.file.tensors; f != nil {
		info := &Info{Container: string(FormatSafetensors)}
		for _, p := range f.Metadata() {
			info.Beside = append(info.Beside, pickle.Left{Name: p.Key})
		}
		for name := range f.StateDict().All() {
			info.Entries = append(info.Entries, EntryInfo{Name: name, Sharing: 1})
		}
		return info
	}
	p := n.file.checkpoint.Info()
	info := &Info{Container: p.Container, Protocol: p.Protocol, Path: p.Path, Beside: n.file.checkpoint.Beside()}
	for _, e := range p.Entries {
		info.Entries = append(info.Entries, EntryInfo{e.Name, e.Storage, e.Sharing, e.Location})
	}
	return info
}
