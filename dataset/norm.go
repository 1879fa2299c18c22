package dataset

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// PerChannel is one number for all channels of an image, or one for each. In JSON
// it is a number or a list of numbers.
type PerChannel []float32

// ParsePerChannel reads what [PerChannel.String] writes: numbers with commas.
func ParsePerChannel(s string) (PerChannel, error) {
	var p PerChannel
	for _, word := range strings.Split(s, ",") {
		x, err := strconv.ParseFloat(strings.TrimSpace(word), 32)
		if err != nil {
			return nil, fmt.Errorf("%q is not a number; want one, or one for each channel with commas", word)
		}
		p = append(p, float32(x))
	}
	return p, nil
}

// String writes the numbers with commas.
func (p PerChannel) String() string {
	words := make([]string, len(p))
	for i, x := range p {
		words[i] = strconv.FormatFloat(float64(x), 'g', -1, 32)
	}
	return strings.Join(words, ",")
}

// MarshalJSON writes one number, or a list of them.
func (p PerChannel) MarshalJSON() ([]byte, error) {
	if len(p) == 1 {
		return json.Marshal(p[0])
	}
	return json.Marshal([]float32(p))
}

// UnmarshalJSON reads one number, or a list of them.
func (p *PerChannel) UnmarshalJSON(b []byte) error {
	var one float32
	if json.Unmarshal(b, &one) == nil {
		*p = PerChannel{one}
		return nil
	}
	return json.Unmarshal(b, (*[]float32)(p))
}

// at returns the number of channel c, or none if there are no numbers.
func (p PerChannel) at(c int, none float32) float32 {
	switch len(p) {
	case 0:
		return none
	case 1:
		return p[0]
	}
	return p[c]
}

// Norm turns a pixel p of 0 to 255 into the number (p * Scale - Mean) / Std that a
// network was trained on, and another number x into (x * Scale - Mean) / Std. It must be the one of the training.
type Norm struct {
	Mean, Std PerChannel // none: 0 and 1
	Scale     float64    // 0: 1/255 for pixels, 1 for other numbers
}

// FashionNorm is the mean and the standard deviation of the pixels of
// Fashion-MNIST's training images, rounded as published recipes round them.
var FashionNorm = OneNorm(0.2860, 0.3530)

// ImageNetNorm is the mean and the standard deviation of red, green and blue that
// most recipes for colour images use.
var ImageNetNorm = Norm{Mean: PerChannel{0.485, 0.456, 0.406}, Std: PerChannel{0.229, 0.224, 0.225}}

// OneNorm returns the normalization that is the same for every channel.
func OneNorm(mean, std float32) Norm {
	return Norm{Mean: PerChannel{mean}, Std: PerChannel{std}}
}

// DefaultNorm returns what images of so many channels are normalized with where
// nobody says it: FashionNorm, or ImageNetNorm for three.
func DefaultNorm(channels int) Norm {
	if channels == 3 {
		return ImageNetNorm
	}
	return FashionNorm
}

// Or returns n with what it does not say taken from other.
func (n Norm) Or(other Norm) Norm {
	if len(n.Mean) == 0 {
		n.Mean = other.Mean
	}
	if len(n.Std) == 0 {
		n.Std = other.Std
	}
	if n.Scale == 0 {
		n.Scale = other.Scale
	}
	return n
}

// Check refuses a mean or a standard deviation of several numbers that are not one for
// each of so many channels.
func (n Norm) Check(channels int) error {
	for _, p := range []struct {
		name string
		PerChannel
	}{{"mean", n.Mean}, {"std", n.Std}} {
		if len(p.PerChannel) > 1 && len(p.PerChannel) != channels {
			return fmt.Errorf("%d numbers for --%s (%v), the images have %d channels: give one, or one for each channel", len(p.PerChannel), p.name, p.PerChannel, channels)
		}
	}
	return nil
}

// tables holds the number of every pixel value, channel by channel. Each step is
// rounded to float32 because PyTorch's ToTensor and Normalize round there.
func (n Norm) tables(channels int) []*[256]float32 {
	tables := make([]*[256]float32, channels)
	for c := range tables {
		tables[c] = new([256]float32)
		for p := range tables[c] {
			x := float32(p) / 255
			if n.Scale != 0 && n.Scale != 1.0/255 {
				x = float32(float64(p) * n.Scale)
			}
			x = x - n.Mean.at(c, 0)
			tables[c][p] = x / n.Std.at(c, 1)
		}
	}
	return tables
}
