// Package jobflags has the flags that several commands take for package job, and
// the settings that they stand for.
package jobflags

import (
	urfave "github.com/urfave/cli/v2"

	"lethe/dataset"
	"lethe/internal/cli"
	"lethe/internal/job"
	"lethe/internal/stage"
	"lethe/internal/usage"
	"lethe/report"
)

// GraphFlags are the flags that give the graph of a network whose file does not
// tell it.
func GraphFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "like", Usage: "`FILE` with the graph of the network, an ONNX model or a program, whose names and shapes of weights fit"},
		&urfave.StringFlag{Name: "layers", Usage: "YAML `FILE` that describes a network of layers in a row (docs/conversion.md)"},
	}
}

// Reading returns what [cli.ReadFlags] and [GraphFlags] ask for.
func Reading(c *urfave.Context) job.Reading {
	return job.Reading{Options: cli.ReadOptions(c), Like: c.String("like"), Layers: c.String("layers"), Flags: cli.Given(c, append(cli.ReadFlags(), GraphFlags()...))}
}

// DataFlags are the flags that say which data to use and how the network wants it.
func DataFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "data", Usage: "`FILE` or folder of labelled samples: IDX files (train-images-idx3-ubyte[.gz], ...), or pictures, also in a zip (a folder for each class in train, and in test), CIFAR, .npz or Parquet; default: a sample of Fashion-MNIST in this binary"},
		&urfave.StringFlag{Name: "preprocess", Usage: "`FILE` that says how the network wants its images: Hugging Face's preprocessor_config.json or timm's config.json; other flags go before it"},
		&urfave.StringFlag{Name: "resize", Usage: "scale images to `HxW` pixels, or their shorter side to N, as Pillow does it: bilinear, or with :bicubic, :nearest, :lanczos, :box or :hamming behind it otherwise"},
		&urfave.StringFlag{Name: "crop", Usage: "take the middle of images, of `HxW` or NxN pixels, after --resize"},
		&urfave.StringFlag{Name: "channels", Usage: "colours that the network takes, `grey|rgb|bgr`; default: grey if all images are, rgb otherwise"},
		&urfave.StringFlag{Name: "scale", Usage: "`NUMBER` that pixels of 0 to 255 are multiplied with; default: 1/255"},
		&urfave.StringFlag{Name: "mean", Usage: "mean of the scaled pixels that the network was trained with: `NUMBER`, or one for each channel with commas; default: 0.286 for grey images, 0.485,0.456,0.406 for colour"},
		&urfave.StringFlag{Name: "std", Usage: "standard deviation of the scaled pixels that the network was trained with: `NUMBER`, or one for each channel with commas; default: 0.353 for grey images, 0.229,0.224,0.225 for colour"},
	}
}

// Data returns what [DataFlags] and, where a command has it, --forget-only ask for.
func Data(c *urfave.Context) (s job.DataSettings, err error) {
	s.Path, s.ForgetOnly = c.String("data"), c.String("forget-only")
	if name := c.String("preprocess"); name != "" {
		type read struct {
			p dataset.Preprocess
			n dataset.Norm
		}
		r, err := stage.Await(c.Context, func() (r read, err error) {
			r.p, r.n, err = dataset.ReadPreprocess(name)
			return r, err
		})
		if err != nil {
			return s, err
		}
		s.Preprocess, s.Norm, s.Preprocessed = r.p, r.n, name
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
				return s, usage.Errorf("--%s: %v", name, err)
			}
		}
	}
	if err := s.Check(); err != nil {
		return s, usage.Errorf("%v", err)
	}
	return s, nil
}

// RulesFlags are the flags for rules other than the default ones.
func RulesFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "rules", Usage: "JSON `FILE` with rules of your own for score and gate (docs/rules.md); default: those of the reference task for its network, for others what follows from the number of classes, the accuracy before the edit and the norm of the weights"},
	}
}

// EvidenceFlags are the flags for what an edit leaves behind for those who must
// judge it later.
func EvidenceFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "report", Usage: "`FILE` for the report, as canonical JSON (RFC 8785)"},
		HTMLFlag(),
		&urfave.StringFlag{Name: "attest", Usage: "`FILE` for in-toto statements about the outputs, an envelope on each line; signed if there is --sign"},
		&urfave.StringFlag{Name: "sign", Usage: "`FILE` with the private key in PEM that signs the output: OpenSSF Model Signing"},
		&urfave.StringFlag{Name: "signature", Usage: "`FILE` for the signature; default: the output with .sig appended"},
		&urfave.StringFlag{Name: "request", Usage: "`ID` of who asked for the edit, such as a ticket, for --attest; no personal data"},
	}
}

// Evidence returns what [EvidenceFlags] ask for.
func Evidence(c *urfave.Context) job.EvidenceSettings {
	return job.EvidenceSettings{
		Report: c.String("report"), HTML: c.String("html"), Attest: c.String("attest"),
		Sign: c.String("sign"), Signature: c.String("signature"), Request: c.String("request"),
	}
}

// AimFlag is the aim of an edit.
func AimFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "aim", Value: string(report.AimUniform), Usage: "what an edit is to make of the network, `uniform|unseen`: one that does not know what images of the class show, or one that is as if it had never seen the class, whatever is tried to bring it back"}
}

// Aim returns what [AimFlag] asks for; "" is [report.AimUniform].
func Aim(c *urfave.Context) (report.Aim, error) {
	switch aim := report.Aim(c.String("aim")); aim {
	case report.AimUniform:
		return "", nil
	case report.AimUnseen:
		return aim, nil
	default:
		return "", usage.Errorf("unknown aim %q: there are %s and %s", aim, report.AimUniform, report.AimUnseen)
	}
}

// HTMLFlag is where the page of a report goes.
func HTMLFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "html", Usage: "`FILE` for the report as a page for people"}
}

// ThreadsFlag is how many goroutines compute.
func ThreadsFlag() urfave.Flag {
	return &urfave.IntFlag{Name: "threads", Usage: "goroutines that compute; 0: one for each processor; the output does not depend on it"}
}

// Threads returns what [ThreadsFlag] asks for.
func Threads(c *urfave.Context) (int, error) {
	n := c.Int("threads")
	if n < 0 {
		return 0, usage.Errorf("--threads is %d: it must be 0 or more", n)
	}
	return n, nil
}
