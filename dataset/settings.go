package dataset

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"

	"lethe/model"
)

// Settings are which data to read, and how a network wants it.
type Settings struct {
	Path string // a folder or a file
	Preprocess
	Norm // what is not given is that of the kind of data

	// Unpickle reads a pickle of Python, as the batches of CIFAR are, with
	// dictionaries as map[string]any, lists as []any and arrays as *model.Tensor;
	// nil: such data is refused.
	Unpickle func(r io.ReaderAt, size int64) (any, error)
}

// Complete returns the normalization of the settings; what they do not say is
// [DefaultNorm] for images, and leaves other samples as they are. It is an error if
// there are neither one number nor as many as the samples have channels.
func (s Settings) Complete(d *Data) (Norm, error) {
	norm := s.Norm.Or(OneNorm(0, 1))
	if d.Train.Images() {
		norm = s.Norm.Or(DefaultNorm(d.Train.Shape[0]))
	}
	return norm, norm.Check(d.Train.Shape[0])
}

// Check refuses standard deviations that are not positive, and what [Preprocess.Check]
// refuses.
func (s Settings) Check() error {
	for _, x := range s.Std {
		if !(x > 0) {
			return fmt.Errorf("--std %v is not positive", s.Std)
		}
	}
	return s.Preprocess.Check()
}

// ParseScale reads a factor as a person writes it: a number, or 1/255.
func ParseScale(s string) (float64, error) {
	above, below, fraction := strings.Cut(strings.TrimSpace(s), "/")
	x, err := strconv.ParseFloat(above, 64)
	if err == nil && fraction {
		var y float64
		y, err = strconv.ParseFloat(below, 64)
		x /= y
	}
	if err != nil || !(x > 0) || math.IsInf(x, 0) {
		return 0, fmt.Errorf("%q is not a factor; want a positive number, such as 1 or 1/255", s)
	}
	return x, nil
}

// maxSettings bounds a file of settings.
const maxSettings = 1 << 20

// ReadPreprocess reads Hugging Face's preprocessor_config.json, or timm's
// config.json. What is unknown in it and could change an image is a
// [model.UnsupportedError].
func ReadPreprocess(path string) (Preprocess, Norm, error) {
	f, err := os.Open(path)
	if err != nil {
		return Preprocess{}, Norm{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSettings+1))
	if err != nil {
		return Preprocess{}, Norm{}, fmt.Errorf("cannot read %s: %w", path, err)
	}
	if len(b) > maxSettings {
		return Preprocess{}, Norm{}, &model.LimitError{What: "size of " + path + " in bytes", Got: uint64(len(b)), Limit: maxSettings}
	}
	p, n, err := parsePreprocess(b)
	if err != nil {
		return Preprocess{}, Norm{}, fmt.Errorf("%s: %w", path, err)
	}
	return p, n, nil
}

func notPreprocess(format string, args ...any) error {
	return &model.FormatError{Format: "preprocessing", Offset: -1, Reason: fmt.Sprintf(format, args...)}
}

func parsePreprocess(b []byte) (Preprocess, Norm, error) {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(b, &top); err != nil {
		return Preprocess{}, Norm{}, notPreprocess("it is not a JSON object: %v", err)
	}
	parse := parseHugging
	if inner, ok := top["pretrained_cfg"]; ok {
		b, parse = inner, parseTimm
	} else if _, ok := top["input_size"]; ok {
		parse = parseTimm
	} else if _, ok := top["image_mean"]; !ok && top["size"] == nil && top["do_resize"] == nil {
		return Preprocess{}, Norm{}, notPreprocess("it has neither pretrained_cfg, as timm's config.json, nor size or image_mean, as Hugging Face's preprocessor_config.json")
	}
	p, n, err := parse(b)
	if err == nil {
		err = p.Check()
	}
	if err == nil {
		err = n.Check(3)
	}
	if err != nil {
		return Preprocess{}, Norm{}, err
	}
	return p, n, nil
}

// parseTimm reads what timm's create_transform makes of a configuration for
// evaluation: the shorter side to size / crop_pct, and of that the middle.
func parseTimm(b []byte) (p Preprocess, n Norm, err error) {
	var c struct {
		InputSize     []int      `json:"input_size"`
		Interpolation string     `json:"interpolation"`
		CropPct       float64    `json:"crop_pct"`
		CropMode      string     `json:"crop_mode"`
		Mean          PerChannel `json:"mean"`
		Std           PerChannel `json:"std"`
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return p, n, notPreprocess("%v", err)
	}
	if len(c.InputSize) != 3 || c.InputSize[0] != 1 && c.InputSize[0] != 3 {
		return p, n, notPreprocess("input_size is %v; want channels (1 or 3), rows, columns", c.InputSize)
	}
	if c.CropPct == 0 {
		c.CropPct = 0.875 // timm's default
	}
	if !(c.CropPct > 0.01 && c.CropPct <= 1) {
		return p, n, notPreprocess("crop_pct is %v; want a part of 1", c.CropPct)
	}
	rows, cols := c.InputSize[1], c.InputSize[2]
	whole := func(side int) int { return int(math.Floor(float64(side) / c.CropPct)) }
	p = Preprocess{Channels: RGB, Filter: c.Interpolation, Crop: Size{rows, cols}}
	if c.InputSize[0] == 1 {
		p.Channels = Grey
	}
	switch {
	case c.CropMode == "squash":
		p.Resize = Size{whole(rows), whole(cols)}
	case (c.CropMode == "" || c.CropMode == "center") && rows == cols:
		p.Resize = Size{Rows: whole(rows)}
	default:
		return p, n, &model.UnsupportedError{What: fmt.Sprintf("timm's crop_mode %.40q to %d x %d pixels", c.CropMode, rows, cols), Advice: "give --resize and --crop instead"}
	}
	if p.Filter == "random" || p.Filter == "bilinear" {
		p.Filter = "" // timm evaluates with bilinear where it trained with either
	}
	return p, Norm{Mean: c.Mean, Std: c.Std}, nil
}

// hfSize is a size as the versions of transformers write it.
type hfSize struct {
	Height   int `json:"height"`
	Width    int `json:"width"`
	Shortest int `json:"shortest_edge"`
	Longest  int `json:"longest_edge"`
	alone    int
}

func (s *hfSize) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte("{")) {
		type plain hfSize
		return json.Unmarshal(b, (*plain)(s))
	}
	return json.Unmarshal(b, &s.alone)
}

// parseHugging reads the settings of an image processor of transformers.
func parseHugging(b []byte) (p Preprocess, n Norm, err error) {
	c := struct {
		Resize    *bool      `json:"do_resize"`
		Crop      *bool      `json:"do_center_crop"`
		Rescale   *bool      `json:"do_rescale"`
		Normalize *bool      `json:"do_normalize"`
		Pad       *bool      `json:"do_pad"`
		Flip      *bool      `json:"do_flip_channel_order"`
		Offset    *bool      `json:"rescale_offset"`
		Size      hfSize     `json:"size"`
		CropSize  hfSize     `json:"crop_size"`
		CropPct   float64    `json:"crop_pct"`
		Resample  any        `json:"resample"`
		Factor    float64    `json:"rescale_factor"`
		Mean      PerChannel `json:"image_mean"`
		Std       PerChannel `json:"image_std"`
	}{}
	if err := json.Unmarshal(b, &c); err != nil {
		return p, n, notPreprocess("%v", err)
	}
	yes := func(b *bool, otherwise bool) bool { return b == nil && otherwise || b != nil && *b }
	if yes(c.Pad, false) || yes(c.Offset, false) {
		return p, n, &model.UnsupportedError{What: "do_pad or rescale_offset of a preprocessor_config.json", Advice: "give --resize, --crop, --mean and --std instead"}
	}
	p.Channels = RGB
	if yes(c.Flip, false) {
		p.Channels = BGR
	}
	if code, ok := c.Resample.(float64); ok {
		if code < 0 || int(code) >= len(resamplings) || code != math.Trunc(code) {
			return p, n, notPreprocess("resample is %v; want a number of Pillow's filters, 0 to %d", code, len(resamplings)-1)
		}
		if p.Filter = resamplings[int(code)]; p.Filter == "bilinear" {
			p.Filter = ""
		}
	}
	crops := yes(c.Crop, c.CropSize != hfSize{})
	if yes(c.Resize, true) {
		if p.Resize, p.Crop, err = c.Size.resize(crops, c.CropPct); err != nil {
			return p, n, err
		}
	}
	if crops && c.CropPct == 0 {
		size := c.CropSize
		if size == (hfSize{}) {
			size = c.Size
		}
		if p.Crop = (Size{size.Height, size.Width}); p.Crop == (Size{}) {
			p.Crop = Size{Rows: max(size.alone, size.Shortest)}
		}
	}
	n.Scale = 1
	if yes(c.Rescale, true) {
		n.Scale = c.Factor // 0: 1/255
	}
	n.Mean, n.Std = PerChannel{0}, PerChannel{1}
	if yes(c.Normalize, len(c.Mean) > 0) {
		n.Mean, n.Std = c.Mean, c.Std
	}
	return p, n, nil
}

// resize returns what a size asks for: the two sides, or the shorter one. A single
// number is both sides, unless there is a crop. With crop_pct the shorter side is larger and
// the middle remains, up to 384 pixels, from where on pictures are squashed.
func (s hfSize) resize(crops bool, pct float64) (resize, crop Size, err error) {
	switch {
	case s.Longest != 0:
		return resize, crop, &model.UnsupportedError{What: "longest_edge of a preprocessor_config.json", Advice: "give --resize and --crop instead"}
	case pct != 0:
		side := max(s.Shortest, s.alone)
		if !(pct > 0.01 && pct <= 1) || side == 0 {
			return resize, crop, notPreprocess("crop_pct is %v of a side of %d pixels", pct, side)
		}
		if side >= 384 {
			return Size{side, side}, crop, nil
		}
		return Size{Rows: int(float64(side) / pct)}, Size{side, side}, nil
	case s.Height != 0 && s.Width != 0:
		return Size{s.Height, s.Width}, crop, nil
	case s.Shortest != 0:
		return Size{Rows: s.Shortest}, crop, nil
	case s.alone != 0 && crops:
		return Size{Rows: s.alone}, crop, nil
	case s.alone != 0:
		return Size{s.alone, s.alone}, crop, nil
	}
	return resize, crop, notPreprocess("it scales images and has no size")
}
