package pickle

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"lethe/internal/vectors"
)

// The limit on memory holds for everything that a pickle can ask for: of each
// kind, as many as the scan lets pass allocate no more than the limit, garbage
// included. Each pickle is a list whose items are made by the body.
func TestMemory(t *testing.T) {
	const limit = 8 << 20
	for _, c := range []struct{ name, before, body string }{
		{"None", "", "N"},
		{"small numbers", "", "K\x01"},
		{"numbers", "", "J\x01\x02\x03\x04"},
		{"floats", "", "G\x01\x02\x03\x04\x05\x06\x07\x08"},
		{"long numbers", "", "\x8a\x09\x01\x02\x03\x04\x05\x06\x07\x08\x09"},
		{"very long numbers", "", "\x8b\x00\x04\x00\x00" + strings.Repeat("\x80", 1024)},
		{"strings", "", textCode("")},
		{"long strings", "", textCode(strings.Repeat("x", 1000))},
		{"bytes", "", "C\x00"},
		{"long bytes", "", "B\xe8\x03\x00\x00" + strings.Repeat("\xff", 1000)},
		{"bytearrays", "", "\x96\x00\x00\x00\x00\x00\x00\x00\x00"},
		{"long bytearrays", "", "\x96\xe8\x03\x00\x00\x00\x00\x00\x00" + strings.Repeat("\xff", 1000)},
		{"empty tuples", "", ")"},
		{"tuples of one", "", "N\x85"},
		{"nested tuples", "", ")\x85\x85\x85\x85\x85\x85\x85\x85\x85\x85\x85\x85\x85\x85\x85"},
		{"tuples of three", "", "NNN\x87"},
		{"empty tuples by marks", "", "(t"},
		{"tuples of four", "", "(NNNNt"},
		{"tuples of seventeen", "", "(" + strings.Repeat("N", 17) + "t"},
		{"lists", "", "]"},
		{"lists of one", "", "]Na"},
		{"lists of five", "", "](NNNNNe"},
		{"dicts", "", "}"},
		{"dicts of one", "", "}NNs"},
		{"dicts of four", "", "}(NNNNNNNNu"},
		{"sets", "", "\x8f"},
		{"sets of four", "", "\x8f(NNNN\x90"},
		{"ordered dicts", "ccollections\nOrderedDict\nq\x000", "h\x00)R"},
		{"ordered dicts of one", "ccollections\nOrderedDict\nq\x000", "h\x00)RNNs"},
		{"objects", "cargparse\nNamespace\nq\x000", "h\x00)\x81}b"},
		{"globals", "", "ctorch\nSize\n"},
		{"tensors", "", tensorCode(storageCode("FloatStorage", "0", 2), "K\x00", "K\x02\x85", "K\x01\x85")},
		{"nested marks", "", strings.Repeat("(", 50) + strings.Repeat("t", 50)},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := func(n int) []byte {
				before := strings.TrimSuffix(c.before, "0") // the item stays
				return withPickle(t, "]("+before+strings.Repeat(c.body, n)+"e.")
			}
			accepted := func(n int) bool {
				b := file(n)
				_, err := Decode(bytes.NewReader(b), int64(len(b)), Options{Limits: Limits{Memory: limit}})
				if got := vectors.Outcome(err); got != "ok" && got != "unsupported" && got != "limit" { // it holds no tensors
					t.Fatal(err)
				}
				return vectors.Outcome(err) != "limit"
			}
			n := 1
			for accepted(2 * n) {
				n *= 2
			}
			for step := n / 2; step > n/64; step /= 2 {
				if accepted(n + step) {
					n += step
				}
			}
			b := file(n)
			before := vectors.Allocated()
			Decode(bytes.NewReader(b), int64(len(b)), Options{Limits: Limits{Memory: limit}})
			used := vectors.Allocated() - before
			t.Logf("%d of them: %.1f MB of %.1f", n, float64(used)/(1<<20), float64(limit)/(1<<20))
			if used > limit {
				t.Errorf("%d of them allocate %d bytes, the limit is %d", n, used, limit)
			}
		})
	}
}

// The same for the list of weights in a .pt2 archive.
func TestExportMemory(t *testing.T) {
	const limit = 8 << 20
	for name, entry := range map[string]string{
		"weights":    `"%d":{}`,
		"sizes":      `"%d":{"tensor_meta":{"sizes":[{}` + strings.Repeat(",{}", 2000) + `]}}`,
		"numbers":    `"%d":{"tensor_meta":{"sizes":[{"as_int":1}` + strings.Repeat(`,{"as_int":1}`, 2000) + `]}}`,
		"long names": `"%d` + strings.Repeat("x", 2000) + `":{}`,
	} {
		file := func(n int) []byte {
			var b strings.Builder
			for i := range n {
				fmt.Fprintf(&b, ","+entry, i)
			}
			return pack(t, "e", record{"archive_format", []byte("pt2")}, record{"data/weights/model_weights_config.json", []byte(`{"config":{` + b.String()[1:] + "}}")},
				record{".data/version", []byte("6\n")})
		}
		n := 1
		for {
			b := file(2 * n)
			_, err := Decode(bytes.NewReader(b), int64(len(b)), Options{Limits: Limits{Memory: limit}})
			if got := vectors.Outcome(err); got == "limit" {
				break
			} else if got != "unsupported" { // the type 0
				t.Fatal(err)
			}
			n *= 2
		}
		b := file(n)
		before := vectors.Allocated()
		Decode(bytes.NewReader(b), int64(len(b)), Options{Limits: Limits{Memory: limit}})
		if used := vectors.Allocated() - before; used > limit {
			t.Errorf("%s: %d of them allocate %d bytes, the limit is %d", name, n, used, limit)
		} else {
			t.Logf("%s: %d of them: %.1f MB of %.1f", name, n, float64(used)/(1<<20), float64(limit)/(1<<20))
		}
	}
}
