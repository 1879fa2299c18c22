package cmd_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A model is exchanged while its signature is verified and while it is read. The
// signature is read from a pipe, and so is the other model: whoever writes to them
// decides when the command goes on.
func TestModelSwapped(t *testing.T) {
	keys, err := filepath.Abs("../evidence/testdata")
	if err != nil {
		t.Fatal(err)
	}
	tiny, err := filepath.Abs("testdata/tiny")
	if err != nil {
		t.Fatal(err)
	}
	made := t.TempDir()
	for name, seed := range map[string]string{"signed.pt": "1", "other.pt": "2"} {
		command(t, "forget", "--quiet", "--no-onnx", "--class", "1", "--gate", "none", "--data", tiny, "--seed", seed, "--sign", filepath.Join(keys, "key.pem"),
			filepath.Join(tiny, "lenet.pt"), filepath.Join(made, name))
	}
	contents := map[string]string{}
	for _, name := range []string{"signed.pt", "signed.pt.sig", "other.pt"} {
		b, err := os.ReadFile(filepath.Join(made, name))
		if err != nil {
			t.Fatal(err)
		}
		contents[name] = string(b)
	}
	if len(contents["signed.pt"]) != len(contents["other.pt"]) || contents["signed.pt"] == contents["other.pt"] {
		t.Fatal("the two models are not two of one size")
	}
	before, err := os.ReadFile(filepath.Join(tiny, "lenet.pt"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		duringSignature, duringReading func(path string) error
		code                           int
		says                           string
	}{
		"not at all": {nil, nil, 0, "same names"},
		"another file at its place, before it is verified": {exchange(contents["other.pt"]), nil, 0, "same names"},
		"another file at its place, after it was verified": {nil, exchange(contents["other.pt"]), 0, "same names"},
		"written over before it is verified":               {overwrite(contents["other.pt"]), nil, 3, "is not what was signed"},
		"written over after it was verified":               {nil, overwrite(contents["other.pt"]), 1, "changed while it was read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			model, signature, first := filepath.Join(dir, "model.pt"), filepath.Join(dir, "model.sig"), filepath.Join(dir, "first.pt")
			writeFile(t, model, contents["signed.pt"])
			for _, pipe := range []string{signature, first} {
				if err := syscall.Mkfifo(pipe, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command(filepath.Join(binaries(t), "ptcheck"), "--json", "--verify-signature", filepath.Join(keys, "pub.pem"), "--signature", signature, first, model)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { cmd.Wait(); close(ended) }()
			for _, step := range []struct {
				pipe, content string
				then          func(path string) error
			}{{signature, contents["signed.pt.sig"], c.duringSignature}, {first, string(before), c.duringReading}} {
				w := openWhenRead(step.pipe, ended)
				if w == nil {
					break
				}
				if step.then != nil {
					if err := step.then(model); err != nil {
						t.Fatal(err)
					}
				}
				w.WriteString(step.content)
				w.Close()
			}
			<-ended
			if code := cmd.ProcessState.ExitCode(); code != c.code || !strings.Contains(stdout.String()+stderr.String(), c.says) {
				t.Errorf("exit code %d, want %d, %q\n%s", code, c.code, c.says, &stderr)
			}
		})
	}
}

// openWhenRead opens a pipe when somebody opens it to read; nil if that process
// ends before.
func openWhenRead(pipe string, ended <-chan struct{}) *os.File {
	opened := make(chan *os.File)
	go func() {
		w, _ := os.OpenFile(pipe, os.O_WRONLY, 0)
		opened <- w
	}()
	select {
	case w := <-opened:
		return w
	case <-ended:
		both, _ := os.OpenFile(pipe, os.O_RDWR, 0)
		(<-opened).Close()
		both.Close()
		return nil
	}
}

// exchange puts another file at a path.
func exchange(content string) func(path string) error {
	return func(path string) error {
		if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
			return err
		}
		return os.Rename(path+".new", path)
	}
}

// overwrite writes into the file at a path.
func overwrite(content string) func(path string) error {
	return func(path string) error { return os.WriteFile(path, []byte(content), 0o600) }
}
