// Package version says which version of Lethe a program is.
package version

import (
	"runtime/debug"

	"lethe/report"
)

// release is the version of a release; release/build sets it by -ldflags -X.
var release string

// String returns the version of the release, or of the module that the binary was
// built from, or "devel" with the commit if there is none.
func String() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	return of(info)
}

// Tool returns what a report calls a command of this version.
func Tool(command string) report.Tool { return report.Tool{Name: command, Version: String()} }

func of(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = "-" + s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	return "devel" + revision + dirty
}
