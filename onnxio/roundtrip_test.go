package onnxio_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lethe/convert"
	"lethe/graph"
	"lethe/model"
	"lethe/onnxio"
)

func TestRoundTrip(t *testing.T) {
	for _, s := range []sizes{usual, colour, tiny} {
		g, sd := lenet(s)
		for opset := 13; opset <= 21; opset++ {
			props := map[string]string{"b": "2", "a": "1"}
			b := encode(t, g, sd, onnxio.EncodeOptions{Opset: opset, ProducerVersion: "1.2", DocString: "doc", Props: props})
			got, weights, meta, err := decode(b)
			if err != nil {
				t.Fatal(err)
			}
			if !sameNetwork(got, g) {
				t.Errorf("opset %d: graph\n%+v\nwant\n%+v", opset, got, g)
			}
			if weights.Len() != sd.Len() {
				t.Errorf("opset %d: %d weights, want %d", opset, weights.Len(), sd.Len())
			}
			sameBits(t, weights, sd, sd.Names())
			want := &onnxio.Metadata{IRVersion: irVersions[opset], Opset: opset, Producer: "lethe", ProducerVersion: "1.2", DocString: "doc", Props: props}
			if !reflect.DeepEqual(meta, want) {
				t.Errorf("metadata %+v, want %+v", meta, want)
			}
		}
	}
}

func TestRoundTripFolded(t *testing.T) {
	g, sd := lenet(usual)
	g, sd, err := convert.FoldBatchNorm(g, sd)
	if err != nil {
		t.Fatal(err)
	}
	got, weights, _, err := decode(encode(t, g, sd, onnxio.EncodeOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	if !sameNetwork(got, g) {
		t.Errorf("graph\n%+v\nwant\n%+v", got, g)
	}
	if weights.Len() != 10 || weights.Get("block1.1.weight") != nil {
		t.Errorf("weights %q, want the 10 that the graph reads", weights.Names())
	}
}

// The bytes may change only on purpose: not with the machine, the number of
// threads or the release of protobuf.
func TestEncodeBytes(t *testing.T) {
	const want = "7a9966315f395dae4bd91c2e58fb3364082a7ceb0e91ce4ca1ced5a1813254c3"
	g, sd := lenet(usual)
	opts := onnxio.EncodeOptions{Props: map[string]string{"c": "", "b": "", "a": ""}}
	b := encode(t, g, sd, opts)
	if again := encode(t, g, sd, opts); !bytes.Equal(b, again) {
		t.Error("the same network was written in two ways")
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(b)); got != want {
		t.Errorf("sha256 %s, want %s", got, want)
	}
}

// Views are written as what they show, and weights of other float types as
// float32.
func TestEncodeTensors(t *testing.T) {
	g, sd := lenet(tiny)
	view := func(dtype model.DType, shape, strides []int, offset int, b ...byte) *model.Tensor {
		x, err := model.NewTensor(dtype, shape, strides, offset, model.BytesStorage(b))
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for _, c := range []struct {
		name string
		t    *model.Tensor
		want []float32
	}{
		{"every second element", view(model.Float32, []int{2}, []int{2}, 1, 9, 9, 9, 9, 0, 0, 0x80, 0x3f, 9, 9, 9, 9, 0, 0, 0, 0x40), []float32{1, 2}},
		{"expanded", view(model.Float32, []int{2}, []int{0}, 0, 0, 0, 0x80, 0x3f), []float32{1, 1}},
		{"float16", view(model.Float16, []int{2}, nil, 0, 0x01, 0, 0, 0xbc), []float32{0x1p-24, -1}},
		{"bfloat16", view(model.BFloat16, []int{2}, nil, 0, 0x80, 0x3f, 0x80, 0xbf), []float32{1, -1}},
		{"float64, rounded to even", view(model.Float64, []int{2}, nil, 0, 0, 0, 0, 0x10, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0xf0, 0xff), []float32{1, float32(math.Inf(-1))}},
	} {
		_, weights, _, err := decode(encode(t, g, sd.With("fc2.bias", c.t), onnxio.EncodeOptions{}))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got, err := weights.Get("fc2.bias").Float32s(); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v (%v)", c.name, got, c.want, err)
		}
	}
}

// failing is a writer that takes n more bytes.
type failing struct{ n int }

var errFull = errors.New("full")

func (f *failing) Write(b []byte) (int, error) {
	if f.n -= len(b); f.n < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestEncodeReportsWriteErrors(t *testing.T) {
	g, sd := lenet(tiny)
	for n := range encode(t, g, sd, onnxio.EncodeOptions{}) {
		if err := onnxio.Encode(&failing{n}, g, sd, onnxio.EncodeOptions{}); !errors.Is(err, errFull) {
			t.Fatalf("full after %d bytes: error %v", n, err)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	node := func(g *graph.Graph, op string) *graph.Node {
		return &g.Nodes[slices.IndexFunc(g.Nodes, func(n graph.Node) bool { return n.Op == op })]
	}
	bytesOf := func(n int) *model.Storage { return model.NewStorage(strings.NewReader(""), int64(n)) }
	for _, c := range []struct {
		name   string
		opset  int
		expect string
		spoil  func(*graph.Graph, *model.StateDict) *model.StateDict
		text   string
	}{
		{"opset too old", 12, unsupported, nil, "opset 12; opsets 13 to 28"},
		{"opset too new", 29, unsupported, nil, "opset 29"},
		{"negative opset", -1, unsupported, nil, "opset -1"},
		{"missing weight", 0, malformed, func(g *graph.Graph, sd *model.StateDict) *model.StateDict {
			node(g, "Gemm").Inputs[1] = "nowhere"
			return sd
		}, `"nowhere" is read`},
		{"weight whose name is not UTF-8", 0, malformed, func(g *graph.Graph, sd *model.StateDict) *model.StateDict {
			node(g, "Gemm").Inputs[1] = "\xff"
			return sd.With("\xff", sd.Get("fc.weight"))
		}, `"\xff" is not UTF-8`},
		{"finite only as float64", 0, unsupported, func(g *graph.Graph, sd *model.StateDict) *model.StateDict {
			x, err := model.NewTensor(model.Float64, []int{1}, []int{0}, 0, model.BytesStorage([]byte{0, 0, 0, 0, 0, 0, 0xe0, 0x7f}))
			if err != nil {
				t.Fatal(err)
			}
			return sd.With("fc.bias", x)
		}, `"fc.bias" holds 8.98846567431158e+307`},
		{"two gigabytes", 0, limited, func(g *graph.Graph, sd *model.StateDict) *model.StateDict {
			x, err := model.NewTensor(model.Float32, []int{1 << 29}, []int{0}, 0, bytesOf(4))
			if err != nil {
				t.Fatal(err)
			}
			return sd.With("fc2.bias", x)
		}, "more than the limit of 2147483647"},
		{"negative size", 0, malformed, func(g *graph.Graph, sd *model.StateDict) *model.StateDict {
			g.Inputs[0].Shape[2] = graph.Size(-2)
			return sd
		}, "has a negative size"},
		{"no name", 0, malformed, func(g *graph.Graph, sd *model.StateDict) *model.StateDict {
			g.Name = ""
			return sd
		}, "the graph"},
	} {
		g, sd := lenet(tiny)
		if c.spoil != nil {
			sd = c.spoil(g, sd)
		}
		err := onnxio.Encode(&bytes.Buffer{}, g, sd, onnxio.EncodeOptions{Opset: c.opset, Float32: true})
		if class(err) != c.expect || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("%s: %s, %v; want %s, %q", c.name, class(err), err, c.expect, c.text)
		}
	}

	g, sd := lenet(tiny)
	if err := onnxio.Encode(&bytes.Buffer{}, g, sd, onnxio.EncodeOptions{DocString: "\xff"}); err == nil {
		t.Error("a documentation that is not UTF-8 was written")
	}
}
