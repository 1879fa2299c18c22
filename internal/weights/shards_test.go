package weights

import (
	"strings"
	"testing"
)

func FuzzWeightMap(f *testing.F) {
	for _, seed := range []string{`{"metadata":{"total_size":8},"weight_map":{"a":"x-00001-of-00002.safetensors","b":"x-00002-of-00002.safetensors"}}`,
		`{"weight_map":{"a":"x","a":"y"}}`, `{"weight_map":{"a":1}}`, `{"weight_map":[]}`, `{"weight_map":{}}`, `{}`, `[`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		names, files, err := weightMap(strings.NewReader(text))
		if err == nil && (len(names) == 0 || len(names) != len(files)) {
			t.Errorf("%d names, %d files", len(names), len(files))
		}
	})
}
