package report

import (
	"fmt"
	"strings"
)

// Preference is what an edit does with what its limits leave.
type Preference string

// The preferences.
const (
	PreferRetain  Preference = "retain"  // the highest accuracy on the other classes
	PreferMinimal Preference = "minimal" // the smallest change that keeps them at full marks
)

// Method are the settings of an edit.
type Method struct {
	Name       string     `json:"name"`
	Aim        Aim        `json:"aim,omitempty"`      // "": AimUniform
	Trained    []string   `json:"trained"`            // the parameters that moved
	Selected   bool       `json:"selected,omitempty"` // somebody chose them
	Frozen     []string   `json:"frozen"`             // the last layer
	Steps      int        `json:"steps"`
	Forgotten  int        `json:"forgotten_images_per_step"`
	Others     int        `json:"other_images_per_step"`
	Rate       float64    `json:"rate"`
	Residual   float64    `json:"residual_probability"`
	Smoothing  float64    `json:"label_smoothing,omitempty"` // share of a label of the others that goes to the classes that stay
	HeldOut    int        `json:"held_out_images"`           // of the classes; they steer the edit
	BaseRemain float64    `json:"base_remain"`               // the unedited network's accuracy on a sample of the other images and variants
	Variations []string   `json:"variations"`                // of the images, where they are few; the base tolerates them
	Limits     Limits     `json:"limits"`
	Prefer     Preference `json:"prefer"`
	Parameters int        `json:"trained_elements"`
	MaxLoss    float64    `json:"max_loss,omitempty"` // that the others may lose, if it is not the default
	Attempts   []Attempt  `json:"attempts,omitempty"` // if there was more than one
	Chosen     int        `json:"chosen,omitempty"`   // index in Attempts
	Reference  *Reference `json:"reference,omitempty"`
}

// Reference is a network that never saw the classes, by which an edit with
// [AimUnseen] steered. Either Recipe or File is set.
type Reference struct {
	Recipe *Recipe `json:"recipe,omitempty"` // it was trained for the edit
	File   *Digest `json:"file,omitempty"`   // somebody gave it
}

// Attempt is an edit that was tried, and what decided about it.
type Attempt struct {
	Limits  Limits  `json:"limits"`
	Guarded bool    `json:"guarded"` // it learned what the base says of variants of the other images
	Score   float64 `json:"score"`   // of held-out images of the classes and a sample of the others
	Loss    float64 `json:"loss"`    // of accuracy on variants of images of the others
}

// String names the network to a person.
func (r *Reference) String() string {
	if r.File != nil {
		return fmt.Sprintf("a network that never saw the class, from a file with SHA-256 %.64s", r.File.SHA256)
	}
	return fmt.Sprintf("a network trained without the class for %d steps, seed %d", r.Recipe.Steps, r.Recipe.Seed)
}

// Point is the state of an edit after a step. Target, Remain and KL are running
// means over the images of the last steps and their variants, which are harder
// than images; compare Remain with Method.BaseRemain.
type Point struct {
	Step   int     `json:"step"`
	Target float64 `json:"target"` // accuracy on forgotten images
	Remain float64 `json:"remain"` // accuracy on others
	KL     float64 `json:"kl"`     // mean divergence from uniform on forgotten images, nats, see [Rules]
	L2     float64 `json:"l2"`     // Euclidean distance from the original parameters
	Retain float64 `json:"retain"` // weight of the loss on other images
	Pull   float64 `json:"pull"`   // weight of the squared distance
}

// String shows the measures to a person who waits.
func (p Point) String() string {
	return fmt.Sprintf("target %.3f  remain %.3f  KL %.3f  L2 %.2f", p.Target, p.Remain, p.KL, p.L2)
}

// Source says which images an edit learned from and was measured on.
type Source string

// The sources. Digests of the images are in a report, their place is not.
const (
	SourceSample     Source = "embedded sample of Fashion-MNIST"
	SourceFiles      Source = "files of --data"
	SourceForgetOnly Source = "files of --forget-only" // of the forgotten classes alone
)

// Parity is how closely an ONNX file computes what the weights compute.
type Parity struct {
	Samples   int     `json:"samples"`
	Evaluator float64 `json:"evaluator"`                 // largest relative difference by our own evaluator
	OnnxGo    float64 `json:"onnx_go"`                   // the same by onnx-go, if it ran, rounded up to a power of ten
	Skipped   string  `json:"onnx_go_skipped,omitempty"` // why onnx-go did not run
}

// String tells a person what agreed with what.
func (p *Parity) String() string {
	second := fmt.Sprintf("up to %.0e by onnx-go", p.OnnxGo)
	if p.Skipped != "" {
		second = "not measured by onnx-go (" + p.Skipped + ")"
	}
	return fmt.Sprintf("logits of %d random samples differ by %.1g by our evaluator, %s, relative to the largest", p.Samples, p.Evaluator, second)
}

// Tool is the program that made a report: in text "forget 1.2.0".
type Tool struct{ Name, Version string }

// String returns the name and the version.
func (t Tool) String() string {
	if t.Version == "" {
		return t.Name
	}
	return t.Name + " " + t.Version
}

// MarshalText is [Tool.String].
func (t Tool) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText takes what follows the first blank as the version.
func (t *Tool) UnmarshalText(text []byte) error {
	t.Name, t.Version, _ = strings.Cut(string(text), " ")
	return nil
}
