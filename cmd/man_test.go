package cmd_test

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
)

var flagInHelp = regexp.MustCompile(`(?m)^   (--[a-z0-9-]+)`)

// The manual pages that are committed are those of the flags that there are.
func TestManualPages(t *testing.T) {
	for _, name := range names {
		made := command(t, name, "--man")
		committed, err := os.ReadFile("../docs/man/" + name + ".1")
		if err != nil || !bytes.Equal(made, committed) {
			t.Errorf("docs/man/%s.1 is not what %[1]s --man writes (%v); go generate ./cmd/...", name, err)
		}
		page := strings.ReplaceAll(string(made), `\-`, "-")
		for _, section := range []string{"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES"} {
			if !strings.Contains(page, "\n.SH "+section+"\n") {
				t.Errorf("%s: no section %s", name, section)
			}
		}
		flags := flagInHelp.FindAllStringSubmatch(string(command(t, name, "--help")), -1)
		if len(flags) < 10 {
			t.Errorf("%s: only %d flags in the help", name, len(flags))
		}
		for _, f := range flags {
			if !strings.Contains(page, `\fB`+f[1]+`\fR`) && !strings.Contains(page, `\fB`+f[1]+",") {
				t.Errorf("%s: no %s in the manual page", name, f[1])
			}
			// These variables have another meaning.
			if f[1] == "--cpu" || f[1] == "--python" {
				t.Errorf("%s: the variable of %s is taken", name, f[1])
			}
		}
	}
}

// The help says each thing once: a placeholder stands beside the flag, not in the
// text too, and a switch has no default.
func TestHelpSaysThingsOnce(t *testing.T) {
	line := regexp.MustCompile(`(?m)^   (--[-a-z0-9, ]*[a-z0-9])( \S+)?  +(.*)$`)
	for _, name := range names {
		help := string(command(t, name, "--help"))
		flags := line.FindAllStringSubmatch(help[strings.Index(help, "\nFlags:\n"):], -1)
		if len(flags) < 10 {
			t.Errorf("%s: only %d flags in the help", name, len(flags))
		}
		for _, f := range flags {
			if place := strings.TrimSpace(f[2]); place != "" && place != "value" && strings.Contains(f[3], place) {
				t.Errorf("%s: %s says %s twice", name, f[1], place)
			}
			if strings.Contains(f[3], "default: false") || strings.Count(f[3], "default:") > 1 || f[3] == "" {
				t.Errorf("%s: %s: %q", name, f[1], f[3])
			}
		}
	}
}
