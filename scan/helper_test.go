package scan

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"fmt"
	"hash/crc32"
	"os"
	"testing"
)

// short is a SHORT_BINUNICODE instruction.
func short(s string) string { return "\x8c" + string([]byte{byte(len(s))}) + s }

// scanBytes scans a file that is in memory.
func scanBytes(t testing.TB, b []byte) *Result {
	t.Helper()
	r, err := File(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// summary is a result in one line, for messages.
func summary(r *Result) string {
	s := r.Verdict() + " " + r.Kind
	for _, f := range r.Findings {
		s += fmt.Sprintf("; %v %s %q: %s (%q, %d, %s)", f.Level, f.Kind, f.What, f.Why, f.Member, f.Offset, f.Opcode)
	}
	for _, g := range r.Gaps {
		s += fmt.Sprintf("; gap %s (%q, %d)", g.What, g.Member, g.Offset)
	}
	return s
}

// entry is a member of an archive that a test makes.
type entry struct{ name, data string }

// zipOf makes a zip archive as torch does: stored, without extra fields.
func zipOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Store, CRC32: crc32.ChecksumIEEE([]byte(e.data)),
			CompressedSize64: uint64(len(e.data)), UncompressedSize64: uint64(len(e.data))}
		f, err := w.CreateRaw(h)
		if err == nil {
			_, err = f.Write([]byte(e.data))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// checkpoint is a zip archive of torch.save with a pickle.
func checkpoint(t testing.TB, pickle string) []byte {
	t.Helper()
	return zipOf(t, entry{"m/data.pkl", pickle}, entry{"m/version", "3\n"})
}

func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		err := w.WriteHeader(&tar.Header{Name: e.name, Size: int64(len(e.data)), Mode: 0o644, Format: tar.FormatUSTAR})
		if err == nil {
			_, err = w.Write([]byte(e.data))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
