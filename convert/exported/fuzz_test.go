package exported_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lethe/convert/aten"
	"lethe/convert/exported"
	"lethe/model"
	"lethe/onnxio"
	"lethe/pickle"
)

// graphs returns the JSON texts of the programs of testdata, and what they
// refer to.
func graphs(t testing.TB) (texts [][]byte, programs []*pickle.Program) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.pt2")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		p := open(t, filepath.Base(path))
		text, err := io.ReadAll(p.Graph)
		if err != nil {
			t.Fatal(err)
		}
		texts, programs = append(texts, text), append(programs, p)
	}
	return texts, programs
}

// Whatever the text, there is an error or a graph that can be written.
func FuzzGraph(f *testing.F) {
	texts, programs := graphs(f)
	for i, text := range texts {
		if len(text) < 30000 {
			f.Add(text, byte(i))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, i byte) {
		p := programs[int(i)%len(programs)]
		program, err := exported.Decode(exported.Source{Member: "fuzz", Graph: bytes.NewReader(text), State: p.State, Constants: p.Constants, Unpack: p.Unpack})
		if err != nil {
			typed(t, err)
			return
		}
		r, err := aten.Convert(program, aten.Options{ForceEval: true})
		if err != nil {
			typed(t, err)
			return
		}
		if err := onnxio.Encode(io.Discard, r.Graph, r.State, onnxio.EncodeOptions{}); err != nil {
			typed(t, err)
		}
	})
}

// typed requires an error of one of the types that the commands know.
func typed(t *testing.T, err error) {
	t.Helper()
	var format *model.FormatError
	var unsupported *model.UnsupportedError
	var limit *model.LimitError
	if !errors.As(err, &format) && !errors.As(err, &unsupported) && !errors.As(err, &limit) {
		t.Errorf("the error has none of the types: %v", err)
	}
}

// Texts that break a rule are errors that say where.
func TestHostileGraphs(t *testing.T) {
	texts, programs := graphs(t)
	at := -1
	for i, text := range texts {
		if bytes.Contains(text, []byte(`"major": 8, "minor": 20`)) && bytes.Contains(text, []byte("Sequential")) {
			at = i
		}
	}
	if at < 0 {
		t.Fatal("no program of torch 2.15 of an MLP")
	}
	text, p := string(texts[at]), programs[at]
	tests := []struct{ name, old, new, want string }{
		{"nothing", text, "", "the end of the text where '{'"},
		{"cut short", text[len(text)/2:], "", "broken"},
		{"deep nesting", text, `{"x": ` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}", "nesting"},
		{"a key twice", `"graph_module":`, `"graph_module": {}, "graph_module":`, "occurs twice"},
		{"something after the end", text, text + "x", "after the end"},
		{"a newer schema", `"major": 8`, `"major": 9`, "schema 9.20"},
		{"no schema", `"schema_version"`, `"other"`, "no schema_version"},
		{"no tensor", `"parameter_name": "1.weight"`, `"parameter_name": "7.weight"`, `no tensor "7.weight"`},
		{"another shape", `"parameter_name": "1.weight"`, `"parameter_name": "4.weight"`, "shape"},
		{"two alternatives", `"arg": {"as_tensor": {"name": "flatten"}}`, `"arg": {"as_int": 1, "as_tensor": {"name": "flatten"}}`, "has both"},
		{"no alternative", `"arg": {"as_tensor": {"name": "flatten"}}`, `"arg": {}`, "has no value"},
		{"a value before it is made", `"arg": {"as_tensor": {"name": "flatten"}}`, `"arg": {"as_tensor": {"name": "relu"}}`, "before anything makes it"},
		{"a value made twice", `"outputs": [{"as_tensor": {"name": "relu"}}]`, `"outputs": [{"as_tensor": {"name": "flatten"}}]`, "made twice"},
		{"an unknown type", `"flatten": {"dtype": 7`, `"flatten": {"dtype": 77`, "element type"},
		{"code in an expression", "Symbol('s", "__import__('s", "expression"},
		{"an expression nested deeply", "Symbol('s31', positive=True, integer=True)", strings.Repeat("Add(", 100_000) + "Integer(1)" + strings.Repeat(", Integer(1))", 100_000), ""},
		{"a number of a million digits", "Symbol('s31', positive=True, integer=True)", "Integer(" + strings.Repeat("9", 1_000_000) + ")", ""},
		{"a size that is text", `{"as_int": 64}`, `{"as_int": "64"}`, "neither a number nor an expression"},
		{"a custom operator", "torch.ops.aten.relu.default", "torch.ops.mine.relu.default", "belongs to another library"},
		{"a quantized operator", "torch.ops.aten.relu.default", "torch.ops.quantized_decomposed.quantize_per_tensor.default", "before it is quantized"},
		{"a condition", "torch.ops.aten.relu.default", "torch.ops.higher_order.cond", "depends on its data"},
		{"other names than in the signature", `{"inputs": [{"as_tensor": {"name": "p_1_weight"}}`, `{"inputs": [{"as_tensor": {"name": "p_1_bias"}}`, "signature"},
	}
	for _, test := range tests {
		hostile := strings.Replace(text, test.old, test.new, 1)
		if hostile == text {
			t.Errorf("%s: %.50q is not in the text", test.name, test.old)
			continue
		}
		program, err := exported.Decode(exported.Source{Member: "models/model.json", Graph: strings.NewReader(hostile), State: p.State, Constants: p.Constants})
		if err == nil {
			_, err = aten.Convert(program, aten.Options{})
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: the error is %v, want one with %q", test.name, err, test.want)
			continue
		}
		typed(t, err)
	}
}

// numbersOf finds the numbers of a text, and words that can stand for each other.
var numbersOf = regexp.MustCompile(`-?\d+(\.\d+)?|true|false|as_ints?\b|as_tensors?\b|aten\.[a-z_0-9]+`)

// Programs in which single numbers, words and operators are others: an error of
// one of the types, or a graph; never a panic, and nothing that is as large as a
// number.
func TestMutatedGraphs(t *testing.T) {
	texts, programs := graphs(t)
	random := rand.New(rand.NewPCG(1, 2))
	others := []string{"-1", "0", "1", "2", "7", "64", "9223372036854775807", "-9223372036854775808", "0.5", "1e300", "null", "[]", "{}", "true", "false", `"x"`}
	var operators []string
	for _, text := range texts {
		operators = append(operators, regexp.MustCompile(`aten\.[a-z_0-9]+`).FindAllString(string(text), -1)...)
	}
	rounds := 100
	if testing.Short() {
		rounds = 30
	}
	for i, text := range texts {
		p := programs[i]
		places := numbersOf.FindAllIndex(text, -1)
		for range rounds {
			at := places[random.IntN(len(places))]
			with := others[random.IntN(len(others))]
			if bytes.HasPrefix(text[at[0]:], []byte("aten.")) {
				with = operators[random.IntN(len(operators))]
			} else if bytes.HasPrefix(text[at[0]:], []byte("as_")) {
				with = []string{"as_int", "as_ints", "as_tensor", "as_tensors", "as_none"}[random.IntN(5)]
			}
			mutated := slices.Concat(text[:at[0]], []byte(with), text[at[1]:])
			program, err := exported.Decode(exported.Source{Member: "mutated", Graph: bytes.NewReader(mutated), State: p.State, Constants: p.Constants, Unpack: p.Unpack})
			if err == nil {
				_, err = aten.Convert(program, aten.Options{ForceEval: true, Opset: 13 + random.IntN(9)})
			}
			if err != nil {
				typed(t, err)
			}
		}
	}
}
