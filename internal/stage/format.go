package stage

import (
	"path/filepath"
	"strings"

	"lethe/file"
	"lethe/internal/usage"
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

// OnlyONNX refuses an output of a command that writes ONNX, or a description of layers,
// if its name is that of a checkpoint: whoever loads it by its name would fail.
func OnlyONNX(path, what, extension string) error {
	if f := FormatOf(path, ""); KindOf(path) == Local && f != "" && (f != file.ONNX || extension != ".onnx") {
		return usage.Errorf("the output %s has the name of a file of format %s, and what is written is %s: call it %s", path, f, what,
			strings.TrimSuffix(path, filepath.Ext(path))+extension)
	}
	return nil
}

// KnownFormat refuses a local output whose extension is none that stands for a format,
// such as a misspelt one. A name without an extension, or with numbers only, as of a
// version, is as good as any.
func KnownFormat(path string) error {
	ext := strings.TrimPrefix(filepath.Ext(path), ".")
	if KindOf(path) != Local || FormatOf(path, "") != "" || strings.Trim(ext, "0123456789") == "" {
		return nil
	}
	return usage.Errorf("the extension of the output %s names no format: .safetensors does, and .pt, .pth, .bin and .ckpt for a checkpoint", path)
}
