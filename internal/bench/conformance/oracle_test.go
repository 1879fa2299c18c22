package main

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"lethe/internal/oracle"
)

// The tests of the newest onnx pass, but for those that are listed, and no test
// passes that is listed.
func TestOracleConformance(t *testing.T) {
	python := oracle.Python(t, "numpy", "onnx")
	folders, version, err := generate(python, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	conforms(t, folders, version, suites)
}

// The same for onnx 1.17, the last one whose wheel holds the node tests as
// files; .ci/run puts it there. Its networks are those of the newest.
func TestOracleConformance117(t *testing.T) {
	data := "../../../.venv/onnx-1.17/onnx/backend/test/data"
	if _, err := os.Stat(data); err != nil {
		oracle.Missing(t, "no tests of onnx 1.17")
	}
	conforms(t, []string{data}, "1.17", suites[:len(suites)-1])
}

func conforms(t *testing.T, folders []string, version string, suites []string) {
	t.Helper()
	excluded, err := parseExcluded(excludedList, version)
	if err != nil {
		t.Fatal(err)
	}
	s, err := runAll(context.Background(), folders, suites, regexp.MustCompile(""), excluded)
	if err != nil {
		t.Fatal(err)
	}
	s.absent(excluded)
	var b strings.Builder
	s.print(&b)
	passed := 0
	for _, r := range s.suites {
		passed += r.passed
	}
	if s.bad() > 0 || passed < 900 {
		t.Errorf("%d passed\n%s", passed, &b)
	}
}

// A list that is not exact is found out.
func TestExcluded(t *testing.T) {
	if _, err := parseExcluded("node/test_a all", "1.23"); err == nil {
		t.Error("a test without a reason is accepted")
	}
	if _, err := parseExcluded("node/test_a all x\nnode/test_a 1.23 y", "1.23"); err == nil {
		t.Error("a test that is named twice is accepted")
	}
	got, err := parseExcluded("# comment\nnode/test_a 1.17 x\nnode/test_b 1.23 y z", "1.23")
	if err != nil || len(got) != 1 || got["node/test_b"] != "y z" {
		t.Errorf("got %q, %v", got, err)
	}
	s := &summary{ran: map[string]bool{"a": true}}
	if s.absent(map[string]string{"a": "", "b": ""}); s.bad() != 1 {
		t.Errorf("a test that is not there counts %d times", s.bad())
	}
}
