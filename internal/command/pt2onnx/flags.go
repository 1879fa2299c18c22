package pt2onnx

import (
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lethe/internal/jobflags"
)

// names returns the names in a flag, or nil if it is not given.
func names(c *urfave.Context, flag string) []string {
	if !c.IsSet(flag) {
		return nil
	}
	return strings.Split(c.String(flag), ",")
}

// imageFlags are the flags that say how images are prepared.
var imageFlags = []string{"mean", "std", "preprocess", "resize", "crop", "channels", "scale"}

// wiringFlags are the flags that say the wiring of weights that nobody wrote down.
func wiringFlags() []urfave.Flag {
	flags := append(jobflags.GraphFlags(),
		&urfave.BoolFlag{Name: "print-layers", Usage: "write the description of the layers instead of an ONNX model: a draft from names and shapes, or with --data what the images tell"})
	for _, f := range jobflags.DataFlags() {
		switch f := f.(*urfave.StringFlag); f.Name {
		case "data":
			f.Usage = "`FILE` or folder of labelled images, as for forget, to find out the wiring of a network of layers in a row: the images that it was trained on"
			flags = append(flags, f)
		case "mean", "std":
			usage, _, _ := strings.Cut(f.Usage, "; default")
			f.Usage = usage + "; default: what fits best"
			flags = append(flags, f)
		default:
			flags = append(flags, f)
		}
	}
	return flags
}
