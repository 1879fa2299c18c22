package structure

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lethe/convert/arch"
	"lethe/model"
)

// weightFiles are the files that a Hugging Face folder may have its weights in,
// the preferred one first.
var weightFiles = []string{"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"}

// Folder returns the file with the weights and what config.json says, if
// path is a Hugging Face folder. Another path is returned as it is.
func Folder(path string) (weights string, config *arch.Config, err error) {
	f, err := os.Open(filepath.Join(path, "config.json"))
	if err != nil { // no such folder: whoever opens the path says so
		return path, nil, nil
	}
	defer f.Close()
	if config, err = arch.ReadConfig(f); err != nil {
		return "", nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	for _, name := range weightFiles {
		weights = filepath.Join(path, name)
		if _, err := os.Stat(weights); !errors.Is(err, fs.ErrNotExist) {
			return weights, config, err
		}
	}
	return "", nil, &model.UnsupportedError{What: fmt.Sprintf("%s has a config.json, but none of %s", path, strings.Join(weightFiles, ", "))}
}
