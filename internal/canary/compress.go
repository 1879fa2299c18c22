package canary

import (
	"bytes"
	"hash/crc32"
	"sort"
)

// xz wraps bytes into an xz stream whose chunks are not compressed.
func xz(b []byte) []byte {
	flags := []byte{0, 1} // CRC32
	out := append([]byte("\xfd7zXZ\x00"), flags...)
	out = le32(out, crc32.ChecksumIEEE(flags))
	header := []byte{2, 0, 0x21, 1, 22, 0, 0, 0} // LZMA2, a dictionary of 8 MiB
	out = le32(append(out, header...), crc32.ChecksumIEEE(header))
	start := len(out)
	rest := b
	for first := true; len(rest) > 0; first = false {
		n := min(len(rest), 1<<16)
		control := byte(2)
		if first {
			control = 1 // resets the dictionary
		}
		out = append(out, control, byte((n-1)>>8), byte(n-1))
		out = append(out, rest[:n]...)
		rest = rest[n:]
	}
	out = append(out, 0)
	unpadded := len(header) + 4 + len(out) - start + 4
	for (len(out)-start)%4 != 0 {
		out = append(out, 0)
	}
	out = le32(out, crc32.ChecksumIEEE(b))
	index := append([]byte{0, 1}, varint(unpadded)...)
	index = append(index, varint(len(b))...)
	for len(index)%4 != 0 {
		index = append(index, 0)
	}
	index = le32(index, crc32.ChecksumIEEE(index))
	out = append(out, index...)
	footer := append(le32(nil, uint32(len(index)/4-1)), flags...)
	out = le32(out, crc32.ChecksumIEEE(footer))
	return append(append(out, footer...), 'Y', 'Z')
}

func varint(v int) []byte {
	var out []byte
	for ; v >= 0x80; v >>= 7 {
		out = append(out, byte(v)|0x80)
	}
	return append(out, byte(v))
}

// bits writes most significant bits first.
type bits struct {
	out []byte
	n   int
}

func (w *bits) put(count int, v uint64) {
	for i := count - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.out = append(w.out, 0)
		}
		w.out[w.n/8] |= byte(v>>i&1) << (7 - w.n%8)
		w.n++
	}
}

// bzip writes one block of bzip2 whose Huffman codes all have the same length.
func bzip(b []byte) []byte {
	crc := ^uint32(0)
	var rle []byte
	for i := 0; i < len(b); {
		n := 1
		for i+n < len(b) && b[i+n] == b[i] && n < 255 {
			n++
		}
		rle = append(rle, bytes.Repeat(b[i:i+1], min(n, 4))...)
		if n >= 4 {
			rle = append(rle, byte(n-4))
		}
		for range n {
			crc ^= uint32(b[i]) << 24
			for range 8 {
				crc = crc<<1 ^ 0x04c11db7&-(crc>>31)
			}
		}
		i += n
	}
	last, origin := transform(rle)
	w := &bits{}
	for _, c := range []byte("BZh9\x31\x41\x59\x26\x53\x59") {
		w.put(8, uint64(c))
	}
	w.put(32, uint64(^crc))
	w.put(1, 0)
	w.put(24, uint64(origin))
	symbols(w, last)
	w.put(48, 0x177245385090)
	w.put(32, uint64(^crc))
	return w.out
}

// transform is the Burrows-Wheeler transform.
func transform(b []byte) (last []byte, origin int) {
	n := len(b)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	twice := append(bytes.Clone(b), b...)
	sort.SliceStable(order, func(i, j int) bool {
		return bytes.Compare(twice[order[i]:order[i]+n], twice[order[j]:order[j]+n]) < 0
	})
	for i, o := range order {
		if o == 0 {
			origin = i
		}
		last = append(last, b[(o+n-1)%n])
	}
	return last, origin
}

// symbols moves to front, counts runs of zeros and writes the symbols.
func symbols(w *bits, last []byte) {
	var front []byte
	for c := range 256 {
		if bytes.IndexByte(last, byte(c)) >= 0 {
			front = append(front, byte(c))
		}
	}
	used := len(front)
	groups := uint64(0)
	for _, c := range front {
		groups |= 1 << (15 - c>>4)
	}
	w.put(16, groups)
	for g := range 16 {
		if groups>>(15-g)&1 == 0 {
			continue
		}
		for c := range 16 {
			w.put(1, map[bool]uint64{true: 1}[bytes.IndexByte(front, byte(g<<4|c)) >= 0])
		}
	}
	var out []int
	run := 0
	flush := func() {
		for ; run > 0; run = (run - 1) / 2 {
			out = append(out, (run+1)%2)
		}
	}
	for _, c := range last {
		i := bytes.IndexByte(front, c)
		if i == 0 {
			run++
			continue
		}
		flush()
		copy(front[1:], front[:i])
		front[0] = c
		out = append(out, i+1)
	}
	flush()
	out = append(out, used+1) // the end of the block
	length := 1
	for 1<<length < used+2 {
		length++
	}
	selectors := (len(out) + 49) / 50
	w.put(3, 2)
	w.put(15, uint64(selectors))
	for range selectors {
		w.put(1, 0)
	}
	for range 2 {
		w.put(5, uint64(length))
		for range used + 2 {
			w.put(1, 0)
		}
	}
	for _, s := range out {
		w.put(length, uint64(s))
	}
}
