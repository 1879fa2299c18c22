// Command lethe is all commands in one program: "lethe forget ..." is "forget ...".
// Under the name of a command, as a copy or a link, it is that command.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"lethe/internal/cli"
	"lethe/internal/command/forget"
	"lethe/internal/command/pt2onnx"
	"lethe/internal/command/ptcheck"
	"lethe/internal/command/ptconvert"
	"lethe/internal/terminal"
	"lethe/internal/version"
)

type command = func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int

// commands are those in the program, in the order of the help.
var commands = []struct {
	name, does string
	run        command
}{
	{"forget", "make a trained classifier forget a class", forget.Run},
	{"pt2onnx", "convert what PyTorch saved to ONNX", pt2onnx.Run},
	{"ptcheck", "say what a file holds, scan it, judge an edit of it", ptcheck.Run},
	{"ptconvert", "rewrite a state dict between formats", ptconvert.Run},
}

func main() {
	run := named(strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe"))
	if run == nil {
		run = lethe
	}
	os.Exit(cli.Main(run))
}

// named returns the command of a name, or nil.
func named(name string) command {
	for _, c := range commands {
		if c.name == name {
			return c.run
		}
	}
	return nil
}

// lethe runs the command that the first argument names.
func lethe(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage())
		return cli.ExitUsage
	}
	text := ""
	name, shell, joined := strings.Cut(args[0], "=")
	switch name {
	case "--help", "-h", "help":
		text = usage()
	case "--version", "-v":
		text = madeOf()
	case "--completion":
		if !joined && len(args) > 1 {
			shell = args[1]
		}
		var err error
		if text, err = completion(ctx, shell); err != nil {
			terminal.Linef(stderr, "lethe: %v", err)
			return cli.ExitUsage
		}
	default:
		if run := named(args[0]); run != nil {
			return run(ctx, args[1:], stdin, stdout, stderr)
		}
		terminal.Linef(stderr, "lethe: %.100q is not a command; see lethe --help", args[0])
		return cli.ExitUsage
	}
	if _, err := io.WriteString(stdout, text); err != nil {
		terminal.Linef(stderr, "lethe: %v", err)
		return cli.ExitError
	}
	return cli.ExitOK
}

func usage() string {
	var b strings.Builder
	b.WriteString("Usage: lethe COMMAND ...\n\nCommands:\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "   %-10s %s\n", c.name, c.does)
	}
	b.WriteString("\nlethe COMMAND --help tells more. A link to lethe with the name of a command is that command.\n" +
		"lethe --completion bash, zsh or fish prints a completion script.\n")
	return b.String()
}

// commit is set by release/build.
var commit string

// madeOf says what the program was made of.
func madeOf() string {
	commit := commit
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = s.Value
			}
		}
	}
	return fmt.Sprintf("lethe %s\ncommit %s\n%s %s/%s\n", version.String(), cmp.Or(commit, "unknown"), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
