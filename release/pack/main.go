// Command pack makes the files of a release of binaries that are built: archives
// and wheels for one platform, and checksums, bill of materials and provenance of
// all. Equal input gives equal bytes. release/build calls it.
//
//	pack platform DIR VERSION COMMIT GOOS GOARCH BINARY
//	pack finish DIR VERSION COMMIT BINARY...
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// names are the commands in the binary.
var names = []string{"forget", "pt2onnx", "ptcheck", "ptconvert"}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "pack: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	date := time.Unix(seconds, 0).UTC()
	switch {
	case len(args) == 7 && args[0] == "platform":
		p := platform{dir: args[1], version: args[2], goos: args[4], goarch: args[5], binary: args[6], date: date}
		if err := inspect(p.binary, p.goos, p.goarch, p.version, args[3]); err != nil {
			return err
		}
		if err := p.archive(); err != nil {
			return err
		}
		return p.wheel()
	case len(args) >= 5 && args[0] == "finish":
		return finish(args[1], args[2], args[3], args[4:], date)
	}
	return fmt.Errorf("unknown arguments %q", args)
}

// changelog returns the changelog with the version as the heading of what is not
// released yet.
func changelog(version string, date time.Time) ([]byte, error) {
	b, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return nil, err
	}
	const heading = "\n## Unreleased\n"
	if !strings.Contains(string(b), heading) {
		return nil, fmt.Errorf("CHANGELOG.md has no heading Unreleased")
	}
	return []byte(strings.Replace(string(b), heading, fmt.Sprintf("\n## %s (%s)\n", version, date.Format(time.DateOnly)), 1)), nil
}
