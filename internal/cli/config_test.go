package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	urfave "github.com/urfave/cli/v2"

	"lethe/internal/usage"
)

// configApp has a flag of each kind and two that exclude each other; its action
// notes what it was given.
func configApp(got *string) *urfave.App {
	return &urfave.App{
		Name: "forget", ArgsUsage: "in.pt out.pt",
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "class", Aliases: []string{"c"}, Required: true},
			&urfave.StringFlag{Name: "gate", Value: "hard", Usage: "what must hold, `none|hard|full`"},
			&urfave.StringFlag{Name: "onnx"},
			&urfave.BoolFlag{Name: "no-onnx"},
			&urfave.BoolFlag{Name: "force"},
			&urfave.BoolFlag{Name: "quiet"},
			&urfave.IntFlag{Name: "threads"},
			&urfave.Uint64Flag{Name: "seed"},
			&urfave.Float64Flag{Name: "max-kl", Value: 0.2},
			&urfave.StringSliceFlag{Name: "keep"},
		},
		Action: func(c *urfave.Context) error {
			files, err := Args(c, "in.pt", "out.pt")
			if err != nil {
				return err
			}
			if c.Int("threads") < 0 {
				return usage.Errorf("--threads %d is negative", c.Int("threads"))
			}
			var set []string
			for _, f := range c.App.Flags {
				if name := f.Names()[0]; c.IsSet(name) {
					mark := ""
					if Typed(c, name) {
						mark = "!"
					}
					value := c.Value(name)
					if repeatable(f) {
						value = c.StringSlice(name)
					}
					set = append(set, fmt.Sprintf("%s%s=%v", name, mark, value))
				}
			}
			*got = fmt.Sprintf("%v %s", files, strings.Join(set, " "))
			return nil
		},
	}
}

func TestConfiguration(t *testing.T) {
	for _, c := range []struct {
		name string
		file string // lethe.yaml; "" is none
		env  string // a variable each word
		args string
		want string // what the action sees, ! for what the line has
		says string // on stderr
	}{
		{name: "line", args: "-c 3 a b", want: "[a b] class!=3"},
		{name: "environment", env: "CLASS=3 SEED=5 FORCE=1 IN=a OUT=b", want: "[a b] class=3 force=true seed=5"},
		{name: "file", file: "forget:\n  class: 3\n  in: a\n  out: b\n  no-onnx: true\n  seed: 7\n", want: "[a b] class=3 no-onnx=true seed=7", says: "forget: lethe.yaml sets class, in, no-onnx, out, seed\n"},
		{name: "line before environment before file", file: "forget: {class: 1, seed: 1, threads: 1}", env: "CLASS=2 SEED=2", args: "--class 3 a b", want: "[a b] class!=3 threads=1 seed=2", says: "forget: lethe.yaml sets threads\n"},
		{name: "file names of each level", file: "forget: {in: a, out: b}", env: "OUT=c", args: "--class 3", want: "[a c] class!=3", says: "sets in\n"},
		{name: "file names of the line alone", file: "forget: {in: a, out: b}", args: "--class 3 x", says: "the argument out.pt is missing"},
		{name: "file names after --", file: "forget: {in: a, out: b}", args: "--class 3 -- -x y", want: "[-x y] class!=3"},
		{name: "no input", env: "OUT=b", args: "-c 3", says: "LETHE_OUT says what the output is and nothing says what the input is"},
		{name: "an empty variable is none", env: "CLASS= SEED=", args: "-c 3 a b", want: "[a b] class!=3"},
		{name: "required", env: "CLASS=", args: "a b", says: "--class is missing"},
		{name: "other variables", env: "CPU=avx2 PYTHON=x CLAS=9 HELP=1 MAN=1 VERSION=1 COMPLETION=bash", args: "-c 3 a b", want: "[a b] class!=3"},
		{name: "other sections", file: "ptcheck:\n  anything: [1, *x]\n", says: "unknown anchor 'x'"},
		{name: "other sections", file: "ptcheck: {anything: [1]}\npt2onnx: 3\n", args: "-c 3 a b", want: "[a b] class!=3"},
		{name: "an empty section", file: "forget:\n  # class: 3\n", args: "-c 3 a b", want: "[a b] class!=3"},
		{name: "comments", file: "# nothing\n", args: "-c 3 a b", want: "[a b] class!=3"},
		{name: "nothing", file: "\n", args: "-c 3 a b", want: "[a b] class!=3"},
		{name: "quiet", file: "forget: {class: 3}", args: "a b --quiet", want: "[a b] class=3 quiet!=true", says: "forget: lethe.yaml sets class\n"},
		{name: "list", file: "forget: {keep: [x, 2], in: a, out: b, class: 3}", args: "--config lethe.yaml", want: "[a b] class=3 keep=[x 2] config!=lethe.yaml", says: "sets"},
		{name: "one of a list", file: "forget: {keep: x}", env: "CONFIG=lethe.yaml", args: "-c 3 a b", want: "[a b] class!=3 keep=[x]", says: "sets"},
		{name: "no list in the line's place", file: "forget: {keep: [x, y]}", env: "CONFIG=lethe.yaml", args: "-c 3 a b --keep z", want: "[a b] class!=3 keep!=[z]"},
		{name: "exact text", file: "forget: {class: 03}", args: "a b", want: "[a b] class=03", says: "sets"},

		// What contradicts: the higher level counts, within one the command decides.
		{name: "contradiction", file: "forget: {onnx: x}", args: "-c 3 a b --no-onnx", want: "[a b] class!=3 no-onnx!=true"},
		{name: "contradiction", file: "forget: {no-onnx: yes}", args: "-c 3 a b", says: `no-onnx is the text "yes", want true or false`},
		{name: "contradiction", file: "forget: {no-onnx: true}", env: "ONNX=x", args: "-c 3 a b", want: "[a b] class!=3 onnx=x"},
		{name: "contradiction", file: "forget: {onnx: x}", args: "-c 3 a b --no-onnx=0", want: "[a b] class!=3 onnx=x no-onnx!=false", says: "sets onnx"},
		{name: "contradiction", file: "forget: {onnx: x, no-onnx: true}", args: "-c 3 a b", want: "[a b] class!=3 onnx=x no-onnx=true", says: "sets"},

		// Errors name variable, or file, line and key.
		{name: "type", env: "SEED=x", args: "-c 3 a b", says: `LETHE_SEED is "x", want a whole number from 0`},
		{name: "type", env: "FORCE=maybe", args: "-c 3 a b", says: `LETHE_FORCE is "maybe", want true or false`},
		{name: "even if the line goes before it", env: "SEED=x", args: "-c 3 a b --seed 1", says: `LETHE_SEED is "x"`},
		{name: "choice", file: "forget:\n\n  gate: soft\n", args: "-c 3 a b --config lethe.yaml", says: `lethe.yaml, line 3: gate is "soft", want none, hard or full`},
		{name: "type", file: "forget: {seed: -1}", args: "-c 3 a b", says: `lethe.yaml, line 1: seed is "-1", want a whole number from 0`},
		{name: "type", file: "forget: {threads: 1.5}", args: "-c 3 a b", says: `threads is the number 1.5, want a whole number`},
		{name: "type", file: "forget: {max-kl: much}", args: "-c 3 a b", says: `max-kl is the text "much", want a number`},
		{name: "type", file: "forget: {onnx: true}", args: "-c 3 a b", says: `onnx is true (!!bool), want text`},
		{name: "type", file: "forget: {class: [1, 2]}", args: "a b", says: `class is a list, want text`},
		{name: "type", file: "forget: {class: {a: 1}}", args: "a b", says: `class is a mapping, want text`},
		{name: "type", file: "forget: {keep: [[x]]}", args: "-c 3 a b", says: `keep is a list, want text`},
		{name: "type", file: "forget: {class: !x 3}", args: "a b", says: `class is 3 (!x), want text`},
		{name: "empty", file: "forget:\n  class:\n", args: "a b", says: "lethe.yaml, line 2: class has an empty value"},
		{name: "empty", file: "forget: {class: ''}", args: "a b", says: "class has an empty value"},
		{name: "empty", file: "forget: {keep: []}", args: "-c 3 a b", says: "keep has an empty value"},
		{name: "empty", file: "forget: {keep: [x, ~]}", args: "-c 3 a b", says: "keep has an empty value"},
		{name: "unknown key", file: "forget:\n  max_kl: 1\n", args: "-c 3 a b", says: `lethe.yaml, line 2: unknown key "max_kl"; did you mean "max-kl"?; see`},
		{name: "unknown key", file: "forget: {c: 1}", args: "a b", says: `unknown key "c"`},
		{name: "unknown key", file: "forget: {help: true}", args: "-c 3 a b", says: `unknown key "help"`},
		{name: "unknown key", file: "forget: {config: x}", args: "-c 3 a b", says: `unknown key "config"`},
		{name: "unknown section", file: "forgets: {class: 1}", args: "a b", says: `lethe.yaml, line 1: unknown section "forgets"; did you mean "forget"?; the sections are forget, pt2onnx, ptcheck, ptconvert`},
		{name: "repeated key", file: "forget:\n  class: 1\n  class: 2\n", args: "a b", says: `lethe.yaml, line 3: "class" is there twice`},
		{name: "repeated section", file: "forget:\nforget:\n", args: "-c 3 a b", says: `line 2: "forget" is there twice`},
		{name: "no mapping", file: "- class\n", args: "-c 3 a b", says: "line 1: found a list, want keys with values"},
		{name: "no mapping", file: "forget: 3\n", args: "-c 3 a b", says: `line 1: found the number 3, want keys with values`},
		{name: "key", file: "forget: {3: 3}", args: "-c 3 a b", says: `found the number 3, want a key`},
		{name: "alias", file: "ptcheck: &x {class: 3}\nforget: *x\n", args: "-c 3 a b", says: "line 2: found the alias *x, want keys with values"},
		{name: "alias", file: "forget:\n  in: &x a\n  out: *x\n", args: "-c 3", says: "line 3: out is the alias *x, want text"},
		{name: "merge", file: "ptcheck: &x {class: 3}\nforget: {<<: *x}\n", args: "-c 3 a b", says: `found << (!!merge), want a key`},
		{name: "two documents", file: "forget: {class: 3}\n---\nforget: {class: 4}\n", args: "a b", says: "a second document"},
		{name: "not YAML", file: "forget: {class: 3\n", args: "a b", says: "lethe.yaml is not YAML: line 1"},
		{name: "large", file: "# " + strings.Repeat("x", maxConfig), args: "-c 3 a b", says: "lethe.yaml has more than 1048576 bytes"},

		// Only a file that was named may do harm.
		{name: "force", file: "forget:\n  force: true\n", args: "-c 3 a b", says: "lethe.yaml, line 2: force is not taken from a file that lies in the working folder; give --force, or name the file with --config lethe.yaml"},
		{name: "force", file: "forget:\n  force: true\n", args: "-c 3 a b --config lethe.yaml", want: "[a b] class!=3 force=true config!=lethe.yaml", says: "lethe.yaml sets force"},
		{name: "force", file: "forget:\n  force: true\n", env: "CONFIG=lethe.yaml", args: "-c 3 a b", want: "[a b] class!=3 force=true", says: "lethe.yaml sets force"},
		{name: "quiet", file: "forget: {quiet: true}", args: "-c 3 a b", says: "quiet is not taken from"},
		{name: "gate", file: "forget: {gate: none}", args: "-c 3 a b", says: "gate is not taken from"},
		{name: "gate that the line has", file: "forget: {gate: none}", args: "-c 3 a b --gate full", says: "gate is not taken from"},
		{name: "limit", file: "forget: {max-kl: 100}", args: "-c 3 a b", says: "max-kl is not taken from"},
		{name: "a setting that nobody thought of", file: "forget: {keep: x}", args: "-c 3 a b", says: "keep is not taken from"},
		{name: "gate in the named file", file: "forget: {gate: none, max-kl: 2}", args: "-c 3 a b --config lethe.yaml", want: "[a b] class!=3 gate=none max-kl=2 config!=lethe.yaml", says: "lethe.yaml sets gate, max-kl"},
		{name: "gate in the environment", env: "GATE=none", args: "-c 3 a b", says: "LETHE_GATE: gate is not taken from the environment, since it can lower what a check demands; give --gate, or name a file that sets it with --config"},
		{name: "gate in the environment that the line has", env: "GATE=none", args: "-c 3 a b --gate full", says: "LETHE_GATE: gate is not taken"},
		{name: "limit in the environment", env: "MAX_KL=5", args: "-c 3 a b", says: "LETHE_MAX_KL: max-kl is not taken"},
		{name: "outputs in the folder", file: "forget: {in: ../a, out: sub/b, onnx: c}", args: "-c 3", want: "[../a sub/b] class!=3 onnx=c", says: "sets in, onnx, out"},
		{name: "output above", file: "forget: {in: a, out: ../b}", args: "-c 3", says: "lethe.yaml, line 1: out leads out of the working folder"},
		{name: "output from root", file: "forget: {onnx: /tmp/b}", args: "-c 3 a b", says: "onnx leads out of the working folder"},
		{name: "output through a link", file: "forget: {onnx: link/b}", args: "-c 3 a b", says: "onnx leads out of the working folder"},
		{name: "output that is a link", file: "forget: {onnx: file}", args: "-c 3 a b", says: "onnx leads out of the working folder"},
		{name: "output in a registry", file: "forget: {in: a, out: 'oci://registry.example/m:v1'}", args: "-c 3", says: "out leads out of the working folder"},
		{name: "output above, in the named file", file: "forget: {in: a, out: ../b}", args: "-c 3 --config lethe.yaml", want: "[a ../b] class!=3 config!=lethe.yaml", says: "sets in, out"},
		{name: "the named file", file: "forget: {class: 4}", args: "a b --config other.yaml", want: "[a b] class=5 config!=other.yaml", says: "other.yaml sets class"},
		{name: "the line's file", file: "forget: {class: 4}", env: "CONFIG=nowhere", args: "a b --config other.yaml", want: "[a b] class=5 config!=other.yaml", says: "other.yaml sets class"},
		{name: "no file", file: "forget: {class: 4}", args: "a b --config /dev/null", says: "--class is missing"},
		{name: "missing", args: "a b --config nowhere.yaml", says: "no configuration file nowhere.yaml"},
		{name: "folder", args: "a b --config .", says: ". is not a regular file"},

		// An error of a command says where the value is from.
		{name: "from", file: "forget:\n  threads: -1\n", args: "-c 3 a b", says: "--threads -1 is negative; --threads is from lethe.yaml, line 2; see"},
		{name: "from", env: "THREADS=-1", args: "-c 3 a b", says: "--threads -1 is negative; --threads is from LETHE_THREADS; see"},
		{name: "from the line", args: "-c 3 a b --threads -1", says: "--threads -1 is negative; see"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			writeFile(t, "other.yaml", "forget: {class: 5}")
			other := t.TempDir()
			writeFile(t, filepath.Join(other, "f"), "")
			for name, target := range map[string]string{"link": other, "file": filepath.Join(other, "f")} {
				if err := os.Symlink(target, name); err != nil {
					t.Skip(err)
				}
			}
			if c.file != "" {
				writeFile(t, configName, c.file)
			}
			for _, word := range strings.Fields(c.env) {
				name, value, _ := strings.Cut(word, "=")
				t.Setenv("LETHE_"+name, value)
			}
			var got string
			var stdout, stderr bytes.Buffer
			code := Run(t.Context(), configApp(&got), strings.Fields(c.args), nil, &stdout, &stderr)
			if got != c.want || (code == ExitOK) != (c.want != "") || stdout.Len() > 0 {
				t.Errorf("exit %d, got %q, want %q; %s%s", code, got, c.want, &stdout, &stderr)
			}
			if says := stderr.String(); (says == "") != (c.says == "") || !strings.Contains(says, c.says) {
				t.Errorf("stderr has %q, want %q", says, c.says)
			}
		})
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A folder or a pipe of the name in the working folder does not make a command
// wait.
func TestConfigurationNoFile(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir(configName, 0o700); err != nil {
		t.Fatal(err)
	}
	var got string
	var stderr bytes.Buffer
	if code := Run(t.Context(), configApp(&got), []string{"-c", "3", "a", "b"}, nil, nil, &stderr); code != ExitError || !strings.Contains(stderr.String(), "lethe.yaml is not a regular file") {
		t.Errorf("exit %d, %s", code, &stderr)
	}
}

// A file of any content gives settings of the flags or a usage error.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		"forget:\n  class: 3\n  keep: [a, b]\n", "forget: {max-kl: 1e3, seed: 0x10, no-onnx: True}", "a: &a [*a, *a]", "forget: &x {class: *x}",
		"--- !!binary x\n", "? [x]\n: y", "forget: !!map {class: !!str 3}", "forget:\n  class: |\n    3\n", "\xff\xfef\x00", "%YAML 1.2\n---\nforget: {}\n...\n---\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		app := configApp(new(string))
		s, err := decodeConfig(text, "x.yaml", app)
		var misuse *usage.Error
		if err != nil && !errors.As(err, &misuse) {
			t.Fatalf("%T: %v", err, err)
		}
		for name, given := range s {
			if f := lookup(settable(app.Flags), name); f == nil || len(given.values) == 0 || slices.Contains(given.values, "") || !strings.HasPrefix(given.from, "x.yaml, line ") {
				t.Fatalf("%q: %+v", name, given)
			}
		}
		if names := slices.Collect(maps.Keys(s)); err != nil && len(names) > 0 {
			t.Fatalf("%q beside %v", names, err)
		}
	})
}

// The commands that a file has sections for are those that there are.
func TestConfigurationCommands(t *testing.T) {
	found, err := filepath.Glob("../command/*")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, path := range found {
		names = append(names, filepath.Base(path))
	}
	if want := slices.Sorted(slices.Values(commands)); !slices.Equal(names, want) {
		t.Errorf("there are %q, the sections are %q", names, want)
	}
}

func TestTypedOutside(t *testing.T) {
	app := configApp(nil)
	c := urfave.NewContext(app, nil, nil)
	c.Context = context.Background()
	if Typed(c, "class") {
		t.Error("a flag that nobody gave is typed")
	}
}
