package canary

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
)

// member is one entry of a zip archive, which may lie about itself.
type member struct {
	name    string
	data    []byte
	local   string // the name in the local header, if it is another
	deflate bool
	bzip2   bool // a method that Python reads and torch does not
	flags   uint16
	attr    uint32 // external attributes
	badCRC  bool
	align   bool // as PyTorch aligns records
	zip64   bool
	hidden  bool // not in the central directory
}

// archive is a zip archive.
type archive struct {
	members []member
	comment []byte
	prefix  []byte // before the archive
	base    int    // what offsets count from: 0 for the start of the archive
	zip64   bool   // with a zip64 end record
	count   int    // added to the number of entries in the end record
}

func le16(b []byte, vs ...uint16) []byte {
	for _, v := range vs {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return b
}

func le32(b []byte, vs ...uint32) []byte {
	for _, v := range vs {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

func le64(b []byte, vs ...uint64) []byte {
	for _, v := range vs {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

// bytes writes the archive.
func (z archive) bytes() []byte {
	var out, central []byte
	count := 0
	for _, m := range z.members {
		offset := uint32(z.base + len(out))
		body, method := m.data, uint16(0)
		if m.deflate {
			var b bytes.Buffer
			w, _ := flate.NewWriter(&b, 9)
			w.Write(m.data)
			w.Close()
			body, method = b.Bytes(), 8
		}
		if m.bzip2 {
			body, method = bzip(m.data), 12
		}
		crc := crc32.ChecksumIEEE(m.data)
		if m.badCRC {
			crc++
		}
		local := m.local
		if local == "" {
			local = m.name
		}
		sizes := []uint32{crc, uint32(len(body)), uint32(len(m.data))}
		var extra []byte
		if m.zip64 {
			extra = le64(le16(nil, 1, 16), uint64(len(m.data)), uint64(len(body)))
			sizes[1], sizes[2] = 0xffffffff, 0xffffffff
		}
		localExtra := extra
		if m.align {
			pad := -(len(out) + 30 + len(local) + len(extra) + 4) & 63
			localExtra = append(le16(bytes.Clone(extra), 0x4246, uint16(pad)), bytes.Repeat([]byte{'Z'}, pad)...)
		}
		out = le32(out, 0x04034b50)
		out = le16(out, 20, m.flags, method, 0, 0x21)
		out = le32(out, sizes...)
		out = le16(out, uint16(len(local)), uint16(len(localExtra)))
		out = append(append(append(out, local...), localExtra...), body...)
		if m.hidden {
			continue
		}
		count++
		central = le32(central, 0x02014b50)
		central = le16(central, 20, 20, m.flags, method, 0, 0x21)
		central = le32(central, sizes...)
		central = le16(central, uint16(len(m.name)), uint16(len(extra)), 0, 0, 0)
		central = le32(central, m.attr, offset)
		central = append(append(central, m.name...), extra...)
	}
	start := z.base + len(out)
	out = append(out, central...)
	if z.zip64 {
		end := uint64(z.base + len(out))
		out = le32(out, 0x06064b50)
		out = le64(out, 44)
		out = le16(out, 45, 45)
		out = le32(out, 0, 0)
		out = le64(out, uint64(count), uint64(count), uint64(len(central)), uint64(start))
		out = le32(out, 0x07064b50, 0)
		out = le64(out, end)
		out = le32(out, 1)
	}
	count += z.count
	out = le32(out, 0x06054b50)
	out = le16(out, 0, 0, uint16(count), uint16(count))
	out = le32(out, uint32(len(central)), uint32(start))
	out = append(le16(out, uint16(len(z.comment))), z.comment...)
	return append(bytes.Clone(z.prefix), out...)
}
