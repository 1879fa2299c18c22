package weights

import (
	"context"
	"path/filepath"
	"strings"

	"lethe/file"
	"lethe/internal/rewrite"
	"lethe/internal/stage"
	"lethe/internal/usage"
	"lethe/internal/version"
	"lethe/pickle"
)

// ConvertSettings say which state dict is rewritten, and as what.
type ConvertSettings struct {
	In, Out string // paths, references to models in registries, or -
	Reading pickle.Options
	Layout  pickle.EncodeOptions // of a checkpoint; without a root, it is the name of the output
	Rules   rewrite.Rules
	Shard   int64 // largest bytes of tensors in a file; 0 for no bound

	Results stage.ResultFiles
	Plan    PlanSettings // with DryRun, nothing is written
	Force   bool         // replace existing outputs
}

// Converted is what [Convert] has done.
type Converted struct {
	Plan    *Plan
	Format  file.Format
	Tensors int
	Bytes   int64 // of all files but an index
	Files   int   // without the index, of a state dict in several; else 0
	Stdout  bool  // the output is standard output: what a person is to read goes elsewhere
}

// Convert writes the state dict of a file in the format that the output's name says,
// and reads it back before the output appears. What the output cannot hold is told on
// std.Err.
func Convert(ctx context.Context, s ConvertSettings, std stage.Streams) (*Converted, error) {
	if err := stage.KnownFormat(s.Out); err != nil {
		return nil, err
	}
	local := stage.KindOf(s.Out) == stage.Local
	if s.Shard > 0 && !(local && s.Results == stage.ResultFiles{}) {
		return nil, usage.Errorf("--max-shard-size writes several files; give the output a file name, and no file for its URI or digest")
	}
	c := &converting{ConvertSettings: s, outs: stage.NewOutputs(std.Out, s.Force, s.In)}
	defer c.outs.Discard()
	var err error
	if s.Shard == 0 { // else what the files are called is known later
		if err = c.open(ctx); err != nil {
			return nil, err
		}
	}
	n, err := Open(ctx, s.In, std.In, s.Reading)
	if err != nil {
		return nil, err
	}
	defer n.Close()
	c.n, c.done = n, &Converted{Format: stage.FormatOf(s.Out, n.Format()), Stdout: c.out.Kind() == stage.Standard && !s.Plan.DryRun}
	if c.done.Format != file.Checkpoint && s.Layout != (pickle.EncodeOptions{}) {
		return nil, usage.Errorf("--profile and --root are for checkpoints, %s is %s", s.Out, c.done.Format)
	}
	if c.Layout.Root == "" && local {
		c.Layout.Root = withoutExtension(s.Out)
	}
	if err := c.run(ctx); err != nil || s.Plan.DryRun {
		return c.done, err
	}
	if err := n.SetSource(c.outs, "", map[string]string{"lethe.tool": version.Tool(s.Plan.Tool).String()}); err != nil {
		return nil, err
	}
	if err := c.outs.Commit(ctx); err != nil {
		return nil, err
	}
	if !std.Quiet {
		c.outs.TellLeft(std.Err)
		if !s.Plan.JSON {
			n.TellLost(std.Err, s.Out, c.done.Format)
		}
	}
	return c.done, nil
}

// converting is a conversion under way.
type converting struct {
	ConvertSettings
	outs    *stage.Outputs
	out     *stage.Output
	results []*stage.Output
	n       *Checkpoint
	done    *Converted
}

// open opens the output and the files that tell of it.
func (c *converting) open(ctx context.Context) (err error) {
	if c.out, err = c.outs.Open(ctx, c.Out); err != nil {
		return err
	}
	c.results, err = c.outs.OpenResults(ctx, c.out, c.Results)
	return err
}

// run plans and, unless that is all, stages the outputs.
func (c *converting) run(ctx context.Context) (err error) {
	if c.done.Plan, err = NewPlan(c.ConvertSettings.Plan, c.n); err != nil {
		return err
	}
	changes, err := c.n.Rewrite(c.Rules)
	if err != nil {
		return err
	}
	for _, change := range changes {
		c.done.Plan.Changes = append(c.done.Plan.Changes, change.String())
	}
	c.done.Tensors = c.n.State.Len()
	if c.Shard > 0 {
		s, err := c.n.shard(c.Out, c.Shard)
		if err != nil {
			return err
		}
		if s != nil {
			return c.stageShards(ctx, s)
		}
		if err := c.open(ctx); err != nil {
			return err
		}
	}
	if err := c.n.OpenExternal(ctx, c.outs, c.out, c.done.Format); err != nil {
		return err
	}
	written, err := c.done.Plan.WriteState(c.out, c.n, c.done.Format)
	if err != nil {
		return err
	}
	c.done.Plan.WriteResults(c.results)
	if c.ConvertSettings.Plan.DryRun {
		return nil
	}
	opts := WriteOptions{Format: c.done.Format, Layout: c.Layout, Digest: c.ConvertSettings.Plan.JSON}
	if c.done.Bytes, err = c.n.StageState(ctx, c.out, c.n.State, opts); err != nil || !opts.Digest {
		return err
	}
	digest, err := c.out.Digest()
	written.Digest = &digest
	return err
}

// stageShards is run for a state dict that one file is too small for.
func (c *converting) stageShards(ctx context.Context, s *shards) (err error) {
	if c.done.Format.Program() {
		return usage.Errorf("--max-shard-size is for checkpoints and safetensors, %s is %s", c.Out, c.done.Format)
	}
	if err := s.open(ctx, c.outs); err != nil {
		return err
	}
	for i, out := range s.outputs {
		what := string(c.done.Format)
		if i == len(s.states) {
			what = "index"
		}
		c.done.Plan.Write(out, what)
	}
	c.done.Plan.Lost = append(c.done.Plan.Lost, file.Lost(c.n.file, c.done.Format)...)
	c.done.Files = len(s.states)
	if c.ConvertSettings.Plan.DryRun {
		return nil
	}
	c.done.Bytes, err = s.stage(ctx, WriteOptions{Format: c.done.Format, Layout: c.Layout})
	return err
}

// withoutExtension returns the name of a file, without folders and extension.
func withoutExtension(path string) string {
	name := filepath.Base(path)
	return strings.TrimSuffix(name, filepath.Ext(name))
}
