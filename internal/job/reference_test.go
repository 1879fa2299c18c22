package job

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lethe/internal/usage"
	"lethe/report"
	"lethe/verify"
)

// An edit that steers by a retrained network says so, and its report is computed
// again without being given that network; one that steers by a file wants the file.
func TestReference(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	s := tiny(t)
	s.Edit.Aim, s.NoONNX, s.Reference = report.AimUnseen, true, ReferenceRetrain
	s.Evidence.Report = filepath.Join(filepath.Dir(s.Out), "report.json")
	s.Evidence.HTML = filepath.Join(filepath.Dir(s.Out), "page.html")
	var stderr bytes.Buffer
	done, err := Forget(t.Context(), s, streams(&stderr))
	if err != nil {
		t.Fatal(err)
	}
	ref := done.Report.Method.Reference
	if ref == nil || ref.File != nil || ref.Recipe == nil || ref.Recipe.Seed != firstReferenceSeed {
		t.Fatalf("the report names the reference %+v", ref)
	}
	page, err := os.ReadFile(s.Evidence.HTML)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := PrintReport(&text, done.Report); err != nil {
		t.Fatal(err)
	}
	for want, in := range map[string]string{"steered by " + ref.String(): text.String(), "steered by " + ref.String() + ".": string(page), "--reference retrain": string(page)} {
		if !strings.Contains(in, want) {
			t.Errorf("there is no %q", want)
		}
	}
	check := CheckSettings{Before: s.In, After: s.Out, Data: s.Data, Report: s.Evidence.Report, Threads: 1}
	if _, err := Check(t.Context(), check, streams(&stderr)); err != nil {
		t.Errorf("the report is confirmed: got %v", err)
	}

	// The edited network did see the class; it serves all the same.
	s.Reference, s.Force = s.Out, true
	s.Out = filepath.Join(t.TempDir(), "again.pt")
	if done, err = Forget(t.Context(), s, streams(&stderr)); err != nil {
		t.Fatal(err)
	}
	if ref := done.Report.Method.Reference; ref.Recipe != nil || ref.File == nil || ref.File.Bytes == 0 {
		t.Errorf("the report names the reference %+v", ref)
	}
	check.After = s.Out
	var misused *usage.Error
	if _, err := Check(t.Context(), check, streams(&stderr)); !errors.As(err, &misused) {
		t.Errorf("without the file: got %v", err)
	}
	var failed *verify.FailedError
	check.Reference = s.In
	if _, err := Check(t.Context(), check, streams(&stderr)); !errors.As(err, &failed) {
		t.Errorf("with another file: got %v", err)
	}
}

func TestReferenceRefused(t *testing.T) {
	var stderr bytes.Buffer
	s := tiny(t)
	s.Reference = ReferenceRetrain
	var misused *usage.Error
	if _, err := Forget(t.Context(), s, streams(&stderr)); !errors.As(err, &misused) {
		t.Errorf("another aim: got %v", err)
	}
	s.Edit.Aim = report.AimUnseen
	s.Data.ForgetOnly, s.Data.Path = s.Data.Path, ""
	if _, err := Forget(t.Context(), s, streams(&stderr)); !errors.As(err, &misused) {
		t.Errorf("without images of the others: got %v", err)
	}
	s = tiny(t)
	s.Edit.Aim, s.Reference = report.AimUnseen, filepath.Join("..", "..", "fixtures", "lenet-fashion.pt")
	if _, err := Forget(t.Context(), s, streams(&stderr)); err == nil || !strings.Contains(err.Error(), "reference") {
		t.Errorf("another architecture: got %v", err)
	}
	if _, err := os.Stat(s.Out); err == nil {
		t.Error("an edit that was refused left an output")
	}
}
