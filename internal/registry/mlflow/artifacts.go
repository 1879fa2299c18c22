package mlflow

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"lethe/internal/registry"
)

// uploader uploads the artifacts of a version and adds up what they are.
type uploader struct {
	server *server
	root   string
	sums   map[string]string // digests by name, in hexadecimal
	size   int64             // of all
}

func (up *uploader) put(ctx context.Context, name string, r io.ReaderAt, size int64) error {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(r, 0, size)); err != nil {
		return err
	}
	if err := up.server.put(ctx, up.root, name, r, size); err != nil {
		return err
	}
	up.sums[name] = hex.EncodeToString(h.Sum(nil))
	up.size += size
	return nil
}

// list returns the digests in the format of sha256sum.
func (up *uploader) list() []byte {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(up.sums)) {
		fmt.Fprintf(&b, "%s  %s\n", up.sums[name], name)
	}
	return b.Bytes()
}

// carry takes over what the base has beside weights and evidence: text, such as
// documents, code and configuration. It returns the names of the rest, which may
// be weights whatever its names are.
func (up *uploader) carry(ctx context.Context, base *storedModel) (left []string, err error) {
	var files, bytesRead int64
	for _, a := range base.files {
		_, written := up.sums[a.name]
		_, listed := base.sums[a.name]
		switch {
		case written, a.name == base.file.name, a.name == mlmodelFile, a.name == sumsFile, strings.HasPrefix(a.name, evidenceDir):
			continue
		case isWeightsFile(a.name) || a.size > maxCarried || strings.ContainsAny(a.name, "#%") || base.sums != nil && !listed:
			left = append(left, a.name)
			continue
		}
		b, err := base.read(ctx, a, maxCarried)
		if err != nil {
			return nil, err
		}
		files, bytesRead = files+1, bytesRead+int64(len(b))
		switch {
		case files > maxCarriedFiles:
			return nil, registry.TooLarge("number of files to take over from "+base.URI(), files, maxCarriedFiles)
		case bytesRead > maxCarriedSum:
			return nil, registry.TooLarge("size of the files to take over from "+base.URI()+" in bytes", bytesRead, maxCarriedSum)
		}
		if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
			left = append(left, a.name)
			continue
		}
		if err := up.put(ctx, a.name, bytes.NewReader(b), int64(len(b))); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// isWeightsFile tells by its name whether a file has weights.
func isWeightsFile(name string) bool { return registry.IsCheckpoint(name) || registry.IsONNX(name) }

// describe writes the MLmodel of the base anew, if it has one, and returns what
// of it is not true any more.
func (up *uploader) describe(ctx context.Context, base *storedModel, written []string, whole bool, m mlmodel) (gone []string, err error) {
	i := slices.IndexFunc(base.files, func(a artifact) bool { return a.name == mlmodelFile })
	if i < 0 {
		return nil, nil
	}
	text, err := base.read(ctx, base.files[i], registry.MaxDocument)
	if err != nil {
		return nil, err
	}
	for _, name := range written {
		if name == base.file.name {
			m.Kept = whole
		}
		if path.Ext(name) == ".onnx" {
			m.ONNX = name
		}
	}
	m.Size = up.size
	m.Has = func(name string) bool { return up.sums[name] != "" }
	if text, gone, err = m.edit(text); err != nil {
		return nil, registry.Malformed(mlmodelFile+" of "+base.URI(), err)
	}
	return gone, up.put(ctx, mlmodelFile, bytes.NewReader(text), int64(len(text)))
}
