package dataset

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"lethe/model"
)

func TestParsePreprocess(t *testing.T) {
	half, imagenet := Norm{Mean: PerChannel{0.5, 0.5, 0.5}, Std: PerChannel{0.5, 0.5, 0.5}}, ImageNetNorm
	with := func(n Norm, scale float64) Norm { n.Scale = scale; return n }
	for _, c := range []struct {
		name, text string
		p          Preprocess
		n          Norm
	}{
		{"ViT", `{"do_normalize": true, "do_rescale": true, "do_resize": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
			"image_processor_type": "ViTImageProcessor", "resample": 2, "rescale_factor": 0.00392156862745098, "size": {"height": 224, "width": 224}}`,
			Preprocess{Channels: RGB, Resize: Size{224, 224}}, with(half, 0.00392156862745098)},
		{"old ViT", `{"do_normalize": true, "do_resize": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "resample": 2, "size": 224}`,
			Preprocess{Channels: RGB, Resize: Size{224, 224}}, half},
		{"ConvNext", `{"crop_pct": 0.875, "do_resize": true, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "resample": 3, "size": {"shortest_edge": 224}}`,
			Preprocess{Channels: RGB, Resize: Size{Rows: 256}, Filter: "bicubic", Crop: Size{224, 224}}, imagenet},
		{"ConvNext 384", `{"crop_pct": 0.875, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "resample": 3, "size": {"shortest_edge": 384}}`,
			Preprocess{Channels: RGB, Resize: Size{384, 384}, Filter: "bicubic"}, imagenet},
		{"CLIP", `{"do_center_crop": true, "crop_size": {"height": 224, "width": 224}, "size": {"shortest_edge": 256}, "resample": 3, "do_normalize": false, "do_rescale": false}`,
			Preprocess{Channels: RGB, Resize: Size{Rows: 256}, Filter: "bicubic", Crop: Size{224, 224}}, Norm{Mean: PerChannel{0}, Std: PerChannel{1}, Scale: 1}},
		{"old crop", `{"do_center_crop": true, "crop_size": 224, "size": 256, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "do_flip_channel_order": true}`,
			Preprocess{Channels: BGR, Resize: Size{Rows: 256}, Crop: Size{Rows: 224}}, half},
		{"timm", `{"architecture": "resnet18", "pretrained_cfg": {"input_size": [3, 224, 224], "interpolation": "bicubic", "crop_pct": 0.95, "crop_mode": "center", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}}`,
			Preprocess{Channels: RGB, Resize: Size{Rows: 235}, Filter: "bicubic", Crop: Size{224, 224}}, imagenet},
		{"timm, squash, grey", `{"input_size": [1, 28, 30], "interpolation": "bilinear", "crop_pct": 1.0, "crop_mode": "squash", "mean": [0.5], "std": [0.5]}`,
			Preprocess{Channels: Grey, Resize: Size{28, 30}, Crop: Size{28, 30}}, OneNorm(0.5, 0.5)},
	} {
		p, n, err := parsePreprocess([]byte(c.text))
		if err != nil || p != c.p || !reflect.DeepEqual(n, c.n) {
			t.Errorf("%s: got %+v, %+v, %v; want %+v, %+v", c.name, p, n, err, c.p, c.n)
		}
	}
	for text, says := range map[string]string{
		`[]`:                                           "not a JSON object",
		`{"hidden": 3}`:                                "neither pretrained_cfg",
		`{"size": "big"}`:                              "cannot unmarshal",
		`{"size": {}}`:                                 "has no size",
		`{"size": 100000}`:                             "a size of 100000 x 100000",
		`{"size": 224, "resample": 9}`:                 "resample is 9",
		`{"size": 224, "do_pad": true}`:                "do_pad",
		`{"size": {"longest_edge": 5}}`:                "longest_edge",
		`{"size": 224, "image_mean": [1, 2]}`:          "2 numbers for --mean",
		`{"input_size": [3, 224]}`:                     "input_size is [3 224]",
		`{"input_size": [3, 224, 224], "crop_pct": 7}`: "crop_pct is 7",
		`{"input_size": [3, 224, 224], "crop_mode": "border"}`:                    `crop_mode "border"`,
		`{"input_size": [3, 224, 224], "interpolation": "magic"}`:                 `no interpolation "magic"`,
		`{"pretrained_cfg": {"input_size": [3, 9999999, 9999999], "crop_pct":1}}`: "a size of",
	} {
		if _, _, err := parsePreprocess([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %q in it", text, err, says)
		}
	}
}

func FuzzParsePreprocess(f *testing.F) {
	f.Add([]byte(`{"crop_pct": 0.875, "image_mean": [0.5], "image_std": 0.5, "resample": 3, "size": {"shortest_edge": 224}}`))
	f.Add([]byte(`{"pretrained_cfg": {"input_size": [3, 224, 224], "interpolation": "bicubic", "crop_pct": 0.95}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, n, err := parsePreprocess(b)
		if err != nil {
			var format *model.FormatError
			var unsupported *model.UnsupportedError
			if !errors.As(err, &format) && !errors.As(err, &unsupported) && p != (Preprocess{}) {
				t.Fatalf("got %+v and %v", p, err)
			}
			return
		}
		if p.Check() != nil || n.Check(3) != nil {
			t.Fatalf("%+v, %+v cannot be followed", p, n)
		}
	})
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]Size{"224": {Rows: 224}, "8x12": {8, 12}, " 8X12": {8, 12}} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "0x3", "3x0", "x", "3x", "-1", "1x2x3", "99999", "a"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
	if z, filter, err := ParseResize("5x6:bicubic"); err != nil || z != (Size{5, 6}) || filter != "bicubic" {
		t.Errorf("got %v %q, %v", z, filter, err)
	}
	if _, _, err := ParseResize("5:sharp"); err == nil {
		t.Error("an unknown filter is taken")
	}
}

func TestParseScale(t *testing.T) {
	for text, want := range map[string]float64{"1": 1, "1/255": 1.0 / 255, "0.5": 0.5} {
		if got, err := ParseScale(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "1/0", "x", "1/2/3", "NaN", "Inf"} {
		if got, err := ParseScale(text); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

// A set that is too large for memory gives the same images and the same digest.
func TestOnDemand(t *testing.T) {
	files := redPictures("train/a/1.png", "train/b/1.jpg", "train/b/2.bmp", "train/b/3.png")
	list, _, err := pictures(files)
	if err != nil {
		t.Fatal(err)
	}
	a := inFolder(files, list, map[string]int{"a": 0, "b": 1})
	p := Preprocess{Resize: Size{4, 5}}
	now, _, err := p.load(a, &album{}, 2)
	if err != nil {
		t.Fatal(err)
	}
	later := &Set{Labels: a.labels, Shape: now.Shape, Classes: 2, later: newOnDemand(a, p, now.Shape), at: []int{0, 1, 2, 3}}
	later.later.room.Store(int64(now.Size())) // of one image
	same := func(what string, a, b *Set) {
		t.Helper()
		var x, y strings.Builder
		if _, err := a.WriteTo(&x); err != nil {
			t.Fatal(err)
		}
		if _, err := b.WriteTo(&y); err != nil {
			t.Fatal(err)
		}
		if x.String() != y.String() || x.Len() == 0 {
			t.Errorf("%s: not the same images", what)
		}
	}
	same("all", now, later)
	same("again", now, later)
	idx := []int{3, 1}
	same("some", now.Subset(idx), later.Subset(idx))
	more, labels := make([]uint8, 2*now.Size()), []int{1, 0}
	more[0] = 77
	same("more", now.With(more, labels), later.With(more, labels))
	same("some of more", now.With(more, labels).Subset([]int{4, 0, 5}), later.With(more, labels).Subset([]int{4, 0, 5}))
	files["train/b/2.bmp"].Data = files["train/b/2.bmp"].Data[:60]
	broken := &Set{Labels: a.labels, Shape: now.Shape, Classes: 2, later: newOnDemand(a, p, now.Shape), at: []int{0, 1, 2, 3}}
	if _, err := broken.WriteTo(&strings.Builder{}); err == nil || !strings.Contains(err.Error(), "train/b/2.bmp") {
		t.Errorf("a file that is cut: got %v", err)
	}
}
