package stage

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"lethe/internal/usage"
	"lethe/model"
)

// SourceDate returns the time to tell, that of SOURCE_DATE_EPOCH in seconds since
// 1970, or the zero time if that is not set: the clock is not asked, or equal
// edits would have different statements.
func SourceDate() (time.Time, error) {
	s := os.Getenv("SOURCE_DATE_EPOCH")
	if s == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	const year10000 = 253402300800
	if err != nil || seconds < 0 || seconds >= year10000 || strconv.FormatInt(seconds, 10) != s {
		return time.Time{}, usage.Errorf("SOURCE_DATE_EPOCH is %q, want seconds since 1970", s)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// ReadSmall reads a whole file that is not a model, such as a key or a report.
func ReadSmall(ctx context.Context, path string, stdin io.Reader) ([]byte, error) {
	const limit = 64 << 20
	in, err := OpenInput(ctx, path, stdin)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if in.Size > limit {
		return nil, &model.LimitError{What: "size of " + path + " in bytes", Got: uint64(in.Size), Limit: limit}
	}
	b := make([]byte, in.Size)
	if _, err := in.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil, fmt.Errorf("cannot read %s: %w", path, Cause(err))
	}
	return b, nil
}
