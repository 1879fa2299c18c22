package pickle

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"lethe/internal/vectors"
	"lethe/model"
)

// hole is a file in memory that keeps only blocks that are not all zeros.
type hole struct {
	blocks map[int64][]byte
	size   int64
}

const holeBlock = 1 << 15

var zeros [holeBlock]byte

func (h *hole) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		i, at := h.size/holeBlock, h.size%holeBlock
		n := min(len(p)-done, int(holeBlock-at))
		if part := p[done : done+n]; h.blocks[i] != nil || !bytes.Equal(part, zeros[:n]) {
			if h.blocks[i] == nil {
				h.blocks[i] = make([]byte, holeBlock)
			}
			copy(h.blocks[i][at:], part)
		}
		done += n
		h.size += int64(n)
	}
	return len(p), nil
}

func (h *hole) ReadAt(p []byte, off int64) (int, error) {
	n := int(min(int64(len(p)), max(h.size-off, 0)))
	for done := 0; done < n; {
		i, at := (off+int64(done))/holeBlock, (off+int64(done))%holeBlock
		from := h.blocks[i]
		if from == nil {
			from = zeros[:]
		}
		done += copy(p[done:n], from[at:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// A checkpoint of more than 4 GiB: the sizes and offsets that do not fit 32
// bits, and memory that does not grow with tensors that no edit touches. The
// layout is that of a file of this size by PyTorch 1.13, which came out byte
// for byte; here only its zip64 fields are compared.
func TestBig(t *testing.T) {
	if testing.Short() {
		t.Skip("goes through 4 GiB three times")
	}
	const n = 1<<30 + 2 // of float32: 4 GiB + 8 bytes
	code := "\x80\x02}(" +
		textCode("w") + tensorCode(storageCode("FloatStorage", "0", n), long(n-2), "K\x02\x85", "K\x01\x85") +
		textCode("v") + tensorCode(storageCode("FloatStorage", "1", 2), "K\x00", "K\x02\x85", "K\x01\x85") + "u."
	in := &hole{blocks: map[int64][]byte{}}
	z := newZipWriter(in, "big", 64, false)
	for _, r := range []struct {
		name string
		size int64
		data io.Reader
	}{
		{"data.pkl", int64(len(code)), bytes.NewReader([]byte(code))},
		{"data/0", 4 * n, io.NewSectionReader(&hole{size: 4 * n}, 0, 4*n)},
		{"data/1", 8, bytes.NewReader([]byte("\x00\x00\x80\x3f\x00\x00\x00\x40"))},
		{"version", 2, bytes.NewReader([]byte("3\n"))},
	} {
		if _, err := z.add(r.name, r.size, r.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.close(); err != nil {
		t.Fatal(err)
	}

	before := vectors.Allocated()
	c, err := Decode(in, in.size, Options{})
	if err != nil {
		t.Fatal(err)
	}
	sd := c.StateDict()
	sd = sd.With("v", model.Float32Tensor([]int{2}, []float32{3, 4}))
	out := &hole{blocks: map[int64][]byte{}}
	if err := Encode(out, mustWith(t, c, sd), EncodeOptions{}); err != nil {
		t.Fatal(err)
	}
	if used := vectors.Allocated() - before; used > 4<<20 {
		t.Errorf("an edit of 8 bytes allocates %d", used)
	}

	if in.size != out.size {
		t.Errorf("%d bytes become %d", in.size, out.size)
	}
	c, err = open(out, out.size, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.StateDict().Get("v").Float32s(); err != nil || fmt.Sprint(got) != "[3 4]" {
		t.Errorf("v is %v, %v", got, err)
	}
	for i, want := range map[int]string{
		1: "\x01\x00\x10\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00FB", // size, and 0 for the packed one
		2: "\x01\x00\x08\x00" + string(le.AppendUint64(nil, uint64(c.a.members[2].header))) + "FB",
	} {
		m := c.a.members[i]
		b := make([]byte, len(want))
		if _, err := out.ReadAt(b, m.header+localLen+int64(len(m.name))); err != nil || string(b) != want {
			t.Errorf("%s: extra field % x, want % x (%v)", m.name, b, want, err)
		}
	}
}
