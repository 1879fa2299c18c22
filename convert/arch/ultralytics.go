package arch

import (
	"strings"

	"lethe/file"
)

// isUltralytics reports whether a module is a classifier of Ultralytics (YOLOv8-cls,
// YOLO11-cls): a sequence of blocks whose forward is known.
func isUltralytics(o *file.Object) bool {
	return o.Class == "ultralytics.nn.tasks.ClassificationModel"
}

// ultralytics applies the layers of a classifier of Ultralytics, one after the other.
func (b *builder) ultralytics(x value, root *file.Object, path string) value {
	model := b.child(root, "model", path)
	if !isSequence(model) {
		b.fail("its model is a %.100s, not a Sequential", model.Class)
	}
	names, layers := inner(model)
	for i, m := range layers {
		if from, ok := m.Attrs["f"].(int64); !ok || from != -1 {
			b.fail("layer %.100q takes the output of layer %v, not of the one before it", names[i], m.Attrs["f"])
		}
	}
	b.output = "probabilities"
	b.note("a classifier of Ultralytics in evaluation mode: its output is the softmax")
	return b.sequence(x, model, join(path, "model"), 0)
}

// child returns a module inside another.
func (b *builder) child(m *file.Object, name, path string) *file.Object {
	if c := childOf(m, name); c != nil {
		return c
	}
	b.fail("module %.100q, a %.100s, has no %s", path, m.Class, name)
	return nil
}

// within applies the module of a name inside another.
func (b *builder) within(x value, m *file.Object, name, path string) value {
	c, path := b.child(m, name, path), join(path, name)
	if b.count++; b.count > modulesMax {
		b.fail("it has more than %d modules", modulesMax)
	}
	b.unhooked(c, path)
	if isSequence(c) {
		return b.sequence(x, c, path, 0)
	}
	return b.module(x, c, path)
}

// block applies a block of Ultralytics or torchvision; ok is false if the module is none
// that is known.
func (b *builder) block(x value, m *file.Object, path string) (y value, ok bool) {
	kind, ok := strings.CutPrefix(m.Class, "ultralytics.nn.modules.")
	if !ok {
		return b.torchvision(x, m, path)
	}
	switch kind[strings.LastIndexByte(kind, '.')+1:] {
	case "Conv", "DWConv":
		x = b.within(x, m, "conv", path)
		if names, _ := inner(m); len(names) == 3 { // not if batch normalization is folded
			x = b.within(x, m, "bn", path)
		}
		return b.within(x, m, "act", path), true
	case "Bottleneck":
		y = b.within(b.within(x, m, "cv1", path), m, "cv2", path)
		if flag(m, "add") {
			y = b.add(x, y)
		}
		return y, true
	case "C2f", "C3k2":
		return b.splitBlock(x, m, path), true
	case "C3", "C3k":
		y = b.within(b.within(x, m, "cv1", path), m, "m", path)
		return b.within(b.cat(1, y, b.within(x, m, "cv2", path)), m, "cv3", path), true
	case "C2PSA":
		first, second := b.halves(b.within(x, m, "cv1", path), m)
		return b.within(b.cat(1, first, b.within(second, m, "m", path)), m, "cv2", path), true
	case "PSABlock":
		for _, part := range []string{"attn", "ffn"} {
			y = b.within(x, m, part, path)
			if flag(m, "add") {
				y = b.add(x, y)
			}
			x = y
		}
		return x, true
	case "Attention":
		return b.areaAttention(x, m, path), true
	case "Classify":
		x = b.within(b.within(x, m, "conv", path), m, "pool", path)
		return b.infer(path, "softmax", b.within(b.flatten(x), m, "linear", path), 1), true
	}
	return nil, false
}

// halves cuts the channels after those that a block calls its own.
func (b *builder) halves(x value, m *file.Object) (first, second value) {
	c, all := b.integers(m, "c")[0], dims(x)[0]
	if c < 1 || c >= all {
		b.fail("%d of %d channels are cut off", c, all)
	}
	return b.slice(x, 1, 0, c, 1), b.slice(x, 1, c, all, 1)
}

// splitBlock is C2f: half of the channels goes through one module after the other,
// and what each makes is kept.
func (b *builder) splitBlock(x value, m *file.Object, path string) value {
	first, last := b.halves(b.within(x, m, "cv1", path), m)
	parts := []value{first, last}
	list := b.child(m, "m", path)
	names, _ := inner(list)
	for _, name := range names {
		last = b.within(last, list, name, path+".m")
		parts = append(parts, last)
	}
	return b.within(b.cat(1, parts...), m, "cv2", path)
}

// areaAttention is attention between the places of an image, with a convolution of
// the values as the encoding of their places.
func (b *builder) areaAttention(x value, m *file.Object, path string) value {
	heads, key, head := b.integers(m, "num_heads")[0], b.integers(m, "key_dim")[0], b.integers(m, "head_dim")[0]
	scale, _ := m.Attrs["scale"].(float64)
	d := dims(x)
	c, places := d[0], d[1]*d[2]
	qkv := b.within(x, m, "qkv", path)
	if min(heads, key, head) < 1 || heads*head != c || dims(qkv)[0] != heads*(2*key+head) {
		b.fail("module %.100q has %d heads of %d and %d features for %d channels", path, heads, key, head, c)
	}
	parts := b.reshape(qkv, heads, 2*key+head, places)
	q, k, v := b.slice(parts, 2, 0, key, 1), b.slice(parts, 2, key, 2*key, 1), b.slice(parts, 2, 2*key, 2*key+head, 1)
	a := b.infer(path, "mul", b.infer(path, "matmul", b.permute(q, 0, 1, 3, 2), k), scale)
	a = b.infer(path, "softmax", a, -1)
	y := b.reshape(b.infer(path, "matmul", v, b.permute(a, 0, 1, 3, 2)), c, d[1], d[2])
	return b.within(b.add(y, b.within(b.reshape(v, c, d[1], d[2]), m, "pe", path)), m, "proj", path)
}
