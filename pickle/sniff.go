package pickle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"lethe/model"
)

// resave is the way out of every format that PyTorch itself still reads.
const resave = "load it with PyTorch and save the weights again with torch.save(model.state_dict(), path)"

// signature is how a kind of file starts that is not a checkpoint.
type signature struct {
	at           int
	bytes        string
	what, advice string
}

var signatures = []signature{
	{0, "PYTORCH1", "a PYTORCH1 container, the format of TorchScript before PyTorch 1.0", resave},
	{0, "\x1f\x8b", "compressed by gzip", "unpack it with gunzip first"},
	{0, "7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it with 7z x first"},
	{0, "\xfd7zXZ\x00", "compressed by xz", "unpack it with unxz first"},
	{0, "BZh", "compressed by bzip2", "unpack it with bunzip2 first"},
	{0, "\x28\xb5\x2f\xfd", "compressed by zstd", "unpack it with unzstd first"},
	{0, "\x04\x22\x4d\x18", "compressed by lz4", "unpack it with unlz4 first"},
	{0, "Rar!\x1a\x07", "a RAR archive", "unpack it first"},
	{0, "GGUF", "a GGUF model of llama.cpp", ownTools},
	{0, "lmgg", "a GGML model of llama.cpp", ownTools},
	{0, "fmgg", "a GGML (ggmf) model of llama.cpp", ownTools},
	{0, "tjgg", "a GGML (ggjt) model of llama.cpp", ownTools},
	{0, "ggml", "a GGML model", ownTools},
	{0, "\x93NUMPY", "a numpy array (.npy)", "put it into a dictionary and save that with torch.save or as safetensors"},
	{0, "\x89HDF\r\n\x1a\n", "an HDF5 file, such as Keras and h5py write", "load it with Keras, and save the weights as safetensors"},
	{4, "TFL3", "a TensorFlow Lite model", ownTools},
	{4, "PTMF", "a model of PyTorch Mobile (flatbuffer)", "save the weights of the original model with torch.save(model.state_dict(), path)"},
	{4, "ET12", "an ExecuTorch program", "save the weights of the original model with torch.save(model.state_dict(), path)"},
	{0, "\x7fELF", "a compiled library, such as AOTInductor writes", "save the weights of the original model with torch.save(model.state_dict(), path)"},
	{0, "MZ", "a program or library of Windows", ""},
	{0, "version https://git-lfs.github.com/", "a Git LFS pointer, not the checkpoint that it points to", "fetch that with git lfs pull"},
	{0, "%PDF-", "a PDF document", ""},
	{0, "\x89PNG", "an image", ""},
	{0, "\xff\xd8\xff", "an image", ""},
	{0, "SQLite format 3\x00", "an SQLite database", ""},
	{0, "PAR1", "a Parquet file", ""},
}

const ownTools = "convert it to safetensors with the tools that came with it"

// sniff looks at the first bytes and returns which container they start: zip, tar
// or legacy. People hand over all kinds of files as checkpoints; the error tells
// them which one they have.
func sniff(r io.ReaderAt, size int64) (container string, err error) {
	if size == 0 {
		return "", broken("", 0, "the file is empty")
	}
	head := make([]byte, min(size, 1024))
	if _, err := readFull(r, head, 0); err != nil {
		return "", err
	}
	starts := func(s string) bool { return bytes.HasPrefix(head, []byte(s)) }
	pickled := len(head) > 1 && (head[0] == 0x80 && head[1] <= 5 || head[0] == 'L')
	legacy := pickled && startsLegacy(head)
	switch {
	case starts("PK\x03\x04"):
		return zipContainer, nil
	case starts("PK\x05\x06"):
		return "", broken("", 0, "the file is a zip archive without members")
	case isTar(head) && pickled:
		return "", broken("", 0, "the file starts as a tar archive and as a pickle, so that two readers see different files")
	case isTar(head):
		return tarContainer, nil
	case legacy:
		return legacyContainer, nil
	}
	unsupported := func(what, advice string) (string, error) {
		return "", &model.UnsupportedError{What: "the file is " + what, Advice: advice}
	}
	for _, s := range signatures {
		if len(head) >= s.at && bytes.HasPrefix(head[s.at:], []byte(s.bytes)) {
			return unsupported(s.what, s.advice)
		}
	}
	text := strings.ToLower(string(bytes.TrimLeft(head, "\xef\xbb\xbf \t\r\n")))
	switch {
	case len(head) > 1 && head[0] == 0x80 && head[1] <= 5:
		return unsupported("a bare pickle, not a checkpoint of torch.save", resave)
	case strings.HasPrefix(text, "<!doctype html") || strings.HasPrefix(text, "<html"):
		return unsupported("a web page", "the download failed; get the checkpoint from the address that the page links to")
	case safetensors(head, size):
		return unsupported("in the safetensors format", "convert it with ptconvert, or load it with safetensors.torch.load_file and torch.save the result")
	case protobuf(head, 8, 1, 1, 0x12):
		return unsupported("a SavedModel of TensorFlow", "load it with TensorFlow, and save the weights as safetensors")
	case protobuf(head, 8, 3, 31, 0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42):
		return unsupported("an ONNX model", "")
	case graphDef(head):
		return unsupported("a frozen graph of TensorFlow", "load it with TensorFlow, and save the weights as safetensors")
	case textPickle(r, size):
		return unsupported("a bare pickle of protocol 0 or 1, not a checkpoint of torch.save", resave)
	case strings.HasPrefix(text, "{") && printable(head):
		return unsupported("JSON, not a checkpoint", "an index of a sharded model is called NAME.index.json")
	case printable(head):
		return "", broken("", 0, "the file is plain text, not a checkpoint of torch.save")
	}
	return "", broken("", 0, fmt.Sprintf("the file starts with the bytes % x, a checkpoint of torch.save with 50 4b 03 04", head[:min(len(head), 4)]))
}

// protobuf reports whether a message starts with a number from low to high in the
// field of a tag, and then one of other tags.
func protobuf(head []byte, tag, low, high byte, next ...byte) bool {
	return len(head) > 2 && head[0] == tag && head[1] >= low && head[1] <= high && bytes.IndexByte(next, head[2]) >= 0
}

// graphDef reports whether a file starts with a node, which has a name and then an
// operator.
func graphDef(head []byte) bool {
	if len(head) < 64 || head[0] != 0x0a || head[2] != 0x0a {
		return false
	}
	name := int(head[3])
	return name > 0 && 5+name < len(head) && printable(head[4:4+name]) && head[4+name] == 0x12 && head[1] > head[3]
}

// textPickle reports whether a small file is a pickle that does not start with
// PROTO.
func textPickle(r io.ReaderAt, size int64) bool {
	head := make([]byte, min(size, 1<<16))
	if _, err := readFull(r, head, 0); err != nil || len(head) < 2 || !strings.ContainsRune("(]}cILSV", rune(head[0])) {
		return false
	}
	p, err := scan(string(head), "", Limits{}.orDefaults(), true, func(any) (any, error) { return nil, nil })
	return err == nil && int64(p.size) == size
}

// isTar reports whether the first 512 bytes are a header of a tar archive, as
// Python's tarfile tells: by its checksum.
func isTar(head []byte) bool {
	if len(head) < 512 || head[0] == 0 {
		return false
	}
	field := bytes.Trim(head[148:156], " \x00")
	want, err := strconv.ParseUint(string(field), 8, 32)
	if err != nil {
		return false
	}
	unsigned, signed := uint64(8*' '), int64(8*' ')
	for i, c := range head[:512] {
		if i < 148 || i >= 156 {
			unsigned += uint64(c)
			signed += int64(int8(c))
		}
	}
	return want == unsigned || int64(want) == signed
}

// safetensors reports whether a file starts with the length of a JSON header
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
	var data, code, constants, exported, old, model2019, compiled, programs bool
	arrays := len(names) > 0
	for _, name := range names {
		_, rest, _ := strings.Cut(name, "/")
		// torch finds records without regard to case.
		data = data || strings.EqualFold(rest, "data.pkl")
		constants = constants || strings.EqualFold(rest, "constants.pkl")
		code = code || strings.HasPrefix(rest, "code/")
		exported = exported || rest == "archive_format"
		old = old || name == oldProgram
		model2019 = model2019 || rest == "model.json"
		compiled = compiled || strings.HasPrefix(rest, "data/aotinductor/")
		programs = programs || strings.HasPrefix(rest, "models/")
		arrays = arrays && strings.HasSuffix(name, ".npy")
		if what, advice := otherArchive(name, rest); what != "" {
			return 0, &model.UnsupportedError{What: "the file is " + what, Advice: advice}
		}
	}
	unsupported := func(what, advice string) (archiveKind, error) {
		return 0, &model.UnsupportedError{What: "the file is " + what, Advice: advice}
	}
	switch {
	case old:
		return oldExport, nil
	case exported && compiled && !programs:
		return unsupported("an AOTInductor package: machine code without a graph", "save the weights of the original model with torch.save(model.state_dict(), path)")
	case exported:
		return exportArchive, nil
	case constants && code && data:
		return scriptArchive, nil
	case data:
		return checkpointArchive, nil
	case model2019 && code:
		return unsupported("TorchScript as PyTorch 1.0 to 1.3 saved it (model.json)", "load it with torch.jit.load of PyTorch up to 1.13, and save the weights with torch.save(model.state_dict(), path)")
	case arrays:
		return unsupported("an archive of numpy arrays (.npz)", "save them with safetensors.numpy.save_file(dict(numpy.load(path)), out)")
	}
	for _, name := range names {
		switch strings.ToLower(path.Ext(name)) {
		case ".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".onnx", ".pt2", ".tar":
			return unsupported(fmt.Sprintf("a zip archive around a model (%.100q)", name), "unpack it first")
		}
	}
	return 0, broken("", -1, fmt.Sprintf("the file is a zip archive of %d members without a data.pkl, so not a checkpoint of torch.save", len(names)))
}

// otherArchive names the archives of other programs by one of their members.
func otherArchive(name, rest string) (what, advice string) {
	switch {
	case rest == ".data/extern_modules" || rest == ".data/python_version":
		return "a package of torch.package: a model with its code", "load it with torch.package.PackageImporter if you trust whoever made it, and save the weights with torch.save(model.state_dict(), path)"
	case name == "model.weights.h5":
		return "a model of Keras 3", "load it with Keras, and save the weights as safetensors"
	case name == "saved_model.pb" || rest == "saved_model.pb":
		return "a SavedModel of TensorFlow", "load it with TensorFlow, and save the weights as safetensors"
	case strings.HasSuffix(name, "Data/com.apple.CoreML/model.mlmodel"):
		return "a model of Core ML", "save the weights of the original model"
	}
	return "", ""
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
