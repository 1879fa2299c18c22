package pt2onnx

import (
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lethe/internal/cli"
)

// inputShape returns what --input says of a sample, or nil.
func inputShape(c *urfave.Context) ([]int, error) {
	text := c.String("input")
	if text == "" {
		return nil, nil
	}
	var shape []int
	for _, word := range strings.Split(text, "x") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return nil, cli.Usagef("--input %q is not of the form 3x224x224", text)
		}
		shape = append(shape, n)
	}
	return shape, nil
}
