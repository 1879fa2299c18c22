package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"lethe/internal/vectors"
	"lethe/model"
)

// A header of many small entries takes little more memory than it is charged for, and
// the limit names its flag.
func TestHeaderMemory(t *testing.T) {
	const limit = 8 << 20
	file := func(n int) []byte {
		var h strings.Builder
		for i := range n {
			fmt.Fprintf(&h, `,"%x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`, i)
		}
		header := "{" + h.String()[1:] + "}"
		return append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
	}
	b := file(9000)
	before := vectors.Allocated()
	_, err := Decode(bytes.NewReader(b), int64(len(b)), Options{Limits{Memory: limit}})
	used := vectors.Allocated() - before
	if err != nil || used > 3*limit {
		t.Errorf("%d bytes of header take %d (%v)", len(b), used, err)
	}
	t.Logf("%d bytes of header take %d", len(b), used)
	b = file(12000)
	_, err = Decode(bytes.NewReader(b), int64(len(b)), Options{Limits{Memory: limit}})
	var l *model.LimitError
	if !errors.As(err, &l) || l.Unit != "bytes" || l.Flag != "max-memory" {
		t.Errorf("got %v", err)
	}
}
