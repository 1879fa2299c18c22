package stage

import (
	"testing"

	"lethe/file"
)

func TestFormatOf(t *testing.T) {
	for path, want := range map[string][2]file.Format{ // for an input of each format
		"a.pt": {file.Checkpoint, file.Checkpoint}, "a.PTH": {file.Checkpoint, file.Checkpoint}, "a.bin": {file.Checkpoint, file.Checkpoint},
		"a.safetensors": {file.Safetensors, file.Safetensors}, "a.pt.safetensors": {file.Safetensors, file.Safetensors},
		"-": {file.Checkpoint, file.Safetensors}, "a": {file.Checkpoint, file.Safetensors},
	} {
		if got := [2]file.Format{FormatOf(path, file.Checkpoint), FormatOf(path, file.Safetensors)}; got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}
