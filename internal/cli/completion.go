package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// printCompletion writes a script that completes a command in a shell. It holds
// all that there is to complete, so completing never runs the command.
func printCompletion(w io.Writer, app *urfave.App, shell string) error {
	if _, err := parseValue(lookup(app.Flags, completionFlag), shell, spelled(completionFlag)); err != nil {
		return err
	}
	flags := app.VisibleFlags()
	var b strings.Builder
	if shell == "zsh" { // compinit looks at the first line
		fmt.Fprintf(&b, "#compdef %s\n", app.Name)
	}
	fmt.Fprintf(&b, "# completion of %s in %s, made by %[1]s --completion %[2]s\n", app.Name, shell)
	switch shell {
	case "bash":
		completeBash(&b, app.Name, flags)
	case "zsh":
		completeZsh(&b, app.Name, flags, strings.Fields(app.ArgsUsage))
	case "fish":
		completeFish(&b, app.Name, flags)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// spellings returns what a person can write for a flag.
func spellings(f urfave.Flag) []string {
	var all []string
	for _, name := range f.Names() {
		all = append(all, spelled(name))
	}
	return all
}

// quote makes one word of s in bash and zsh.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

const bashScript = `_%[1]s() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		if [[ ${COMP_WORDS[i]} == -- ]]; then
			compopt -o default
			return
		fi
	done
	# --flag=value is three words here.
	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD-2]}
	fi
	case $prev in
%[2]s	esac
	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W %[3]s -- "$cur"))
	else
		compopt -o default
	fi
}
complete -F _%[1]s %[1]s
`

func completeBash(b *strings.Builder, name string, flags []urfave.Flag) {
	var names, files, folders, others []string
	var cases strings.Builder
	for _, f := range flags {
		all := spellings(f)
		names = append(names, all...)
		_, place := usageText(f)
		switch values := choices(f); {
		case !takesValue(f):
		case values != nil:
			rest := ""
			if takesFile(f) {
				rest = "\t\tcompopt -o default\n"
			}
			fmt.Fprintf(&cases, "\t%s)\n\t\tCOMPREPLY=($(compgen -W %s -- \"$cur\"))\n%s\t\treturn\n\t\t;;\n", strings.Join(all, "|"), quote(strings.Join(values, " ")), rest)
		case takesFile(f):
			files = append(files, all...)
		case place == placeFolder:
			folders = append(folders, all...)
		default:
			others = append(others, all...)
		}
	}
	for _, c := range []struct {
		flags []string
		act   string
	}{{files, "\t\tcompopt -o default\n"}, {folders, "\t\tcompopt -o dirnames\n"}, {others, ""}} {
		if len(c.flags) > 0 {
			fmt.Fprintf(&cases, "\t%s)\n%s\t\treturn\n\t\t;;\n", strings.Join(c.flags, "|"), c.act)
		}
	}
	fmt.Fprintf(b, bashScript, name, cases.String(), quote(strings.Join(names, " ")))
}

func completeZsh(b *strings.Builder, name string, flags []urfave.Flag, files []string) {
	escape := strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`, ":", `\:`).Replace
	fmt.Fprintf(b, "_%s() {\n\t_arguments -S", name)
	for _, f := range flags {
		_, place := usageText(f)
		act := " "
		if takesFile(f) { // and says in its help what words it takes
			act = "_files"
		} else if all := choices(f); all != nil {
			place, act = f.Names()[0], "("+strings.Join(all, " ")+")"
		} else if place == placeFolder {
			act = "_files -/"
		}
		all := spellings(f)
		for _, spelling := range all {
			spec := "(" + strings.Join(all, " ") + ")"
			if repeatable(f) {
				spec = "*"
			}
			spec += spelling
			if takesValue(f) {
				spec += "="
			}
			spec += "[" + escape(summary(f)) + "]"
			if takesValue(f) {
				if place == "" {
					place = f.Names()[0]
				}
				spec += ":" + escape(place) + ":" + act
			}
			fmt.Fprintf(b, " \\\n\t\t%s", quote(spec))
		}
	}
	for _, file := range files {
		colon := ":"
		if strings.HasPrefix(file, "[") {
			colon = "::"
		}
		fmt.Fprintf(b, " \\\n\t\t%s", quote(colon+escape(strings.Trim(file, "[]"))+":_files"))
	}
	// Loaded by compinit this is the function's body, sourced it is not.
	fmt.Fprintf(b, "\n}\nif [[ ${funcstack[1]} == _%s ]]; then\n\t_%[1]s \"$@\"\nelse\n\tcompdef _%[1]s %[1]s\nfi\n", name)
}

func completeFish(b *strings.Builder, name string, flags []urfave.Flag) {
	escape := strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace
	for _, f := range flags {
		fmt.Fprintf(b, "complete -c %s", name)
		for _, spelling := range slices.Backward(f.Names()) {
			if len(spelling) == 1 {
				fmt.Fprintf(b, " -s %s", spelling)
			} else {
				fmt.Fprintf(b, " -l %s", spelling)
			}
		}
		_, place := usageText(f)
		switch all := choices(f); {
		case all != nil && takesFile(f):
			fmt.Fprintf(b, " -r -F -a '%s'", strings.Join(all, " "))
		case all != nil:
			fmt.Fprintf(b, " -x -a '%s'", strings.Join(all, " "))
		case takesFile(f):
			b.WriteString(" -r -F")
		case place == placeFolder:
			b.WriteString(" -x -a '(__fish_complete_directories)'")
		case takesValue(f):
			b.WriteString(" -x")
		}
		fmt.Fprintf(b, " -d '%s'\n", escape(summary(f)))
	}
}
