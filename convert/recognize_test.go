package convert_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"lethe/convert"
	"lethe/graph"
	"lethe/model"
	"lethe/ops"
)

// zeros returns a float32 tensor of zeros.
func zeros(shape ...int) *model.Tensor {
	n, _ := model.Elements(shape)
	return model.Float32Tensor(shape, make([]float32, n))
}

// typed returns a tensor of zeros of any type.
func typed(t *testing.T, dtype model.DType, shape ...int) *model.Tensor {
	t.Helper()
	n, _ := model.Elements(shape)
	x, err := model.NewTensor(dtype, shape, nil, 0, model.BytesStorage(make([]byte, n*dtype.Size())))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// rebuild makes a state dict of f's answers; a name of "" leaves an entry out.
func rebuild(t *testing.T, sd *model.StateDict, f func(string, *model.Tensor) (string, *model.Tensor)) *model.StateDict {
	t.Helper()
	var entries []model.Entry
	for name, tensor := range sd.All() {
		if name, tensor = f(name, tensor); name != "" {
			entries = append(entries, model.Entry{Name: name, Tensor: tensor})
		}
	}
	out, err := model.NewStateDict(entries...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func without(t *testing.T, sd *model.StateDict, drop string) *model.StateDict {
	return rebuild(t, sd, func(name string, x *model.Tensor) (string, *model.Tensor) {
		if name == drop {
			return "", nil
		}
		return name, x
	})
}

func TestRecognizeKeepsPrefixes(t *testing.T) {
	plain, err := convert.Recognize(lenet())
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"module.", "_orig_mod.", "model.", "module._orig_mod.", "_orig_mod.module.", "model.module._orig_mod.model."} {
		sd := rebuild(t, lenet(), func(name string, x *model.Tensor) (string, *model.Tensor) { return prefix + name, x })
		g, err := convert.Recognize(sd)
		if err != nil {
			t.Errorf("%s: %v", prefix, err)
			continue
		}
		for i, n := range g.Nodes {
			if n.Name != plain.Nodes[i].Name {
				t.Errorf("%s: node %q, want %q", prefix, n.Name, plain.Nodes[i].Name)
			}
		}
		want := ops.Parameters(plain)
		for i := range want {
			want[i] = prefix + want[i]
		}
		if got := ops.Parameters(g); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: parameters %q, want %q", prefix, got, want)
		}
	}
	mixed := rebuild(t, lenet(), func(name string, x *model.Tensor) (string, *model.Tensor) {
		if name == "fc2.bias" {
			return name, x
		}
		return "module." + name, x
	})
	if _, err := convert.Recognize(mixed); err == nil {
		t.Error("a prefix on all names but one was accepted")
	}
}

func TestRecognizeNames(t *testing.T) {
	sd := lenet().With("block1.1.num_batches_tracked", typed(t, model.Int64))
	g, err := convert.Recognize(sd)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(ops.Parameters(g)); n != 14 {
		t.Errorf("%d parameters, want the 14 of the task", n)
	}
	if n := len(ops.Buffers(g)); n != 4 {
		t.Errorf("%d buffers, want 4", n)
	}
	if last, err := ops.LastLayer(g); err != nil || !reflect.DeepEqual(last, []string{"fc2.weight", "fc2.bias"}) {
		t.Errorf("last layer %q, %v", last, err)
	}
	made := map[string]bool{}
	for _, n := range g.Nodes {
		if made[n.Outputs[0]] || sd.Get(n.Outputs[0]) != nil {
			t.Errorf("value %q is not unique", n.Outputs[0])
		}
		made[n.Outputs[0]] = true
	}
}

// Sizes follow the tensors; only the wiring is fixed.
func TestRecognizeSizes(t *testing.T) {
	for _, c := range []struct {
		name                      string
		in, c1, c2, features      int
		hidden1, hidden2, classes int
		wantImage                 int
	}{
		{"the task's", 1, 6, 16, 16 * 4 * 4, 120, 84, 10, 28},
		{"colour, wider, more classes", 3, 8, 20, 20 * 4 * 4, 100, 50, 47, 28},
		{"CIFAR: 5x5 is left of 32 to 35, the smallest counts", 3, 6, 16, 16 * 5 * 5, 120, 84, 10, 32},
		{"the smallest image that leaves anything", 1, 1, 1, 1, 1, 1, 2, 16},
	} {
		sd := lenet().
			With("block1.0.weight", zeros(c.c1, c.in, 5, 5)).
			With("block2.0.weight", zeros(c.c2, c.c1, 5, 5)).
			With("fc.weight", zeros(c.hidden1, c.features)).With("fc.bias", zeros(c.hidden1)).
			With("fc1.weight", zeros(c.hidden2, c.hidden1)).With("fc1.bias", zeros(c.hidden2)).
			With("fc2.weight", zeros(c.classes, c.hidden2)).With("fc2.bias", zeros(c.classes))
		for _, suffix := range []string{"0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"} {
			sd = sd.With("block1."+suffix, zeros(c.c1)).With("block2."+suffix, zeros(c.c2))
		}
		g, err := convert.Recognize(sd)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		wantIn := graph.Batch(c.in, c.wantImage, c.wantImage)
		wantOut := graph.Batch(c.classes)
		if in, out := g.Inputs[0].Shape, g.Outputs[0].Shape; !in.Equal(wantIn) || !out.Equal(wantOut) {
			t.Errorf("%s: %v -> %v, want %v -> %v", c.name, in, out, wantIn, wantOut)
		}
	}
}

func TestRecognizeDTypes(t *testing.T) {
	for dtype, ok := range map[model.DType]bool{
		model.Float16: true, model.BFloat16: true, model.Float32: true, model.Float64: true,
		model.Int8: false, model.Int64: false, model.Bool: false, model.Complex64: false,
	} {
		sd := rebuild(t, lenet(), func(name string, x *model.Tensor) (string, *model.Tensor) {
			return name, typed(t, dtype, x.Shape()...)
		})
		g, err := convert.Recognize(sd)
		if ok != (err == nil) {
			t.Errorf("%v: %v", dtype, err)
		}
		if ok && g.Inputs[0].DType != model.Float32 {
			t.Errorf("%v: the graph takes %v", dtype, g.Inputs[0].DType)
		}
		if !ok && !strings.Contains(err.Error(), "block1.0.weight is "+dtype.String()+", not of a floating-point type") {
			t.Errorf("%v: %v", dtype, err)
		}
	}
}

func TestRecognizeSaysWhatDiffers(t *testing.T) {
	empty, _ := model.NewStateDict()
	huge, err := model.NewTensor(model.Float32, []int{120, 1<<50 - 16}, []int{0, 0}, 0, model.BytesStorage(make([]byte, 4)))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		sd   *model.StateDict
		want string
	}{
		{"missing", without(t, lenet(), "fc.bias"), "missing: fc.bias;"},
		{"missing, with prefix", without(t, rebuild(t, lenet(), func(n string, x *model.Tensor) (string, *model.Tensor) { return "module." + n, x }), "module.fc.bias"), "missing: module.fc.bias;"},
		{"extra", lenet().With("head.weight", zeros(1)), `not part of it: "head.weight";`},
		{"control characters", lenet().With("\x1b[2J", zeros(1)), `not part of it: "\x1b[2J";`},
		{"counter of a layer without one", lenet().With("fc.num_batches_tracked", zeros()), `not part of it: "fc.num_batches_tracked"`},
		{"kernel", lenet().With("block1.0.weight", zeros(6, 1, 3, 3)), "block1.0.weight has shape [6 1 3 3], not [* * 5 5];"},
		{"rank", lenet().With("fc2.bias", zeros(10, 1)), "fc2.bias has shape [10 1], not [10];"},
		{"channels", lenet().With("block2.0.weight", zeros(16, 7, 5, 5)), "block2.0.weight has shape [16 7 5 5], not [* 6 5 5];"},
		{"hidden units", lenet().With("fc1.weight", zeros(84, 121)), "fc1.weight has shape [84 121], not [* 120];"},
		{"no square", lenet().With("fc.weight", zeros(120, 16*15)), "fc.weight takes 240 features, which is not 16 channels times a square;"},
		{"no channels", lenet().With("fc.weight", zeros(120, 15)), "fc.weight takes 15 features, which"},
		{"empty weight", lenet().With("fc.weight", zeros(120, 0)), "fc.weight has shape [120 0], not [* *];"},
		{"expanded weight", lenet().With("fc.weight", huge), "fc.weight takes 1125899906842608 features"},
		{"many", lenet().With("a", zeros()).With("b", zeros()).With("c", zeros()).With("d", zeros()).With("e", zeros()), `"a", "b", "c" and 2 more;`},
		{"nothing", empty, "missing: block1.0.weight, block1.0.bias, block1.1.weight and 15 more;"},
	} {
		g, err := convert.Recognize(c.sd)
		var unsupported *model.UnsupportedError
		if !errors.As(err, &unsupported) {
			t.Errorf("%s: graph %v, error %v", c.name, g, err)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "supported is LeNet") {
			t.Errorf("%s: %q does not contain %q", c.name, err, c.want)
		}
	}
}
