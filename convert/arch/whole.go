package arch

import (
	"slices"
	"strings"

	"lethe/file"
)

// geometry is how the window of a convolution moves: over height and width.
type geometry struct{ stride, padding, dilation [2]int }

// at returns a module of a network that was saved whole, or nil.
func (b *builder) at(path string) *file.Object {
	o := b.modulesTree
	if o == nil || path == "" {
		return o
	}
	for word := range strings.SplitSeq(path, ".") {
		names, modules := inner(o)
		i := slices.Index(names, word)
		if i < 0 {
			return nil
		}
		o = modules[i]
	}
	return o
}

// geometry returns that of a convolution: the module's if there is one, or the
// published.
func (b *builder) geometry(name string, published geometry) geometry {
	m := b.at(name)
	if m == nil {
		return published
	}
	if mode, ok := m.Attrs["padding_mode"].(string); ok && mode != "zeros" {
		b.fail("module %.100q pads with %.20q", name, mode)
	}
	if mode, ok := m.Attrs["padding"].(string); ok {
		b.fail("module %.100q has the padding %.20q", name, mode)
	}
	g := published
	for key, to := range map[string]*[2]int{"stride": &g.stride, "padding": &g.padding, "dilation": &g.dilation} {
		if m.Attrs[key] == nil {
			continue
		}
		v := b.integers(m, key)
		if len(v) == 1 {
			v = []int{v[0], v[0]}
		}
		if len(v) != 2 || min(v[0], v[1]) < 0 || key != "padding" && min(v[0], v[1]) < 1 {
			b.fail("module %.100q has the %s %v", name, key, v)
		}
		*to = [2]int(v)
	}
	if g != published {
		b.note("module %q has stride %v, padding %v and dilation %v, other than the published network: those of the file are taken", name, g.stride, g.padding, g.dilation)
	}
	return g
}

// epsilonOf returns that of a normalization: the module's if there is one, or the
// published.
func (b *builder) epsilonOf(name string, published float64) float64 {
	m := b.at(name)
	if m == nil {
		return published
	}
	if e, ok := m.Attrs["eps"].(float64); ok {
		if e != published {
			b.note("module %q has the epsilon %v, other than the published network: that of the file is taken", name, e)
		}
		return e
	}
	return published
}

// moduleHeads returns the number of heads of the attention of a network that was
// saved whole, if it is the same everywhere, or 0.
func (b *builder) moduleHeads() int {
	heads, differ := 0, false
	b.walk(b.modulesTree, "", 0, func(m *file.Object, path string) {
		if n := int(number(m.Attrs["num_heads"])); n > 0 {
			differ = differ || heads > 0 && n != heads
			heads = n
		}
	})
	if differ {
		return 0
	}
	return heads
}

// checkModules compares what a network that was saved whole consists of with
// the program of its family: activations and poolings have no weights, so that
// another one does not show in the state dict. A network without a module for
// them calls functions, and then its family tells.
func (b *builder) checkModules() {
	if b.modulesTree == nil {
		return
	}
	if class := b.modulesTree.Class; !knownClass(class) {
		b.note("the file is a %s, whose forward is not in it: that of the published network with these names is taken", class)
	}
	ops := map[string]bool{}
	for _, n := range b.program.Nodes {
		ops[strings.TrimPrefix(n.Op, "aten.")] = true
	}
	have := map[string]bool{}
	b.walk(b.modulesTree, "", 0, func(m *file.Object, path string) {
		kind, known := strings.CutPrefix(m.Class, "torch.nn.modules.")
		_, kind, _ = strings.Cut(kind, ".")
		if !known {
			return
		}
		b.unhooked(m, path)
		op := poolOp(kind)
		if kind == "GELU" && m.Attrs["approximate"] != "tanh" {
			op = "gelu"
		} else if how, ok := moduleActivations[kind]; ok {
			op = strings.Fields(how)[0]
		} else if b.applied[path] || silent(kind) {
			if !b.applied[path] && kind == "Identity" && strings.HasPrefix(b.modulesTree.Class, "torchvision.models.") && (path != "maxpool" || ops["max_pool2d"]) {
				b.fail("module %.100q is an Identity, which the published network does not have", path)
			}
			return
		}
		if have[op] = true; b.applied[path] {
			return
		}
		if !ops[op] && !(kind == "ReLU6" && ops["hardtanh"]) {
			b.fail("module %.100q is a %s, which the published network does not have", path, kind)
		}
		if strings.HasSuffix(op, "_pool2d") && !strings.HasPrefix(op, "adaptive") && !b.hasPool(m, op) {
			b.fail("module %.100q is a %s with other numbers than the published network has", path, kind)
		}
	})
	if strings.HasPrefix(b.modulesTree.Class, "torchvision.models.") && ops["max_pool2d"] && !have["max_pool2d"] {
		b.fail("it has no MaxPool2d, as the published network has")
	}
}

// silent reports whether a module of torch.nn computes nothing or has weights, which
// show in the state dict.
func silent(kind string) bool {
	for _, part := range []string{"Dropout", "Conv", "Linear", "BatchNorm", "LayerNorm", "Embedding", "MultiheadAttention", "LSTM", "GRU"} {
		if strings.Contains(kind, part) {
			return true
		}
	}
	return slices.Contains([]string{"Identity", "Flatten", "Sequential", "ModuleList", "ModuleDict", "GroupNorm", "RMSNorm", "PReLU"}, kind)
}

// knownClass reports whether the forward of a class is that of its family.
func knownClass(class string) bool {
	for _, module := range []string{"torchvision.models.", "timm.models.", "transformers.models.", "torch.nn.modules.container.", "torch.nn.parallel.", "torch.optim.swa_utils.", "torch._dynamo.eval_frame."} {
		if strings.HasPrefix(class, module) {
			return true
		}
	}
	return false
}

// hasPool reports whether the program has the pooling of a module.
func (b *builder) hasPool(m *file.Object, op string) bool {
	two := func(v []int) []int64 {
		if len(v) == 1 {
			v = []int{v[0], v[0]}
		}
		out := make([]int64, len(v))
		for i, n := range v {
			out[i] = int64(n)
		}
		return out
	}
	want := [][]int64{two(b.integers(m, "kernel_size")), two(b.strideOf(m)), two(b.integers(m, "padding"))}
	for _, n := range b.program.Nodes {
		if n.Op != "aten."+op || len(n.Args) < 4 {
			continue
		}
		same := true
		for i, w := range want {
			v, ok := n.Args[1+i].Value.([]int64)
			if len(v) == 1 {
				v = []int64{v[0], v[0]}
			}
			same = same && ok && slices.Equal(v, w)
		}
		if same {
			return true
		}
	}
	return false
}

// walk calls f for every module.
func (b *builder) walk(o *file.Object, path string, depth int, f func(m *file.Object, path string)) {
	if b.count++; depth > deepest || b.count > modulesMax {
		b.fail("it has more modules than the published network")
	}
	if o == nil {
		return
	}
	names, modules := inner(o)
	f(o, path)
	for i, m := range modules {
		b.walk(m, strings.TrimPrefix(path+"."+names[i], "."), depth+1, f)
	}
}
