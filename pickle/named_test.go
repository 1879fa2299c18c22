package pickle

import (
	"strings"
	"testing"

	"lethe/internal/vectors"
)

// Archives and pickles of other programs are valid, and said to be what they are.
func TestNamed(t *testing.T) {
	files := func(names ...string) []byte {
		var records []record
		for _, name := range names {
			records = append(records, record{name, []byte("x")})
		}
		return pack(t, "", records...)
	}
	for what, c := range map[string]struct {
		b     []byte
		words string
	}{
		"npz":                 {files("a.npy", "b.npy"), "numpy arrays (.npz)"},
		"zip around a model":  {files("readme.txt", "weights/model.pth"), `around a model ("weights/model.pth")`},
		"torch.package":       {files("m/.data/extern_modules", "m/.data/version", "m/model/model.pkl"), "torch.package"},
		"AOTInductor":         {files("m/archive_format", "m/data/aotinductor/model/a.so", "m/.data/version"), "AOTInductor"},
		"Keras 3":             {files("metadata.json", "config.json", "model.weights.h5"), "Keras 3"},
		"SavedModel":          {files("m/saved_model.pb", "m/variables/variables.index"), "SavedModel"},
		"TorchScript of 2019": {files("m/model.json", "m/code/m.py", "m/tensors/0", "m/version"), "1.0 to 1.3"},
		"a class by value":    {withPickle(t, "ccloudpickle.cloudpickle\n_make_skeleton_class\n(NtR."), "the code of the model's class is inside"},
		"protocol 0":          {withPickle(t, "")[:0], ""},
	} {
		if len(c.b) == 0 {
			records := unpack(t, readTestdata(t, "one.pt"))
			records[0].data = []byte("(dp0\nVw\np1\nctorch._utils\n_rebuild_tensor_v2\np2\n(P('storage', <class 'torch.FloatStorage'>, '0', 'cpu', 2)\n")
			c.b, c.words = pack(t, "one", records...), "protocol 0"
		}
		_, err := decode(c.b)
		if vectors.Outcome(err) != "unsupported" || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

// What is left out is named, and the top has a name.
func TestCandidates(t *testing.T) {
	dict := func(pairs ...string) string { return "}(" + strings.Join(pairs, "") + "u" }
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(textCode(string(rune('a'+i))) + w0)
		}
		return dict(b.String())
	}
	for what, c := range map[string]struct{ code, key, want string }{
		"the upper level":             {dict(textCode("p"), w0, textCode("q"), w0, textCode("stats"), many(1)), "", "[]"},
		"one tensor beside a model":   {dict(textCode("t"), w0, textCode("model"), many(5)), "", "[model]"},
		"as many above as below":      {dict(textCode("p"), w0, textCode("q"), w0, textCode("model"), many(2)), "", "more than one"},
		"the same, by the top":        {dict(textCode("p"), w0, textCode("q"), w0, textCode("model"), many(2)), ".", "[]"},
		"two state dicts":             {dict(textCode("model"), many(9), textCode("ema"), many(2)), "", "more than one"},
		"lists beside a state dict":   {dict(textCode("model"), many(9), textCode("rng"), "]("+w0+w0+w0+"e"), "", "[model]"},
		"extra state of two tensors":  {dict(textCode("p"), w0, textCode("q"), w0, textCode("r"), w0, textCode("_extra_state"), many(2)), "", "[]"},
		"an optimizer is not weights": {dict(textCode("model"), many(2), textCode("opt"), dict(textCode("state"), many(9), textCode("param_groups"), "]")), "", "[model]"},
	} {
		b := withPickle(t, c.code+".")
		info, err := inspect(b, Options{Key: c.key})
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = "[" + strings.Join(info.Path, " ") + "]"
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", what, got, c.want)
		}
	}
}

// A gradient of whole numbers is what PyTorch refuses.
func TestGradient(t *testing.T) {
	whole := strings.Replace(strings.Replace(w0, "FloatStorage", "IntStorage", 1), "\x89ccoll", "\x88ccoll", 1)
	for want, code := range map[string]string{"malformed": whole, "ok": strings.Replace(w0, "\x89ccoll", "\x88ccoll", 1)} {
		if _, err := decode(withPickle(t, "}"+textCode("w")+code+"s.")); vectors.Outcome(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A member that the directory calls a folder, and one that differs from a known
// name in case.
func TestOtherReadings(t *testing.T) {
	b := readTestdata(t, "one.pt")
	b[nth(t, b, central, 2)+38] |= directoryBit
	if _, err := decode(b); vectors.Outcome(err) != "malformed" || !strings.Contains(err.Error(), "folder") {
		t.Errorf("the bit of folders: %v", err)
	}
	records := unpack(t, readTestdata(t, "v215-export.pt"))
	records = append(records, record{"DATA.PKL", []byte("\x80\x02N.")})
	if _, err := decode(pack(t, "e", records...)); vectors.Outcome(err) != "malformed" || !strings.Contains(err.Error(), "without regard to case") {
		t.Errorf("DATA.PKL: %v", err)
	}
}
