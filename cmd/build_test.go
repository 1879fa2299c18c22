// Package cmd_test runs the commands as a user does: as programs.
package cmd_test

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
)

// programs is the folder of the built commands, once there is one.
var programs string

func TestMain(m *testing.M) {
	code := m.Run()
	if programs != "" {
		os.RemoveAll(programs)
	}
	os.Exit(code)
}

var build = sync.OnceValues(func() (string, error) {
	var err error
	if programs, err = os.MkdirTemp("", "lethe"); err != nil {
		return "", err
	}
	if out, err := exec.Command("go", "build", "-o", programs, "./...").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return programs, nil
})

// binaries returns the folder with every command, built once for all tests.
func binaries(t testing.TB) string {
	t.Helper()
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
