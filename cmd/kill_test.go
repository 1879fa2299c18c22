//go:build unix

package cmd_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

var leftBehind = regexp.MustCompile(`^\.lethe-`)

// Commands that replace a set of outputs are killed at random moments, half of
// them near the moment at which the files get their places. The next command that
// reads one of the outputs finds the whole set of before or the whole new one, and
// the next that writes there removes what the dead left behind. LETHE_KILLS=200
// says how many must be killed before they end.
func TestKillLeavesNoMixedSet(t *testing.T) {
	kills := 8
	if n, err := strconv.Atoi(os.Getenv("LETHE_KILLS")); err == nil {
		kills = n
	}
	tiny, err := filepath.Abs("testdata/tiny")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args, other []string // make two sets
		set         []string
	}{
		"forget": {
			[]string{"--seed", "1"}, []string{"--seed", "2"},
			[]string{"out.pt", "out.onnx", "r.json", "r.html", "a.jsonl"},
		},
		"ptconvert": {
			[]string{"--root", "one"}, []string{"--root", "another"},
			[]string{"out.pt", "uri", "digest"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			common := []string{"--force", "--quiet", filepath.Join(tiny, "lenet.pt"), "out.pt"}
			switch name {
			case "forget":
				common = append(common, "--class", "1", "--data", tiny, "--gate", "none", "--report", "r.json", "--html", "r.html", "--attest", "a.jsonl")
			case "ptconvert":
				common = append(common, "--output-uri-file", "uri", "--output-digest-file", "digest")
			}
			start := func(program string, args ...string) *exec.Cmd {
				cmd := exec.Command(filepath.Join(binaries(t), program), args...)
				cmd.Dir = dir
				return cmd
			}
			read := func() (set [][]byte) {
				for _, file := range c.set {
					b, err := os.ReadFile(filepath.Join(dir, file))
					if err != nil {
						b = nil
					}
					set = append(set, b)
				}
				return set
			}
			var sets [2][][]byte
			var took time.Duration
			for i, args := range [][]string{c.args, c.other} {
				began := time.Now()
				if out, err := start(name, append(args, common...)...).CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				took, sets[i] = time.Since(began), read()
			}
			same := func(a, b [][]byte) bool {
				for i := range a {
					if !bytes.Equal(a[i], b[i]) {
						return false
					}
				}
				return true
			}
			is := func(set [][]byte) int {
				for i := range sets {
					if same(set, sets[i]) {
						return i
					}
				}
				return -1
			}
			if bytes.Equal(sets[0][0], sets[1][0]) {
				t.Fatal("the two sets have the same checkpoint")
			}
			r := rand.New(rand.NewPCG(1, 2))
			now, killed, between, done := 1, 0, 0, 0
			i := 0
			for ; killed < kills && i < 10*kills; i++ {
				cmd := start(name, append([][]string{c.args, c.other}[1-now], common...)...)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				ended := make(chan struct{})
				go func() { cmd.Wait(); close(ended) }()
				if i%2 == 0 {
					wait(ended, time.Duration(r.Int64N(int64(took)*11/10)))
				} else {
					for !exists(dir, journals, ended) {
					}
					for until := time.Now().Add(time.Duration(r.Int64N(int64(200 * time.Microsecond)))); time.Now().Before(until); {
					}
				}
				cmd.Process.Kill()
				<-ended
				if cmd.ProcessState.ExitCode() == -1 {
					killed++
				}
				if is(read()) < 0 {
					between++
				}
				if out, err := start("ptcheck", "out.pt").CombinedOutput(); err != nil {
					t.Fatalf("kill %d: %v\n%s", i, err, out)
				}
				after := is(read())
				if after < 0 {
					t.Fatalf("kill %d: a mixed set", i)
				}
				if after != now {
					done++
				}
				now = after
			}
			t.Logf("%d of %d processes killed, %d of them with some files in place; then %d sets were new, %d as before, none mixed", killed, i, between, done, i-done)
			if killed < kills {
				t.Errorf("only %d processes were killed before they ended", killed)
			}
			if out, err := start(name, append(c.args, common...)...).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if exists(dir, leftBehind, nil) {
				t.Error("temporary files are left")
			}
		})
	}
}

var journals = regexp.MustCompile(`^\.lethe-.*\.journal$`)

// wait waits for a while, or until a process ended.
func wait(ended <-chan struct{}, d time.Duration) {
	select {
	case <-ended:
	case <-time.After(d):
	}
}

// exists reports whether a folder has a file of such a name, or the process that
// makes it ended.
func exists(dir string, name *regexp.Regexp, ended <-chan struct{}) bool {
	select {
	case <-ended:
		return true
	default:
	}
	all, _ := os.ReadDir(dir)
	for _, e := range all {
		if name.MatchString(e.Name()) {
			return true
		}
	}
	return false
}
