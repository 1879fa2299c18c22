package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	urfave "github.com/urfave/cli/v2"

	"lethe/internal/usage"
	"lethe/internal/version"
	"lethe/model"
)

// TestMain lets the test binary stand in for a command: its Main waits for a
// signal and says what it saw.
func TestMain(m *testing.M) {
	if os.Getenv("LETHE_TEST_COMMAND") == "wait" {
		os.Exit(Main(func(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
			app := &urfave.App{Name: "wait", Action: func(c *urfave.Context) error {
				fmt.Fprintln(stdout, "ready", strings.Join(args, " "))
				if !signal.Ignored(syscall.SIGPIPE) {
					return errors.New("a closed pipe would end the process")
				}
				<-c.Context.Done()
				return fmt.Errorf("step 7: %w", c.Context.Err())
			}}
			return Run(ctx, app, args, nil, stdout, stderr)
		}))
	}
	os.Exit(m.Run())
}

type checkFailed bool

func (c checkFailed) Error() string     { return "the last layer changed" }
func (c checkFailed) CheckFailed() bool { return bool(c) }

// testApp has every kind of flag; its action returns err and records what it
// was given.
func testApp(got *string, err error) *urfave.App {
	return &urfave.App{
		Name:      "forget",
		Usage:     "make a classifier forget a class",
		ArgsUsage: "in.pt out.pt",
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "class", Aliases: []string{"c"}, Required: true, Usage: "`CLASS` to forget"},
			&urfave.StringFlag{Name: "images", Required: true, Value: "sample"},
			&urfave.BoolFlag{Name: "force"},
			&urfave.IntFlag{Name: "seed"},
			&urfave.StringSliceFlag{Name: "keep"},
		},
		Action: func(c *urfave.Context) error {
			files, aerr := Args(c, "in.pt", "[out.pt]")
			if aerr != nil {
				return aerr
			}
			if got != nil {
				*got = fmt.Sprintf("%v %s %v %v %v", files, c.String("class"), c.Bool("force"), c.Int("seed"), c.StringSlice("keep"))
			}
			return err
		},
	}
}

func TestRunArguments(t *testing.T) {
	t.Setenv("LETHE_IMAGES", "elsewhere")
	for _, c := range []struct {
		args string
		want string // what the action sees
		says string // or the error
	}{
		{"--class 3 in out", "[in out] 3 false 0 []", ""},
		{"in out --class 3", "[in out] 3 false 0 []", ""},
		{"in --class=3 out --force", "[in out] 3 true 0 []", ""},
		{"-class 3 -c=3 in", "", "--class is given twice"},
		{"in --force out -c 3 --seed -5", "[in out] 3 true -5 []", ""},
		{"in --force=false -c 3", "[in ] 3 false 0 []", ""},
		{"--class 3 - -", "[- -] 3 false 0 []", ""},
		{"--class - in", "[in ] - false 0 []", ""},
		{"--class 3 -- --force -x", "[--force -x] 3 false 0 []", ""},
		{"in --keep a --keep b,c out -c 3", "[in out] 3 false 0 [a b c]", ""},
		{"class force -c 3", "[class force] 3 false 0 []", ""},
		{"help -c 3", "[help ] 3 false 0 []", ""},
		{"--class=--force in", "[in ] --force false 0 []", ""},
		{"--class=a=b in", "[in ] a=b false 0 []", ""},

		{"in out --clas 3", "", "unknown flag --clas; did you mean --class?"},
		{"in out --sede=3", "", "unknown flag --sede; did you mean --seed?"},
		{"in out --fo", "", "did you mean --force?"},
		{"in out --quantize", "", "unknown flag --quantize; see forget --help"},
		{"in out -x", "", "unknown flag -x; see"},
		{"-3 in", "", "unknown flag -3"},
		{"in out", "", "--class is missing"},
		{"in out --class", "", "--class needs a value"},
		{"in --class --force out", "", "--class needs a value, found --force; write --class=--force"},
		{"in --class --force=true out", "", "--class needs a value, found --force=true"},
		{"--class -- in", "", "--class needs a value, found --"},
		{"in --class= out", "", "--class has an empty value"},
		{"in -c 3 --seed x", "", `--seed is "x", want a whole number`},
		{"in -c 3 --force=maybe", "", `--force is "maybe", want true or false`},
		{"in -c 3 --force --force", "", "--force is given twice"},
		{"-c 3", "", "the argument in.pt is missing"},
		{"-c 3 a b c", "", `unexpected argument "c" after in.pt [out.pt]`},
		{"-c 3 --generate-bash-completion", "", "unknown flag --generate-bash-completion"},
	} {
		t.Run(c.args, func(t *testing.T) {
			var got string
			var stdout, stderr bytes.Buffer
			code := Run(context.Background(), testApp(&got, nil), strings.Fields(c.args), nil, &stdout, &stderr)
			if stdout.Len() > 0 {
				t.Errorf("stdout has %q", &stdout)
			}
			if c.says == "" {
				if code != ExitOK || got != c.want || stderr.Len() > 0 {
					t.Errorf("got %q, exit %d, %q; want %q", got, code, &stderr, c.want)
				}
				return
			}
			if code != ExitUsage || !strings.Contains(stderr.String(), c.says) || got != "" {
				t.Errorf("got exit %d, %q; want 2, %q", code, &stderr, c.says)
			}
			if s := stderr.String(); !strings.HasPrefix(s, "forget: ") || strings.Count(s, "\n") != 1 || !strings.HasSuffix(s, "; see forget --help\n") {
				t.Errorf("%q is not one line that begins with the command's name", s)
			}
		})
	}
}

func TestRunEmptyArgument(t *testing.T) {
	t.Setenv("LETHE_IMAGES", "elsewhere")
	var stderr bytes.Buffer
	code := Run(context.Background(), testApp(nil, nil), []string{"in", "", "-c", "3"}, nil, io.Discard, &stderr)
	if code != ExitUsage || !strings.Contains(stderr.String(), "the argument out.pt is empty") {
		t.Errorf("got exit %d, %q", code, &stderr)
	}
}

// A required flag that the environment sets is not missing, and one that
// nothing sets is.
func TestRunEnvironment(t *testing.T) {
	var stderr bytes.Buffer
	os.Unsetenv("LETHE_IMAGES")
	if code := Run(context.Background(), testApp(nil, nil), []string{"in", "-c", "3"}, nil, io.Discard, &stderr); code != ExitUsage || !strings.Contains(stderr.String(), "--images is missing") {
		t.Errorf("got exit %d, %q; want 2", code, &stderr)
	}
}

func TestRunExitCodes(t *testing.T) {
	t.Setenv("LETHE_IMAGES", "elsewhere")
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		code int
		says string
	}{
		{"done", nil, nil, 0, ""},
		{"error", nil, errors.New("disk on fire"), 1, "forget: disk on fire\n"},
		{"format", nil, &model.FormatError{Format: "checkpoint", Member: "data.pkl", Offset: 7, Reason: "opcode 0xff"}, 1, "forget: broken checkpoint, member \"data.pkl\", byte 7: opcode 0xff\n"},
		{"limit", nil, fmt.Errorf("a: %w", &model.LimitError{What: "depth", Unit: "levels", Flag: "max-depth", Got: 1009, Limit: 1008}), 4, "forget: a: depth is 1,009 levels, more than the limit of 1,008; raise it with --max-depth 2016\n"},
		{"usage", nil, fmt.Errorf("a: %w", usage.Errorf("no class %d", 11)), 2, "forget: a: no class 11; see forget --help\n"},
		{"check failed", nil, fmt.Errorf("a: %w", checkFailed(true)), 3, "forget: a: the last layer changed\n"},
		{"check that could not run", nil, checkFailed(false), 1, "forget: the last layer changed\n"},
		{"unsupported", nil, fmt.Errorf("a: %w", &model.UnsupportedError{What: "a ResNet", Advice: "give a LeNet"}), 4, "forget: a: a ResNet; give a LeNet\n"},
		{"exit coder", nil, urfave.Exit("not the way here", 77), 1, "forget: not the way here\n"},
		{"interrupted", cancelled, fmt.Errorf("step 3: %w", context.Canceled), 1, "forget: interrupted; nothing was written\n"},
		{"done in spite of an interrupt", cancelled, nil, 0, ""},
		{"another error after an interrupt", cancelled, errors.New("disk on fire"), 1, "forget: disk on fire\n"},
		{"cancelled by itself", nil, context.Canceled, 1, "forget: context canceled\n"},
		{"several lines", nil, errors.New("one:\n  two\r\n\nthree\n"), 1, "forget: one: two three\n"},
		{"terminal codes", nil, errors.New("key \x1b[2Jx\a\u202e é"), 1, "forget: key \\x1b[2Jx\\a\\u202e é\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := c.ctx
			if ctx == nil {
				ctx = context.Background()
			}
			var stdout, stderr bytes.Buffer
			code := Run(ctx, testApp(nil, c.err), []string{"in", "-c", "3"}, nil, &stdout, &stderr)
			if code != c.code || stderr.String() != c.says || stdout.Len() > 0 {
				t.Errorf("got exit %d, stderr %q, stdout %q; want %d, %q", code, &stderr, &stdout, c.code, c.says)
			}
		})
	}
}

func TestRunHelpAndVersion(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"-h"}, {"in", "out", "--help"}, {"--class", "3", "-help"}} {
		var got string
		var stdout, stderr bytes.Buffer
		code := Run(context.Background(), testApp(&got, nil), args, nil, &stdout, &stderr)
		if code != ExitOK || stderr.Len() > 0 || got != "" {
			t.Errorf("%q: got exit %d, stderr %q, action %q", args, code, &stderr, got)
		}
		for _, want := range []string{"forget - make a classifier", "Usage: forget [flags] in.pt out.pt\n", "--class, -c CLASS", "--help, -h", "--version", "--keep"} {
			if !strings.Contains(stdout.String(), want) {
				t.Errorf("%q: help lacks %q:\n%s", args, want, &stdout)
			}
		}
		if strings.Contains(stdout.String(), "\x1b") {
			t.Error("help is coloured")
		}
	}
	var stdout, stderr bytes.Buffer
	code := Run(context.Background(), testApp(nil, nil), []string{"in", "--version"}, nil, &stdout, &stderr)
	if code != ExitOK || stderr.Len() > 0 || !strings.HasPrefix(stdout.String(), "forget "+version.String()+" (go") || strings.Count(stdout.String(), "\n") != 1 {
		t.Errorf("version: exit %d, %q, %q", code, &stdout, &stderr)
	}
	if code := Run(context.Background(), testApp(nil, nil), []string{"--version"}, nil, failingWriter{}, &stderr); code != ExitError {
		t.Errorf("version to a closed pipe: exit %d, want 1", code)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "ab", 2}, {"ab", "", 2}, {"class", "class", 0}, {"clas", "class", 1}, {"seed", "sede", 2}, {"kitten", "sitting", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: got %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestMainSignal(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		cmd := exec.Command(os.Args[0], "a", "b")
		cmd.Env = append(os.Environ(), "LETHE_TEST_COMMAND=wait")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
		ready := make([]byte, len("ready a b\n"))
		if _, err := io.ReadFull(stdout, ready); err != nil || string(ready) != "ready a b\n" {
			t.Fatalf("got %q, %v, %q", ready, err, &stderr)
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Skipf("cannot send %v here: %v", sig, err)
		}
		cmd.Wait()
		timer.Stop()
		if code := cmd.ProcessState.ExitCode(); code != ExitError || stderr.String() != "wait: interrupted; nothing was written\n" {
			t.Errorf("%v: got exit %d, %q", sig, code, &stderr)
		}
	}
}

// Two commands in one process, as in tests, must not share anything.
func TestRunParallel(t *testing.T) {
	t.Setenv("LETHE_IMAGES", "elsewhere")
	done := make(chan string)
	for _, args := range [][]string{{"in", "-c", "3"}, {"--help"}, {"in", "-c", "4"}, {"--version"}} {
		go func() {
			var got string
			Run(context.Background(), testApp(&got, nil), args, nil, io.Discard, io.Discard)
			done <- got
		}()
	}
	seen := map[string]int{}
	for range 4 {
		seen[<-done]++
	}
	if want := (map[string]int{"": 2, "[in ] 3 false 0 []": 1, "[in ] 4 false 0 []": 1}); !reflect.DeepEqual(seen, want) {
		t.Errorf("got %v, want %v", seen, want)
	}
}
