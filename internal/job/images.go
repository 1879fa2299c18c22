package job

import (
	"context"
	"io"
	"slices"
	"strings"

	"lethe/dataset"
	"lethe/fixtures"
	"lethe/internal/nn"
	"lethe/internal/stage"
	"lethe/internal/usage"
	"lethe/internal/weights"
	"lethe/pickle"
	"lethe/report"
	"lethe/verify"
)

// DataSettings say which images to use, and how.
type DataSettings struct {
	dataset.Settings        // without a path: the sample of Fashion-MNIST in this binary
	ForgetOnly       string // as the path, but only the images of the forgotten classes are used
	Preprocessed     string // the file that some of it was read from, or ""
}

// files returns what is read, which no output may replace.
func (s DataSettings) files() []string { return []string{s.Path, s.ForgetOnly, s.Preprocessed} }

// Data is labelled images and how the network wants them.
type Data struct {
	*dataset.Data
	Norm   dataset.Norm
	Source report.Source // for messages and the report
}

// StartData is [OpenData] in the background: it returns at once, and the function
// that it returns waits for the images. Expanding them takes longer than anything
// that a command does before it needs them.
func StartData(ctx context.Context, s DataSettings) (wait func() (*Data, error)) {
	var d *Data
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		d, err = OpenData(ctx, s)
	}()
	return func() (*Data, error) { <-done; return d, err }
}

// OpenData reads the images that settings ask for.
func OpenData(ctx context.Context, s DataSettings) (d *Data, err error) {
	d = &Data{Source: report.SourceFiles}
	if s.ForgetOnly != "" {
		if s.Path != "" {
			return nil, usage.Errorf("--data and --forget-only contradict each other")
		}
		s.Path, d.Source = s.ForgetOnly, report.SourceForgetOnly
	}
	s.Unpickle = unpickle
	if s.Path == "" {
		d.Source = report.SourceSample
		d.Data, err = s.OpenFS(fixtures.FashionMNIST(), string(d.Source))
	} else {
		d.Data, err = stage.Await(ctx, func() (*dataset.Data, error) { return s.Open() })
	}
	if err != nil {
		return nil, err
	}
	if d.Norm, err = s.Complete(d.Data); err != nil {
		return nil, usage.Errorf("%v", err)
	}
	return d, nil
}

// unpickle reads a pickle that is data: larger ones than a checkpoint's may be.
func unpickle(r io.ReaderAt, size int64) (any, error) {
	return pickle.Object(r, size, pickle.Options{Limits: pickle.Limits{Memory: 2 << 30}})
}

// Only leaves nothing but the images of the given classes.
func (d *Data) Only(classes []int) {
	only := func(s *dataset.Set) *dataset.Set {
		if s == nil {
			return nil
		}
		images, _ := s.Split(classes...)
		return s.Subset(images)
	}
	left := *d.Data
	left.Train, left.Test = only(d.Train), only(d.Test)
	d.Data = &left
}

// Classes returns the indices and the labels of the classes that a person asked
// for: indices or labels, several with commas.
func (d *Data) Classes(list string, classes int) (indices []int, labels []string, err error) {
	if classes == 1 {
		return nil, nil, nn.ErrOneNumber
	}
	for _, word := range strings.Split(list, ",") {
		i, err := dataset.ParseClass(strings.TrimSpace(word), d.Names)
		if err != nil {
			return nil, nil, usage.Errorf("--class: %v", err)
		}
		if i >= classes {
			return nil, nil, usage.Errorf("class %d does not exist: the network has classes 0 to %d", i, classes-1)
		}
		if !slices.Contains(indices, i) {
			indices, labels = append(indices, i), append(labels, d.Names[i])
		}
	}
	if len(indices) >= classes {
		return nil, nil, usage.Errorf("all %d classes cannot be forgotten: at least one must remain", classes)
	}
	return indices, labels, nil
}

// Plan says what an edit is to forget and what the unedited network measures.
func (d *Data) Plan(classes []int, labels []string, before *verify.Measures) *weights.PlannedEdit {
	p := &weights.PlannedEdit{Data: d.Source, TrainImages: d.Train.Len(), Accuracy: before.Accuracy}
	if d.Test != nil {
		p.TestImages = d.Test.Len()
	}
	for i, class := range classes {
		images, _ := d.Train.Split(class)
		p.Forget = append(p.Forget, weights.PlannedClass{Class: class, Label: labels[i], Images: len(images)})
	}
	return p
}
