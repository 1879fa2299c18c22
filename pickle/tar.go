package pickle

import (
	"io"

	"lethe/model"
)

func openTar(r io.ReaderAt, size int64, opts Options) (*Checkpoint, error) {
	return nil, &model.UnsupportedError{What: "the file is a tar archive, as the first versions of PyTorch wrote them", Advice: resave}
}
