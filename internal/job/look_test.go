package job

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lethe/scan"
)

// What a file holds, what it computes and what loading it would do, without a
// command line.
func TestListDrawScan(t *testing.T) {
	path := tiny(t).In
	std := streams(new(bytes.Buffer))
	list, err := List(t.Context(), path, Reading{}, std)
	if err != nil || len(list.Entries) == 0 || len(list.SHA256) != 64 || list.Bytes == 0 {
		t.Errorf("got %+v, %v", list, err)
	}
	svg := filepath.Join(t.TempDir(), "net.svg")
	net, err := Draw(t.Context(), DrawSettings{In: path, SVG: svg}, std)
	if err != nil || net == nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(svg); err != nil || !bytes.Contains(b, []byte("<svg")) {
		t.Errorf("the drawing is %.20q, %v", b, err)
	}
	log := filepath.Join(t.TempDir(), "log.sarif")
	done, err := Scan(t.Context(), ScanSettings{Paths: []string{path, filepath.Dir(svg)}, FailOn: scan.Unknown, SARIF: log}, std)
	if err != nil || len(done.Files) != 2 || done.Files[0].Verdict != "clean" {
		t.Fatalf("got %+v, %v", done, err)
	}
	var failed interface{ CheckFailed() bool }
	if failing := done.Stopped > 0; errors.As(done.Err(), &failed) != failing || failing != (done.Verdict != "clean") {
		t.Errorf("%d of the files stop, the verdict is %s and the error %v", done.Stopped, done.Verdict, done.Err())
	}
	if b, err := os.ReadFile(log); err != nil || !strings.Contains(string(b), `"2.1.0"`) {
		t.Errorf("the log is %.20q, %v", b, err)
	}
}
