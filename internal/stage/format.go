package stage

import (
	"path/filepath"
	"strings"

	"lethe/file"
)

// FormatOf returns the format that the extension of an output stands for.
// Standard output and other extensions get that of the input.
func FormatOf(path string, input file.Format) file.Format {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".safetensors":
		return file.Safetensors
	case ".pt", ".pth", ".bin", ".ckpt":
		return file.Checkpoint
	case ".pt2":
		return file.Exported
	case ".onnx":
		return file.ONNX
	}
	return input
}
