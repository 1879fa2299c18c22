package arch

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"lethe/model"
)

// Config is what the config.json of a Hugging Face folder says of a network and
// the state dict does not. The zero value of a field is one that the file does
// not have.
type Config struct {
	ModelType     string      `json:"model_type"`
	Architectures []string    `json:"architectures"`
	HiddenAct     string      `json:"hidden_act"`
	Activation    string      `json:"activation"` // DistilBERT's word for it
	Epsilon       float64     `json:"layer_norm_eps"`
	Heads         wholeNumber `json:"num_attention_heads"`
	NHeads        wholeNumber `json:"n_heads"` // DistilBERT's word for it
	ImageSize     wholeNumber `json:"image_size"`
	Layers        wholeNumber `json:"num_hidden_layers"`
	Decoder       bool        `json:"is_decoder"`
	PadToken      *int        `json:"pad_token_id"`
	TFPadding     *bool       `json:"tf_padding"`
	OutputSteps   int         `json:"output_stride"`

	DownsampleInFirstStage *bool  `json:"downsample_in_first_stage"` // where it is missing, RegNet does and ResNet does not
	DownsampleInBottleneck bool   `json:"downsample_in_bottleneck"`
	PositionType           string `json:"position_embedding_type"`
	ProblemType            string `json:"problem_type"`

	Patch    wholeNumber  `json:"patch_size"`
	PoolSize wholeNumber  `json:"pool_size"`
	Strides  wholeNumbers `json:"strides"`
	Padding  wholeNumbers `json:"padding"`

	Window         wholeNumber  `json:"window_size"`             // of Swin V2
	TrainedWindows wholeNumbers `json:"pretrained_window_sizes"` // of each of its stages; 0 is the same

	// Of DeBERTa.
	RelativeAttention bool        `json:"relative_attention"`
	PosAttType        any         `json:"pos_att_type"` // a list, or words with a bar between them
	ShareKeys         bool        `json:"share_att_key"`
	Buckets           wholeNumber `json:"position_buckets"`
	MaxDistance       wholeNumber `json:"max_relative_positions"`
	Positions         wholeNumber `json:"max_position_embeddings"`
	ConvAct           string      `json:"conv_act"`
	PoolerAct         string      `json:"pooler_hidden_act"`
}

// wholeNumber is a whole number of a config.json, or 0 for what is none: networks of other
// families have lists there, such as one number for each stage. A list of equal
// numbers, such as a height and a width, is that number.
type wholeNumber int

// UnmarshalJSON implements [json.Unmarshaler].
func (n *wholeNumber) UnmarshalJSON(b []byte) error {
	var list []int
	if json.Unmarshal(b, (*int)(n)) == nil {
		return nil
	}
	if *n = 0; json.Unmarshal(b, &list) == nil && len(list) > 0 && slices.Min(list) == slices.Max(list) {
		*n = wholeNumber(list[0])
	}
	return nil
}

// wholeNumbers are whole numbers of a config.json; another value is none.
type wholeNumbers []int

// UnmarshalJSON implements [json.Unmarshaler].
func (n *wholeNumbers) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, (*[]int)(n)) != nil {
		*n = nil
	}
	return nil
}

// attends reports whether DeBERTa's attention looks at distances in a way: from words to
// places (c2p), or from places to words (p2c).
func (c *Config) attends(way string) bool {
	list, _ := c.PosAttType.([]any)
	text, _ := c.PosAttType.(string)
	for word := range strings.SplitSeq(strings.ToLower(text), "|") {
		list = append(list, strings.TrimSpace(word))
	}
	return slices.Contains(list, any(way))
}

// configMax is the largest config.json that is read.
const configMax = 4 << 20

// ReadConfig reads a config.json. What it says beyond [Config] is ignored;
// fields of another type than the published networks have are a
// [model.FormatError].
func ReadConfig(r io.Reader) (*Config, error) {
	b, err := io.ReadAll(io.LimitReader(r, configMax+1))
	if err != nil {
		return nil, err
	}
	if len(b) > configMax {
		return nil, &model.LimitError{What: "size of config.json in bytes", Got: uint64(len(b)), Limit: configMax}
	}
	c := &Config{}
	if err := json.Unmarshal(b, c); err != nil {
		return nil, &model.FormatError{Format: "config.json", Offset: -1, Reason: fmt.Sprintf("%.200v", err)}
	}
	return c, nil
}

// Class returns the class of the network in parentheses, or nothing.
func (c *Config) Class() string {
	if len(c.Architectures) == 0 {
		return ""
	}
	return fmt.Sprintf(" (%.100s)", c.Architectures[0])
}

// epsilon returns that of the normalization, or the published network's.
func (b *builder) epsilon(usual float64) float64 {
	if b.config != nil && b.config.Epsilon > 0 {
		return b.config.Epsilon
	}
	b.note("the epsilon of normalization is taken to be %g", usual)
	return usual
}

// activation applies the activation that the config names.
func (b *builder) activation(x value, usual string) value {
	name := usual
	if c := b.config; c != nil && c.HiddenAct+c.Activation != "" {
		name = c.HiddenAct
		if name == "" {
			name = c.Activation
		}
	}
	return b.named(x, name)
}

// named applies an activation by the name that a config has for it.
func (b *builder) named(x value, name string) value {
	switch name {
	case "gelu", "relu", "relu6", "silu", "tanh", "sigmoid", "hardswish":
		return b.unary(x, name)
	case "swish":
		return b.unary(x, "silu")
	case "quick_gelu":
		return b.scale(x, b.unary(b.shaped("", "mul", x.Shape, x, 1.702), "sigmoid"))
	case "gelu_new", "gelu_pytorch_tanh":
		return b.shaped("", "gelu", x.Shape, x, "tanh")
	}
	b.fail("the activation %.50q of config.json is not known", name)
	return nil
}

// configHeads returns the number of attention heads.
func (b *builder) configHeads(width int) int {
	heads := 0
	if c := b.config; c != nil {
		heads = cmp.Or(int(c.Heads), int(c.NHeads))
	}
	if heads == 0 {
		return b.heads(width)
	}
	if heads < 0 || width%heads != 0 {
		b.fail("a width of %d is not a multiple of %d heads", width, heads)
	}
	return heads
}
