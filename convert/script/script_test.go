package script

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"lethe/convert/aten"
	"lethe/file"
	"lethe/graph"
	"lethe/model"
	"lethe/ops"
)

// scripted returns a module of a class Net without attributes, whose forward
// method has the lines as its body.
func scripted(body string) *file.Script {
	src := "class Net(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n  def forward(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n"
	for line := range strings.Lines(strings.Trim(body, "\n") + "\n") {
		src += "    " + line
	}
	return of(map[string]string{"__torch__.py": src})
}

func of(code map[string]string) *file.Script {
	return &file.Script{
		Root:   &file.Object{Class: "__torch__.Net", Names: []string{"training"}, Attrs: map[string]any{"training": false}},
		Inputs: []file.Input{{DType: model.Float32, Shape: []int{2, 4}}},
		Code:   func(name string) (string, error) { return code[name], nil },
	}
}

// Objects that the code makes have attributes and methods, and a with statement calls those
// for its begin and end.
func TestContexts(t *testing.T) {
	context := "class no_grad:\n  prev : int\n  def __init__(self: __torch__.no_grad) -> NoneType:\n    self.prev = 1\n    return None\n" +
		"  def __enter__(self: __torch__.no_grad) -> int:\n    torch.set_grad_enabled(False)\n    return self.prev\n" +
		"  def __exit__(self: __torch__.no_grad, a: Any, b: Any, c: Any) -> NoneType:\n    self.prev = torch.add(self.prev, 1)\n    return None\n"
	s := scripted("_0 = __torch__.no_grad.__new__(__torch__.no_grad)\n_1 = (_0).__init__()\nwith _0 as n:\n  y = torch.add(x, n)\nreturn torch.mul(y, _0.prev)")
	net, _ := s.Code("__torch__.py")
	s.Code = of(map[string]string{"__torch__.py": net + context}).Code
	want := []float64{4, 6, 8, 10, 0, -2, -4, -6}
	if got := run(t, s); !slices.Equal(got, want) {
		t.Errorf("it is %v, want %v", got, want)
	}
	s = scripted("_0 = __torch__.torch.amp.autocast_mode.autocast.__new__(__torch__.torch.amp.autocast_mode.autocast)\n_0._enabled = True\nwith _0:\n  y = torch.add(x, 1)\nreturn y")
	net, _ = s.Code("__torch__.py")
	s.Code = of(map[string]string{"__torch__.py": net, "__torch__/torch/amp/autocast_mode.py": "class autocast:\n  pass\n"}).Code
	var unsupported *model.UnsupportedError
	if _, err := Decode(s, Options{}); !errors.As(err, &unsupported) || !strings.Contains(err.Error(), "torch.autocast") {
		t.Errorf("under autocast: %v", err)
	}
}

// run converts a module and runs it on two samples, 1 to 4 and -1 to -4.
func run(t *testing.T, s *file.Script) []float64 {
	t.Helper()
	p, err := Decode(s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := p.Inputs[0].Shape[0]; !d.Equal(graph.Symbol(graph.BatchSymbol)) {
		t.Fatalf("the batch is %v", d)
	}
	r, err := aten.Convert(p, aten.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := ops.Run(t.Context(), r.Graph, r.State, map[string]*ops.Tensor{"x": ops.Float32s([]int{2, 4}, []float32{1, 2, 3, 4, -1, -2, -3, -4})}, ops.Options{})
	if err != nil {
		t.Fatal(err)
	}
	v, _ := out["output"].Float64s()
	return v
}

func expect(t *testing.T, got []float64, want ...float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("it is %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("it is %v, want %v", got, want)
		}
	}
}

func TestLanguage(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       []float64
	}{
		{"operator", "return torch.mul(x, 2)", []float64{2, 4, 6, 8, -2, -4, -6, -8}},
		{"in place", "_0 = torch.relu_(torch.mul(x, 1))\nreturn _0", []float64{1, 2, 3, 4, 0, 0, 0, 0}},
		{"branch on a rank", "if torch.eq(torch.dim(x), 2):\n  y = torch.neg(x)\nelse:\n  y = x\nreturn y", []float64{-1, -2, -3, -4, 1, 2, 3, 4}},
		{"branch on the batch that is always taken", "if torch.gt(torch.size(x, 0), 0):\n  y = torch.neg(x)\nelse:\n  y = x\nreturn y", []float64{-1, -2, -3, -4, 1, 2, 3, 4}},
		{"for", "y = x\nfor i in range(3):\n  y = torch.add(y, i)\nreturn y", []float64{4, 5, 6, 7, 2, 1, 0, -1}},
		{"while", "y = x\ni = 0\n_0 = True\nwhile _0:\n  y = torch.add(y, 1)\n  i = torch.add(i, 1)\n  _0 = torch.lt(i, 2)\nreturn y", []float64{3, 4, 5, 6, 1, 0, -1, -2}},
		{"lists", "l = annotate(List[Tensor], [])\n_0 = torch.append(l, x)\n_1 = torch.append(l, torch.neg(x))\nreturn torch.add(l[0], torch.mul(l[1], 3))", []float64{-2, -4, -6, -8, 2, 4, 6, 8}},
		{"unpacking", "a, b, = torch.chunk(x, 2, 1)\nreturn torch.sub(a, b)", []float64{-2, -2, 2, 2}},
		{"sizes as tensors", "_0 = ops.prim.NumToTensor(torch.size(x, 0))\n_1 = torch.mul(_0, 2)\nreturn torch.view(x, [int(_1), -1])", []float64{1, 2, 3, 4, -1, -2, -3, -4}},
		{"sizes multiplied in place", "_0 = ops.prim.NumToTensor(torch.size(x, 0))\nn = torch.mul_(_0, ops.prim.NumToTensor(torch.size(x, 1)))\nreturn torch.reshape(x, [int(n)])", []float64{1, 2, 3, 4, -1, -2, -3, -4}},
		{"copies of what has no value", "_0 = uninitialized(Tensor)\n_1, y = _0, x\nif torch.eq(torch.dim(x), 3):\n  y = _1\nelse:\n  pass\nreturn torch.neg(y)", []float64{-1, -2, -3, -4, 1, 2, 3, 4}},
		{"clamped size", "_0 = ops.prim.NumToTensor(torch.size(x, 1))\nn = torch.clamp(torch.sub(_0, 7), 0)\nreturn torch.add(x, int(torch.clamp(n, 2, None)))", []float64{3, 4, 5, 6, 1, 0, -1, -2}},
		{"dictionary", "d = {\"a\": x, \"b\": 2}\nreturn torch.mul(d[\"a\"], d[\"b\"])", []float64{2, 4, 6, 8, -2, -4, -6, -8}},
		{"not taken", "if torch.__is__(x, None):\n  ops.prim.RaiseException(\"no\")\nelse:\n  pass\nreturn torch.neg(x)", []float64{-1, -2, -3, -4, 1, 2, 3, 4}},
		{"text in a text", "s = \"cuda cpu\"\nreturn torch.add(torch.mul(x, torch.find(s, \"cpu\", 0, torch.len(s))), torch.find(s, \"mps\"))", []float64{4, 9, 14, 19, -6, -11, -16, -21}},
		{"types", "return torch.mul(x, torch.to(torch.gt(x, 0), 6))", []float64{1, 2, 3, 4, -0., -0., -0., -0.}},
		{"sizes as real numbers", "_0 = torch.to(ops.prim.NumToTensor(torch.size(x, 1)), 6)\n_1 = torch.to(torch.detach(_0), torch.device(\"cpu\"), 6, False, True)\nn = int(torch.floor(torch.mul(_1, 0.7)))\nreturn torch.mul(x, n)", []float64{2, 4, 6, 8, -2, -4, -6, -8}},
		{"repeated as often as a size says", "n = ops.prim.NumToTensor(torch.size(x, 1))\ny = torch.repeat_interleave(torch.sum(x, [1], True), n, 1)\nreturn torch.sub(y, torch.mul(x, 0))", []float64{10, 10, 10, 10, -10, -10, -10, -10}},
		{"root of a size", "n = int(torch.to(torch.pow(ops.prim.NumToTensor(torch.size(x, 1)), 0.5), 4))\nreturn torch.mul(x, n)", []float64{2, 4, 6, 8, -2, -4, -6, -8}},
		{"another shape in place", "y = torch.mul(x, 2)\n_0 = torch.unsqueeze_(y, 1)\nz = torch.sum(y, [1])\n_1 = torch.transpose_(z, 0, 1)\nreturn torch.mul(torch.sum(z, [0]), 1)", []float64{20, -20}},
		{"broadcast", "a, b, = torch.broadcast_tensors([x, torch.sum(x, [1], True)])\nreturn torch.add(a, b)", []float64{11, 12, 13, 14, -11, -12, -13, -14}},
		{"slope that is drawn in training", "return torch.rrelu(x, 0.25, 0.75, False)", []float64{1, 2, 3, 4, -.5, -1, -1.5, -2}},
		{"number of the code", "return torch.mul(x, torch.div(torch.size(x, 1), 8))", []float64{.5, 1, 1.5, 2, -.5, -1, -1.5, -2}},
	} {
		t.Run(c.name, func(t *testing.T) { expect(t, run(t, scripted(c.body)), c.want...) })
	}
}

// Cells and normalized weights compute what their formulas say.
func TestCells(t *testing.T) {
	sigmoid := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	state := "h = torch.zeros([torch.size(x, 0), 4])\n"
	for _, c := range []struct {
		name, body string
		of         func(gate float64) float64 // of what the weights make of a sample
	}{
		{"GRU", state + "return torch.gru_cell(x, h, torch.full([12, 4], 0.1), torch.full([12, 4], 0.1), None, None)", func(g float64) float64 { return math.Tanh(g) * (1 - sigmoid(g)) }},
		{"LSTM", state + "_0, _1 = torch.lstm_cell(x, [h, h], torch.full([16, 4], 0.1), torch.full([16, 4], 0.1), None, None)\nreturn _0", func(g float64) float64 { return sigmoid(g) * math.Tanh(sigmoid(g)*math.Tanh(g)) }},
		{"RNN", state + "return torch.rnn_tanh_cell(x, h, torch.full([4, 4], 0.1), torch.full([4, 4], 0.1), None, None)", math.Tanh},
		{"weight norm", "return torch.linear(x, torch._weight_norm(torch.full([4, 4], 3.), torch.full([4, 1], 0.2), 0), None)", func(g float64) float64 { return g }},
	} {
		got := run(t, scripted(c.body))
		for i, v := range got {
			want := c.of(1)
			if i >= 4 {
				want = c.of(-1)
			}
			if math.Abs(v-want) > 1e-6 || len(got) != 8 {
				t.Errorf("%s: element %d is %v, want %v", c.name, i, v, want)
			}
		}
	}
}

// What must be known and is not, is told with its place and what to do.
func TestRefusals(t *testing.T) {
	for _, c := range []struct{ name, body, say string }{
		{"packed sequences", "a, b, = torch._pack_padded_sequence(x, torch.zeros([2]), True)\nreturn a", "unpacked"},
		{"a power that is no number", "return torch.mul(x, torch.pow(torch.size(x, 0), 12))", "pow of the size N and 12"},
		{"complex numbers", "return torch.fft_hfft(x)", "real ones"},
		{"branch on data", "if bool(torch.gt(torch.sum(x), 0)):\n  y = x\nelse:\n  y = torch.neg(x)\nreturn y", "values of a tensor"},
		{"branch on the batch", "if torch.gt(torch.size(x, 0), 7):\n  y = x\nelse:\n  y = torch.neg(x)\nreturn y", "--batch N"},
		{"loop over the batch", "y = x\nfor i in range(torch.size(x, 0)):\n  y = torch.add(y, 1)\nreturn y", "--batch N"},
		{"exception", "ops.prim.RaiseException(\"images only\")\nreturn x", "images only"},
		{"operator", "return torch.fft_hfft(x)", "operator fft_hfft"},
		{"custom operator", "return ops.torchvision.nms(x)", "torchvision.nms"},
		{"C++ object", "return ops.quantized.linear(x)", "quantized.linear"},
		{"shapes", "return torch.matmul(x, x)", "matmul"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Decode(scripted(c.body), Options{})
			var u *model.UnsupportedError
			if !errors.As(err, &u) || !strings.Contains(err.Error(), c.say) || !strings.Contains(err.Error(), "line ") {
				t.Fatalf("it says: %v", err)
			}
		})
	}
	if _, err := Decode(scripted("if torch.gt(torch.size(x, 0), 7):\n  y = x\nelse:\n  y = torch.neg(x)\nreturn y"), Options{Batch: 3}); err != nil {
		t.Fatalf("with a fixed batch it says: %v", err)
	}
	s := scripted("return x")
	s.Inputs = nil
	if _, err := Decode(s, Options{}); err == nil || !strings.Contains(err.Error(), "--input") {
		t.Fatalf("without sizes it says: %v", err)
	}
}

// All that cannot be converted is listed, with what comes after it and what the
// conversion refuses.
func TestListOfRefusals(t *testing.T) {
	body := `
a = torch.fft_hfft(x)
b = torch.relu(a)
c, d, = torch.fft_split(b, 2)
l = annotate(List[Tensor], [])
_0 = torch.append(l, torch.fft_hfft(c))
_1 = torch.append(l, x)
e = torch.cat(l, 1)
if torch.eq(torch.dim(x), 2):
  f = ops.quantized.linear(e)
else:
  f = e
g = torch.dropout(x, 0.5, True)
h = ops.torchvision.nms(x)
return (f, g, h)`
	_, err := Decode(scripted(body), Options{})
	var list *aten.UnsupportedError
	if !errors.As(err, &list) {
		t.Fatalf("it says: %v", err)
	}
	got := map[string]int{}
	for _, p := range list.Parts {
		got[p.What] = p.Count
		if p.Advice == "" || p.First == "" && !strings.Contains(p.What, "dropout") {
			t.Errorf("%+v", p)
		}
	}
	want := map[string]int{"operator fft_hfft": 2, "operator fft_split": 1, "operator quantized.linear": 1, "operator torchvision.nms": 1}
	for what, n := range want {
		if got[what] != n {
			t.Errorf("%s: %d, want %d (%v)", what, got[what], n, got)
		}
	}
	if len(got) != len(want)+1 {
		t.Errorf("it lists %v", got)
	}
	var unsupported *model.UnsupportedError
	if !errors.As(err, &unsupported) {
		t.Errorf("the list is not a model.UnsupportedError")
	}
}

// Code without an end is stopped, and code that breaks the grammar is told by
// file and line.
func TestHostile(t *testing.T) {
	var limit *model.LimitError
	var format *model.FormatError
	deep := strings.Repeat("(", 5000) + "x" + strings.Repeat(")", 5000)
	for _, c := range []struct {
		name, body string
		as         any
	}{
		{"endless loop", "while True:\n  pass\nreturn x", &limit},
		{"huge range", "for i in range(4611686018427387904):\n  pass\nreturn x", &limit},
		{"recursion", "return (self).forward(x)", &limit},
		{"growing list", "l = [1]\nwhile True:\n  l = torch.add(l, l)\nreturn x", &limit},
		{"growing string", "s = \"ab\"\nwhile True:\n  s = torch.add(s, s)\nreturn x", &limit},
		{"growing list by mul", "l = torch.mul([1, 2], 4611686018427387904)\nreturn x", &limit},
		{"growing size", "n = torch.add(torch.size(x, 0), 1)\nwhile True:\n  n = torch.mul(n, n)\nreturn x", &limit},
		{"list in itself", "l = [1]\n_0 = torch.append(l, l)\n_1 = torch.eq(l, l)\nreturn x", &limit},
		{"many operators", "y = x\nwhile True:\n  y = torch.neg(y)\nreturn x", &limit},
		{"lists of lists that double", "l = [x, x]\n" + strings.Repeat("l = [l, l]\n", 14) + "return l", &limit},
		{"tuples that double, compared", "l = (1, 1)\n" + strings.Repeat("l = (l, l)\n", 60) + "k = (1, 1)\n" + strings.Repeat("k = (k, k)\n", 60) + "if torch.eq(l, k):\n  pass\nelse:\n  pass\nreturn x", &limit},
		{"another shape in place without end", "y = torch.neg(x)\nwhile True:\n  y = torch.unsqueeze_(y, 0)\nreturn y", &limit},
		{"brackets", "return " + deep, &format},
		{"open bracket", "return torch.neg(x", &format},
		{"name without a value", "return y", &format},
		{"missing constant", "return CONSTANTS.c7", &format},
		{"import", "import os\nreturn x", &format},
		{"try", "try:\n  pass\nreturn x", &format},
		{"builtin", "return open(\"/etc/passwd\")", &format},
		{"no number", "return torch.mul(x, 1_000)", &format},
		{"unpacking", "a, b = [1]\nreturn x", &format},
		{"division", "return torch.mul(x, torch.floordiv(1, 0))", &format},
		{"index", "return [x][3]", &format},
		{"comparison", "if torch.lt(\"a\", 1):\n  pass\nelse:\n  pass\nreturn x", &format},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Decode(scripted(c.body), Options{})
			if !errors.As(err, c.as) {
				t.Fatalf("it says: %v", err)
			}
		})
	}
	t.Run("calls that double", func(t *testing.T) {
		src := "class Net(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n"
		for i := range 60 {
			src += fmt.Sprintf("  def f%d(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n    return (self).f%d((self).f%d(x, ), )\n", i+1, i, i)
		}
		src += "  def f0(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n    return x\n  def forward(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n    return (self).f60(x, )\n"
		if _, err := Decode(of(map[string]string{"__torch__.py": src}), Options{}); !errors.As(err, &limit) {
			t.Errorf("it says: %v", err)
		}
	})
	t.Run("modules that double", func(t *testing.T) {
		s := scripted("return x")
		root := s.Root.(*file.Object)
		for m, i := root, 0; i < 60; i++ {
			inner := &file.Object{Class: "__torch__.Net", Names: []string{"training"}, Attrs: map[string]any{"training": false}}
			m.Names = append(m.Names, "a", "b")
			m.Attrs["a"], m.Attrs["b"] = inner, inner
			m = inner
		}
		if _, err := Decode(s, Options{}); err != nil && !errors.As(err, &limit) && !errors.As(err, &format) {
			t.Errorf("it says: %v", err)
		}
	})
	for _, name := range []string{"__torch__/../../etc.NAME", "__torch__......etc", "__torch__"} {
		s := of(map[string]string{})
		s.Root.(*file.Object).Class = name
		if _, err := Decode(s, Options{}); err == nil {
			t.Errorf("the class %q is accepted", name)
		}
	}
	s := scripted("return x")
	root := s.Root.(*file.Object)
	root.Names, root.Attrs["me"] = append(root.Names, "me"), root
	if _, err := Decode(s, Options{}); !errors.As(err, &format) {
		t.Errorf("a module in itself: %v", err)
	}
}

// Where the file does not say the type of an input, its use does.
func TestGuessedTypes(t *testing.T) {
	for body, want := range map[string]model.DType{
		"return torch.neg(x)":                                     model.Float32,
		"return torch.to(torch.eq(x, 0), 6)":                      model.Int64,
		"return torch.to(torch.eq(x, 0.), 6)":                     model.Float32,
		"return torch.embedding(torch.zeros([3, 2], dtype=6), x)": model.Int64,
	} {
		s := scripted(body)
		s.Inputs = nil
		p, err := Decode(s, Options{Input: [][]int{{4}}})
		if err != nil {
			t.Errorf("%s: %v", body, err)
		} else if have := p.Inputs[0].DType; have != want || len(p.Notes) == 1 != (want == model.Int64) {
			t.Errorf("%s: the input is %v (%q)", body, have, p.Notes)
		}
	}
}
