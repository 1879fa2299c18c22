package scan

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// pathMax is more than a file name has.
const pathMax = 4096

// externalData looks for tensors of an ONNX model whose elements are in other files:
// entries of external_data with the key "location".
func (w *walk) externalData(p part) {
	const overlap = pathMax + 64
	key := []byte("\n\x08location\x12")
	b := make([]byte, 4*window)
	for at := int64(0); at < p.size; at += int64(len(b)) - overlap {
		part := b[:min(int64(len(b)), p.size-at)]
		if !w.read(p, part, at) {
			return
		}
		for from := 0; ; {
			i := bytes.Index(part[from:], key)
			if i < 0 {
				break
			}
			from += i + len(key)
			n, size := binary.Uvarint(part[from:])
			if size < 1 || n > pathMax || n > uint64(len(part)-from-size) {
				continue // no entry, or one that the next window has whole
			}
			w.external(p, string(part[from+size:][:n]), at+int64(from))
		}
	}
}

// external reports a file that a model names for its weights.
func (w *walk) external(p part, path string, at int64) {
	f := Finding{Level: Notice, Kind: KindExternal, What: path, Member: p.member, Offset: at, Why: "is another file, with weights of the model"}
	slashed := strings.ReplaceAll(path, "\\", "/")
	if strings.HasPrefix(slashed, "/") || strings.Contains("/"+slashed+"/", "/../") || strings.Contains(path, ":") || strings.ContainsRune(path, 0) {
		f.Level, f.Why = Danger, "names a file outside of the folder of the model for its weights: a program that runs the model may read it"
	}
	w.find(f)
}
