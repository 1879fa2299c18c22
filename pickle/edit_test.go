package pickle

import (
	"bytes"
	"strings"
	"testing"

	"lethe/internal/vectors"
	"lethe/model"
)

// flipped returns a tensor in C order with every bit of t's elements inverted.
func flipped(t testing.TB, x *model.Tensor) *model.Tensor {
	t.Helper()
	b, err := x.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] = ^b[i]
	}
	y, err := model.NewTensor(x.DType(), x.Shape(), nil, 0, model.BytesStorage(b))
	if err != nil {
		t.Fatal(err)
	}
	return y
}

// flippedAll returns the state dict of c with every bit of it inverted.
func flippedAll(t testing.TB, c *Checkpoint) *model.StateDict {
	t.Helper()
	sd := c.StateDict()
	for name, x := range sd.All() {
		sd = sd.With(name, flipped(t, x))
	}
	return sd
}

// Every entry in turn is edited together with everything that it is tied to.
// Nothing but the record of its storage may change.
func TestEditOne(t *testing.T) {
	for _, file := range goldens(t, "ok") {
		if strings.HasSuffix(file, "views") || file == "many" || file == "tree" || otherForms[file] != "" { // see TestEditViews
			continue
		}
		in := readTestdata(t, file+".pt")
		c := mustDecode(t, in)
		for i, e := range c.entries {
			if e.Len() == 0 {
				continue
			}
			with := mustWith(t, c, c.StateDict().With(e.name, flipped(t, e.Tensor)))
			out := mustEncode(t, with)
			again := mustDecode(t, out)
			for _, f := range c.entries {
				want := f.Tensor
				if f.name == e.name {
					want = flipped(t, f.Tensor)
				}
				if same, err := model.SameBits(again.StateDict().Get(f.name), want); err != nil || !same {
					t.Errorf("%s: %s after an edit of %s: wrong values (%v)", file, f.name, e.name, err)
				}
			}
			if len(out) != len(in) {
				t.Fatalf("%s: %d bytes, %d before", file, len(out), len(in))
			}
			for _, m := range c.a.members {
				if m == c.a.find(idRecord) {
					continue
				}
				was, is := in[m.data:m.data+m.size], out[m.data:m.data+m.size]
				if bytes.Equal(was, is) == (m == c.entries[i].storage.member) {
					t.Errorf("%s: member %s after an edit of %s: the wrong one changed", file, m.name, e.name)
				}
			}
		}
	}
}

func TestEditViews(t *testing.T) {
	c := mustDecode(t, readTestdata(t, "views.pt"))
	sd := c.StateDict()
	// All views of the storage, edited alike, through their own strides.
	all := sd
	for _, name := range []string{"base", "tied", "row", "column", "transposed", "inner"} {
		all = all.With(name, flipped(t, sd.Get(name)))
	}
	again := mustDecode(t, mustEncode(t, mustWith(t, c, all)))
	for name := range sd.All() {
		if same, err := model.SameBits(again.StateDict().Get(name), all.Get(name)); err != nil || !same {
			t.Errorf("%s: wrong values (%v)", name, err)
		}
	}
	if got, want := again.StateDict().Get("base").Storage(), again.StateDict().Get("column").Storage(); got != want {
		t.Error("the tie is gone")
	}
	// An expanded tensor has one value for a row of equal elements.
	ok := sd.With("expanded", flipped(t, sd.Get("expanded")))
	mustWith(t, c, ok)
	b, err := sd.Get("expanded").Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	bent, err := model.NewTensor(model.Float32, []int{3, 4}, nil, 0, model.BytesStorage(b))
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []*model.StateDict{
		sd.With("base", flipped(t, sd.Get("base"))), // alone
		sd.With("row", flipped(t, sd.Get("row"))),
		all.With("column", sd.Get("column")), // all but one
		sd.With("expanded", bent),
	} {
		if _, err := c.With(wrong); vectors.Outcome(err) != "malformed" {
			t.Errorf("inconsistent edit of a tie: %v", err)
		}
	}
}

func TestWithRefuses(t *testing.T) {
	c := mustDecode(t, readTestdata(t, "one.pt"))
	w := model.Float32Tensor([]int{2}, []float32{1, 2})
	dict := func(entries ...model.Entry) *model.StateDict {
		sd, err := model.NewStateDict(entries...)
		if err != nil {
			t.Fatal(err)
		}
		return sd
	}
	half, err := model.NewTensor(model.Float16, []int{2}, nil, 0, model.BytesStorage(make([]byte, 4)))
	if err != nil {
		t.Fatal(err)
	}
	for want, sd := range map[string]*model.StateDict{
		`names differ from the checkpoint's from entry 0 on: [], not ["w"]`:           dict(),
		`names differ from the checkpoint's from entry 0 on: ["vertical"], not ["w"]`: dict(model.Entry{Name: "vertical", Tensor: w}),
		`names differ from the checkpoint's from entry 1 on: ["x"], not []`:           dict(model.Entry{Name: "w", Tensor: w}, model.Entry{Name: "x", Tensor: w}),
		`"w" is float16 [2], in the checkpoint float32 [2]`:                           dict(model.Entry{Name: "w", Tensor: half}),
		`"w" is float32 [1 2], in the checkpoint float32 [2]`:                         dict(model.Entry{Name: "w", Tensor: model.Float32Tensor([]int{1, 2}, []float32{1, 2})}),
	} {
		_, err := c.With(sd)
		if vectors.Outcome(err) != "malformed" || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// The elements of an edited tensor that something else in the file uses too.
func TestEditSharedWithOutside(t *testing.T) {
	w := tensorCode(storageCode("FloatStorage", "0", 2), "K\x00", "K\x02\x85", "K\x01\x85")
	b := withPickle(t, "}("+textCode("sd")+"}"+textCode("w")+w+"s"+textCode("other")+"]"+w+"a"+"u.")
	c := mustDecode(t, b)
	sd := c.StateDict()
	if _, err := c.With(sd.With("w", flipped(t, sd.Get("w")))); vectors.Outcome(err) != "unsupported" {
		t.Errorf("got %v", err)
	}
}
