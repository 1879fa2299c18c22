package rewrite_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"lethe/internal/rewrite"
	"lethe/internal/vectors"
	"lethe/model"
)

func state(t *testing.T, names ...string) *model.StateDict {
	t.Helper()
	var entries []model.Entry
	for i, name := range names {
		entries = append(entries, model.Entry{Name: name, Tensor: model.Float32Tensor([]int{1}, []float32{float32(i)})})
	}
	sd, err := model.NewStateDict(entries...)
	if err != nil {
		t.Fatal(err)
	}
	return sd
}

func renames(t *testing.T, texts ...string) (list []rewrite.Rename) {
	t.Helper()
	for _, text := range texts {
		r, err := rewrite.ParseRename(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

func TestNames(t *testing.T) {
	names := []string{"module.conv.weight", "module.conv.bias", "module.head.weight", "step"}
	for _, c := range []struct {
		name  string
		rules rewrite.Rules
		want  string // the new names, or a part of the error
	}{
		{"nothing", rewrite.Rules{}, "[module.conv.weight module.conv.bias module.head.weight step]"},
		{"strip", rewrite.Rules{StripPrefix: "module."}, "[conv.weight conv.bias head.weight step]"},
		{"select", rewrite.Rules{Select: []string{"*.weight"}}, "[module.conv.weight module.head.weight]"},
		{"select two", rewrite.Rules{Select: []string{"step", "*head*"}}, "[module.head.weight step]"},
		{"drop", rewrite.Rules{Drop: []string{"*.bias", "step"}}, "[module.conv.weight module.head.weight]"},
		{"select and drop", rewrite.Rules{Select: []string{"module.*"}, Drop: []string{"*.bias"}}, "[module.conv.weight module.head.weight]"},
		{"rename one", rewrite.Rules{Rename: renames(t, "step=global_step")}, "[module.conv.weight module.conv.bias module.head.weight global_step]"},
		{"rename by a star", rewrite.Rules{Rename: renames(t, "module.conv.*=stem.*")}, "[stem.weight stem.bias module.head.weight step]"},
		{"two stars", rewrite.Rules{Rename: renames(t, "module.*.*=*/x/*")}, "[conv/x/weight conv/x/bias head/x/weight step]"},
		{"one after the other", rewrite.Rules{StripPrefix: "module.", Rename: renames(t, "conv.*=a.*", "a.w*=b.w*")}, "[b.weight a.bias head.weight step]"},
		{"a dot is a dot", rewrite.Rules{Select: []string{"s.ep"}}, `no entry is called "s.ep"`},
		{"a part of a name is not a name", rewrite.Rules{Drop: []string{"module"}}, `no entry is called "module"`},
		{"no such prefix", rewrite.Rules{StripPrefix: "model."}, `no entry starts with "model."`},
		{"no such rename", rewrite.Rules{Rename: renames(t, "x*=y*")}, `no entry is called "x*"`},
		{"collision", rewrite.Rules{Rename: renames(t, "module.conv.*=x")}, `"module.conv.weight" and "module.conv.bias" would both be called "x"`},
		{"nothing left", rewrite.Rules{Drop: []string{"*"}}, "no entry is left"},
	} {
		sd, changes, err := c.rules.Apply(state(t, names...))
		if err != nil {
			if vectors.Outcome(err) != "unsupported" || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", c.name, err, c.want)
			}
			continue
		}
		if got := fmt.Sprint(sd.Names()); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if (len(changes) == 0) != c.rules.IsZero() {
			t.Errorf("%s: changes %v", c.name, changes)
		}
	}
	for _, text := range []string{"x", "=x", "x=", "a=*", "a*=**"} {
		if r, err := rewrite.ParseRename(text); err == nil {
			t.Errorf("%q is %v", text, r)
		}
	}
}

func tensor(t *testing.T, d model.DType, shape, strides []int, offset int, st *model.Storage) *model.Tensor {
	t.Helper()
	x, err := model.NewTensor(d, shape, strides, offset, st)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func doubles(v ...float64) *model.Storage {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
	}
	return model.BytesStorage(b)
}

// Types change, ties and views stay, other types are left alone.
func TestDType(t *testing.T) {
	st := doubles(1, 2, 65504, math.Inf(1), math.NaN(), 1e-9)
	sd, err := model.NewStateDict(
		model.Entry{Name: "whole", Tensor: tensor(t, model.Float64, []int{6}, nil, 0, st)},
		model.Entry{Name: "tail", Tensor: tensor(t, model.Float64, []int{2}, []int{2}, 1, st)},
		model.Entry{Name: "count", Tensor: tensor(t, model.Int64, []int{1}, nil, 0, model.BytesStorage(make([]byte, 8)))},
		model.Entry{Name: "half", Tensor: tensor(t, model.Float16, []int{1}, nil, 0, model.BytesStorage(make([]byte, 2)))},
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []model.DType{model.Float16, model.Float32} {
		out, changes, err := (&rewrite.Rules{DType: d}).Apply(sd)
		if err != nil {
			t.Fatal(err)
		}
		v, err := out.Get("whole").Float32s()
		if err != nil || v[0] != 1 || v[2] != 65504 || !math.IsInf(float64(v[3]), 1) || v[4] == v[4] {
			t.Errorf("%v: %v, %v", d, v, err)
		}
		if tail, err := out.Get("tail").Float32s(); err != nil || tail[0] != 2 || !math.IsInf(float64(tail[1]), 1) {
			t.Errorf("%v: %v, %v", d, tail, err)
		}
		if out.Get("whole").Storage() != out.Get("tail").Storage() || out.Get("count") != sd.Get("count") || out.Get("whole").DType() != d {
			t.Errorf("%v: ties or types are not kept", d)
		}
		if want := map[model.DType]int{model.Float16: 2, model.Float32: 3}[d]; len(changes) != want {
			t.Errorf("%v: %v", d, changes)
		}
	}
}

// A number that the new type does not have is an error with the name.
func TestOverflow(t *testing.T) {
	for _, c := range []struct {
		x    float64
		to   model.DType
		fits bool
	}{
		{65504, model.Float16, true}, {65520, model.Float16, false}, {-1e5, model.Float16, false}, {math.Inf(-1), model.Float16, true},
		{3e38, model.BFloat16, true}, {3.4e38, model.BFloat16, false}, {1e39, model.Float32, false}, {math.Inf(1), model.Float32, true},
	} {
		sd, err := model.NewStateDict(model.Entry{Name: "w", Tensor: tensor(t, model.Float64, []int{3}, nil, 0, doubles(0, c.x, 1))})
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := (&rewrite.Rules{DType: c.to}).Apply(sd)
		if err != nil {
			t.Fatal(err)
		}
		_, err = out.Get("w").Bytes()
		if c.fits && err != nil || !c.fits && (vectors.Outcome(err) != "unsupported" || !strings.Contains(err.Error(), `"w" holds a number beyond the range of `+c.to.String())) {
			t.Errorf("%v in %v: %v", c.x, c.to, err)
		}
	}
}

// Reading in pieces gives what reading at once gives.
func TestPieces(t *testing.T) {
	v := make([]float64, 70000)
	for i := range v {
		v[i] = math.Sin(float64(i))
	}
	sd, err := model.NewStateDict(model.Entry{Name: "w", Tensor: tensor(t, model.Float64, []int{len(v)}, nil, 0, doubles(v...))})
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := (&rewrite.Rules{DType: model.BFloat16}).Apply(sd)
	if err != nil {
		t.Fatal(err)
	}
	want, err := out.Get("w").Bytes()
	if err != nil {
		t.Fatal(err)
	}
	r := out.Get("w").Storage().Reader()
	for _, at := range []int64{0, 1, 65535, 65536, 65537, int64(len(want)) - 3} {
		got := make([]byte, 3)
		if _, err := r.ReadAt(got, at); err != nil || !bytes.Equal(got, want[at:at+3]) {
			t.Errorf("at %d: %v, %v, want %v", at, got, err, want[at:at+3])
		}
	}
}
