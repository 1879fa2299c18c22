package cli

import (
	"strings"
	"testing"

	urfave "github.com/urfave/cli/v2"
)

// awkward has whatever a shell or roff could take for its own.
func awkward() *urfave.App {
	return &urfave.App{Name: "forget", Usage: "x", ArgsUsage: "in.pt [out.pt]", UsageText: ".x", Description: "'a' ~ \\", Flags: []urfave.Flag{
		&urfave.StringFlag{Name: "one", Usage: "it's [a] $b:c \\d `x|y`, and more"},
		&urfave.StringFlag{Name: "two", Usage: "`FILE` of x (of y)"},
		&urfave.StringFlag{Name: "three", Aliases: []string{"t"}, Usage: "`DIR`"},
		&urfave.StringSliceFlag{Name: "four"},
		&urfave.StringFlag{Name: "five", Usage: "`x|FILE`"},
		&urfave.BoolFlag{Name: "hidden", Hidden: true},
	}}
}

func TestCompletion(t *testing.T) {
	for shell, want := range map[string][]string{
		"bash": {
			"\n\t--one)\n\t\tCOMPREPLY=($(compgen -W 'x y' -- \"$cur\"))\n\t\treturn\n\t\t;;\n",
			"\n\t--two|--config)\n\t\tcompopt -o default\n\t\treturn\n\t\t;;\n", "\n\t--three|-t)\n\t\tcompopt -o dirnames\n", "\n\t--four)\n\t\treturn\n",
			"\n\t--five)\n\t\tCOMPREPLY=($(compgen -W 'x' -- \"$cur\"))\n\t\tcompopt -o default\n\t\treturn\n",
			"'--one --two --three -t --four --five --config --completion --help -h --version'", "\ncomplete -F _forget forget\n",
		},
		"zsh": {
			`'(--one)--one=[it'\''s \[a\] $b\:c \\d x|y]:one:(x y)'`, `'(--two)--two=[FILE of x]:FILE:_files'`, `'(--three -t)-t=[DIR]:DIR:_files -/'`,
			`'*--four=[]:four: '`, `'(--five)--five=[x|FILE]:x|FILE:_files'`, `':in.pt:_files'`, `'::out.pt:_files'`, `'(--help -h)-h[print this help]'`,
		},
		"fish": {
			`complete -c forget -l one -x -a 'x y' -d 'it\'s [a] $b:c \\d x|y'`, `complete -c forget -l two -r -F -d 'FILE of x'`,
			`complete -c forget -s t -l three -x -a '(__fish_complete_directories)' -d 'DIR'`, `complete -c forget -l four -x -d ''`,
			`complete -c forget -l five -r -F -a 'x' -d 'x|FILE'`,
		},
	} {
		var out strings.Builder
		if code := Run(t.Context(), awkward(), []string{"--completion", shell}, nil, &out, &out); code != ExitOK {
			t.Fatalf("%s: exit %d, %s", shell, code, &out)
		}
		for _, part := range want {
			if !strings.Contains(out.String(), part) {
				t.Errorf("%s: no %s in\n%s", shell, part, &out)
			}
		}
		if strings.Contains(out.String(), "hidden") || strings.Contains(out.String(), "--man") {
			t.Errorf("%s completes what is hidden:\n%s", shell, &out)
		}
	}
	var stderr strings.Builder
	if code := Run(t.Context(), awkward(), []string{"--completion", "csh"}, nil, nil, &stderr); code != ExitUsage || !strings.Contains(stderr.String(), `--completion is "csh", want bash, zsh or fish`) {
		t.Errorf("csh: exit %d, %s", code, &stderr)
	}
}
