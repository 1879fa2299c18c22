//go:build js

// Command wasm is what the page in web runs: the scan, the formats, the drawing
// and the conversion of a file that never leaves the browser. It is built for
// GOOS=js GOARCH=wasm by web/build.
package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"lethe/convert/aten"
	"lethe/file"
	"lethe/internal/drawing"
	"lethe/internal/structure"
	"lethe/model"
	"lethe/onnxio"
	"lethe/pickle"
	"lethe/safetensors"
	"lethe/scan"
)

// memory bounds what the structure of a file may take in a tab, in bytes.
const memory = 256 << 20

// most bounds the tensors that are listed.
const most = 2000

// opened is a file and what the page shows of it.
type opened struct {
	Verdict  string         `json:"verdict"`
	Kind     string         `json:"kind"`
	Findings []scan.Finding `json:"findings"`
	Gaps     []scan.Gap     `json:"gaps"`
	More     int            `json:"more"`

	Format     string   `json:"format"`
	Unread     string   `json:"unread,omitempty"` // why there are no tensors
	Tensors    []tensor `json:"tensors"`
	Count      int      `json:"count"` // of tensors
	Elements   int64    `json:"elements"`
	Beside     []string `json:"beside"`               // what else the file holds
	Network    string   `json:"network,omitempty"`    // summary of the structure
	Drawing    string   `json:"drawing,omitempty"`    // as SVG
	NoNetwork  string   `json:"no_network,omitempty"` // why there is no structure
	Notes      []string `json:"notes"`
	Lost       []string `json:"lost"` // what a safetensors file does not hold of it
	CanONNX    bool     `json:"can_onnx"`
	CanWeights bool     `json:"can_weights"`

	state     *model.StateDict
	structure *structure.Structure
}

type tensor struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
}

// open scans a file and reads its structure. What is wrong with the file is part
// of the answer; an error means that it cannot be read at all.
func open(r io.ReaderAt, size int64) (*opened, error) {
	found, err := scan.File(r, size)
	if err != nil {
		return nil, err
	}
	o := &opened{Verdict: found.Verdict(), Kind: found.Kind, Findings: append([]scan.Finding{}, found.Findings...), Gaps: append([]scan.Gap{}, found.Gaps...), More: found.More,
		Tensors: []tensor{}, Beside: []string{}, Notes: []string{}, Lost: []string{}}
	f, err := read(r, size)
	if err != nil {
		o.Unread = err.Error()
		return o, nil
	}
	o.Format, o.state, o.CanWeights = string(f.Format()), f.State(), true
	for name, t := range f.State().All() {
		o.Count++
		o.Elements += int64(t.Len())
		if o.Count <= most {
			o.Tensors = append(o.Tensors, tensor{name, t.DType().String(), append([]int{}, t.Shape()...)})
		}
	}
	for _, left := range f.Info().Beside {
		o.Beside = append(o.Beside, left.String())
	}
	o.Lost = append(o.Lost, file.Lost(f, file.Safetensors)...)
	if err := o.draw(f); err != nil {
		o.NoNetwork = err.Error()
	}
	return o, nil
}

// read reads a file in the format that its content shows.
func read(r io.ReaderAt, size int64) (file.File, error) {
	switch {
	case safetensors.Sniff(r, size):
		f, err := safetensors.Decode(r, size, safetensors.Options{Limits: safetensors.Limits{Memory: memory}})
		if err != nil {
			return nil, err
		}
		return f.AsFile(), nil
	case onnxio.Sniff(r, size):
		f, err := onnxio.Decode(r, size, onnxio.Options{Limits: onnxio.Limits{Memory: memory}, External: func(name string) (io.ReaderAt, int64, error) {
			return nil, 0, &model.UnsupportedError{What: fmt.Sprintf("weights are in another file, %.100q", name), Advice: "use ptcheck and ptconvert on your machine"}
		}})
		if err != nil {
			return nil, err
		}
		return f.AsFile(), nil
	}
	c, err := pickle.Decode(r, size, pickle.Options{Limits: pickle.Limits{Memory: memory}})
	if err != nil {
		return nil, err
	}
	return pickle.File{Checkpoint: c}, nil
}

// draw finds the structure of the network and draws it.
func (o *opened) draw(f file.File) error {
	s, err := structure.Read(f, structure.Options{Convert: aten.Options{ForceEval: true}})
	if err != nil {
		return err
	}
	n, err := drawing.New(s.Graph, s.State)
	if err != nil {
		return err
	}
	var b strings.Builder
	if err := n.SVG(&b, drawing.Options{InPage: true}); err != nil {
		return err
	}
	o.structure, o.Network, o.Drawing = s, n.Summary(), b.String()
	o.Notes = append(o.Notes, s.Notes...)
	o.CanONNX = f.Format() != file.ONNX
	return nil
}

// write writes the file as ONNX or safetensors.
func (o *opened) write(w io.Writer, format string) error {
	switch {
	case format == "onnx" && o.CanONNX:
		props := map[string]string{}
		for name, as := range o.structure.Tied {
			props["lethe.alias."+name] = as
		}
		return onnxio.Encode(w, o.structure.Graph, o.structure.State, onnxio.EncodeOptions{Props: props, Float32: o.structure.LeNet})
	case format == "safetensors" && o.CanWeights:
		f, err := safetensors.New(o.state, safetensors.TorchMetadata)
		if err != nil {
			return err
		}
		return safetensors.Encode(w, f)
	}
	return &model.UnsupportedError{What: "the file cannot be written as " + format}
}

// blocks is a reader that keeps the last blocks that it read: a file in a browser
// is slow to ask.
type blocks struct {
	size int64
	read func(at int64, n int) ([]byte, error)

	kept []block // the last one used last
}

type block struct {
	at   int64
	data []byte
}

const (
	blockSize  = 1 << 20
	blocksKept = 8
)

// ReadAt reads from the blocks.
func (b *blocks) ReadAt(p []byte, at int64) (n int, err error) {
	if at < 0 {
		return 0, fmt.Errorf("offset %d", at)
	}
	for n < len(p) && at < b.size {
		data, err := b.block(at / blockSize * blockSize)
		if err != nil {
			return n, err
		}
		k := copy(p[n:], data[at%blockSize:])
		n, at = n+k, at+int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (b *blocks) block(at int64) ([]byte, error) {
	for i, k := range b.kept {
		if k.at == at {
			b.kept = append(append(b.kept[:i:i], b.kept[i+1:]...), k)
			return k.data, nil
		}
	}
	want := int(min(blockSize, b.size-at))
	data, err := b.read(at, want)
	if err != nil {
		return nil, err
	}
	if len(data) != want {
		return nil, fmt.Errorf("the file has changed: %d bytes at %d, not %d", len(data), at, want)
	}
	if len(b.kept) == blocksKept {
		b.kept = b.kept[1:]
	}
	b.kept = append(b.kept, block{at, data})
	return data, nil
}

// chunks collects what is written into pieces of some size.
type chunks struct {
	buffer bytes.Buffer
	put    func([]byte) error
}

const chunkSize = 4 << 20

func (c *chunks) Write(p []byte) (int, error) {
	c.buffer.Write(p)
	if c.buffer.Len() >= chunkSize {
		return len(p), c.flush()
	}
	return len(p), nil
}

func (c *chunks) flush() error {
	err := c.put(c.buffer.Bytes())
	c.buffer.Reset()
	return err
}
