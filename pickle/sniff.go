package pickle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"lethe/model"
)

// resave is the way out of every format that PyTorch itself still reads.
const resave = "load it with PyTorch and save the weights again with torch.save(model.state_dict(), path)"

// sniff looks at the first bytes and returns nil if they start a zip archive.
// People hand over all kinds of files as checkpoints; the error tells them
// which one they have.
func sniff(r io.ReaderAt, size int64) error {
	if size == 0 {
		return broken("", 0, "the file is empty")
	}
	head := make([]byte, min(size, 512))
	if _, err := readFull(r, head, 0); err != nil {
		return err
	}
	starts := func(s string) bool { return bytes.HasPrefix(head, []byte(s)) }
	text := strings.ToLower(string(bytes.TrimLeft(head, "\xef\xbb\xbf \t\r\n")))
	unsupported := func(what, advice string) error {
		return &model.UnsupportedError{What: "the file is " + what, Advice: advice}
	}
	switch {
	case starts("PK\x03\x04"):
		return nil
	case starts("PK\x05\x06"):
		return broken("", 0, "the file is a zip archive without members")
	case len(head) > 1 && head[0] == 0x80 && head[1] <= 5:
		return unsupported("a bare pickle, not a checkpoint of torch.save", resave)
	case len(head) >= 262 && string(head[257:262]) == "ustar":
		return unsupported("a tar archive, as the first versions of PyTorch wrote them", resave)
	case starts("PYTORCH1"):
		return unsupported("a PYTORCH1 container, the format of TorchScript before PyTorch 1.0", resave)
	case starts("\x1f\x8b"):
		return unsupported("compressed by gzip", "unpack it with gunzip first")
	case starts("version https://git-lfs.github.com/"):
		return unsupported("a Git LFS pointer, not the checkpoint that it points to", "fetch that with git lfs pull")
	case strings.HasPrefix(text, "<!doctype html") || strings.HasPrefix(text, "<html"):
		return unsupported("a web page", "the download failed; get the checkpoint from the address that the page links to")
	case safetensors(head, size):
		return unsupported("in the safetensors format", "convert it with ptconvert, or load it with safetensors.torch.load_file and torch.save the result")
	case printable(head):
		return broken("", 0, "the file is plain text, not a checkpoint of torch.save")
	}
	return broken("", 0, fmt.Sprintf("the file starts with the bytes % x, a checkpoint of torch.save with 50 4b 03 04", head[:min(len(head), 4)]))
}

// safetensors tells whether a file starts with the length of a JSON header
// that fits it, and an opening brace.
func safetensors(head []byte, size int64) bool {
	if len(head) < 9 || head[8] != '{' {
		return false
	}
	n := binary.LittleEndian.Uint64(head)
	return n <= 100_000_000 && n <= uint64(size-8)
}

func printable(b []byte) bool {
	return !bytes.ContainsFunc(b, func(r rune) bool {
		return r < ' ' && !strings.ContainsRune("\t\r\n\f", r) || r == 0x7f || r == 0xfffd
	})
}

// archiveKind is what an archive is, by the names of its members.
type archiveKind uint8

const (
	checkpointArchive archiveKind = iota
	scriptArchive                 // TorchScript
	exportArchive                 // .pt2 of torch 2.8 and later
	oldExport                     // .pt2 up to torch 2.7: without a root folder
)

// recognize tells archives of PyTorch apart, and from those of other programs.
func recognize(names []string) (archiveKind, error) {
	var data, code, constants, exported, old bool
	for _, name := range names {
		_, rest, _ := strings.Cut(name, "/")
		data = data || rest == "data.pkl"
		constants = constants || rest == "constants.pkl"
		code = code || strings.HasPrefix(rest, "code/")
		exported = exported || rest == "archive_format"
		old = old || name == oldProgram
	}
	switch {
	case old:
		return oldExport, nil
	case exported:
		return exportArchive, nil
	case constants && code && data:
		return scriptArchive, nil
	case !data:
		return 0, broken("", -1, fmt.Sprintf("the file is a zip archive of %d members without a data.pkl, so not a checkpoint of torch.save", len(names)))
	}
	return checkpointArchive, nil
}

// broken returns the error for a file that breaks a rule. The offset counts
// from the start of the member, or of the file if member is empty.
func broken(member string, offset int64, reason string) error {
	return &model.FormatError{Format: "checkpoint", Member: member, Offset: offset, Reason: reason}
}

// readFull fills b from offset at. An early end is a broken file: the caller
// knows its size.
func readFull(r io.ReaderAt, b []byte, at int64) (int, error) {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return n, nil
	}
	if err == nil || err == io.EOF {
		return n, broken("", at+int64(n), fmt.Sprintf("the file ends within %d bytes that start at byte %d", len(b), at))
	}
	return n, fmt.Errorf("read checkpoint: %w", err)
}
