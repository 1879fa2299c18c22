// Package cli is what Lethe's commands share: settings from the command line,
// whose flags may stand anywhere, from the environment and from a file; completion
// and manual pages made from the flags; exit codes by the type of an error; input
// and output that appears whole or not at all; progress; and the signals that end
// a run.
//
// Nothing here prints in colour, so there is nothing for NO_COLOR to turn off.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"text/tabwriter"

	urfave "github.com/urfave/cli/v2"

	"lethe/internal/registry"
	"lethe/internal/stage"
	"lethe/internal/terminal"
	"lethe/internal/usage"
	"lethe/internal/version"
	"lethe/model"
)

// Exit codes of every command.
const (
	ExitOK          = 0
	ExitError       = 1 // broken input, no permission, interrupted, ...
	ExitUsage       = 2 // the command line or the configuration asks for something impossible
	ExitCheck       = 3 // a check failed; no output was written
	ExitUnsupported = 4 // the input is valid, but Lethe does not handle it
	ExitRegistry    = 5 // a registry cannot be reached, refuses, or does not keep to its protocol
)

// CheckFailure is an error of a check that ran and found the result wanting,
// as opposed to one that could not run.
type CheckFailure interface {
	error
	CheckFailed() bool
}

// ExitCode returns the exit code of what a command returned.
func ExitCode(err error) int {
	var (
		usage       *usage.Error
		check       CheckFailure
		unsupported *model.UnsupportedError
		limit       *model.LimitError
		reference   *registry.ReferenceError
		remote      *registry.Error
	)
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &usage), errors.As(err, &reference):
		return ExitUsage
	case errors.As(err, &check) && check.CheckFailed():
		return ExitCheck
	case errors.As(err, &unsupported), errors.As(err, &limit):
		return ExitUnsupported
	case errors.As(err, &remote):
		return ExitRegistry
	}
	return ExitError
}

// Main runs a command on the process's arguments and standard streams and
// returns the exit code for os.Exit. An interrupt or a request to terminate
// cancels the context, so that the command can remove what it began; a second
// one ends the process at once.
func Main(run func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int) int {
	delayCollection()
	// A reader that goes away must be an error that we clean up after, not
	// the end of the process.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	stdout := stage.NewStdout()
	code := run(ctx, os.Args[1:], os.Stdin, stdout, os.Stderr)
	if stdout.Discarded() {
		fmt.Fprintln(os.Stderr, "the result was not printed: standard output is closed, or discards what is written")
	}
	return code
}

// firstHeap is how many times the usual 4 MiB a program may allocate before garbage is
// collected for the first time.
const firstHeap = 4

// delayCollection lets a short run end without a collection of garbage, which takes a
// fifth of its processor time. After the first one the usual setting holds again, so
// that a long run takes no more memory. GOGC in the environment has the last word.
func delayCollection() {
	if os.Getenv("GOGC") != "" {
		return
	}
	usual := debug.SetGCPercent(100 * firstHeap)
	type unreachable struct{ _ *byte } // with a pointer, so that it shares its memory with nothing
	runtime.AddCleanup(new(unreachable), func(percent int) { debug.SetGCPercent(percent) }, usual)
}

// Run runs app, which has an Action and no sub-commands, on the arguments
// after the command's name, and returns the exit code. Flags may stand before
// and after file names, "--" ends them, and what they do not say is taken from
// the environment and from a file. --config, --completion, --man, --help and
// --version are added. An error is printed on stderr as one line that begins with
// the command's name.
func Run(ctx context.Context, app *urfave.App, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	app.Reader, app.Writer, app.ErrWriter = stdin, stdout, stderr
	err := run(ctx, app, args)
	if err == nil {
		return ExitOK
	}
	code, message := ExitCode(err), terminal.OneLine(err.Error())
	switch {
	case code == ExitUsage:
		message += "; see " + app.Name + " --help"
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		message = "interrupted; nothing was written"
	}
	fmt.Fprintf(stderr, "%s: %s\n", app.Name, message)
	return code
}

// printHelp writes what a command is for and what its flags mean.
func printHelp(w io.Writer, app *urfave.App) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s - %s\n\nUsage: %[1]s [flags] %[3]s\n", app.Name, app.Usage, app.ArgsUsage)
	if app.Description != "" {
		fmt.Fprintf(&b, "\n%s\n", app.Description)
	}
	if app.UsageText != "" {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", app.UsageText)
	}
	b.WriteString("\nFlags:\n")
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, f := range app.VisibleFlags() {
		text, place := explanation(f)
		if value := defaultValue(f); value != "" {
			text += " (default: " + value + ")"
		}
		fmt.Fprintf(t, "   %s\t%s\n", strings.TrimSpace(strings.Join(spellings(f), ", ")+" "+place), text)
	}
	t.Flush()
	_, err := io.WriteString(w, b.String())
	return err
}

func run(ctx context.Context, app *urfave.App, args []string) error {
	// urfave's own help and version flags are global variables that two
	// commands in one process (tests) would race for.
	app.HideHelp, app.HideVersion = true, true
	app.Flags = append(app.Flags[:len(app.Flags):len(app.Flags)],
		&urfave.StringFlag{Name: configFlag, Usage: "`FILE` of settings in YAML; the environment (LETHE_...) and the command line go before it; default: lethe.yaml in the working folder, if there is one"},
		&urfave.StringFlag{Name: completionFlag, Usage: "print a script that completes this command, `bash|zsh|fish`"},
		&urfave.BoolFlag{Name: manFlag, Hidden: true, Usage: "print the manual page"},
		&urfave.BoolFlag{Name: helpFlag, Aliases: []string{"h"}, Usage: "print this help"},
		&urfave.BoolFlag{Name: versionFlag, Usage: "print the version"})
	// Left to itself urfave calls os.Exit.
	app.ExitErrHandler = func(*urfave.Context, error) {}
	app.Setup()

	l, err := parse(app.Flags, args)
	if err != nil {
		return err
	}
	switch l.special {
	case helpFlag:
		return printHelp(app.Writer, app)
	case versionFlag:
		_, err := fmt.Fprintf(app.Writer, "%s %s (%s %s/%s)\n", app.Name, version.String(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return err
	case completionFlag:
		return printCompletion(app.Writer, app, l.shell)
	case manFlag:
		return printMan(app.Writer, app)
	}
	s, note, err := gather(ctx, app, l)
	if err != nil {
		return err
	}
	line, err := s.args(l)
	if err != nil {
		return err
	}
	// --quiet does not hide it: whoever reads it may not know of the file.
	if note != "" {
		fmt.Fprintf(app.ErrWriter, "%s: %s\n", app.Name, note)
	}
	return s.explain(app.RunContext(s.with(ctx), append([]string{app.Name}, line...)))
}
