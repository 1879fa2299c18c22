package stage

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"lethe/internal/registry"
	"lethe/internal/registry/mlflow"
	"lethe/internal/registry/oci"
	"lethe/internal/terminal"
	"lethe/internal/usage"
	"lethe/report"
)

// ResultFiles are paths of the outputs that tell where another output is and what its
// digest is; "" is none.
type ResultFiles struct{ URI, Digest string }

// remote is a model in a registry that a command writes.
type remote struct {
	ref    string
	model  registry.Repository
	upload registry.Upload
	file   string // default name of the checkpoint
	pushed registry.Pushed
}

// results are the outputs that tell of another one.
type results struct{ of, uri, digest *Output }

// openRemote makes f a file of the model that its path is a reference to.
func (o *Outputs) openRemote(f *Output) error {
	ref, name := registry.SplitFile(f.path)
	f.name = name
	if ext := path.Ext(name); name != "" && ext != ".onnx" && FormatOf(name, "") == "" {
		return usage.Errorf("the output %s is neither a checkpoint nor an ONNX model, which is what a model in a registry is written of", f.path)
	}
	if o.remote != nil {
		if o.remote.ref != ref {
			return usage.Errorf("outputs go to two models, %s and %s; write one at a time", o.remote.ref, ref)
		}
		return nil
	}
	o.remote = &remote{ref: ref, file: "model.pt"}
	created, err := SourceDate()
	if err != nil {
		return err
	}
	if !created.IsZero() {
		o.remote.upload.Created = created.Format(time.RFC3339)
	}
	o.remote.model, err = openRepository(ref)
	return err
}

// Source is what outputs are made from.
type Source struct {
	Name   string                        // of the file
	From   registry.Model                // what was pulled, or nil
	Digest func() (report.Digest, error) // of the file; it is not asked for unless somebody is told
}

// SetSource says what the outputs are made from. A model in a registry, if one is
// written, says it, and how they were made: annotations. Its checkpoint gets the name
// of the source, with the extension ext unless that is "".
func (o *Outputs) SetSource(s Source, ext string, annotations map[string]string) error {
	if o.remote == nil {
		return nil
	}
	digest, err := s.Digest()
	if err != nil {
		return err
	}
	o.remote.upload.Annotations = annotations
	annotations["lethe.input.sha256"] = digest.SHA256
	name := filepath.Base(s.Name)
	if s.From != nil {
		o.remote.upload.Base = s.From
		o.remote.upload.Whole = true
		name = s.From.File()
	}
	if FormatOf(name, "") != "" {
		o.remote.file = name
	}
	if ext != "" {
		o.remote.file = strings.TrimSuffix(o.remote.file, path.Ext(o.remote.file)) + ext
	}
	return nil
}

// FileName returns the name of the file; for a model in a registry
// [Outputs.SetSource] must have been told.
func (f *Output) FileName() string {
	switch {
	case f.kind != Registry:
		return filepath.Base(f.path)
	case f.name != "":
		return f.name
	}
	return f.group.remote.file
}

// Attach adds evidence to the model in a registry, if one is written: it is
// there, and refers to the model, before the model is published.
func (o *Outputs) Attach(e registry.Evidence) {
	if o.remote != nil {
		o.remote.upload.Evidence = append(o.remote.upload.Evidence, e)
	}
}

// OpenResults makes Commit write the URI and the digest of an output into files. It
// returns these.
func (o *Outputs) OpenResults(ctx context.Context, of *Output, files ResultFiles) ([]*Output, error) {
	if of.Kind() == Standard && files != (ResultFiles{}) {
		return nil, usage.Errorf("standard output has no URI; give a file name or a reference instead of -")
	}
	all, err := o.OpenAll(ctx, files.URI, files.Digest)
	if err != nil {
		return nil, err
	}
	o.results = results{of, all[0], all[1]}
	return all, nil
}

// TellLeft writes on w, a line for each, which files of the input are not part
// of the model in a registry that was committed.
func (o *Outputs) TellLeft(w io.Writer) {
	if o.remote == nil || o.remote.pushed == nil {
		return
	}
	for _, name := range o.remote.pushed.Left() {
		fmt.Fprintf(w, "not in %s: %s\n", o.remote.ref, terminal.OneLine(fmt.Sprintf("%.100q, which this step does not write", name)))
	}
}

// push uploads the files of the model in a registry.
func (o *Outputs) push(ctx context.Context) (err error) {
	if o.remote == nil {
		return nil
	}
	r := o.remote
	for _, f := range o.files {
		if f.kind != Registry {
			continue
		}
		r.upload.Files = append(r.upload.Files, registry.File{Name: f.FileName(), Content: f.file, Size: f.size})
	}
	r.pushed, err = r.model.Push(ctx, &r.upload)
	return err
}

// tell stages the files of [Outputs.OpenResults].
func (o *Outputs) tell(ctx context.Context) error {
	r := o.results
	if r.uri == nil && r.digest == nil {
		return nil
	}
	uri, digest := r.of.path, ""
	if r.of.kind == Registry {
		uri, digest = o.remote.pushed.URI(), o.remote.pushed.Digest()
	} else if r.digest != nil {
		d, err := r.of.Digest()
		if err != nil {
			return err
		}
		digest = "sha256:" + d.SHA256
	}
	if err := r.uri.StageBytes(ctx, []byte(uri)); err != nil {
		return err
	}
	return r.digest.StageBytes(ctx, []byte(digest))
}

// pull copies the checkpoint that a reference leads to to a temporary file.
func pull(ctx context.Context, ref string) (*Input, error) {
	r, err := openRepository(ref)
	if err != nil {
		return nil, err
	}
	m, err := r.Resolve(ctx)
	if err != nil {
		return nil, err
	}
	in, err := temporary(ref)
	if err != nil {
		return nil, err
	}
	if in.Size, err = m.Fetch(ctx, in.file); err != nil {
		in.Close()
		if c := Cause(err); c != err {
			err = fmt.Errorf("cannot keep %s in the temporary folder: %w", ref, c)
		}
		return nil, err
	}
	in.from = m
	return in, nil
}

// openRepository returns where a reference leads. It reads the environment for an
// MLflow server, and does not talk to the registry. The error is a
// [registry.ReferenceError].
func openRepository(ref string) (registry.Repository, error) {
	if strings.HasPrefix(ref, registry.SchemeMLflow) {
		return mlflow.Open(ref, registry.NewClient(), os.Getenv)
	}
	return oci.Open(ref, registry.NewClient())
}
