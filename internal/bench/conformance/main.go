// Command conformance runs ONNX's own tests of operators and networks, as the
// wheels of onnx hold them, through the evaluator of package ops.
//
//	go run ./internal/bench/conformance [-only REGEXP] [-data FOLDER [-version VERSION]]
//
// Without -data it asks a Python with onnx for the tests of its version; onnx up
// to 1.17 holds them as files in onnx/backend/test/data. It
// prints how many tests of each suite pass, how many are excluded, with the
// reasons, and which fail, and ends with 1 if one fails, or passes that is
// listed as excluded.
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"lethe/ops"
)

//go:embed testdata/dump.py
var dump string

//go:embed testdata/excluded.txt
var excludedList string

func main() {
	data := flag.String("data", "", "`FOLDER` like backend/test/data of onnx up to 1.17")
	only := flag.String("only", "", "tests whose names match a `REGEXP`")
	version := flag.String("version", "1.17", "`VERSION` of onnx that the folder is of")
	python := flag.String("python", ".venv/bin/python", "`INTERPRETER` with onnx, which makes the tests without -data")
	flag.Parse()
	if err := run(*data, *version, *only, *python); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func run(data, version, only, python string) error {
	folders := []string{data}
	if data == "" {
		dir, err := os.MkdirTemp("", "conformance")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if folders, version, err = generate(python, dir); err != nil {
			return err
		}
	}
	pattern, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	excluded, err := parseExcluded(excludedList, version)
	if err != nil {
		return err
	}
	s, err := runAll(context.Background(), folders, suites, pattern, excluded)
	if err != nil {
		return err
	}
	if only == "" {
		s.absent(excluded)
	}
	s.print(os.Stdout)
	if s.bad() > 0 {
		return fmt.Errorf("%d tests fail, or are listed as excluded and pass or are not there", s.bad())
	}
	return nil
}

// generate lets Python write the node tests of its onnx to dir. It returns the
// folders that hold suites, and the version of onnx without its last number.
func generate(python, dir string) (folders []string, version string, err error) {
	cmd := exec.Command(python, "-", dir)
	cmd.Stdin, cmd.Stderr = strings.NewReader(dump), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", python, err)
	}
	version, data, ok := strings.Cut(strings.TrimSpace(string(out)), " ")
	if !ok {
		return nil, "", fmt.Errorf("%s prints %q, not a version and a folder", python, out)
	}
	return []string{dir, data}, version[:strings.LastIndex(version, ".")], nil
}

// parseExcluded reads lines of a test, the version of onnx that it is excluded
// in ("all" for any), and a reason. It returns the reasons for one version.
func parseExcluded(text, version string) (map[string]string, error) {
	all := map[string]string{}
	for i, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.SplitN(line, " ", 3)
		if len(fields) < 3 {
			return nil, fmt.Errorf("line %d of the list of excluded tests is not a test, a version and a reason: %s", i+1, line)
		}
		if fields[1] != "all" && fields[1] != version {
			continue
		}
		if _, twice := all[fields[0]]; twice {
			return nil, fmt.Errorf("line %d of the list of excluded tests names a test again: %s", i+1, line)
		}
		all[fields[0]] = fields[2]
	}
	return all, nil
}

// summary is what came of the tests.
type summary struct {
	suites    []suiteSummary
	operators map[string]bool // of tests that passed
	ran       map[string]bool // tests
	missing   []string        // tests that are listed as excluded and are not there
	took      time.Duration
}

type suiteSummary struct {
	name                     string
	passed                   int
	excluded, failed, passes []string // passes: although they are listed
}

func runAll(ctx context.Context, folders, suites []string, only *regexp.Regexp, excluded map[string]string) (*summary, error) {
	begin := time.Now()
	s := &summary{operators: map[string]bool{}, ran: map[string]bool{}}
	for _, suite := range suites {
		r := suiteSummary{name: suite}
		for _, folder := range folders {
			tests, err := find(folder, suite)
			if err != nil {
				return nil, err
			}
			for _, t := range tests {
				if !only.MatchString(t.name) {
					continue
				}
				operators, err := t.run(ctx)
				name := suite + "/" + t.name
				s.ran[name] = true
				reason, listed := excluded[name]
				switch {
				case err == nil && listed:
					r.passes = append(r.passes, name)
				case err == nil:
					r.passed++
					for _, op := range operators {
						s.operators[op] = true
					}
				case listed:
					r.excluded = append(r.excluded, reason)
				default:
					r.failed = append(r.failed, fmt.Sprintf("%s: %v", name, err))
				}
			}
		}
		s.suites = append(s.suites, r)
	}
	s.took = time.Since(begin)
	return s, nil
}

// absent adds the tests that are listed as excluded and are not there.
func (s *summary) absent(excluded map[string]string) {
	for name := range excluded {
		if !s.ran[name] {
			s.missing = append(s.missing, name)
		}
	}
	slices.Sort(s.missing)
}

func (s *summary) bad() int {
	n := len(s.missing)
	for _, r := range s.suites {
		n += len(r.failed) + len(r.passes)
	}
	return n
}

func (s *summary) print(w io.Writer) {
	fmt.Fprintf(w, "%-18s %7s %9s %7s\n", "suite", "passed", "excluded", "failed")
	reasons := map[string]int{}
	for _, r := range s.suites {
		fmt.Fprintf(w, "%-18s %7d %9d %7d\n", r.name, r.passed, len(r.excluded), len(r.failed)+len(r.passes))
		for _, reason := range r.excluded {
			reasons[reason]++
		}
	}
	for _, r := range s.suites {
		for _, f := range r.failed {
			fmt.Fprintln(w, "failed:", f)
		}
		for _, p := range r.passes {
			fmt.Fprintln(w, "passes, but is listed as excluded:", p)
		}
	}
	for _, name := range s.missing {
		fmt.Fprintln(w, "is listed as excluded, but not there:", name)
	}
	var list []string
	for reason, n := range reasons {
		list = append(list, fmt.Sprintf("%5d  %s", n, reason))
	}
	slices.Sort(list)
	slices.Reverse(list)
	if len(list) > 0 {
		fmt.Fprintf(w, "\nexcluded because of\n%s\n", strings.Join(list, "\n"))
	}
	var tested []string
	for _, op := range ops.Operators() {
		name := strings.TrimPrefix(op.Domain+"."+op.Name, ".")
		if s.operators[name] {
			tested = append(tested, name)
		}
	}
	fmt.Fprintf(w, "\n%d operators are known, %d are in a test that passed:\n%s\n", len(ops.Operators()), len(tested), strings.Join(tested, " "))
	fmt.Fprintf(w, "\n%.0f s\n", s.took.Seconds())
}
