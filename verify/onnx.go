package verify

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	onnx "github.com/owulveryck/onnx-go"
	"github.com/owulveryck/onnx-go/backend/x/gorgonnx"
	"gorgonia.org/tensor"

	"lethe/internal/nn"
	"lethe/model"
	"lethe/onnxio"
)

// Tolerance is the largest difference between two evaluations of the same
// network, relative to the largest logit.
const Tolerance = 1e-4

// Parity is how closely an ONNX file computes what the weights compute.
type Parity struct {
	Samples   int     `json:"samples"`
	Evaluator float64 `json:"evaluator"`                 // largest relative difference by our own evaluator
	OnnxGo    float64 `json:"onnx_go"`                   // the same by onnx-go, if it ran
	Skipped   string  `json:"onnx_go_skipped,omitempty"` // why onnx-go did not run
}

// String tells a person what agreed with what.
func (p *Parity) String() string {
	second := fmt.Sprintf("%.1g by onnx-go", p.OnnxGo)
	if p.Skipped != "" {
		second = "not measured by onnx-go (" + p.Skipped + ")"
	}
	return fmt.Sprintf("logits of %d random samples differ by %.1g by our evaluator, %s, relative to the largest", p.Samples, p.Evaluator, second)
}

// ONNX reads the bytes of an ONNX file and runs a batch of random samples
// through it, by our own evaluator and by onnx-go as a second opinion, and
// compares the logits with those of net. More than [Tolerance] apart is a
// [FailedError].
func ONNX(b []byte, net *nn.Net) (*Parity, error) {
	g, sd, _, err := onnxio.Decode(bytes.NewReader(b), int64(len(b)), onnxio.DecodeOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading back the ONNX model: %w", err)
	}
	again, err := nn.Bind(g, sd)
	if err != nil {
		return nil, fmt.Errorf("reading back the ONNX model: %w", err)
	}
	// onnx-go is wrong at batch 1, and one group is enough for us.
	p := &Parity{Samples: nn.Lanes}
	shape := net.InputShape()
	size := 1
	for _, d := range shape {
		size *= d
	}
	r := rand.New(rand.NewPCG(1, 0))
	x := make([]float32, p.Samples*size)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	want, err := net.Logits(x, 1)
	if err != nil {
		return nil, err
	}
	got, err := again.Logits(x, 1)
	if err != nil {
		return nil, err
	}
	p.Evaluator = apart(got, want)
	second, err := onnxGo(b, g, x, append([]int{p.Samples}, shape...))
	if err == nil && len(second) != len(want) {
		err = fmt.Errorf("it returned %d numbers, not %d", len(second), len(want))
	}
	if err != nil {
		p.Skipped = err.Error()
	} else {
		p.OnnxGo = apart(second, want)
	}
	return p, Err([]Check{{
		Name:   "ONNX parity",
		OK:     p.Evaluator <= Tolerance && p.OnnxGo <= Tolerance,
		Detail: fmt.Sprintf("%v; %.0e is allowed", p, Tolerance),
	}})
}

// apart returns the largest difference, relative to the largest magnitude in b;
// infinite if a number is not finite.
func apart(a, b []float32) float64 {
	var diff, top float64
	for i := range b {
		d := math.Abs(float64(a[i]) - float64(b[i]))
		if math.IsNaN(d) {
			return math.Inf(1)
		}
		diff, top = math.Max(diff, d), math.Max(top, math.Abs(float64(b[i])))
	}
	if diff == 0 {
		return 0
	}
	return diff / top
}

// onnxGo runs a model that our own reader has accepted. onnx-go panics on what
// it does not expect; that counts as not running.
func onnxGo(b []byte, g *model.Graph, x []float32, shape []int) (out []float32, err error) {
	defer func() {
		if r := recover(); r != nil {
			out, err = nil, fmt.Errorf("onnx-go panicked: %v", r)
		}
	}()
	backend := gorgonnx.NewGraph()
	m := onnx.NewModel(backend)
	if err := m.UnmarshalBinary(b); err != nil {
		return nil, whyNot(err, g)
	}
	in := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(append([]float32(nil), x...)))
	if err := m.SetInput(0, in); err != nil {
		return nil, fmt.Errorf("onnx-go: %w", err)
	}
	if err := backend.Run(); err != nil {
		return nil, whyNot(err, g)
	}
	ts, err := m.GetOutputTensors()
	if err != nil {
		return nil, fmt.Errorf("onnx-go: %w", err)
	}
	if len(ts) != 1 {
		return nil, fmt.Errorf("onnx-go returned %d outputs", len(ts))
	}
	v, ok := ts[0].Data().([]float32)
	if !ok {
		return nil, fmt.Errorf("onnx-go returned elements of %v", ts[0].Dtype())
	}
	return v, nil
}

// whyNot names the operator that onnx-go cannot run, where it says so.
func whyNot(err error, g *model.Graph) error {
	var missing *onnx.ErrNotImplemented
	if errors.As(err, &missing) {
		return fmt.Errorf("onnx-go cannot run operator %s: %w", missing.Operator, err)
	}
	return fmt.Errorf("onnx-go: %w", err)
}
