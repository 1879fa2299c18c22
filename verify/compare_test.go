package verify

import (
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"lethe/graph"
	"lethe/model"
	"lethe/ops"
)

// reshape returns an entry with the same elements in another shape.
func reshape(t *testing.T, sd *model.StateDict, name string, shape ...int) *model.StateDict {
	t.Helper()
	b, err := sd.Get(name).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	again, err := model.NewTensor(sd.Get(name).DType(), shape, nil, 0, model.BytesStorage(b))
	if err != nil {
		t.Fatal(err)
	}
	return sd.With(name, again)
}

// retype returns an entry with the same values in another floating-point type.
func retype(t *testing.T, sd *model.StateDict, name string, dtype model.DType) *model.StateDict {
	t.Helper()
	v, err := sd.Get(name).Float32s()
	if err != nil {
		t.Fatal(err)
	}
	again, err := model.FromFloat32s(dtype, sd.Get(name).Shape(), v)
	if err != nil {
		t.Fatal(err)
	}
	return sd.With(name, again)
}

func flip(bits uint32) uint32 { return bits ^ 1 }

// Every mutant of a good edit breaks the checks named and no other.
func TestCompareMutants(t *testing.T) {
	net, before := lenet(t)
	good := set(t, before, "fc.weight", 7, add(0.5))
	rename := func(sd *model.StateDict, from, to string) *model.StateDict {
		all := entries(sd)
		for i := range all {
			if all[i].Name == from {
				all[i].Name = to
			}
		}
		return stateDict(t, all...)
	}
	without := func(sd *model.StateDict, name string) *model.StateDict {
		return stateDict(t, slices.DeleteFunc(entries(sd), func(e model.Entry) bool { return e.Name == name })...)
	}
	all := entries(good)
	all[0], all[1] = all[1], all[0]
	reordered := stateDict(t, all...)

	for _, m := range []struct {
		name   string
		after  *model.StateDict
		breaks []string
		detail string // of the first
	}{
		{"nothing", before, nil, ""},
		{"a good edit", good, nil, ""},

		{"a renamed entry", rename(good, "fc.weight", "fc.wait"), []string{SameNames}, "fc.weight is missing, fc.wait is new"},
		{"a missing entry", without(good, "fc.bias"), []string{SameNames}, "fc.bias is missing"},
		{"an extra entry", good.With("fc3.weight", good.Get("fc.bias")), []string{SameNames}, "fc3.weight is new"},
		{"an extra entry that moves the cursor", good.With("\x1b[2Jfc", good.Get("fc.bias")), []string{SameNames}, `"\x1b[2Jfc" is new`},
		{"two entries in another order", reordered, []string{SameNames}, "the order differs"},
		{"another shape", reshape(t, good, "fc.weight", 256, 120), []string{SameShapes}, "fc.weight is [256 120], was [120 256]"},
		{"another rank", reshape(t, good, "fc.bias", 120, 1), []string{SameShapes}, "fc.bias is [120 1], was [120]"},
		{"another type", retype(t, good, "fc.bias", model.Float64), []string{SameDTypes}, "fc.bias is float64, was float32"},
		{"a bit of the last weight", poke(t, good, "fc2.weight", 839, flip), []string{SameLastLayer}, "fc2.weight moved by up to "},
		{"a bit of the last bias", poke(t, good, "fc2.bias", 0, flip), []string{SameLastLayer}, "fc2.bias moved by up to "},
		{"a running mean", set(t, good, "block1.1.running_mean", 0, add(1)), []string{SameBuffers}, "block1.1.running_mean moved by up to 1"},
		{"a running variance", set(t, good, "block2.1.running_var", 0, add(1)), []string{SameBuffers}, "block2.1.running_var moved by up to 1"},
		{"a counter", poke(t, good, "block1.1.num_batches_tracked", 0, flip), []string{SameOthers}, "block1.1.num_batches_tracked changed"},
		{"NaN", set(t, good, "fc.weight", 5, to(math.NaN())), []string{AllFinite}, "fc.weight"},
		{"infinity", set(t, good, "fc.weight", 30719, to(math.Inf(-1))), []string{AllFinite}, "fc.weight"},

		// Two things that are both wrong are both said.
		{"no last weight", without(good, "fc2.weight"), []string{SameNames, SameLastLayer}, "fc2.weight is missing"},
		{"a reshaped last weight", reshape(t, good, "fc2.weight", 84, 10), []string{SameShapes, SameLastLayer}, "fc2.weight is [84 10], was [10 84]"},
		{"a last bias of another type", retype(t, good, "fc2.bias", model.Float16), []string{SameDTypes, SameLastLayer}, "fc2.bias is float16, was float32"},
		{"a reshaped weight of another type", reshape(t, retype(t, good, "fc.bias", model.Float64), "fc.bias", 1, 120), []string{SameShapes, SameDTypes}, "fc.bias is [1 120], was [120]"},
		{"a reshaped weight with NaN", reshape(t, set(t, good, "fc.bias", 5, to(math.NaN())), "fc.bias", 1, 120), []string{SameShapes, AllFinite}, "fc.bias is [1 120], was [120]"},
		{"NaN in the last bias", set(t, good, "fc2.bias", 3, to(math.NaN())), []string{SameLastLayer, AllFinite}, "fc2.bias changed"},
		{"no counter", without(good, "block1.1.num_batches_tracked"), []string{SameNames, SameOthers}, "block1.1.num_batches_tracked is missing"},
	} {
		c, err := Compare(net.Graph(), before, m.after)
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		if len(c.Checks) != len(invariants) {
			t.Errorf("%s: %d checks, want %d", m.name, len(c.Checks), len(invariants))
		}
		if got := failing(c.Checks); !slices.Equal(got, m.breaks) {
			t.Errorf("%s: breaks %q, want %q", m.name, got, m.breaks)
			continue
		}
		for _, check := range c.Checks {
			if check.OK && check.Detail != "" {
				t.Errorf("%s: %s holds, and yet: %s", m.name, check.Name, check.Detail)
			}
		}
		if len(m.breaks) == 0 {
			continue
		}
		i := slices.IndexFunc(c.Checks, func(c Check) bool { return !c.OK })
		if got := c.Checks[i].Detail; !strings.HasPrefix(got, m.detail) {
			t.Errorf("%s: detail %q, want %q", m.name, got, m.detail)
		}
	}
}

func TestCompareListsAFewOfMany(t *testing.T) {
	net, before := lenet(t)
	after := before
	for name := range before.All() {
		after = after.With("x."+name, before.Get(name))
	}
	c, err := Compare(net.Graph(), before, after)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Checks[0].Detail, " is new and 16 more"; !strings.HasSuffix(got, want) || strings.Count(got, "new") != 4 {
		t.Errorf("detail %q, want four names and %q", got, want)
	}
}

func TestCompareMeasuresTheDistance(t *testing.T) {
	net, before := lenet(t)
	after := set(t, before, "fc.bias", 0, to(0))
	after = set(t, after, "fc1.bias", 1, to(0))
	zero := after
	// By 3 and 4 in two tensors: 5 together. A last layer that moves counts, it
	// is made of parameters; buffers do not.
	after = set(t, after, "fc.bias", 0, to(3))
	after = set(t, after, "fc1.bias", 1, to(-4))
	for _, m := range []struct {
		name  string
		after *model.StateDict
		want  float64
	}{
		{"two parameters", after, 5},
		{"and a buffer", set(t, after, "block1.1.running_var", 0, add(100)), 5},
		{"and the last layer", set(t, set(t, after, "fc2.bias", 0, to(0)), "fc2.bias", 0, to(12)), -1},
		{"a NaN", set(t, after, "fc.weight", 9, to(math.NaN())), 5},
		{"an infinity", set(t, after, "fc.weight", 9, to(math.Inf(1))), 5},
	} {
		c, err := Compare(net.Graph(), zero, m.after)
		if err != nil {
			t.Fatal(err)
		}
		if m.want < 0 {
			v, err := zero.Get("fc2.bias").Float32s()
			if err != nil {
				t.Fatal(err)
			}
			m.want = math.Hypot(5, 12-float64(v[0]))
		}
		if math.Abs(c.L2-m.want) > 1e-12 {
			t.Errorf("%s: L2 is %v, want %v", m.name, c.L2, m.want)
		}
	}

	// What a NaN before became has no distance either, and NaN is gone.
	c, err := Compare(net.Graph(), set(t, zero, "fc.weight", 9, to(math.NaN())), after)
	if err != nil || c.L2 != 5 || Err(c.Checks) != nil {
		t.Errorf("NaN before: L2 %v, %v, %v", c.L2, Err(c.Checks), err)
	}

	if c, err = Compare(net.Graph(), zero, after); err != nil {
		t.Fatal(err)
	}
	c.Changes[0].Shape[0] = -1
	if zero.Get(c.Changes[0].Name).Shape()[0] == -1 {
		t.Error("the report shares the shape of the tensor")
	}
	if got := len(c.Changes); got != zero.Len() {
		t.Fatalf("%d changes of %d entries", got, zero.Len())
	}
	roles := map[string]string{
		"fc.bias": "parameter", "block1.1.weight": "parameter", "fc2.weight": "last layer", "fc2.bias": "last layer",
		"block1.1.running_mean": "buffer", "block1.1.running_var": "buffer", "block1.1.num_batches_tracked": "other",
	}
	for i, name := range zero.Names() {
		ch := c.Changes[i]
		if role, ok := roles[name]; ch.Name != name || ok && ch.Role != role {
			t.Errorf("change %d is of %s, a %s, want %s, a %s", i, ch.Name, ch.Role, name, role)
		}
		l2 := map[string]float64{"fc.bias": 3, "fc1.bias": 4}[name]
		if ch.L2 != l2 || ch.Max != l2 || ch.Changed() != (l2 > 0) {
			t.Errorf("%s: L2 %v, largest %v, changed %v, want %v", name, ch.L2, ch.Max, ch.Changed(), l2)
		}
		if ch.Shape == nil || ch.DType != zero.Get(name).DType().String() || len(ch.Before) != 64 {
			t.Errorf("%s: shape %v, dtype %s, digest %s", name, ch.Shape, ch.DType, ch.Before)
		}
	}
}

// A change of sign of zero moves nothing, and is a change.
func TestCompareSeesTheSignOfZero(t *testing.T) {
	net, before := lenet(t)
	before = set(t, before, "fc2.bias", 0, to(0))
	after := set(t, before, "fc2.bias", 0, to(math.Copysign(0, -1)))
	c, err := Compare(net.Graph(), before, after)
	if err != nil {
		t.Fatal(err)
	}
	if got := Err(c.Checks); got == nil || got.Error() != "check failed: last layer bit-identical (fc2.bias changed)" {
		t.Errorf("got %v", got)
	}
	if c.L2 != 0 {
		t.Errorf("L2 is %v", c.L2)
	}
}

// Strides are how a tensor lies in its file, not what it holds.
func TestCompareIgnoresStrides(t *testing.T) {
	net, before := lenet(t)
	w := before.Get("fc2.weight")
	v, err := w.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	rows, cols := w.Shape()[0], w.Shape()[1]
	columns := make([]float32, len(v))
	for i := range v {
		columns[i%cols*rows+i/cols] = v[i]
	}
	storage := model.Float32Tensor([]int{len(v)}, columns).Storage()
	strided, err := model.NewTensor(model.Float32, w.Shape(), []int{1, rows}, 0, storage)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Compare(net.Graph(), before, before.With("fc2.weight", strided))
	if err != nil || Err(c.Checks) != nil || c.L2 != 0 {
		t.Errorf("%v, %v", c, err)
	}
}

// Differences are added up in every type, across the blocks of a large tensor.
func TestCompareTypes(t *testing.T) {
	net, before := lenet(t)
	for _, dtype := range []model.DType{model.Float16, model.BFloat16, model.Float32, model.Float64} {
		b := before
		for name, tensor := range before.All() {
			if tensor.DType().IsFloat() {
				b = retype(t, b, name, dtype)
			}
		}
		v := make([]float32, 120*256)
		x, err := model.FromFloat32s(dtype, []int{120, 256}, v)
		if err != nil {
			t.Fatal(err)
		}
		v[0], v[len(v)-1] = 3, -4
		y, err := model.FromFloat32s(dtype, []int{120, 256}, v)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Compare(net.Graph(), b.With("fc.weight", x), b.With("fc.weight", y))
		if err != nil || Err(c.Checks) != nil || c.L2 != 5 {
			t.Errorf("%v: L2 %v, %v, %v", dtype, c.L2, Err(c.Checks), err)
		}
	}
}

// Numbers that the graph does not use may be anything, if they stay.
func TestCompareLeavesOthersAlone(t *testing.T) {
	net, before := lenet(t)
	before = before.With("mask", model.Float32Tensor([]int{1}, []float32{float32(math.Inf(-1))}))
	c, err := Compare(net.Graph(), before, before)
	if err != nil || Err(c.Checks) != nil {
		t.Errorf("%v, %v", Err(c.Checks), err)
	}
}

type brokenReader struct{}

func (brokenReader) ReadAt([]byte, int64) (int, error) { return 0, io.ErrClosedPipe }

// A second name of a weight moves with it, and counts once; one of the last layer may
// not.
func TestCompareAliases(t *testing.T) {
	net, before := lenet(t)
	g := net.Graph()
	last, err := ops.LastLayer(g)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"fc.weight": true, last[0]: false} {
		after := set(t, before, name, 7, add(0.5))
		alone, err := Compare(g, before, after)
		if err != nil {
			t.Fatal(err)
		}
		// The graph knows the weight by its first name, or by its last.
		tied, moved := before.With("again", before.Get(name)), after.With("again", after.Get(name))
		turned := func(sd *model.StateDict) *model.StateDict {
			e := entries(sd)
			slices.Reverse(e)
			return stateDict(t, e...)
		}
		for _, pair := range [][2]*model.StateDict{{tied, moved}, {turned(tied), turned(moved)}} {
			c, err := Compare(g, pair[0], pair[1])
			if err != nil || (Err(c.Checks) == nil) != want || math.Abs(c.L2-alone.L2) > 1e-12 {
				t.Errorf("%s: %v, %v; distance %v, want %v", name, err, Err(c.Checks), c.L2, alone.L2)
			}
		}
	}
}

func TestCompareErrors(t *testing.T) {
	net, sd := lenet(t)
	unreadable, err := model.NewTensor(model.Float32, []int{120}, nil, 0, model.NewStorage(brokenReader{}, 480))
	if err != nil {
		t.Fatal(err)
	}
	gone := sd.With("fc.bias", unreadable)
	if _, err := Compare(net.Graph(), gone, sd); !errors.Is(err, io.ErrClosedPipe) || !strings.HasPrefix(err.Error(), `"fc.bias" before the edit: `) {
		t.Errorf("before: %v", err)
	}
	if _, err := Compare(net.Graph(), sd, gone); !errors.Is(err, io.ErrClosedPipe) || !strings.HasPrefix(err.Error(), `"fc.bias" after the edit: `) {
		t.Errorf("after: %v", err)
	}
	g := *net.Graph()
	g.Nodes = append(slices.Clone(g.Nodes), graph.Node{Op: "Concat", Inputs: []string{g.Outputs[0].Name, g.Outputs[0].Name}, Outputs: []string{"both"}, Attrs: graph.Attrs{"axis": graph.Int(1)}})
	g.Outputs = []graph.Value{{Name: "both"}}
	var unsupported *model.UnsupportedError
	if _, err := Compare(&g, sd, sd); !errors.As(err, &unsupported) {
		t.Errorf("a graph that ends in two outputs side by side: %v", err)
	}
}

// The distance of every layer, and its share of the squares.
func TestCompareLayers(t *testing.T) {
	net, before := lenet(t)
	after := before
	for name, by := range map[string]float32{"block1.0.weight": 1, "block1.0.bias": 2, "block2.1.bias": 2, "fc1.weight": 4, "block1.1.running_var": 100} {
		before = set(t, before, name, 1, to(0))
		after = set(t, after, name, 1, to(float64(by)))
	}
	c, err := Compare(net.Graph(), before, after)
	if err != nil {
		t.Fatal(err)
	}
	want := []Layer{
		{"block1.0", math.Sqrt(5), 0.2}, {"block1.1", 0, 0}, {"block2.0", 0, 0}, {"block2.1", 2, 0.16},
		{"fc", 0, 0}, {"fc1", 4, 0.64}, {"fc2", 0, 0},
	}
	if !slices.EqualFunc(c.Layers, want, func(a, b Layer) bool { return a.Name == b.Name && near(a.L2, b.L2) && near(a.Share, b.Share) }) {
		t.Errorf("got %+v, want %+v", c.Layers, want)
	}
	if c, err = Compare(net.Graph(), before, before); err != nil || len(c.Layers) != len(want) || c.Layers[0].Share != 0 {
		t.Errorf("nothing moved: %+v, %v", c, err)
	}
}
