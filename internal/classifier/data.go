package classifier

import (
	"context"
	"io"

	urfave "github.com/urfave/cli/v2"

	"lethe/fixtures"
	"lethe/internal/cli"
	"lethe/internal/dataset"
	"lethe/pickle"
)

// DataFlags are the flags that say which data to use and how the network wants it.
func DataFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "data", Usage: "`FILE` or folder of labelled images: IDX files (train-images-idx3-ubyte[.gz], ...), or pictures, also in a zip (train/CLASS/FILE, test/CLASS/FILE); default: a sample of Fashion-MNIST in this binary"},
		&urfave.StringFlag{Name: "preprocess", Usage: "`FILE` that says how the network wants its images: Hugging Face's preprocessor_config.json or timm's config.json; other flags go before it"},
		&urfave.StringFlag{Name: "resize", Usage: "scale images to `HxW` pixels, or their shorter side to N, as Pillow does it: bilinear, or with :bicubic, :nearest, :lanczos, :box or :hamming behind it otherwise"},
		&urfave.StringFlag{Name: "crop", Usage: "take the middle of images, of `HxW` or NxN pixels, after --resize"},
		&urfave.StringFlag{Name: "channels", Usage: "colours that the network takes: `grey|rgb|bgr`; default: grey if all images are, rgb otherwise"},
		&urfave.StringFlag{Name: "scale", Usage: "`NUMBER` that pixels of 0 to 255 are multiplied with; default: 1/255"},
		&urfave.StringFlag{Name: "mean", Usage: "mean of the scaled pixels that the network was trained with: `NUMBER`, or one for each channel with commas; default: 0.286 for grey images, 0.485,0.456,0.406 for colour"},
		&urfave.StringFlag{Name: "std", Usage: "standard deviation of the scaled pixels that the network was trained with: `NUMBER`, or one for each channel with commas; default: 0.353 for grey images, 0.229,0.224,0.225 for colour"},
		&urfave.StringFlag{Name: rulesFlag, Usage: "JSON `FILE` with rules of your own for score and gate (docs/rules.md); default: those of the reference task for its network, for others what follows from the number of classes, the accuracy before the edit and the norm of the weights"},
	}
}

// DataSettings returns what [DataFlags] ask for.
func DataSettings(c *urfave.Context) (s dataset.Settings, err error) {
	s.Path, s.Unpickle = c.String("data"), unpickle
	if name := c.String("preprocess"); name != "" {
		type read struct {
			p dataset.Preprocess
			n dataset.Norm
		}
		r, err := cli.Await(c.Context, func() (r read, err error) {
			r.p, r.n, err = dataset.ReadPreprocess(name)
			return r, err
		})
		if err != nil {
			return s, err
		}
		s.Preprocess, s.Norm = r.p, r.n
	}
	for name, read := range map[string]func(string) error{
		"mean":  func(v string) (err error) { s.Mean, err = dataset.ParsePerChannel(v); return err },
		"std":   func(v string) (err error) { s.Std, err = dataset.ParsePerChannel(v); return err },
		"scale": func(v string) (err error) { s.Scale, err = dataset.ParseScale(v); return err },
		"crop":  func(v string) (err error) { s.Crop, err = dataset.ParseSize(v); return err },
		"resize": func(v string) (err error) {
			s.Resize, s.Filter, err = dataset.ParseResize(v)
			return err
		},
		"channels": func(v string) error { s.Channels = v; return nil },
	} {
		if v := c.String(name); v != "" {
			if err := read(v); err != nil {
				return s, cli.Usagef("--%s: %v", name, err)
			}
		}
	}
	if err := s.Check(); err != nil {
		return s, cli.Usagef("%v", err)
	}
	return s, nil
}

// unpickle reads a pickle that is data: larger ones than a checkpoint's may be.
func unpickle(r io.ReaderAt, size int64) (any, error) {
	return pickle.Object(r, size, pickle.Options{Limits: pickle.Limits{Memory: 2 << 30}})
}

// OpenData reads the data that [DataFlags] and, where a command has it,
// --forget-only ask for.
func OpenData(c *urfave.Context) (*Data, error) {
	s, err := DataSettings(c)
	if err != nil {
		return nil, err
	}
	only := c.String("forget-only")
	if s.Path != "" && only != "" {
		return nil, cli.Usagef("--data and --forget-only contradict each other")
	}
	source := FilesOfData
	if only != "" {
		s.Path, source = only, FilesOfForgetOnly
	}
	return ReadData(c.Context, s, source)
}

// ReadData reads the data that settings name, or the sample in the binary if they
// name none.
func ReadData(ctx context.Context, s dataset.Settings, source string) (*Data, error) {
	d := &Data{Source: source}
	var err error
	if s.Path == "" {
		d.Source = "embedded sample of Fashion-MNIST"
		d.Data, err = s.OpenFS(fixtures.FashionMNIST(), d.Source)
	} else {
		d.Data, err = cli.Await(ctx, func() (*dataset.Data, error) { return s.Open() })
	}
	if err != nil {
		return nil, err
	}
	if d.Norm, err = s.Complete(d.Data); err != nil {
		return nil, cli.Usagef("%v", err)
	}
	return d, nil
}
