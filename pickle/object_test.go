package pickle

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"lethe/model"
)

func TestObject(t *testing.T) {
	for _, name := range []string{"batch2.pkl", "batch3.pkl", "batch4.pkl"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		v, err := Object(bytes.NewReader(b), int64(len(b)), Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		batch, _ := v.(map[string]any)
		data, _ := batch["data"].(*model.Tensor)
		if data == nil {
			t.Errorf("%s: got %v", name, v)
			continue
		}
		pixels, err := data.Bytes()
		if err != nil || !bytes.Equal(pixels, []byte{0, 127, 128, 255, 1, 2, 3, 200}) || !reflect.DeepEqual(data.Shape(), []int{2, 4}) {
			t.Errorf("%s: got %v of shape %v, %v", name, pixels, data.Shape(), err)
		}
		delete(batch, "data")
		want := map[string]any{"batch_label": "batch 1 of 5", "labels": []any{6, 9}, "names": []any{"aé", "plain"}, "more": []any{nil, true, 0.5}}
		if !reflect.DeepEqual(batch, want) {
			t.Errorf("%s: got %#v, want %#v", name, batch, want)
		}
		for cut := range len(b) {
			if _, err := Object(bytes.NewReader(b[:cut]), int64(cut), Options{}); err == nil {
				t.Errorf("%s: the first %d bytes are taken", name, cut)
			}
		}
	}
	// A list of a list of ... two references each: linear, not 2^60.
	bomb := "\x80\x02]q\x00"
	for range 60 {
		bomb += "]q\x00(h\x00h\x00e"
	}
	doubled := "\x80\x02]q\x01" // each next list holds the one before twice
	for i := range byte(60) {
		doubled += "](h" + string(i+1) + "h" + string(i+1) + "eq" + string(i+2)
	}
	for _, text := range []string{bomb + ".", doubled + "."} {
		_, _ = Object(bytes.NewReader([]byte(text)), int64(len(text)), Options{})
	}
}
