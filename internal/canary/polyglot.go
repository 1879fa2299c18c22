package canary

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strings"
)

// skipping is a pickle whose first value swallows n bytes that follow its
// head; the rest comes behind them.
func skipping(n int) []byte { return le32([]byte("\x80\x02X"), uint32(n)) }

// evilTail is an evil pickle that goes on after a value which is popped.
func (m *maker) evilTail() []byte { return append([]byte("0"), m.evil(false)...) }

// tarHead is the header of a tar member whose name is the given bytes.
func tarHead(name []byte, size int) []byte {
	h := make([]byte, 512)
	copy(h, name)
	copy(h[100:], "0000644\x000000000\x000000000\x00")
	copy(h[124:], fmt.Sprintf("%011o\x00%011o\x00", size, 0))
	h[156] = '0'
	copy(h[257:], "ustar\x0000")
	return checksum(h)
}

// checksum sets the checksum of a tar header.
func checksum(h []byte) []byte {
	copy(h[148:], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return h
}

func padded(b []byte) []byte { return append(b, make([]byte, -len(b)&511)...) }

// safetensorsHead is a header with a text inside its metadata.
func safetensorsHead(text string) string {
	return `{"__metadata__":{"x":"` + text + `"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`
}

var polyglots = []container{
	{"tar whose first name is a pickle", ".pt", func(m *maker) []byte {
		first := skipping(512 - 7)
		body := m.evilTail()
		rest := torchTar(tar.FormatUSTAR, noStorages, noTensors, m.good(false))
		return join(tarHead(first, len(body)), padded(body), rest)
	}},
	{"tar with an evil pickle behind a harmless legacy file", ".pt", func(m *maker) []byte {
		body := append([]byte("0"), legacy(m, nil, nil, nil, nil, nil)...)
		return join(tarHead(skipping(512-7), len(body)), padded(body), torchTar(tar.FormatUSTAR, noStorages, noTensors, m.evil(false)))
	}},
	{"evil legacy file in front of a harmless tar", ".pt", func(m *maker) []byte {
		body := append([]byte("0"), legacy(m, nil, nil, nil, legacyObject(m, true), nil)...)
		return join(tarHead(skipping(512-7), len(body)), padded(body), torchTar(tar.FormatUSTAR, noStorages, noTensors, m.good(false)))
	}},
	{"tar whose name calls", ".pt", func(m *maker) []byte {
		return join(tarHead([]byte("cos\nmkdir\n(V"+m.path+"\ntR."), 1), padded([]byte("x")), torchTar(tar.FormatUSTAR, noStorages, noTensors, m.good(false)))
	}},
	{"safetensors whose length begins a pickle", ".safetensors", func(m *maker) []byte {
		// X, and the length of a string in the next four bytes: the upper bytes
		// of the length of the header.
		const n, skip = 0x58 | 0x40<<8, 0x40 - 3
		head := `{"__metadata__":{"x":"`
		head += strings.Repeat("a", skip-len(head)) + "0" + string(m.evil(false)) + `"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`
		if len(head) > n {
			return nil
		}
		return join(le64(nil, n), []byte(head), bytes.Repeat([]byte(" "), n-len(head)), make([]byte, 4))
	}},
	{"safetensors whose length is a number", ".safetensors", func(m *maker) []byte {
		// G and eight bytes of a number, then } and what follows a newline.
		n := 0x47 | 0x20<<8
		head := append([]byte("{}0"), m.evil(false)...)
		if len(head) > n {
			return nil
		}
		return join(le64(nil, uint64(n)), head, bytes.Repeat([]byte(" "), n-len(head)))
	}},
	{"pickle in front of safetensors", ".safetensors", func(m *maker) []byte {
		head := safetensorsHead("a")
		return join(m.evil(false), le64(nil, uint64(len(head))), []byte(head), make([]byte, 4))
	}},
	{"safetensors with a pickle behind", ".safetensors", func(m *maker) []byte {
		head := safetensorsHead("a")
		return join(le64(nil, uint64(len(head))), []byte(head), make([]byte, 4), m.evil(false))
	}},
	{"pickle in front of a harmless checkpoint", ".pt", func(m *maker) []byte {
		return edit(torchZip("archive", m.good(true)), func(z *archive) { z.prefix = m.evil(false) })
	}},
	{"pickle in front of a harmless checkpoint, offsets counted", ".pt", func(m *maker) []byte {
		return edit(torchZip("archive", m.good(true)), func(z *archive) { z.prefix = m.evil(false); z.base = len(z.prefix) })
	}},
	{"harmless pickle in front of an evil checkpoint", ".pt", func(m *maker) []byte {
		return edit(torchZip("archive", m.evil(true)), func(z *archive) { z.prefix = m.good(false); z.base = len(z.prefix) })
	}},
	{"harmless legacy file in front of an evil checkpoint", ".pt", func(m *maker) []byte {
		return edit(torchZip("archive", m.evil(true)), func(z *archive) { z.prefix = legacy(m, nil, nil, nil, nil, nil) })
	}},
	{"checkpoint with an evil tar behind", ".pt", func(m *maker) []byte {
		return join(torchTar(tar.FormatUSTAR, noStorages, noTensors, m.evil(false)), torchZip("archive", m.good(true)).bytes())
	}},
	{"zip that is a pickle with a persistent id", ".pt", func(m *maker) []byte {
		z := torchZip("archive", m.good(true)).bytes()
		// PERSID reads to the newline in "version needed".
		return join([]byte("PK\x03\x04\n"), []byte("0"), m.evil(false), z)
	}},
	{"checkpoint in an npy", ".npy", func(m *maker) []byte {
		return npy(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }", join(make([]byte, 4), torchZip("archive", m.evil(true)).bytes()))
	}},
	{"pickle in front of an npy", ".npy", func(m *maker) []byte {
		return join(m.evil(false), npy(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }", make([]byte, 4)))
	}},
	{"npz in a checkpoint", ".pt", func(m *maker) []byte {
		return torchZip("archive", m.good(true), member{name: "archive/labels.npy", data: npy(1, objectHeader, m.evil(false))}).bytes()
	}},
	{"pickle of protocol 0 that looks like text", ".txt", func(m *maker) []byte {
		return []byte("(dp0\nS'note'\np1\nS'hello'\np2\nscos\nmkdir\n(V" + m.path + "\ntR.")
	}},
	{"text in front of a pickle", ".pkl", func(m *maker) []byte { return join([]byte("I1\n0V# a comment\n0"), m.evil(false)) }},
}
