package job

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"lethe/convert/aten"
	"lethe/internal/stage"
	"lethe/internal/terminal"
	"lethe/internal/usage"
	"lethe/internal/version"
	"lethe/internal/weights"
	"lethe/model"
	"lethe/onnxio"
)

// large is the size of an input from which on its weights may not fit one ONNX
// file, which ends at 2 GiB.
const large = 2<<30 - 64<<20

// dataFile returns the name of the second file, for the weights, or "" if all
// goes into one. The model refers to it by its name alone.
func (s *ConvertSettings) dataFile(in string) string {
	info, err := os.Stat(in)
	if s.ExternalData || err == nil && info.Size() >= large && stage.KindOf(s.Out) != stage.Standard {
		return s.Out + ".data"
	}
	return ""
}

// writeProgram writes a network that was converted from a program.
func (c *converting) writeProgram(ctx context.Context, r *aten.Result) error {
	if err := c.optimize(ctx, r); err != nil {
		return fmt.Errorf("%s: %w", c.held.Name, err)
	}
	plan, err := weights.NewPlan(c.Plan, c.held)
	if err != nil {
		return err
	}
	written := plan.Write(c.out, fmt.Sprintf("ONNX, opset %d", r.Graph.Opset("")))
	plan.Write(c.data, "weights of the ONNX model")
	plan.WriteResults(c.tell)
	for _, name := range r.Unused {
		plan.Lost = append(plan.Lost, fmt.Sprintf("%.100q, which the graph does not read", name))
	}
	c.done.Plan, c.done.Graph, c.done.Program = plan, r.Graph, r
	if c.Plan.DryRun {
		return nil
	}
	opts := onnxio.EncodeOptions{ProducerVersion: version.String(), Props: map[string]string{}}
	for name, as := range r.Tied {
		opts.Props["lethe.alias."+name] = as
	}
	if c.data != nil {
		opts.Location = c.data.FileName()
		err := c.data.Stage(ctx, func(w io.Writer) error {
			return onnxio.EncodeTensors(w, r.Graph, r.State)
		}, func(f io.ReaderAt, size int64) error {
			return onnxio.EncodeTensors(&comparer{f, 0}, r.Graph, r.State)
		})
		if err != nil {
			return err
		}
	}
	err = c.out.Stage(ctx, func(w io.Writer) error {
		return onnxio.Encode(w, r.Graph, r.State, opts)
	}, func(f io.ReaderAt, size int64) error {
		digest, err := c.out.Digest()
		if err != nil {
			return err
		}
		written.Digest = &digest
		said, err := sameModel(ctx, f, size, r, c.data != nil)
		r.Notes = append(r.Notes, said)
		return err
	})
	if err != nil {
		return err
	}
	return c.commit(ctx)
}

// rename gives inputs and outputs the names that the person wants.
func (s *ConvertSettings) rename(p *aten.Program) error {
	names := func(flag string, list []string, n int, set func(i int, name string)) error {
		if list == nil {
			return nil
		}
		if len(list) != n {
			return usage.Errorf("--%s has %d names, the program has %d", flag, len(list), n)
		}
		for i, name := range list {
			if name = strings.TrimSpace(name); name == "" {
				return usage.Errorf("--%s has an empty name", flag)
			}
			set(i, name)
		}
		return nil
	}
	if err := names("input-names", s.InputNames, len(p.Inputs), func(i int, name string) { p.Inputs[i].Name = name }); err != nil {
		return err
	}
	return names("output-names", s.OutputNames, len(p.Outputs), func(i int, name string) { p.Outputs[i].Name = name })
}

// tellUnsupported writes the whole list of what cannot be converted, a line for
// each, and returns the error in one.
func tellUnsupported(stderr io.Writer, name string, err error) error {
	var list *aten.UnsupportedError
	if !errors.As(err, &list) || len(list.Parts) < 2 {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, p := range list.Parts {
		terminal.Linef(stderr, "cannot convert %s", p)
	}
	return &model.UnsupportedError{What: fmt.Sprintf("%s: %d parts of the network cannot be converted", name, len(list.Parts)), Advice: "they are listed above"}
}

// comparer compares what is written to it with a file.
type comparer struct {
	r  io.ReaderAt
	at int64
}

func (c *comparer) Write(b []byte) (int, error) {
	have := make([]byte, len(b))
	if n, err := c.r.ReadAt(have, c.at); n < len(b) {
		return 0, fmt.Errorf("reading back the weights: %w", err)
	}
	if !bytes.Equal(have, b) {
		return 0, errors.New("reading back the weights: they differ")
	}
	c.at += int64(len(b))
	return len(b), nil
}

// nowhere stands for a file with weights that were compared already.
type nowhere struct{}

func (nowhere) ReadAt([]byte, int64) (int, error) { return 0, errors.New("not read") }

// sameModel reads a file back, compares its weights, unless they are in another
// file, with what it must hold, and runs it.
func sameModel(ctx context.Context, f io.ReaderAt, size int64, r *aten.Result, elsewhere bool) (said string, err error) {
	file, err := onnxio.Decode(f, size, onnxio.Options{External: func(string) (io.ReaderAt, int64, error) { return nowhere{}, math.MaxInt64, nil }})
	if err != nil {
		return "", fmt.Errorf("reading back the model: %w", err)
	}
	g, err := file.Graph()
	if err != nil {
		return "", fmt.Errorf("reading back the model: %w", err)
	}
	if elsewhere {
		return "not run: the weights are in another file", nil
	}
	got := file.StateDict()
	for name, t := range r.State.All() {
		if got.Get(name) == nil {
			return "", fmt.Errorf("reading back the model: %q is missing", name)
		}
		if same, err := model.SameBits(got.Get(name), t); err != nil || !same {
			return "", errors.Join(fmt.Errorf("reading back the model: %q differs", name), err)
		}
	}
	return tryModel(ctx, g, got)
}
