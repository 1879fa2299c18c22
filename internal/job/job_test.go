package job

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lethe/dataset"
	"lethe/edit"
	"lethe/internal/stage"
	"lethe/verify"
)

// tiny returns settings for an edit of a network that is small enough for a test.
func tiny(t *testing.T) ForgetSettings {
	t.Helper()
	dir := filepath.Join("..", "..", "cmd", "testdata", "tiny")
	return ForgetSettings{
		In: filepath.Join(dir, "lenet.pt"), Out: filepath.Join(t.TempDir(), "out.pt"),
		Class: "1", Gate: string(verify.GateNone), Edit: edit.Options{Threads: 1}, Data: DataSettings{Settings: dataset.Settings{Path: dir}},
	}
}

func streams(stderr *bytes.Buffer) stage.Streams {
	return stage.Streams{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: stderr, Quiet: true}
}

// An edit, its report, and the report computed again, without a command line.
func TestForgetAndConfirm(t *testing.T) {
	s := tiny(t)
	s.Evidence.Report = filepath.Join(filepath.Dir(s.Out), "report.json")
	s.Evidence.HTML = filepath.Join(filepath.Dir(s.Out), "page.html")
	var stderr bytes.Buffer
	done, err := Forget(t.Context(), s, streams(&stderr))
	if err != nil {
		t.Fatal(err)
	}
	r := done.Report
	if done.Plan != nil || done.Stdout || r == nil || r.Method == nil || len(r.Files) != 3 || r.Parity == nil || r.Tool.Version == "" {
		t.Errorf("the report is not complete: %+v", r)
	}
	if r.Data.TrainAfter.Target >= r.Data.TrainBefore.Target {
		t.Errorf("the accuracy on the class is %v after the edit and was %v", r.Data.TrainAfter.Target, r.Data.TrainBefore.Target)
	}
	check := CheckSettings{Before: s.In, After: s.Out, Data: s.Data, Report: s.Evidence.Report, Threads: 1}
	found, err := Check(t.Context(), check, streams(&stderr))
	if err != nil || found.Claim == nil || found.Report == nil {
		t.Fatalf("the report is confirmed: got %+v, %v", found, err)
	}
	// One digit of the report.
	text, err := os.ReadFile(s.Evidence.Report)
	if err != nil {
		t.Fatal(err)
	}
	check.Report = filepath.Join(t.TempDir(), "false.json")
	at := bytes.Index(text, []byte(`"l2":`)) + len(`"l2":`)
	text[at] = '0' + (text[at]-'0'+1)%10
	if err := os.WriteFile(check.Report, text, 0o666); err != nil {
		t.Fatal(err)
	}
	var failed *verify.FailedError
	if _, err := Check(t.Context(), check, streams(&stderr)); !errors.As(err, &failed) {
		t.Errorf("a false report: got %v", err)
	}
	// The same edit judged without its report.
	check = CheckSettings{Before: s.In, After: s.Out, Data: s.Data, Class: "1", Gate: s.Gate, Threads: 1}
	if found, err = Check(t.Context(), check, streams(&stderr)); err != nil || found.Claim != nil || found.Report.Comparison.L2 != r.Comparison.L2 {
		t.Errorf("got %+v, %v", found, err)
	}
	if stderr.Len() > 0 {
		t.Errorf("on stderr: %s", &stderr)
	}
}

// A dry run writes nothing and says what would be.
func TestForgetPlan(t *testing.T) {
	s := tiny(t)
	s.Plan.DryRun = true
	var stderr bytes.Buffer
	done, err := Forget(t.Context(), s, streams(&stderr))
	if err != nil || done.Report != nil || done.Plan == nil {
		t.Fatalf("got %+v, %v", done, err)
	}
	if p := done.Plan; p.Edit == nil || p.Edit.Forget[0].Class != 1 || len(p.Outputs) != 2 {
		t.Errorf("got %+v", p)
	}
	if _, err := os.Stat(s.Out); err == nil {
		t.Error("a dry run writes its output")
	}
}

// Settings that cannot be are refused before any file is read or written.
func TestForgetRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(s *ForgetSettings)
		want string
	}{
		{"ONNX model and none", func(s *ForgetSettings) { s.ONNX, s.NoONNX = "a.onnx", true }, "contradict"},
		{"gate", func(s *ForgetSettings) { s.Gate = "soft" }, "soft"},
		{"seed", func(s *ForgetSettings) { s.Edit.Seed = 1 << 53 }, "largest integer"},
		{"signature without key", func(s *ForgetSettings) { s.Evidence.Signature = "a.sig" }, "needs --sign"},
		{"request without statements", func(s *ForgetSettings) { s.Evidence.Request = "4711" }, "needs it"},
		{"images twice", func(s *ForgetSettings) { s.Data.ForgetOnly = s.Data.Path }, "contradict"},
		{"class", func(s *ForgetSettings) { s.Class = "9" }, "9"},
		{"images of another size", func(s *ForgetSettings) { s.Data.Path = "" }, "28"},
		{"no images", func(s *ForgetSettings) { s.Data.Path = "nowhere" }, "nowhere"},
	} {
		s := tiny(t)
		c.set(&s)
		var stderr bytes.Buffer
		if _, err := Forget(t.Context(), s, streams(&stderr)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", c.name, err)
		}
		if left, err := os.ReadDir(filepath.Dir(s.Out)); err != nil || len(left) > 0 {
			t.Errorf("%s: %v is left, %v", c.name, left, err)
		}
	}
}

// An exported program keeps its kind, and its report is confirmed. What is cut
// short or does not fit writes nothing.
func TestForgetProgram(t *testing.T) {
	folder := filepath.Join("..", "..", "cmd", "testdata", "colour")
	s := tiny(t)
	s.In, s.Out, s.Class = filepath.Join(folder, "net.pt2"), filepath.Join(t.TempDir(), "out.pt2"), "2"
	s.Data.Path, s.Data.Mean, s.Data.Std = filepath.Join(folder, "images.npz"), dataset.PerChannel{0.25}, dataset.PerChannel{0.25}
	text, err := os.ReadFile(s.In)
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cut, misfit := s, s
	cut.In = filepath.Join(t.TempDir(), "cut.pt2")
	if err := os.WriteFile(cut.In, text[:9000], 0o666); err != nil {
		t.Fatal(err)
	}
	misfit.In = filepath.Join("..", "..", "fixtures", "lenet-fashion.pt")
	for want, s := range map[string]ForgetSettings{"cut short": cut, "--channels": misfit} {
		if _, err := Forget(t.Context(), s, streams(&stderr)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", s.In, err)
		}
		if left, err := os.ReadDir(filepath.Dir(s.Out)); err != nil || len(left) > 0 {
			t.Errorf("%s: %v is left, %v", s.In, left, err)
		}
	}
	s.Evidence.Report = filepath.Join(filepath.Dir(s.Out), "report.json")
	if done, err := Forget(t.Context(), s, streams(&stderr)); err != nil || done.Report.Parity == nil || done.Report.Comparison.L2 == 0 {
		t.Fatalf("got %+v, %v", done, err)
	}
	check := CheckSettings{Before: s.In, After: s.Out, Data: s.Data, Report: s.Evidence.Report, Threads: 1}
	if found, err := Check(t.Context(), check, streams(&stderr)); err != nil || found.Claim == nil {
		t.Errorf("got %+v, %v", found, err)
	}
}

// TorchScript that does not say the shape of its input has that of the images. It
// keeps its kind, and its report is confirmed.
func TestForgetScript(t *testing.T) {
	for _, name := range []string{"scripted.pt", "traced.pt"} {
		s := tiny(t)
		s.In = filepath.Join("testdata", name)
		s.Evidence.Report = filepath.Join(filepath.Dir(s.Out), "report.json")
		var stderr bytes.Buffer
		misfit := s
		misfit.Data.Preprocess.Resize = dataset.Size{Rows: 24, Cols: 24}
		if _, err := Forget(t.Context(), misfit, streams(&stderr)); err == nil || !strings.Contains(err.Error(), "for images of shape [1 24 24], which --resize") {
			t.Errorf("%s for other images: got %v", name, err)
		}
		none := s
		none.Data.Path = "nowhere"
		if _, err := Forget(t.Context(), none, streams(&stderr)); err == nil || !strings.Contains(err.Error(), "nowhere") {
			t.Errorf("%s without images: got %v", name, err)
		}
		done, err := Forget(t.Context(), s, streams(&stderr))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r := done.Report; r.Parity == nil || r.Data.TrainAfter.Target >= r.Data.TrainBefore.Target {
			t.Errorf("%s: the report is %+v", name, r)
		}
		check := CheckSettings{Before: s.In, After: s.Out, Data: s.Data, Report: s.Evidence.Report, Threads: 1}
		if found, err := Check(t.Context(), check, streams(&stderr)); err != nil || found.Claim == nil {
			t.Errorf("%s: its report: %+v, %v", name, found, err)
		}
		check.Report, check.Class, check.Gate = "", s.Class, s.Gate
		if found, err := Check(t.Context(), check, streams(&stderr)); err != nil || found.Report.Comparison.L2 != done.Report.Comparison.L2 {
			t.Errorf("%s: judged anew: %+v, %v", name, found, err)
		}
		check.Class = ""
		if found, err := Check(t.Context(), check, streams(&stderr)); err != nil || found.Report.Data != nil || found.Report.Comparison.L2 != done.Report.Comparison.L2 {
			t.Errorf("%s without a class: got %+v, %v", name, found, err)
		}
	}
}
