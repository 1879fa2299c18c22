package arch_test

import (
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"lethe/convert/arch"
	"lethe/convert/aten"
	"lethe/model"
)

// TestTorchvision recognizes every classifier of torchvision by its names and
// shapes, and turns it into a graph that reads every weight. The values are
// compared in oracle tests.
func TestTorchvision(t *testing.T) {
	dicts := shapes(t, "testdata/torchvision.json.gz")
	var refused []string
	for _, name := range slices.Sorted(maps.Keys(dicts)) {
		sd := dicts[name]
		n, err := arch.Recognize(sd, arch.Options{})
		if err != nil {
			var u *model.UnsupportedError
			if !errors.As(err, &u) {
				t.Errorf("%s: %v is not an UnsupportedError", name, err)
			}
			t.Logf("%s: %v", name, err)
			refused = append(refused, name)
			continue
		}
		r, err := aten.Convert(n.Program, aten.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := r.Graph.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		want := 0
		for _, w := range n.Program.Weights {
			if !w.Constant {
				want++
			}
		}
		if got := len(r.Graph.Weights()); got != want {
			t.Errorf("%s: the graph reads %d weights, the network has %d", name, got, want)
		}
	}
	if len(refused) > 0 {
		t.Errorf("not recognized: %q", refused)
	}
}

// A first convolution of one channel takes grey images, also where its width could
// be that of three groups.
func TestGreyImages(t *testing.T) {
	dicts := shapes(t, "testdata/torchvision.json.gz")
	for name, first := range map[string]string{"resnet18": "conv1.weight", "swin_t": "features.0.0.weight", "convnext_tiny": "features.0.0.weight", "vgg11": "features.0.weight"} {
		var entries []model.Entry
		for _, entry := range dicts[name].Names() {
			tensor := dicts[name].Get(entry)
			if entry == first {
				shape := slices.Clone(tensor.Shape())
				shape[1] = 1
				grey, err := model.NewTensor(model.Float32, shape, make([]int, 4), 0, model.BytesStorage(make([]byte, 8)))
				if err != nil {
					t.Fatal(err)
				}
				tensor = grey
			}
			entries = append(entries, model.Entry{Name: entry, Tensor: tensor})
		}
		sd, err := model.NewStateDict(entries...)
		if err != nil {
			t.Fatal(err)
		}
		n, err := arch.Recognize(sd, arch.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if in := n.Program.Inputs[0].Shape; !in[1].Is(1) {
			t.Errorf("%s: images of shape %v", name, in)
		}
		if _, err := arch.Recognize(sd, arch.Options{Input: []int{3, 224, 224}}); err == nil {
			t.Errorf("%s: taken for colour images", name)
		}
	}
}

// shapes reads state dicts of which only names, shapes and types are known.
// Their elements are zeros that take no room.
func shapes(t testing.TB, path string) map[string]*model.StateDict {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var lists map[string][][3]any
	if err := json.NewDecoder(z).Decode(&lists); err != nil {
		t.Fatal(err)
	}
	dicts := map[string]*model.StateDict{}
	for name, list := range lists {
		dicts[name] = dict(t, list)
	}
	return dicts
}

// dict returns a state dict of zeros that take no room, from a list of names,
// shapes and types.
func dict(t testing.TB, list [][3]any) *model.StateDict {
	t.Helper()
	types := map[string]model.DType{"float32": model.Float32, "int64": model.Int64, "bool": model.Bool}
	var entries []model.Entry
	for _, e := range list {
		shape := []int{}
		for _, d := range e[1].([]any) {
			shape = append(shape, int(d.(float64)))
		}
		tensor, err := model.NewTensor(types[e[2].(string)], shape, make([]int, len(shape)), 0, model.BytesStorage(make([]byte, 8)))
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, model.Entry{Name: e[0].(string), Tensor: tensor})
	}
	sd, err := model.NewStateDict(entries...)
	if err != nil {
		t.Fatal(err)
	}
	return sd
}

// index returns the table of relative positions that torchvision's Swin keeps
// in its state dict.
func index(t *testing.T, shape []int) *model.Tensor {
	t.Helper()
	n, _ := model.Elements(shape)
	patches := int(math.Round(math.Sqrt(float64(n))))
	side := int(math.Round(math.Sqrt(float64(patches))))
	var b []byte
	for p := range patches {
		for q := range patches {
			at := (p/side-q/side+side-1)*(2*side-1) + p%side - q%side + side - 1
			b = binary.LittleEndian.AppendUint64(b, uint64(at))
		}
	}
	tensor, err := model.NewTensor(model.Int64, shape, nil, 0, model.BytesStorage(b))
	if err != nil {
		t.Fatal(err)
	}
	return tensor
}

// coordinates returns the table of distances that torchvision's Swin v2 keeps
// in its state dict: sign(x) log2(1 + 8 |x|) / 3 of distances from -1 to 1.
func coordinates(side int) []float32 {
	scaled := func(i int) float32 {
		x := float64(i-side+1) / float64(side-1) * 8
		return float32(math.Copysign(math.Log2(math.Abs(x)+1)/3, x))
	}
	var out []float32
	for i := range 2*side - 1 {
		for j := range 2*side - 1 {
			out = append(out, scaled(i), scaled(j))
		}
	}
	return out
}

// What a file of a training has beside the network is left out where the names of the
// network have a prefix; what could be a part of it refuses the file.
func TestBeside(t *testing.T) {
	network := shapes(t, "testdata/torchvision.json.gz")["squeezenet1_1"]
	for _, c := range []struct {
		prefix, more string
		known        bool
	}{
		{"model.", "criterion.weight", true}, {"net.", "train_acc.tp", true}, {"module.", "n_averaged", true}, {"model.", "val_metrics.Recall.fn", true},
		{"model.", "head.weight", false}, {"", "criterion.weight", false}, {"model.", "accuracy", false}, {"model.", "account.weight", false}, {"model.", "model.loss.weight", false},
	} {
		entries := []model.Entry{{Name: c.more, Tensor: model.Float32Tensor([]int{1}, []float32{1})}}
		for name, w := range network.All() {
			entries = append(entries, model.Entry{Name: c.prefix + name, Tensor: w})
		}
		sd, err := model.NewStateDict(entries...)
		if err != nil {
			t.Fatal(err)
		}
		n, err := arch.Recognize(sd, arch.Options{})
		if (err == nil) != c.known {
			t.Errorf("%q beside %q: %v", c.more, c.prefix, err)
		}
		if err == nil && !slices.ContainsFunc(n.Notes, func(s string) bool { return strings.Contains(s, c.more) }) {
			t.Errorf("%q beside %q: the notes are %q", c.more, c.prefix, n.Notes)
		}
	}
}
