package pt2onnx

import (
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lethe/internal/usage"
)

// inputShapes returns what --input says of samples, one shape for each input.
func inputShapes(c *urfave.Context) ([][]int, error) {
	text := c.String("input")
	if text == "" {
		return nil, nil
	}
	var shapes [][]int
	for one := range strings.SplitSeq(text, ",") {
		shape := []int{}
		if strings.TrimSpace(one) == "" && one != text { // a number for each sample, such as its length
			shapes = append(shapes, shape)
			continue
		}
		for word := range strings.SplitSeq(one, "x") {
			n, err := strconv.Atoi(strings.TrimSpace(word))
			if err != nil || n < 1 {
				return nil, usage.Errorf("--input %q is not of the form 3x224x224", text)
			}
			shape = append(shape, n)
		}
		shapes = append(shapes, shape)
	}
	return shapes, nil
}
