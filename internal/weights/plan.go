package weights

import (
	"fmt"
	"io"
	"strings"

	"lethe/file"
	"lethe/internal/registry"
	"lethe/internal/stage"
	"lethe/internal/terminal"
	"lethe/internal/version"
	"lethe/report"
)

// Plan is what a command does to which files: for --dry-run, what it would do.
type Plan struct {
	Tool    report.Tool      `json:"tool"`
	DryRun  bool             `json:"dry_run"`
	Input   PlannedInput     `json:"input"`
	Edit    *PlannedEdit     `json:"edit,omitempty"`
	Outputs []*PlannedOutput `json:"outputs"`
	Changes []string         `json:"changes,omitempty"`     // of names and types
	Lost    []string         `json:"not_in_output"`         // what the input holds and the output does not
	Parity  *report.Parity   `json:"onnx_parity,omitempty"` // not known before the work

	settings PlanSettings
}

// PlannedInput is the file that is read.
type PlannedInput struct {
	Path   string      `json:"path"`
	Format file.Format `json:"format"`
	report.Digest
	Tensors      int    `json:"tensors"`
	Architecture string `json:"architecture,omitempty"` // if the command asks for it
	Parameters   int    `json:"parameters,omitempty"`   // numbers that training moves
	Classes      int    `json:"classes,omitempty"`
}

// PlannedEdit is an edit.
type PlannedEdit struct {
	Forget      []PlannedClass `json:"forget"`
	Data        report.Source  `json:"data"`
	TrainImages int            `json:"train_images"`
	TestImages  int            `json:"test_images"`
	Accuracy    float64        `json:"accuracy"` // of the unedited network, on the training images
	Gate        string         `json:"gate"`
	Aim         report.Aim     `json:"aim,omitempty"` // "": report.AimUniform
	Limits      report.Limits  `json:"limits"`        // that of KL is 0 with report.AimUnseen: there is none
	Prefer      string         `json:"prefer,omitempty"`
	Seed        uint64         `json:"seed"`
}

// PlannedClass is a class to forget.
type PlannedClass struct {
	Class  int    `json:"class"`
	Label  string `json:"label"`
	Images int    `json:"images"` // for training
}

// PlannedOutput is a file that is written.
type PlannedOutput struct {
	Path     string `json:"path"`
	What     string `json:"what"`
	Replaces bool   `json:"replaces"` // a file of that name
	*report.Digest
}

// PlanSettings say what a plan is for.
type PlanSettings struct {
	Tool   string // the command
	DryRun bool   // there is to be no work
	JSON   bool   // it is printed as JSON
	Quiet  bool   // it is not printed
}

// NewPlan begins a plan for a command that has opened its input. The digest of
// that is in it as JSON only: it can take longer than the work.
func NewPlan(s PlanSettings, n *Checkpoint) (p *Plan, err error) {
	p = &Plan{
		Tool: version.Tool(s.Tool), DryRun: s.DryRun, Lost: []string{}, settings: s,
		Input: PlannedInput{Path: n.Name, Format: n.Format(), Digest: report.Digest{Bytes: n.input.Size}, Tensors: n.State.Len()},
	}
	if s.JSON {
		if p.Input.Digest, err = n.Digest(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Write adds an output, which may be nil. It returns what can be completed when more
// is known.
func (p *Plan) Write(out *stage.Output, what string) *PlannedOutput {
	planned := &PlannedOutput{Path: out.Path(), What: what, Replaces: out.Replaces()}
	if out == nil {
		return planned
	}
	if model, name := registry.SplitFile(planned.Path); out.Kind() == stage.Registry && strings.HasPrefix(name, ".") {
		planned.Path = model // the name is that of the checkpoint, with this extension
	}
	p.Outputs = append(p.Outputs, planned)
	return planned
}

// WriteState adds the state dict that is written to an output, and is the error of
// writing one of these names, shapes and types if there is one.
func (p *Plan) WriteState(out *stage.Output, n *Checkpoint, format file.Format) (*PlannedOutput, error) {
	p.Lost = append(p.Lost, file.Lost(n.file, format)...)
	_, _, err := n.with(n.State, WriteOptions{Format: format})
	planned := p.Write(out, string(format))
	if format == n.Format() {
		for _, e := range n.file.External() {
			p.Write(n.external[e.Location], "data of "+out.Path())
		}
	}
	return planned, err
}

// WriteResults adds the files that tell of the output; see [stage.Outputs.OpenResults].
func (p *Plan) WriteResults(files []*stage.Output) {
	p.Write(files[0], "URI of the output")
	p.Write(files[1], "digest of the output")
}

// goal says what the edit is for.
func (e *PlannedEdit) goal() string {
	if e.Aim == report.AimUnseen {
		return fmt.Sprintf("a network that never saw the class, a target up to %g and L2 up to %g", e.Limits.Target, e.Limits.L2)
	}
	return fmt.Sprintf("a target up to %g, KL up to %g and L2 up to %g, prefer %s", e.Limits.Target, e.Limits.KL, e.Limits.L2, e.Prefer)
}

// Print writes the plan for a person, or as JSON if its settings ask for
// that; nothing if they ask for quiet.
func (p *Plan) Print(w io.Writer) error {
	switch {
	case p.settings.Quiet:
		return nil
	case p.settings.JSON:
		return terminal.PrintJSON(w, p)
	}
	var b strings.Builder
	line := func(format string, args ...any) { b.WriteString(terminal.OneLine(fmt.Sprintf(format, args...)) + "\n") }
	in := p.Input
	what := fmt.Sprintf("%s, %d bytes, %d tensors", in.Format, in.Bytes, in.Tensors)
	if in.Architecture != "" {
		what += fmt.Sprintf(", %s with %d parameters and %d classes", in.Architecture, in.Parameters, in.Classes)
	}
	line("would read %s: %s", in.Path, what)
	if e := p.Edit; e != nil {
		for _, f := range e.Forget {
			name := fmt.Sprintf("class %d", f.Class)
			if f.Label != name { // which it is where nobody named the classes
				name += ", " + f.Label
			}
			line("would forget %s: %d of %d training images (%s)", name, f.Images, e.TrainImages, e.Data)
		}
		line("would edit for %s, seed %d, gate %s; the unedited network gets %.1f %% of the images right", e.goal(), e.Seed, e.Gate, 100*e.Accuracy)
	}
	for _, o := range p.Outputs {
		verb := "write"
		if o.Replaces {
			verb = "replace"
		}
		line("would %s %s: %s", verb, o.Path, o.What)
	}
	for _, change := range p.Changes {
		line("would rewrite %s", change)
	}
	for _, lost := range p.Lost {
		line("would leave out %s", lost)
	}
	line("nothing was written")
	_, err := io.WriteString(w, b.String())
	return err
}
