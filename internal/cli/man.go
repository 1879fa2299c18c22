package cli

import (
	"fmt"
	"io"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// item is a word that a manual page explains.
type item struct{ term, text string }

// Parts of the manual page that all commands have.
var (
	aboutFlags = "Flags stand before or after the file names; -- ends them. - is standard input or output. oci://REGISTRY/REPOSITORY:TAG, instead of a file name, is a model in a registry."
	variables  = []item{
		{"LETHE_FLAG", "What the flag of that name would say, in capitals and with _ for -: LETHE_CLASS=3, LETHE_PLAIN_HTTP=true. The command line goes before it. An empty variable counts as none. What can lower the bar of a check is not taken from there: the gate, data, mean, std and limits."},
		{"LETHE_IN, LETHE_OUT", "The file names, where the command line has none."},
		{"LETHE_CONFIG", "The file of settings, as --config."},
		{"LETHE_CPU", "avx2 or portable: the instruction set to compute with, for tests. The output does not depend on it."},
		{"SOURCE_DATE_EPOCH", "The time that statements and models in a registry tell, in seconds since 1970. The clock is not asked."},
		{"DOCKER_CONFIG", "The folder of config.json with the credentials of registries."},
		{"TMPDIR", "The folder of temporary files."},
	}
	places = []item{
		{"lethe.yaml", "Settings, if there is one in the working folder and --config names no other. It has a section for each command; keys are flags without dashes, and in and out. The environment and the command line go before it. What a check demands or looks at, force, quiet, keys, and outputs outside of the working folder are taken from a file that was named only."},
		{"~/.docker/config.json", "Credentials of registries, as docker login writes them."},
	}
	statuses = []item{
		{fmt.Sprint(ExitOK), "Done."},
		{fmt.Sprint(ExitError), "An error: broken input, no permission, an output that exists, interrupted."},
		{fmt.Sprint(ExitUsage), "The command line or the configuration makes no sense."},
		{fmt.Sprint(ExitCheck), "A check failed; nothing was written."},
		{fmt.Sprint(ExitUnsupported), "A valid file or model that is not handled."},
		{fmt.Sprint(ExitRegistry), "A registry cannot be reached, refuses, or does not keep to its protocol."},
	}
)

// roff makes plain text safe in a manual page.
func roff(s string) string {
	lines := strings.Split(strings.NewReplacer(`\`, `\e`, "-", `\-`, "~", `\(ti`).Replace(s), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

// printMan writes the manual page of a command. It has neither date nor version,
// so that it changes only with the flags.
func printMan(w io.Writer, app *urfave.App) error {
	var b strings.Builder
	section := func(name string) { fmt.Fprintf(&b, ".SH %s\n", name) }
	list := func(items []item) {
		for _, i := range items {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(i.term), roff(i.text))
		}
	}
	fmt.Fprintf(&b, ".\\\" Made by %s --man; go generate ./... makes it again.\n", app.Name)
	fmt.Fprintf(&b, ".TH %s 1 \"\" Lethe\n", strings.ToUpper(app.Name))
	section("NAME")
	fmt.Fprintf(&b, "%s \\- %s\n", app.Name, roff(app.Usage))
	section("SYNOPSIS")
	fmt.Fprintf(&b, ".B %s\n.RI [ flags ]\n.I %s\n", app.Name, roff(app.ArgsUsage))
	section("DESCRIPTION")
	fmt.Fprintf(&b, "%s\n.PP\n%s\n", roff(app.Description), roff(aboutFlags))
	section("OPTIONS")
	for _, f := range app.VisibleFlags() {
		text, place := explanation(f)
		fmt.Fprintf(&b, ".TP\n\\fB%s\\fR", roff(strings.Join(spellings(f), ", ")))
		if takesValue(f) {
			fmt.Fprintf(&b, " \\fI%s\\fR", roff(place))
		}
		fmt.Fprintf(&b, "\n%s\n", roff(text))
		if value := defaultValue(f); value != "" {
			fmt.Fprintf(&b, "(default: %s)\n", roff(value))
		}
	}
	section("ENVIRONMENT")
	list(variables)
	section("FILES")
	list(places)
	section("EXIT STATUS")
	list(statuses)
	section("EXAMPLES")
	fmt.Fprintf(&b, ".nf\n%s\n.fi\n", roff(app.UsageText))
	_, err := io.WriteString(w, b.String())
	return err
}
