package pt2onnx

import (
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lethe/internal/usage"
	"lethe/model"
)

// inputTypes are the element types that --input can name.
var inputTypes = []model.DType{model.Uint8, model.Int8, model.Int16, model.Int32, model.Int64, model.Float16, model.BFloat16, model.Float32, model.Float64, model.Bool}

// inputShapes returns what --input says of samples, one shape for each input, and
// their element types, of which all may be left to the file.
func inputShapes(c *urfave.Context) (shapes [][]int, types []model.DType, err error) {
	text := c.String("input")
	if text == "" {
		return nil, nil, nil
	}
	for one := range strings.SplitSeq(text, ",") {
		shape, dtype := []int{}, model.Invalid
		if name, rest, ok := strings.Cut(one, ":"); ok {
			for _, d := range inputTypes {
				if d.String() == strings.TrimSpace(name) {
					dtype = d
				}
			}
			if dtype == model.Invalid {
				return nil, nil, usage.Errorf("--input %q: %q is none of the element types %v", text, name, inputTypes)
			}
			one = rest
			if one == "" {
				one = " " // a number for each sample
			}
		}
		if strings.TrimSpace(one) != "" || one == text {
			for word := range strings.SplitSeq(one, "x") {
				n, err := strconv.Atoi(strings.TrimSpace(word))
				if err != nil || n < 1 {
					return nil, nil, usage.Errorf("--input %q is not of the form 3x224x224 or uint8:3x224x224", text)
				}
				shape = append(shape, n)
			}
		} // else a number for each sample, such as its length
		shapes, types = append(shapes, shape), append(types, dtype)
	}
	return shapes, types, nil
}
