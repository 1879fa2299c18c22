package job

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"lethe/edit"
	"lethe/internal/learn"
	"lethe/internal/network"
	"lethe/internal/stage"
	"lethe/internal/usage"
	"lethe/internal/weights"
	"lethe/model"
	"lethe/report"
	"lethe/verify"
)

// ReferenceRetrain asks, in the place of a path, for a network that is trained
// without the classes.
const ReferenceRetrain = "retrain"

// firstReferenceSeed is added to the seed of an edit for the network that it steers
// by, so that an audit does not compare the edit with that same network: seeds of
// audits are small.
const firstReferenceSeed = 1 << 20

// files returns what is read, which no output may replace.
func (s *ForgetSettings) files() []string {
	all := append(s.Reading.files(), s.In, s.Evidence.Sign, s.Rules)
	if s.Reference != ReferenceRetrain {
		all = append(all, s.Reference)
	}
	return append(all, s.Data.files()...)
}

// checkReference refuses a reference where an edit cannot take one.
func checkReference(what string, opts *edit.Options) error {
	switch {
	case what == "":
		return nil
	case opts.Aim != report.AimUnseen:
		return usage.Errorf("--reference is for --aim %s", report.AimUnseen)
	case opts.ForgetOnly:
		return usage.Errorf("--reference and --forget-only contradict each other: without images of the other classes a reference says nothing of how to tell the class apart")
	}
	return nil
}

// addReference gives opts the network that the edit steers by, and returns what a
// report says of it; nil is none.
func addReference(ctx context.Context, n *network.Network, data *Data, what string, opts *edit.Options, reading Reading, std stage.Streams) (*report.Reference, error) {
	switch what {
	case "":
		return nil, nil
	case ReferenceRetrain:
		progress := std.Progress()
		defer progress.Done()
		sd, recipe, err := learn.Without(ctx, n.Graph, n.State, data.Train, learn.Options{
			Classes: opts.Classes, Norm: data.Norm, Threads: opts.Threads, Seed: opts.Seed + firstReferenceSeed, Cache: retrainedCache(),
			Progress: func(step, steps int, loss float64) {
				progress.Update(step, steps, fmt.Sprintf("training without the class  loss %.3f", loss))
			},
		})
		if err != nil {
			return nil, err
		}
		opts.Reference = sd
		return &report.Reference{Recipe: recipe}, nil
	}
	c, err := weights.Open(ctx, what, std.In, reading.Options)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var entries []model.Entry // which outlive the file
	for _, name := range n.Graph.Weights() {
		t := c.State.Get(name)
		switch {
		case t == nil:
			return nil, fmt.Errorf("%s: there is no %.200q: a reference is of the same architecture, with the same names", c.Name, name)
		case !t.DType().IsFloat(): // part of the structure
			t = n.State.Get(name)
		default:
			v, err := t.Float32s()
			if err != nil {
				return nil, fmt.Errorf("%s: %.200q: %w", c.Name, name, err)
			}
			t = model.Float32Tensor(t.Shape(), v)
		}
		entries = append(entries, model.Entry{Name: name, Tensor: t})
	}
	if opts.Reference, err = model.NewStateDict(entries...); err != nil {
		return nil, err
	}
	digest, err := c.Digest()
	if err != nil {
		return nil, err
	}
	return &report.Reference{File: &digest}, c.Unchanged()
}

// claimedReference is [addReference] for an edit that a report names.
func (c *checking) claimedReference(ctx context.Context, claimed *report.Reference, opts *edit.Options) (*report.Reference, error) {
	switch {
	case claimed == nil:
		return nil, nil
	case claimed.File == nil:
		return addReference(ctx, c.net, c.data, ReferenceRetrain, opts, c.Reading, c.std)
	case c.Reference == "":
		return nil, usage.Errorf("the edit steered by a network that somebody gave, with SHA-256 %.64s; give it with --reference", claimed.File.SHA256)
	}
	ref, err := addReference(ctx, c.net, c.data, c.Reference, opts, c.Reading, c.std)
	if err == nil && (ref.File == nil || *ref.File != *claimed.File) {
		detail := fmt.Sprintf("the edit steered by a network with SHA-256 %.64s, --reference gives another", claimed.File.SHA256)
		err = verify.Err([]verify.Check{{Name: "report", Detail: detail}})
	}
	return ref, err
}

// retrainedCache returns the folder that keeps retrained networks, or "": whoever
// has none waits a little longer.
func retrainedCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "lethe")
}
