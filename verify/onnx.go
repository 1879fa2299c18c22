package verify

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	onnx "github.com/owulveryck/onnx-go"
	"github.com/owulveryck/onnx-go/backend/x/gorgonnx"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"lethe/graph"
	"lethe/internal/nn"
	"lethe/onnxio"
	"lethe/report"
)

// Tolerance is the largest difference between two evaluations of the same
// network, relative to the largest logit.
const Tolerance = 1e-4

// parity is the name of the check.
const parity = "ONNX parity"

// ONNX reads the bytes of an ONNX file and runs a batch of random samples
// through it, by our own evaluator and by onnx-go as a second opinion, and
// compares the logits with those of the network that it was made from. Sizes that the
// file leaves open are those of the network. More than [Tolerance] apart, or another
// shape of inputs or outputs, is a [FailedError]. Bytes that are not ONNX, or an ONNX
// model that Lethe cannot evaluate, are an error of packages onnxio or nn.
// That onnx-go cannot run a model is no error: see [report.Parity].Skipped.
func ONNX(b []byte, of *Network) (*report.Parity, error) {
	net, err := of.output()
	if err != nil {
		return nil, err
	}
	file, err := onnxio.Decode(bytes.NewReader(b), int64(len(b)), onnxio.Options{})
	if err != nil {
		return nil, fmt.Errorf("reading back the ONNX model: %w", err)
	}
	read, err := file.Graph()
	if err != nil {
		return nil, fmt.Errorf("reading back the ONNX model: %w", err)
	}
	if fixed, ok := read.ForSamples(net.InputShape()); ok {
		read = fixed
	}
	// Of several outputs the network is one.
	if out := slices.IndexFunc(read.Outputs, func(v graph.Value) bool { return v.Name == of.graph.Outputs[0].Name }); out >= 0 {
		read.Outputs = read.Outputs[out : out+1]
		read.Prune()
	}
	again, err := nn.Bind(read, file.StateDict())
	if err != nil {
		return nil, fmt.Errorf("reading back the ONNX model: %w", err)
	}
	if !slices.Equal(again.InputShape(), net.InputShape()) || again.Classes() != net.Classes() {
		return nil, Err([]Check{{Name: parity, Detail: fmt.Sprintf("the file takes inputs of shape %v to %d classes, the network %v to %d",
			again.InputShape(), again.Classes(), net.InputShape(), net.Classes())}})
	}
	// onnx-go is wrong at batch 1, and slow.
	p := &report.Parity{Samples: 4}
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
	p.Evaluator = relativeDifference(got, want)
	second, err := onnxGo(b, x, append([]int{p.Samples}, shape...))
	if err == nil && len(second) != len(want) {
		err = fmt.Errorf("it returned %d numbers, not %d", len(second), len(want))
	}
	if err != nil {
		p.Skipped = err.Error()
	} else {
		p.OnnxGo = roundUpToPowerOfTen(relativeDifference(second, want))
	}
	return p, Err([]Check{{
		Name:   parity,
		OK:     p.Evaluator <= Tolerance && p.OnnxGo <= Tolerance,
		Detail: fmt.Sprintf("%v; %.0e is allowed", p, Tolerance),
	}})
}

// roundUpToPowerOfTen rounds up to a power of ten. The arithmetic of onnx-go is not the same
// on every processor, a report of the same edit is.
func roundUpToPowerOfTen(x float64) float64 {
	for e := -12; e < 0; e++ {
		if d := math.Pow10(e); x <= d {
			return d
		}
	}
	return math.Max(x, 1)
}

// relativeDifference returns the largest difference between lists of one length, relative to
// the largest magnitude in b; infinite if a number is not finite.
func relativeDifference(a, b []float32) float64 {
	var diff, top float64
	for i := range b {
		d := math.Abs(float64(a[i]) - float64(b[i]))
		if !isFinite(a[i]) || !isFinite(b[i]) {
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
// it does not expect; that counts as not running. So that the panic arrives
// here, the operators run one by one on this goroutine: the machine that
// backend.Run makes has its own.
func onnxGo(b []byte, x []float32, shape []int) (out []float32, err error) {
	defer func() {
		if r := recover(); r != nil {
			out, err = nil, fmt.Errorf("onnx-go panicked: %v", r)
		}
	}()
	backend := gorgonnx.NewGraph()
	m := onnx.NewModel(backend)
	if err := m.UnmarshalBinary(b); err != nil {
		return nil, whyNot(err)
	}
	in := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(append([]float32(nil), x...)))
	if err := m.SetInput(0, in); err != nil {
		return nil, whyNot(err)
	}
	g, err := backend.GetExprGraph()
	if err != nil {
		return nil, whyNot(err)
	}
	order, err := gorgonia.Sort(g) // from the output to the inputs
	if err != nil {
		return nil, whyNot(err)
	}
	values := map[int64]gorgonia.Value{}
	for _, n := range slices.Backward(order) {
		if n.Op() == nil {
			values[n.ID()] = n.Value()
			continue
		}
		var inputs []gorgonia.Value
		for in := g.From(n.ID()); in.Next(); {
			inputs = append(inputs, values[in.Node().ID()])
		}
		if values[n.ID()], err = n.Op().Do(inputs...); err != nil {
			return nil, whyNot(err)
		}
	}
	roots := g.Roots()
	if len(roots) != 1 {
		return nil, fmt.Errorf("onnx-go made %d outputs", len(roots))
	}
	v, ok := values[roots[0].ID()].Data().([]float32)
	if !ok {
		return nil, errors.New("onnx-go returned elements that are not float32")
	}
	return v, nil
}

// whyNot names the operator that onnx-go cannot run, where it says so.
func whyNot(err error) error {
	var missing *onnx.ErrNotImplemented
	if errors.As(err, &missing) {
		return fmt.Errorf("onnx-go cannot run operator %s: %w", missing.Operator, err)
	}
	return fmt.Errorf("onnx-go: %w", err)
}
