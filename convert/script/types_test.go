package script

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"lethe/convert/aten"
	"lethe/model"
)

// The element type of an input that the file does not say is that of what the code does
// with it, or what a person says; where it matters and nothing tells it, it is asked for.
func TestTypesOfInputs(t *testing.T) {
	const asks = "if torch.is_floating_point(x):\n  y = x\nelse:\n  y = torch.div(torch.to(x, 6), 255)\nreturn y"
	for _, c := range []struct {
		name, body string
		given      model.DType
		want       model.DType
		say        string
	}{
		{"nothing", "return torch.mul(x, 2.)", model.Invalid, model.Float32, ""},
		{"bytes", "return torch.div(torch.to(torch.unsqueeze(x, 1), 6), 255)", model.Invalid, model.Uint8, ""},
		{"bytes times the inverse", "y = torch.to(x, 6)\nreturn torch.mul(torch.unsqueeze(y, 1), 0.0039215686274509803)", model.Invalid, model.Uint8, ""},
		{"bytes that are read as they are, too", "return torch.add(torch.div(torch.to(x, 6), 255), x)", model.Invalid, model.Float32, ""},
		{"a cast alone", "return torch.mul(torch.to(x, 6), 2.)", model.Invalid, model.Float32, ""},
		{"another number", "return torch.div(torch.to(x, 6), 128)", model.Invalid, model.Float32, ""},
		{"said", "return torch.mul(torch.to(x, 6), 2.)", model.Int32, model.Int32, ""},
		{"said otherwise", "return torch.div(torch.to(x, 6), 255)", model.Float32, model.Float32, ""},
		{"asked for", asks, model.Invalid, 0, "uint8:3x224x224"},
		{"asked for and said", asks, model.Float32, model.Float32, ""},
		{"asked for without a difference", "y = torch.to(x, 6)\nif torch.eq(ops.prim.dtype(x), 6):\n  z = x\nelse:\n  z = y\nreturn torch.mul(z, 2.)", model.Invalid, model.Float32, ""},
	} {
		s := scripted(c.body)
		s.Inputs = nil
		opts := Options{Input: [][]int{{4}}}
		if c.given != model.Invalid {
			opts.Types = []model.DType{c.given}
		}
		p, err := Decode(s, opts)
		switch {
		case c.say != "" && (err == nil || !strings.Contains(err.Error(), c.say)):
			t.Errorf("%s: it says: %v", c.name, err)
		case c.say == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.say == "" && p.Inputs[0].DType != c.want:
			t.Errorf("%s: %v, want %v", c.name, p.Inputs[0].DType, c.want)
		}
	}
	if _, err := Decode(scripted("return x"), Options{Input: [][]int{{4}}, Types: []model.DType{model.Uint8}}); err == nil || !strings.Contains(err.Error(), "traced with float32") {
		t.Errorf("another type than that of the trace: %v", err)
	}
}

// Complex numbers are pairs of real ones, and what is written to the elements of a mask is
// chosen there.
func TestWrittenOut(t *testing.T) {
	half := math.Sqrt(2) / 2
	mask := "m = torch.gt(x, 2)\ny = torch.mul(x, 1)\n"
	for _, c := range []struct {
		name, body string
		want       []float64
	}{
		{"fft", "return torch.real(torch.fft_fft(x))", []float64{10, -2, -2, -2, -10, 2, 2, 2}},
		{"fft, imaginary", "return torch.imag(torch.fft_fft(x, None, 1))", []float64{0, 2, 0, -2, 0, -2, 0, 2}},
		{"there and back", "return torch.fft_irfft(torch.fft_rfft(x))", []float64{1, 2, 3, 4, -1, -2, -3, -4}},
		{"of five", "return torch.fft_irfft(torch.fft_rfft(x, 5), 5)", []float64{1, 2, 3, 4, 0, -1, -2, -3, -4, 0}},
		{"of two dimensions", "y = torch.unflatten(x, 1, [2, 2])\nz = torch.fft_rfft2(y, None, [1, 2], \"ortho\")\nreturn torch.flatten(torch.fft_irfft2(z, [2, 2], [1, 2], \"ortho\"), 1)", []float64{1, 2, 3, 4, -1, -2, -3, -4}},
		{"backward", "return torch.real(torch.fft_ifft(torch.fft_fft(x)))", []float64{1, 2, 3, 4, -1, -2, -3, -4}},
		{"core", "return torch._fft_c2r(torch._fft_r2c(x, [1], 0, True), [1], 2, 4)", []float64{1, 2, 3, 4, -1, -2, -3, -4}},
		{"pairs", "z = torch.view_as_complex(torch.unflatten(x, 1, [2, 2]))\nreturn torch.flatten(torch.view_as_real(torch.mul(z, z)), 1)", []float64{-3, 4, -7, 24, -3, 4, -7, 24}},
		{"divided", "z = torch.view_as_complex(torch.unflatten(x, 1, [2, 2]))\nreturn torch.flatten(torch.view_as_real(torch.div(z, z)), 1)", []float64{1, 0, 1, 0, 1, 0, 1, 0}},
		{"length", "z = torch.view_as_complex(torch.unflatten(x, 1, [2, 2]))\nreturn torch.abs(z)", []float64{math.Sqrt(5), 5, math.Sqrt(5), 5}},
		{"turned", "z = torch.view_as_complex(torch.unflatten(x, 1, [2, 2]))\nturn = torch.polar(torch.ones([2]), torch.full([2], 0.78539816339744828))\nreturn torch.flatten(torch.view_as_real(torch.mul(z, turn)), 1)",
			[]float64{-half, 3 * half, -half, 7 * half, half, -3 * half, half, -7 * half}},
		{"real and complex", "z = torch.complex(x, torch.mul(x, 2))\nreturn torch.imag(torch.add(torch.mul(z, 3.), x))", []float64{6, 12, 18, 24, -6, -12, -18, -24}},
		{"written into a part", "z = torch.fft_fft(torch.mul(x, 0))\n_0 = torch.copy_(torch.slice(z, 1, 0, 2), torch.slice(torch.complex(x, x), 1, 2, 4))\nreturn torch.imag(z)", []float64{3, 4, 0, 0, -3, -4, 0, 0}},
		{"mask", mask + "_0 = torch.index_put_(y, annotate(List[Optional[Tensor]], [m]), torch.mul_(torch.index(y, annotate(List[Optional[Tensor]], [m])), 10))\nreturn y", []float64{1, 2, 30, 40, -1, -2, -3, -4}},
		{"mask, from another tensor", mask + "z = torch.neg(torch.index(torch.add(x, 1), annotate(List[Optional[Tensor]], [m])))\nreturn torch.index_put(y, annotate(List[Optional[Tensor]], [m]), z)", []float64{1, 2, -4, -5, -1, -2, -3, -4}},
		{"hypot", "return torch.hypot(x, torch.mul(x, 0.))", []float64{1, 2, 3, 4, 1, 2, 3, 4}},
		{"logaddexp", "return torch.logaddexp(x, x)", []float64{1 + math.Ln2, 2 + math.Ln2, 3 + math.Ln2, 4 + math.Ln2, -1 + math.Ln2, -2 + math.Ln2, -3 + math.Ln2, -4 + math.Ln2}},
		{"nan_to_num", "return torch.nan_to_num(torch.mul(torch.div(x, torch.mul(x, 0)), 0), 7.)", []float64{7, 7, 7, 7, 7, 7, 7, 7}},
		{"diff", "return torch.diff(torch.mul(x, x))", []float64{3, 5, 7, 3, 5, 7}},
		{"cross", "return torch.linalg_cross(torch.slice(x, 1, 0, 3), torch.slice(x, 1, 1, 4))", []float64{-1, 2, -1, -1, 2, -1}},
		{"tensordot", "return torch.tensordot(x, torch.unflatten(torch.arange(8, dtype=6), 0, [4, 2]), [1], [0])", []float64{40, 50, -40, -50}},
		{"vdot", "y = torch.arange(4, dtype=6)\nreturn torch.mul(x, torch.vdot(y, y))", []float64{14, 28, 42, 56, -14, -28, -42, -56}},
		{"bits", "y = torch.to(torch.mul(x, 3), 4)\nreturn torch.to(torch.__xor__(torch.__and__(y, 6), torch.__lshift__(y, 1)), 6)", []float64{4, 10, 18, 28, -2, -10, -24, -20}},
		{"bits of numbers", "n = torch.__xor__(6, 3)\nreturn torch.to(torch.__rshift__(torch.to(torch.mul(x, n), 4), 1), 6)", []float64{2, 5, 7, 10, -3, -5, -8, -10}},
		{"searchsorted", "return torch.to(torch.searchsorted(torch.arange(4, dtype=6), x, right=True), 6)", []float64{2, 3, 4, 4, 0, 0, 0, 0}},
		{"kthvalue", "a, b, = torch.kthvalue(x, 2, 1)\nreturn torch.add(a, b)", []float64{3, -1}},
		{"stacks", "return torch.hstack([x, torch.fliplr(x)])", []float64{1, 2, 3, 4, 4, 3, 2, 1, -1, -2, -3, -4, -4, -3, -2, -1}},
		{"norm of Frobenius", "return torch.linalg_norm(torch.unflatten(x, 1, [2, 2]), None, [1, 2])", []float64{math.Sqrt(30), math.Sqrt(30)}},
		{"in place", "y = torch.add(x, 0)\n_0 = torch.nan_to_num_(y)\nreturn torch.exp2(y)", []float64{2, 4, 8, 16, .5, .25, .125, .0625}},
		{"masked_scatter", mask + "return torch.masked_scatter(y, m, torch.mul(x, 10))", []float64{1, 2, 10, 20, -1, -2, -3, -4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := run(t, scripted(c.body))
			if len(got) != len(c.want) {
				t.Fatalf("it is %v, want %v", got, c.want)
			}
			for i, v := range got {
				if math.Abs(v-c.want[i]) > 2e-6 {
					t.Fatalf("it is %v, want %v", got, c.want)
				}
			}
		})
	}
}

// Fourier transforms of many sizes do not take memory for all of them.
func TestManyTransforms(t *testing.T) {
	body := "y = torch.real(torch.fft_fft(x, 900))\n"
	for i := range 400 {
		body += fmt.Sprintf("y = torch.real(torch.fft_fft(y, %d))\n", 901+i)
	}
	p, err := Decode(scripted(body+"return y"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := aten.Convert(p, aten.Options{}); err == nil || !strings.Contains(err.Error(), "cosines and sines") {
		t.Errorf("the error is %v", err)
	}
}
