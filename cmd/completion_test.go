package cmd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lethe/internal/oracle"
)

var names = []string{"forget", "pt2onnx", "ptcheck", "ptconvert"}

// Shell functions that complete "$@", a command and its arguments, and print what was found, a match on
// a line. Files are for the shell to find; in bash the script only says so.
var completers = map[string]string{
	"bash": `
source completion.bash
compopt() { echo "compopt $*"; }
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
"_$1"
printf '%s\n' "${COMPREPLY[@]}"
`,
	"zsh": `
zmodload zsh/zpty
zpty terminal 'ZDOTDIR=. zsh -d -i'
zpty -r terminal out '*ready*'
zpty -w -n terminal "$*"$'\t\x15'"echo don''e"$'\n'
zpty -r terminal out '*done*'
print -r -- $out | grep -a -o 'match:[^[:cntrl:]]*' | sed 's/^match://'
`,
	"fish": `
source completion.fish
complete -C "$argv" | cut -f 1
`,
}

// In an interactive zsh the matches are printed as they are added. Before its
// editor runs the terminal would take what is typed in another way.
const zshrc = `
PS1=
zle-line-init() { echo ready }
zle -N zle-line-init
autoload -Uz compinit
compinit -C -d ./dump
source ./completion.zsh
compadd() {
	if [[ " ${@[1,(i)(-|--)]} " == *" "-[OAD]" "* ]]; then
		builtin compadd "$@"
		return
	fi
	local -a found
	builtin compadd -A found "$@"
	(( $#found )) && print -rl -- "match:"$^found
}
`

// The scripts complete names, values, files and folders, without a command to
// run.
func TestOracleCompletion(t *testing.T) {
	for shell, completer := range completers {
		t.Run(shell, func(t *testing.T) {
			program, err := exec.LookPath(shell)
			if err != nil {
				oracle.Missing(t, "no "+shell)
			}
			dir := t.TempDir()
			for _, name := range append([]string{"lethe"}, names...) {
				path := filepath.Join(dir, "completion."+shell)
				writeFile(t, path, string(command(t, name, "--completion", shell)))
				if out, err := exec.Command(program, "-n", path).CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", name, err, out)
				}
			}
			writeFile(t, filepath.Join(dir, "completion."+shell), string(command(t, "forget", "--completion", shell)))
			writeFile(t, filepath.Join(dir, ".zshrc"), zshrc)
			writeFile(t, filepath.Join(dir, "complete"), completer)
			writeFile(t, filepath.Join(dir, "model.pt"), "")
			if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
				t.Fatal(err)
			}
			file, folder := "model.pt", "folder"
			switch shell {
			case "bash":
				file, folder = "compopt -o default", "compopt -o dirnames"
			case "fish":
				folder = "folder/"
			}
			cases := []completionCase{
				{[]string{"--ga"}, []string{"--gate"}, "--class"},
				{[]string{"--gate", ""}, []string{"none", "hard", "full"}, file},
				{[]string{"in.pt", "--prefer", "m"}, []string{"minimal"}, "retain"},
				{[]string{"--forget-only", "f"}, []string{folder}, file},
				{[]string{"--report", "m"}, []string{file}, folder},
				{[]string{"--class", ""}, nil, file},
				{[]string{"m"}, []string{file}, "--gate"},
				{[]string{"--force", "m"}, []string{file}, "--gate"},
				{[]string{"--", "m"}, []string{file}, "--gate"},
			}
			for _, c := range cases {
				c.typed = append([]string{"forget"}, c.typed...)
				c.check(t, program, shell, dir)
			}

			// The same after "lethe", which completes the commands' names too, with
			// one script.
			writeFile(t, filepath.Join(dir, "completion."+shell), string(command(t, "lethe", "--completion", shell)))
			for _, c := range cases {
				c.typed = append([]string{"lethe", "forget"}, c.typed...)
				c.check(t, program, shell, dir)
			}
			for _, c := range []completionCase{
				{[]string{"lethe", "pt"}, []string{"pt2onnx", "ptcheck", "ptconvert"}, "forget"},
				{[]string{"lethe", "f"}, []string{"forget"}, folder},
				{[]string{"lethe", "--c"}, []string{"--completion"}, "--class"},
				{[]string{"lethe", "--completion", ""}, []string{"bash", "zsh", "fish"}, file},
				{[]string{"lethe", "ptcheck", "--sc"}, []string{"--scan"}, "--gate"},
				{[]string{"lethe", "pt2onnx", "--op"}, []string{"--opset"}, "--gate"},
				{[]string{"lethe", "ptconvert", "--dt"}, []string{"--dtype"}, "--gate"},
				{[]string{"lethe", "pt2onnx", "--ga"}, nil, "--gate"},
				{[]string{"ptcheck", "--sc"}, []string{"--scan"}, "--gate"}, // a link
			} {
				c.check(t, program, shell, dir)
			}
		})
	}
}

// completionCase is a line that was typed up to where it is completed.
type completionCase struct {
	typed []string
	want  []string // among the matches
	no    string   // not among them
}

// check completes the line with the script and the completer in dir.
func (c completionCase) check(t *testing.T, program, shell, dir string) {
	t.Helper()
	cmd := exec.Command(program, append([]string{"complete"}, c.typed...)...)
	if shell == "fish" {
		cmd = exec.Command(program, "complete", strings.Join(c.typed, " "))
	}
	cmd.Dir = dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + dir, "TERM=dumb"} // the command is not there
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", c.typed, err, out)
	}
	got := strings.Split(strings.TrimSpace(string(out)), "\n")
	for _, want := range c.want {
		if !slices.Contains(got, want) {
			t.Errorf("%q: got %q, want %q", c.typed, got, want)
		}
	}
	if slices.Contains(got, c.no) {
		t.Errorf("%q: got %q, which has %q", c.typed, got, c.no)
	}
}

// bash takes --flag=value for three words.
func TestOracleCompletionJoined(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		oracle.Missing(t, "no bash")
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "completion.bash"), string(command(t, "forget", "--completion", "bash")))
	for _, c := range []struct{ typed, want string }{{"forget --gate =", "none\nhard\nfull\n"}, {"forget --gate = f", "full\n"}, {"forget --data = f", "compopt -o default\n\n"}} {
		cmd := exec.Command(bash, append([]string{"-c", completers["bash"], "bash"}, strings.Fields(c.typed)...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.typed, out, err, c.want)
		}
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
