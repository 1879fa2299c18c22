package stage

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestMain lets the test binary stand in for a process that is killed while it
// writes.
func TestMain(m *testing.M) {
	if os.Getenv("LETHE_TEST_COMMAND") == "commit" {
		last, _ := strconv.Atoi(os.Getenv("LETHE_TEST_LAST"))
		os.Exit(commitUntil(os.Getenv("LETHE_TEST_FORCE") == "true", last))
	}
	os.Exit(m.Run())
}

// commitUntil replaces or makes three outputs, in two folders, and is killed after
// the given step.
func commitUntil(force bool, last int) int {
	o, err := newOutputs(context.Background(), os.Stdout, force, nil, "a/one", "b/two", "a/three")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer o.Discard()
	steps := 0
	o.step = func() {
		if steps++; steps == last {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	contents := map[string]string{"a/one": "new", "b/two": "new", "a/three": "new"}
	if err := writeAll(context.Background(), o, contents); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// A process is killed after each step of putting a group of outputs in place. The
// next command that comes to one of the folders, to read or to write, finds all of
// the files as they were or all of them new.
func TestCommitKilled(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string]map[string]string{
		"replaced":      {"a/one": "old", "b/two": "old", "a/three": "old"},
		"replaced some": {"a/one": "old", "b/x": "x", "a/x": "x"},
		"made":          {"a/x": "x", "b/x": "x"},
	} {
		force := name != "made"
		readers := []string{"a/one", "b/two", "a/four", "b/four"}
		if name != "replaced" {
			readers = readers[1:3]
		}
		for _, reader := range readers {
			t.Run(name+", then "+reader, func(t *testing.T) {
				mixed := 0 // before the next command
				for last := 1; ; last++ {
					dir := t.TempDir()
					for name, content := range files {
						os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o777)
						os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666)
					}
					cmd := exec.Command(exe)
					cmd.Dir = dir
					cmd.Env = append(os.Environ(), "LETHE_TEST_COMMAND=commit", "LETHE_TEST_FORCE="+strconv.FormatBool(force), "LETHE_TEST_LAST="+strconv.Itoa(last))
					out, err := cmd.CombinedOutput()
					killed := cmd.ProcessState.ExitCode() == -1
					if !killed && err != nil {
						t.Fatalf("%v\n%s", err, out)
					}
					all := map[string]string{"a/one": "new", "b/two": "new", "a/three": "new"}
					for name, content := range files {
						if strings.HasSuffix(name, "/x") {
							all[name] = content
						}
					}
					if got := tree(t, dir); !reflect.DeepEqual(got, files) && !reflect.DeepEqual(got, all) {
						mixed++
					}
					path := filepath.Join(dir, reader)
					if strings.HasSuffix(reader, "/four") {
						if o, err := newOutputs(t.Context(), nil, true, nil, path); err == nil {
							o.Discard()
						}
					} else if in, err := OpenInput(t.Context(), path, nil); err == nil {
						in.Close()
					}
					got := map[string]string{}
					for name, content := range tree(t, dir) {
						// A reader leaves temporary files to those who write.
						if base := filepath.Base(name); !isTemp(base) || strings.HasSuffix(reader, "/four") && filepath.Dir(name) == filepath.Dir(reader) {
							got[name] = content
						}
					}
					// A journal that the other folder alone has decides nothing.
					for name := range got {
						if isJournal(filepath.Base(name)) && filepath.Dir(name) != filepath.Dir(reader) {
							delete(got, name)
						}
					}
					if want := files; !reflect.DeepEqual(got, want) && !reflect.DeepEqual(got, all) {
						t.Errorf("killed after step %d: %v", last, got)
					}
					if !killed {
						if last < 6 || mixed == 0 {
							t.Errorf("only %d steps to be killed after, %d of them in between", last-1, mixed)
						}
						return
					}
				}
			})
		}
	}
}

// Neither a journal nor a temporary file of a process that lives is touched, and
// neither is a place that somebody else took meanwhile.
func TestTidyLeavesAlone(t *testing.T) {
	dir, _ := inFolder(t, map[string]string{"one": "old", "two": "old"})
	o, err := newOutputs(t.Context(), nil, true, nil, "one", "two")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Discard()
	placed := 0
	o.step = func() {
		tidy(dir, true)
		if o.files[0].placed && !o.files[1].placed {
			if placed++; placed == 1 {
				if got := tree(t, dir); got["one"] != "new" || len(got) < 6 {
					t.Errorf("in between there are %v", got)
				}
			}
		}
	}
	if err := writeAll(t.Context(), o, map[string]string{"one": "new", "two": "new"}); err != nil {
		t.Fatal(err)
	}
	if got, want := tree(t, dir), map[string]string{"one": "new", "two": "new"}; !reflect.DeepEqual(got, want) || placed == 0 {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A journal that came from elsewhere does no harm.
func TestJournalHostile(t *testing.T) {
	dir, other := inFolder(t, map[string]string{"victim": "precious", "sub/x": "x"})
	name, temp := ".lethe-"+strings.Repeat("a", 26)+".journal", ".lethe-"+strings.Repeat("b", 26)+".tmp"
	write := func(dir, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(text, "TEMP", temp)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{
		`{"primary":"","folders":[],"files":[{"final":"../victim","temp":"TEMP","next":"TEMP","backup":"TEMP","old":false}]}`,
		`{"primary":"","folders":[],"files":[{"final":"victim","temp":"victim","next":"TEMP","backup":"TEMP","old":false}]}`,
		`{"primary":"","folders":[],"files":[{"final":"victim","temp":"TEMP","next":"victim","backup":"../victim","old":false}]}`,
		`{"primary":"","folders":[],"files":[{"final":"victim","temp":"TEMP","next":"TEMP","backup":"TEMP","old":false}]}`,
		`{"primary":"","folders":["` + dir + `"],"files":[]}`,
		`{"primary":"` + dir + `","folders":[],"files":[]}`,
		`{"primary":"/nowhere","folders":[],"files":[]}`,
		`{"PRIMARY":"","folders":[],"files":[]}`,
		`{`,
	} {
		sub := filepath.Join(dir, "sub")
		os.WriteFile(filepath.Join(sub, temp), []byte("planted"), 0o600)
		write(sub, text)
		tidy(sub, true)
		got := tree(t, dir)
		if got["victim"] != "precious" || got["sub/x"] != "x" {
			t.Errorf("%s: left %v", text, got)
		}
		os.Remove(filepath.Join(sub, name))
	}
	if got := tree(t, other); len(got) > 0 {
		t.Errorf("left %v", got)
	}
}
