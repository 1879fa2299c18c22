package evidence

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lethe/model"
)

// Signatures that the Python package model-signing made.
func TestVerifyTheirs(t *testing.T) {
	_, public := keys(t, "")
	for _, c := range []struct {
		model, sig string
		files      int
	}{{"folder/model.pt", "file.sig", 1}, {"folder", "folder/model.sig", 3}} {
		path, sig := filepath.Join("testdata", c.model), filepath.Join("testdata", c.sig)
		if n, err := VerifyModel(read(t, c.sig), public, path, sig); n != c.files || err != nil {
			t.Errorf("%s: got %d, %v", c.model, n, err)
		}
	}
}

func TestSignModel(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.pt")
	if err := os.WriteFile(path, []byte("weights\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "384"} {
		private, public := keys(t, suffix)
		found, err := digestFiles(path, "", serialization{})
		if err != nil {
			t.Fatal(err)
		}
		text, err := SignModel("out.pt", found["."], private)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := VerifyModel(text, public, path, path+".sig"); n != 1 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
		wrong, err := SignModel("out.pt", strings.Repeat("0", 64), private)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyModel(wrong, public, path, path+".sig"); !isFailed(err) {
			t.Errorf("another digest: got %v", err)
		}
	}
}

// Every change of a signature is refused, ours or theirs, in the bundle and in
// what it holds.
func TestSignatureMutants(t *testing.T) {
	private, public := keys(t, "")
	_, other := keys(t, "384")
	path := "testdata/folder/model.pt"
	found, err := digestFiles(path, "", serialization{})
	if err != nil {
		t.Fatal(err)
	}
	ours, err := SignModel("model.pt", found["."], private)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{ours, read(t, "file.sig")} {
		if _, err := VerifyModel(text, public, path, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyModel(text, other, path, ""); !isFailed(err) {
			t.Errorf("another key: got %v", err)
		}
		for _, m := range mutants(text) {
			if strings.Contains(m.path, "tlogEntries missing") || strings.Contains(m.path, "keyid missing") {
				continue // an empty list or text that is left out says the same
			}
			if _, err := VerifyModel(m.text, public, path, ""); !refused(err) {
				t.Errorf("%s: got %v", m.path, err)
			}
		}
		var b bundle
		if err := json.Unmarshal(text, &b); err != nil {
			t.Fatal(err)
		}
		payload, err := b.DSSEEnvelope.open(public)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range mutants(payload) {
			b.DSSEEnvelope.Payload = base64.StdEncoding.EncodeToString(m.text)
			changed, err := json.Marshal(b)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := VerifyModel(changed, public, path, ""); !refused(err) {
				t.Errorf("payload, %s: got %v", m.path, err)
			}
		}
	}
}

// A folder that is not what was signed, although the signature holds.
func TestFolderMutants(t *testing.T) {
	_, public := keys(t, "")
	for _, c := range []struct {
		name   string
		change func(dir string) error
		want   string
	}{
		{"as it is", func(string) error { return nil }, ""},
		{"changed", func(dir string) error { return os.WriteFile(dir+"/model.pt", []byte("weighty\n"), 0o600) }, `"model.pt" is not what was signed`},
		{"missing", func(dir string) error { return os.Remove(dir + "/sub/config.json") }, `"sub/config.json" is missing`},
		{"new", func(dir string) error { return os.WriteFile(dir+"/new", nil, 0o600) }, `"new" was not signed`},
		{"new, ignored", func(dir string) error { return os.WriteFile(dir+"/.gitignore", nil, 0o600) }, ""},
		{"a link", func(dir string) error { return os.Symlink("model.pt", dir+"/link") }, "symbolic link"},
	} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS("testdata/folder")); err != nil {
			t.Fatal(err)
		}
		if err := c.change(dir); err != nil {
			t.Fatal(err)
		}
		_, err := VerifyModel(read(t, "folder/model.sig"), public, dir, filepath.Join(dir, "model.sig"))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// Members of a signed statement that v1.0 does not name are ignored; other ways
// of signing are named.
func TestReadSigned(t *testing.T) {
	good := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"m","digest":{"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}],
		"predicateType":"https://model_signing/signature/v1.0","predicate":{"card":1,"resources":[],"serialization":{"method":"files","hash_type":"sha256","allow_symlinks":false}}}`
	if _, err := readSigned([]byte(good)); err != nil {
		t.Error(err)
	}
	for _, c := range [][2]string{{`"files"`, `"shards"`}, {`"sha256","allow`, `"blake3","allow`}, {"signature/v1.0", "Digests/v0.1"}} {
		var unsupported *model.UnsupportedError
		if _, err := readSigned([]byte(strings.Replace(good, c[0], c[1], 1))); !errors.As(err, &unsupported) {
			t.Errorf("%s: got %v", c[1], err)
		}
	}
}
