package arch

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"lethe/convert/aten"
	"lethe/file"
	"lethe/model"
)

// Options say what a state dict cannot.
type Options struct {
	// Input is the shape of one sample, channels x height x width. Without it
	// the size is the one that the family was published with.
	Input []int

	// Config is what a Hugging Face folder says of the network; may be nil.
	Config *Config

	// Module is the network if it was saved whole: strides, paddings and epsilons
	// are those of its modules; may be nil.
	Module *file.Object
}

// Network is a state dict whose wiring is known.
type Network struct {
	Family  string // such as "ResNet"
	Program *aten.Program
	Notes   []string // what was taken from the published network, for a person
}

// family is a kind of network with a known wiring.
type family struct {
	name string
	// marks are names that every member has; they tell the families apart
	// before anything is built.
	marks []string
	build func(b *builder) value
	notes []string
}

var families = []family{
	resNet, cifarRegNet, cifarResNet, preActResNet, dualPath, layerAggregation, cifarMobileNet, torchvisionViT, timmViT, swin, maxViT, convNeXt, efficientNet, mobileNetV3, mobileNetV2, regNet,
	shuffleNet, mnasnet, denseNet, squeezeNet, googLeNet, inception, alexNet, vgg,
	hfResNet, hfViT, hfDeiT, hfConvNeXt, hfConvNeXtV2, hfSwin, hfMobileNetV1, hfMobileNetV2, hfDINOv2, hfRegNet, hfBEiT, hfData2VecVision, hfSwinV2, hfMobileViT, hfLeViT, hfPoolFormer, deBERTa, deBERTaV2, bert, ernie, distilBERT, roBERTa, data2Vec, electra, albert,
}

// mismatch is what a builder panics with where a state dict is not the one of
// the family. It never leaves this package.
type mismatch string

// ErrNoFamily is the error of a state dict that does not look like one of any
// known family.
var ErrNoFamily = &model.UnsupportedError{What: "the names of the weights are those of no known family of networks", Advice: advice}

const advice = "export the network with torch.export.save or torch.jit.save, which record the wiring"

// Recognize returns the network whose weights sd holds. A prefix that all names
// share, such as "module.", is kept in the names of the weights. The program
// takes a batch of samples of float32 and returns logits.
//
// A state dict that is none of a known family is a [model.UnsupportedError]
// that says what the closest families miss, or [ErrNoFamily].
func Recognize(sd *model.StateDict, opts Options) (*Network, error) {
	names := sd.Names()
	modules := modulesOf(names)
	var reasons []string
	inside := slices.DeleteFunc(slices.Clone(names), beside)
	for _, prefix := range Prefixes(inside) {
		n, why := recognizeBehind(prefix, sd, modules, opts)
		if n != nil {
			return n, nil
		}
		reasons = append(reasons, why...)
	}
	if len(reasons) == 0 {
		return nil, ErrNoFamily
	}
	return nil, &model.UnsupportedError{What: "the weights are not those of a known network: " + strings.Join(reasons[:min(3, len(reasons))], "; "), Advice: advice}
}

// recognizeBehind is [Recognize] for the names behind a prefix. If they are those of
// no network, it returns why those that they look like are others.
func recognizeBehind(prefix string, sd *model.StateDict, modules map[string]bool, opts Options) (n *Network, reasons []string) {
	for _, f := range families {
		marks := f.marks
		if opts.Module != nil { // the last layer may be another one
			marks = marks[:len(marks)-1]
		}
		if slices.ContainsFunc(marks, func(name string) bool { return sd.Get(prefix+name) == nil }) {
			continue
		}
		n, reason := f.try(sd, prefix, modules, opts)
		if n != nil {
			return n, nil
		}
		reasons = append(reasons, fmt.Sprintf("it looks like %s, but %s", f.name, reason))
	}
	return nil, reasons
}

// Prefixes returns the prefixes that names may have in front of those of a known
// network: none, and what all of them begin with up to a dot, the longest last.
// DataParallel puts "module." there, torch.compile "_orig_mod.", and a training class
// the name of its attribute, such as "model.".
func Prefixes(names []string) []string {
	out := []string{""}
	for len(names) > 0 {
		last := out[len(out)-1]
		i := strings.IndexByte(names[0][len(last):], '.')
		if i < 0 {
			break
		}
		longer := names[0][:len(last)+i+1]
		if slices.ContainsFunc(names, func(name string) bool { return !strings.HasPrefix(name, longer) }) {
			break
		}
		out = append(out, longer)
	}
	return out
}

// try builds the network as a member of the family, or says why it is none.
func (f *family) try(sd *model.StateDict, prefix string, modules map[string]bool, opts Options) (n *Network, reason string) {
	b := &builder{sd: sd, input: opts.Input, config: opts.Config, modulesTree: behind(opts.Module, prefix), prefix: prefix, modules: modules, program: &aten.Program{}, weights: map[string]*aten.Value{}, known: map[string]bool{}, applied: map[string]bool{}, name: f.name, notes: slices.Clone(f.notes)}
	defer func() {
		if e := recover(); e != nil {
			switch e := e.(type) {
			case mismatch:
				n, reason = nil, string(e)
			case runtime.Error: // an index beyond the axes of a weight
				n, reason = nil, "a weight has fewer axes than it should"
			default:
				panic(e)
			}
		}
	}()
	y := f.build(b)
	b.program.Outputs = []aten.Output{{Name: cmp.Or(b.output, "logits"), Value: y}}
	b.checkModules()
	if left := b.left(); len(left) > 0 {
		return nil, fmt.Sprintf("%d entries are not part of it, such as %.100q", len(left), left[0])
	}
	b.program.Notes = b.notes
	return &Network{Family: b.name, Program: b.program, Notes: b.notes}, ""
}

// behind returns the module at a prefix of names, or the whole if there is none.
func behind(root *file.Object, prefix string) *file.Object {
	at := (&builder{modulesTree: root}).at(strings.TrimSuffix(prefix, "."))
	return cmp.Or(at, root)
}

// beside reports whether an entry is beside the network in a file of its training:
// the weights of a loss, the counts of a metric, the number of averaged networks.
func beside(name string) bool {
	first, _, _ := strings.Cut(strings.ToLower(name), ".")
	if first == "n_averaged" {
		return true
	}
	for word := range strings.SplitSeq(first, "_") {
		if slices.Contains(besideWords, word) {
			return strings.Contains(name, ".")
		}
	}
	return false
}

var besideWords = []string{"criterion", "loss", "losses", "lossfn", "metric", "metrics", "acc", "accuracy", "auroc", "auc", "f1", "f1score", "precision", "recall", "confmat"}

// left returns the entries of the state dict that the network did not use. Those
// beside a network whose names have a prefix are not counted, but said.
func (b *builder) left() []string {
	var aside []string
	left := slices.DeleteFunc(b.sd.Names(), func(name string) bool {
		if b.prefix != "" && !b.known[name] && !strings.HasPrefix(name, b.prefix) && beside(name) {
			aside = append(aside, name)
			return true
		}
		return b.known[name]
	})
	if len(aside) > 0 {
		b.note("%d entries beside the network are left out, such as %q", len(aside), aside[0])
	}
	return left
}
