package stage

import (
	"context"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
	"time"

	"lethe/internal/registry"
	"lethe/internal/terminal"
	"lethe/internal/usage"
	"lethe/report"
)

// ResultFiles are the outputs that tell where another output is and what its digest
// is; "" is none.
type ResultFiles struct{ URI, Digest string }

// Paths returns them for [NewOutputs].
func (f ResultFiles) Paths() []string { return []string{f.URI, f.Digest} }

// remote is a model in a registry that a command writes.
type remote struct {
	ref    string
	place  registry.Place
	upload registry.Upload
	file   string // default name of the checkpoint
	pushed registry.Pushed
}

// result is which output is told in which files, all announced; "" is none.
type result struct{ of, uri, digest string }

// announce makes f a file of the model that its path is a reference to.
func (o *Outputs) announce(f *output) error {
	ref, name := registry.SplitFile(f.path)
	f.pushed, f.name = true, name
	if ext := path.Ext(name); name != "" && ext != ".onnx" && FormatOf(name, "") == "" {
		return usage.Errorf("the output %s is no checkpoint and no ONNX model, which is what a model in a registry is written of", f.path)
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
	o.remote.place, err = registry.Open(ref)
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

// FileName returns the name of the file at a path of an output; for a model in a
// registry [Outputs.SetSource] must have been told.
func (o *Outputs) FileName(output string) string {
	if o.remote == nil || !registry.IsReference(output) {
		return filepath.Base(output)
	}
	if _, name := registry.SplitFile(output); name != "" {
		return name
	}
	return o.remote.file
}

// Attach adds evidence to the model in a registry, if one is written: it is
// there, and refers to the model, before the model is published.
func (o *Outputs) Attach(e registry.Evidence) {
	if o.remote != nil {
		o.remote.upload.Evidence = append(o.remote.upload.Evidence, e)
	}
}

// SetResults makes Commit write the URI and the digest of the output announced as of
// into files, which were announced too.
func (o *Outputs) SetResults(of string, files ResultFiles) error {
	o.result = result{of, files.URI, files.Digest}
	if of == "-" && (o.result.uri != "" || o.result.digest != "") {
		return usage.Errorf("standard output has no URI; give a file name or a reference instead of -")
	}
	return nil
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
		if !f.pushed {
			continue
		}
		info, err := f.file.Stat()
		if err != nil {
			return fmt.Errorf("cannot read back %s: %w", f.path, Cause(err))
		}
		name := f.name
		if name == "" {
			name = r.file
		}
		r.upload.Files = append(r.upload.Files, registry.File{Name: name, Content: f.file, Size: info.Size()})
	}
	r.pushed, err = r.place.Push(ctx, &r.upload)
	return err
}

// tell stages the files of [Outputs.SetResults].
func (o *Outputs) tell(ctx context.Context) error {
	if o.result.uri == "" && o.result.digest == "" {
		return nil
	}
	f := o.find(o.result.of)
	uri, digest := f.path, ""
	switch {
	case f.pushed:
		uri, digest = o.remote.pushed.URI(), o.remote.pushed.Digest()
	case o.result.digest != "":
		info, err := f.file.Stat()
		if err != nil {
			return fmt.Errorf("cannot read back %s: %w", f.path, Cause(err))
		}
		d, err := Digest(f.file, info.Size())
		if err != nil {
			return fmt.Errorf("cannot read back %s: %w", f.path, Cause(err))
		}
		digest = "sha256:" + d.SHA256
	}
	for _, told := range []struct{ path, text string }{{o.result.uri, uri}, {o.result.digest, digest}} {
		if told.path == "" {
			continue
		}
		if err := o.Stage(ctx, told.path, func(w io.Writer) error {
			_, err := io.WriteString(w, told.text)
			return err
		}, nil); err != nil {
			return err
		}
	}
	return nil
}

// pull copies the checkpoint that a reference leads to to a temporary file.
func pull(ctx context.Context, ref string) (*Input, error) {
	place, err := registry.Open(ref)
	if err != nil {
		return nil, err
	}
	m, err := place.Resolve(ctx)
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
