package parquet

import "encoding/binary"

// raw is a value before its kind is known: of bytes, or the bits of a number.
type raw struct {
	bits  uint64
	bytes []byte
}

// values are the encoded values of a page.
type values interface {
	next() (raw, error)
}

// failed is values that cannot be read.
type failed struct{ err error }

func (f failed) next() (raw, error) { return raw{}, f.err }

// plainFixed is PLAIN of values of 4 or 8 bytes.
type plainFixed struct {
	data []byte
	size int
}

func (p *plainFixed) next() (raw, error) {
	if len(p.data) < p.size {
		return raw{}, errValues
	}
	v := p.data[:p.size]
	p.data = p.data[p.size:]
	if p.size == 4 {
		return raw{bits: uint64(binary.LittleEndian.Uint32(v))}, nil
	}
	return raw{bits: binary.LittleEndian.Uint64(v)}, nil
}

// split is BYTE_STREAM_SPLIT: the first bytes of all numbers, then the second ones.
type split struct {
	data      []byte
	of, at, n int
}

func newSplit(data []byte, kind Kind) *split {
	return &split{data: data, of: width(kind), n: len(data) / width(kind)}
}

func (s *split) next() (raw, error) {
	if s.at == s.n {
		return raw{}, errValues
	}
	var v raw
	for i := range s.of {
		v.bits |= uint64(s.data[i*s.n+s.at]) << (8 * i)
	}
	s.at++
	return v, nil
}

// plainBools is PLAIN of booleans: one bit each, the lowest first.
type plainBools struct {
	data []byte
	at   int
}

func (p *plainBools) next() (raw, error) {
	if p.at/8 >= len(p.data) {
		return raw{}, errValues
	}
	v := p.data[p.at/8] >> (p.at % 8) & 1
	p.at++
	return raw{bits: uint64(v)}, nil
}

// plainBytes is PLAIN of bytes: a length in four bytes before each.
type plainBytes struct{ data []byte }

func (p *plainBytes) next() (raw, error) {
	if len(p.data) < 4 {
		return raw{}, errValues
	}
	n := int64(binary.LittleEndian.Uint32(p.data))
	if n > int64(len(p.data)-4) {
		return raw{}, errValues
	}
	v := p.data[4 : 4+n : 4+n]
	p.data = p.data[4+n:]
	return raw{bytes: v}, nil
}

// hybrid is runs of one number, and numbers packed in bits: RLE of the format, of
// levels, indices and booleans.
type hybrid struct {
	data   []byte
	width  int // bits of a number, at most 32
	value  uint64
	run    uint64 // how often value still comes
	packed []byte
	at     int // bits of packed that have been read
}

func (h *hybrid) number() (uint64, error) {
	for {
		if h.run > 0 {
			h.run--
			return h.value, nil
		}
		if h.at+h.width <= 8*len(h.packed) && len(h.packed) > 0 {
			v := bitsAt(h.packed, h.at, h.width)
			h.at += h.width
			return v, nil
		}
		head, n := binary.Uvarint(h.data)
		if n <= 0 {
			return 0, errValues
		}
		h.data = h.data[n:]
		h.packed = nil
		if head&1 == 0 {
			size := (h.width + 7) / 8
			if len(h.data) < size {
				return 0, errValues
			}
			h.run, h.value = head>>1, 0
			for i, b := range h.data[:size] {
				h.value |= uint64(b) << (8 * i)
			}
			h.data = h.data[size:]
			continue
		}
		if h.width == 0 {
			h.run, h.value = 8*(min(head>>1, 1<<32)), 0
			continue
		}
		// Groups of eight numbers, the last of which may be cut.
		size := min(head>>1, uint64(len(h.data))) * uint64(h.width)
		size = min(size, uint64(len(h.data)))
		h.packed, h.data, h.at = h.data[:size], h.data[size:], 0
	}
}

func (h *hybrid) next() (raw, error) {
	v, err := h.number()
	return raw{bits: v}, err
}

// bitsAt returns a number of width bits, at most 64, that begins at a bit of b, the
// lowest first.
func bitsAt(b []byte, at, width int) uint64 {
	if width == 0 {
		return 0
	}
	shift := at % 8
	var v uint64
	if b = b[at/8:]; len(b) >= 9 {
		v = binary.LittleEndian.Uint64(b)>>shift | uint64(b[8])<<(64-shift)
	} else {
		for i, x := range b {
			if 8*i-shift >= 0 {
				v |= uint64(x) << (8*i - shift)
			} else {
				v |= uint64(x) >> shift
			}
		}
	}
	return v & (1<<width - 1)
}

// dictionary is the values that indices stand for.
type dictionary []raw

// indexed is PLAIN_DICTIONARY and RLE_DICTIONARY: indices in a dictionary.
type indexed struct {
	hybrid
	dictionary dictionary
}

func newIndexed(data []byte, d dictionary) (*indexed, error) {
	if len(data) == 0 {
		return nil, errValues
	}
	if data[0] > 32 {
		return nil, errNumber
	}
	return &indexed{hybrid{data: data[1:], width: int(data[0])}, d}, nil
}

func (d *indexed) next() (raw, error) {
	i, err := d.number()
	if err != nil {
		return raw{}, err
	}
	if i >= uint64(len(d.dictionary)) {
		return raw{}, errIndex
	}
	return d.dictionary[i], nil
}

// deltas is DELTA_BINARY_PACKED: the first number, then blocks of differences, each
// with their least one and miniblocks of what they have above it.
type deltas struct {
	data      []byte
	miniblock uint64 // numbers of one
	per       int    // miniblocks of a block
	left      uint64 // numbers that are to come
	first     bool
	value     uint64
	least     uint64
	widths    []byte // of the miniblocks that are to come
	packed    []byte // of the miniblock
	width     int
	at        uint64 // numbers of packed that have been read
}

func newDeltas(data []byte) (*deltas, error) {
	d := &deltas{data: data, first: true}
	var head [3]uint64
	for i := range head {
		v, err := d.unsigned()
		if err != nil {
			return nil, err
		}
		head[i] = v
	}
	block, per := head[0], head[1]
	if per == 0 || per > uint64(len(data)) || block == 0 || block%per != 0 || block > 1<<31 {
		return nil, errEmpty
	}
	d.per, d.miniblock, d.left = int(per), block/per, head[2]
	d.at = d.miniblock
	var err error
	d.value, err = d.zigzag()
	return d, err
}

func (d *deltas) unsigned() (uint64, error) {
	v, n := binary.Uvarint(d.data)
	if n <= 0 {
		return 0, errValues
	}
	d.data = d.data[n:]
	return v, nil
}

func (d *deltas) zigzag() (uint64, error) {
	v, err := d.unsigned()
	return v>>1 ^ -(v & 1), err
}

// advance goes to the next miniblock.
func (d *deltas) advance() error {
	if len(d.widths) == 0 {
		var err error
		if d.least, err = d.zigzag(); err != nil {
			return err
		}
		if len(d.data) < d.per {
			return errValues
		}
		d.widths, d.data = d.data[:d.per], d.data[d.per:]
	}
	d.width, d.widths, d.at = int(d.widths[0]), d.widths[1:], 0
	if d.width > 64 {
		return errNumber
	}
	// The last miniblock may be cut to the bytes that its numbers need.
	size := (d.miniblock*uint64(d.width) + 7) / 8
	need := (min(d.left, d.miniblock)*uint64(d.width) + 7) / 8
	if need > uint64(len(d.data)) {
		return errValues
	}
	size = min(size, uint64(len(d.data)))
	d.packed, d.data = d.data[:size], d.data[size:]
	return nil
}

func (d *deltas) next() (raw, error) {
	if d.left == 0 {
		return raw{}, errValues
	}
	if d.first {
		d.first = false
		d.left--
		return raw{bits: d.value}, nil
	}
	if d.at == d.miniblock {
		if err := d.advance(); err != nil {
			return raw{}, err
		}
	}
	d.value += d.least + bitsAt(d.packed, int(d.at)*d.width, d.width)
	d.at++
	d.left--
	return raw{bits: d.value}, nil
}

// after returns the bytes behind the numbers, of which none has been read.
func (d *deltas) after() ([]byte, error) {
	c := *d
	c.left -= min(c.left, 1) // the first, which is before the blocks
	for c.left > 0 {
		if err := c.advance(); err != nil {
			return nil, err
		}
		c.left -= min(c.left, c.miniblock)
	}
	// The widths that are left stand for miniblocks without numbers, which have no bytes.
	return c.data, nil
}

// deltaLengths is DELTA_LENGTH_BYTE_ARRAY: all lengths, then all bytes.
type deltaLengths struct {
	lengths *deltas
	data    []byte
}

func newDeltaLengths(data []byte) (*deltaLengths, error) {
	lengths, err := newDeltas(data)
	if err != nil {
		return nil, err
	}
	data, err = lengths.after()
	return &deltaLengths{lengths, data}, err
}

func (d *deltaLengths) next() (raw, error) {
	n, err := d.lengths.next()
	if err != nil {
		return raw{}, err
	}
	if n.bits > uint64(len(d.data)) {
		return raw{}, errValues
	}
	v := d.data[:n.bits:n.bits]
	d.data = d.data[n.bits:]
	return raw{bytes: v}, nil
}

// deltaBytes is DELTA_BYTE_ARRAY: how much of the value before each begins with, and
// the rest of it.
type deltaBytes struct {
	prefixes *deltas
	rests    *deltaLengths
	last     []byte
}

func newDeltaBytes(data []byte) (*deltaBytes, error) {
	prefixes, err := newDeltas(data)
	if err != nil {
		return nil, err
	}
	if data, err = prefixes.after(); err != nil {
		return nil, err
	}
	rests, err := newDeltaLengths(data)
	return &deltaBytes{prefixes: prefixes, rests: rests}, err
}

func (d *deltaBytes) next() (raw, error) {
	n, err := d.prefixes.next()
	if err != nil {
		return raw{}, err
	}
	rest, err := d.rests.next()
	if err != nil {
		return raw{}, err
	}
	switch {
	case n.bits > uint64(len(d.last)):
		return raw{}, errValues
	case n.bits == 0:
		d.last = rest.bytes
	case len(rest.bytes) == 0:
		d.last = d.last[:n.bits:n.bits]
	default:
		d.last = append(d.last[:n.bits:n.bits], rest.bytes...)
	}
	return raw{bytes: d.last}, nil
}
