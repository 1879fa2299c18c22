package scan

import (
	"bytes"
	"path/filepath"
	"testing"
)

// FuzzFile: whatever the bytes, an answer, and not more work than the budget
// allows.
func FuzzFile(f *testing.F) {
	for _, pattern := range []string{"testdata/*.pt*", "testdata/evil/*", "../pickle/testdata/[dlmosv]*.pt", "../safetensors/testdata/plain.safetensors"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal(pattern, err)
		}
		for _, name := range files {
			if b := readFile(f, name); len(b) < 8<<10 {
				f.Add(b)
			}
		}
	}
	f.Add(tarOf(f, entry{"storages", "\x80\x02K\x00.\x80\x02]."}, entry{"tensors", "\x80\x02K\x00."}, entry{"pickle", harmless}))
	f.Add([]byte(polyglot()))
	f.Add([]byte(npyOf("'|O'", evil)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := scanBytes(t, b)
		if r.Bytes != int64(len(b)) || r.Kind == "" || r.Verdict() == "clean" != (r.Worst() == 0 && len(r.Gaps) == 0 && r.More == 0) {
			t.Fatal(summary(r))
		}
	})
}

// FuzzPickle: any instructions are interpreted without a panic, and whatever
// comes before them changes nothing about a command that is reached.
func FuzzPickle(f *testing.F) {
	for _, code := range []string{harmless, evil, legacy(plainMagic, harmless, "\x80\x02]."), "(Vx\nK\x01u.", "\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00N.",
		"ctorch._utils\n_rebuild_tensor_v2\n((Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI4\ntQI0\n(I4\nt(I1\ntI00\nNtR.",
		"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(Vf8\nI0\nI1\ntR(K\x03V<\nNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbC\x0801234567tR.",
		"(S'\\x61'\niposix\nsystem\n."} {
		f.Add([]byte(code))
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		scanBytes(t, checkpoint(t, string(code)))
		w := &walk{res: &Result{}, seen: map[string]bool{}, budget: slack}
		p := part{src: bytes.NewReader(code), size: int64(len(code))}
		s, _ := w.pickle(p, 0, false)
		if s.end > p.size || s.end < 0 || s.steps > len(code)+1 {
			t.Fatalf("%d instructions to byte %d of %d", s.steps, s.end, p.size)
		}
		if !s.ended || s.end != p.size {
			return
		}
		// What is found in it is found when it follows another value.
		before := w.res.Worst()
		if r := scanBytes(t, append([]byte("\x80\x02N."), code...)); r.Worst() < before {
			t.Fatalf("alone %v, as a second pickle %s", before, summary(r))
		}
	})
}
