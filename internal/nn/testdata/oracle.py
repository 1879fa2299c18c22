#!/usr/bin/env python3
"""What PyTorch computes for a graph: logits and gradients, in float64. Needs torch >= 1.13.

    oracle.py DIR...

DIR/case.json holds "inputs" (names and shapes, the batch included), "nodes" (op, inputs, outputs, attrs by
ONNX's names; a graph in a node has "inputs", "outputs" and "nodes"), "output", "constants" (name, shape, numbers), "weights" ([name, shape] in the order of
weights.f32) and "params", the names whose gradients are wanted. The other files are little-endian float32:
weights.f32, input.f32 and coefficients.f32, one for every logit. The loss is the sum of coefficient times
logit. Writes DIR/logits.f64 and DIR/grad.f64, gradients side by side. If "chunk" is not 0, batch
normalization is in training mode, on that many samples at a time; then DIR/weights.f64 has all weights,
running statistics included, as they are afterwards.
"""
import functools
import json
import math
import os
import sys

import torch
import torch.nn.functional as F


def read(path, shape):
    values = torch.frombuffer(bytearray(open(path, "rb").read()), dtype=torch.float32)
    return values.double().reshape(shape)


def write(path, x):
    with open(path, "wb") as f:
        f.write(x.detach().double().contiguous().numpy().astype("<f8").tobytes())


def pad(x, pads, value=0.0):
    """ONNX gives the beginnings of all axes first; torch the last axis first."""
    n = len(pads) // 2
    return F.pad(x, [p for a in reversed(range(n)) for p in (pads[a], pads[n + a])], value=value)


def window(x, attrs, kernel):
    """Strides, dilations and pads; auto_pad and ceil_mode become pads. Also what ceil_mode alone adds behind."""
    n = len(kernel)
    strides, dilations = attrs.get("strides", [1] * n), attrs.get("dilations", [1] * n)
    pads, extra = list(attrs.get("pads", [0] * (2 * n))), [0] * n
    for a in range(n):
        size, span = x.shape[2 + a], (kernel[a] - 1) * dilations[a] + 1
        if attrs.get("auto_pad", "NOTSET").startswith("SAME"):
            total = max((math.ceil(size / strides[a]) - 1) * strides[a] + span - size, 0)
            first = total // 2 if attrs["auto_pad"] == "SAME_UPPER" else total - total // 2
            pads[a], pads[n + a] = first, total - first
        room = size + pads[a] + pads[n + a] - span
        if attrs.get("ceil_mode", 0) and room % strides[a]:
            count = room // strides[a] + 2
            if (count - 1) * strides[a] < size + pads[a]:
                extra[a] = (count - 1) * strides[a] - room
    return strides, dilations, pads, extra


def average_pool(x, attrs):
    kernel = attrs["kernel_shape"]
    strides, _, pads, extra = window(x, attrs, kernel)
    ones = torch.ones_like(x)
    counted = pad(ones, pads, 1.0 if attrs.get("count_include_pad", 0) else 0.0)
    behind = [0] * len(kernel) + extra
    x, counted = pad(pad(x, pads), behind), pad(counted, behind)
    pool = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[len(kernel)]
    return pool(x, kernel, strides) / pool(counted, kernel, strides)


def max_pool(x, attrs):
    kernel = attrs["kernel_shape"]
    if attrs["outputs"] == 2:
        pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[len(kernel)]
        return list(pool(x, kernel, attrs["strides"], attrs.get("pads", [0] * len(kernel))[:len(kernel)], return_indices=True))
    strides, dilations, pads, extra = window(x, attrs, kernel)
    x = pad(pad(x, pads, -math.inf), [0] * len(kernel) + extra, -math.inf)
    return {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[len(kernel)](x, kernel, strides, 0, dilations)


def max_unpool(x, attrs, at, shape=None):
    kernel = attrs["kernel_shape"]
    unpool = {1: F.max_unpool1d, 2: F.max_unpool2d, 3: F.max_unpool3d}[len(kernel)]
    y = unpool(x, at, kernel, attrs["strides"], attrs.get("pads", [0] * len(kernel))[:len(kernel)])
    if shape is not None:
        y = F.pad(y, [p for a in reversed(range(2, y.dim())) for p in (0, int(shape[a]) - y.shape[a])])
    return y


def conv(x, attrs, w, b=None):
    strides, dilations, pads, _ = window(x, attrs, w.shape[2:])
    f = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[w.dim()]
    return f(pad(x, pads), w, b, tuple(strides), 0, tuple(dilations), attrs.get("group", 1))


def conv_transpose(x, attrs, w, b=None):
    n = w.dim() - 2
    pads, extra = attrs.get("pads", [0] * (2 * n)), attrs.get("output_padding", [0] * n)
    f = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}[n]
    y = f(x, w, b, attrs.get("strides", 1), 0, 0, attrs.get("group", 1), attrs.get("dilations", 1))
    y = F.pad(y, [p for a in reversed(range(n)) for p in (0, extra[a])])
    if b is not None:  # what is added behind has the bias too
        for a in range(n):
            if extra[a]:
                index = [slice(None)] * y.dim()
                index[2 + a] = slice(y.shape[2 + a] - extra[a], None)
                fill = torch.zeros_like(y)
                fill[tuple(index)] = 1
                y = y + fill * b.reshape([1, -1] + [1] * n)
    return pad(y, [-p for p in pads])


def slice_(x, attrs, starts, ends, axes=None, steps=None):
    axes = range(len(starts)) if axes is None else axes.long().tolist()
    steps = [1] * len(starts) if steps is None else steps.long().tolist()
    for start, end, axis, step in zip(starts.long().tolist(), ends.long().tolist(), axes, steps):
        index = range(x.shape[axis])[slice(start, None if step < 0 and end < -x.shape[axis] else end, step)]
        x = x.index_select(axis, torch.tensor(list(index)))
    return x


def group_norm(x, attrs, scale, shift):
    return F.group_norm(x, attrs.get("num_groups", x.shape[1]), scale, shift, attrs.get("epsilon", 1e-5))


def rms_norm(x, attrs, scale):
    dims = list(range(attrs.get("axis", -1) % x.dim(), x.dim()))
    return x / (x.pow(2).mean(dims, keepdim=True) + attrs.get("epsilon", 1e-5)).sqrt() * scale


def layer_norm(x, attrs, scale, shift=None):
    shape = x.shape[attrs.get("axis", -1) % x.dim():]
    return F.layer_norm(x, shape, scale.reshape(shape), None if shift is None else shift.reshape(shape), attrs.get("epsilon", 1e-5))


def gather(x, attrs, index):
    axis = attrs.get("axis", 0) % x.dim()
    index = index.long() % x.shape[axis]
    picked = x.index_select(axis, index.flatten())
    return picked.reshape(list(x.shape[:axis]) + list(index.shape) + list(x.shape[axis + 1:]))


def reshape(x, attrs, shape):
    shape = [x.shape[i] if d == 0 else d for i, d in enumerate(shape.long().tolist())]
    return x.reshape(shape)


def split(x, attrs, sizes=None):
    axis, n = attrs.get("axis", 0), attrs["outputs"]
    size = sizes.long().tolist() if sizes is not None else math.ceil(x.shape[axis] / attrs.get("num_outputs", n))
    return list(torch.split(x, size, axis))


def squeeze(x, attrs, axes):
    for axis in sorted((a % x.dim() for a in axes.long().tolist()), reverse=True):
        x = x.squeeze(axis)
    return x


def unsqueeze(x, attrs, axes):
    rank = x.dim() + len(axes)
    for axis in sorted(a % rank for a in axes.long().tolist()):
        x = x.unsqueeze(axis)
    return x


def pad_onnx(x, attrs, pads, value=None):
    pads, mode, n = pads.long().tolist(), attrs.get("mode", "constant"), x.dim()
    if mode == "constant":
        return pad(x, pads, 0.0 if value is None else value.item())
    for axis in range(n):
        size = x.shape[axis]
        at = torch.arange(-pads[axis], size + pads[n + axis])
        at = at % size if mode == "wrap" else at.clamp(0, size - 1) if mode == "edge" else (size - 1) - ((size - 1) - at.abs()).abs()
        x = x.index_select(axis, at)
    return x


def attention(q, attrs, k, v, mask=None):
    three = q.dim() == 3

    def heads(x, number):
        return x.unflatten(2, (attrs[number], -1)).transpose(1, 2) if three else x

    q, k, v = heads(q, "q_num_heads"), heads(k, "kv_num_heads"), heads(v, "kv_num_heads")
    k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], 1) for x in (k, v))
    s = q @ k.transpose(2, 3) * attrs.get("scale", q.shape[3] ** -0.5)
    if "softcap" in attrs:
        s = attrs["softcap"] * torch.tanh(s / attrs["softcap"])
    if "is_causal" in attrs:
        s = s.masked_fill(torch.ones_like(s).tril() == 0, -math.inf)
    if mask is not None:  # weights are numbers, constants truth values
        s = s + mask if mask.requires_grad else s.masked_fill(mask == 0, -math.inf)
    y = s.softmax(-1) @ v
    return y.transpose(1, 2).flatten(2) if three else y


def rotary(x, attrs, cos, sin, at=None):
    three = x.dim() == 3
    if three:
        x = x.unflatten(2, (attrs["num_heads"], -1)).transpose(1, 2)
    if at is not None:
        cos, sin = cos[at.long()], sin[at.long()]
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    turned = attrs.get("rotary_embedding_dim", x.shape[3])
    part, rest = x[..., :turned], x[..., turned:]
    a, b = (part[..., ::2], part[..., 1::2]) if "interleaved" in attrs else part.chunk(2, -1)
    pair = cos * a - sin * b, sin * a + cos * b
    y = torch.stack(pair, -1).flatten(3) if "interleaved" in attrs else torch.cat(pair, -1)
    y = torch.cat((y, rest), -1)
    return y.transpose(1, 2).flatten(2) if three else y


def recurrent(kind):
    def run(x, attrs, w, r, b=None, _=None, h=None, c=None):
        """x [T, N, I], w [D, G*H, I], r [D, G*H, H], b [D, 2*G*H]; the gates in ONNX's order, without torch's modules."""
        hidden, both = attrs["hidden_size"], attrs.get("direction", "forward")
        outs, last_h, last_c = [], [], []
        for d in range(w.shape[0]):
            wb, rb = (b[d, :len(w[d])], b[d, len(w[d]):]) if b is not None else (torch.zeros(len(w[d])).double(),) * 2
            ht = h[d] if h is not None else torch.zeros(x.shape[1], hidden).double()
            ct = c[d] if c is not None else torch.zeros(x.shape[1], hidden).double()
            steps = list(range(len(x)))
            if both == "reverse" or d == 1:
                steps.reverse()
            out = [None] * len(x)
            for t in steps:
                gi, gh = x[t] @ w[d].t() + wb, ht @ r[d].t() + rb
                if kind == "RNN":
                    ht = torch.tanh(gi + gh)
                elif kind == "GRU":
                    (zi, ri, ni), (zh, rh, nh) = gi.chunk(3, 1), gh.chunk(3, 1)
                    z, reset = torch.sigmoid(zi + zh), torch.sigmoid(ri + rh)
                    if attrs.get("linear_before_reset", 0):
                        n = torch.tanh(ni + reset * nh)
                    else:
                        n = torch.tanh(ni + (reset * ht) @ r[d][2 * hidden:].t() + rb[2 * hidden:])
                    ht = (1 - z) * n + z * ht
                else:
                    i, o, f, g = (gi + gh).chunk(4, 1)
                    ct = torch.sigmoid(f) * ct + torch.sigmoid(i) * torch.tanh(g)
                    ht = torch.sigmoid(o) * torch.tanh(ct)
                out[t] = ht
            outs.append(torch.stack(out))
            last_h.append(ht)
            last_c.append(ct)
        result = [torch.stack(outs, 1), torch.stack(last_h)]
        return result + [torch.stack(last_c)] if kind == "LSTM" else result
    return run


def lrn(x, attrs):
    size = attrs["size"]
    squares = F.pad(x.pow(2).flatten(2), [0, 0, (size - 1) // 2, size // 2]).unfold(1, size, 1).sum(-1).reshape(x.shape)
    return x / (attrs["bias"] + attrs["alpha"] / size * squares) ** attrs["beta"]


def lp_pool(x, attrs):
    kernel, p = attrs["kernel_shape"], attrs["p"]
    strides, _, pads, _ = window(x, attrs, kernel)
    return (F.avg_pool2d(pad(x.abs() ** p, pads), kernel, strides) * math.prod(kernel)) ** (1 / p)


def resize(x, attrs, _=None, scales=None, sizes=None):
    size = sizes.long().tolist()[2:] if sizes is not None else [int(n * s) for n, s in zip(x.shape[2:], scales.tolist()[2:])]
    mode = attrs.get("mode", "nearest")
    if mode == "nearest":  # round half down, as ONNX's default
        for a, n in enumerate(size):
            at = (torch.arange(n).double() + 0.5) * x.shape[2 + a] / n - 0.5
            x = x.index_select(2 + a, (at - 0.5).ceil().long().clamp(0, x.shape[2 + a] - 1))
        return x
    corners = attrs.get("coordinate_transformation_mode") == "align_corners"
    mode = {"linear": "bilinear", "cubic": "bicubic"}[mode]
    if scales is not None:
        return F.interpolate(x, scale_factor=scales.tolist()[2:], mode=mode, align_corners=corners, recompute_scale_factor=False)
    return F.interpolate(x, size, mode=mode, align_corners=corners)


def cumsum(x, attrs, axis):
    axis = int(axis)
    y = x.flip(axis) if attrs.get("reverse", 0) else x
    z = y.cumsum(axis) - (y if attrs.get("exclusive", 0) else 0)
    return z.flip(axis) if attrs.get("reverse", 0) else z


def cumprod(x, attrs, axis):
    axis = int(axis)
    y = x.flip(axis) if attrs.get("reverse", 0) else x
    z = y.cumprod(axis)
    if attrs.get("exclusive", 0):
        z = torch.cat((torch.ones_like(z.narrow(axis, 0, 1)), z.narrow(axis, 0, z.shape[axis] - 1)), axis)
    return z.flip(axis) if attrs.get("reverse", 0) else z


def grid_sample(x, attrs, grid):
    mode = {"linear": "bilinear", "cubic": "bicubic", "nearest": "nearest"}[attrs.get("mode", "linear")]
    return F.grid_sample(x, grid, mode, attrs.get("padding_mode", "zeros"), bool(attrs.get("align_corners", 0)))


def col2im(x, attrs, image, block):
    n = len(block)
    first, after = attrs.get("pads", [0] * 2 * n)[:n], attrs.get("pads", [0] * 2 * n)[n:]
    assert first == after
    return F.fold(x, image.long().tolist(), block.long().tolist(), attrs.get("dilations", [1] * n), first, attrs.get("strides", [1] * n))


def loss(f):
    return lambda x, a, labels, w=None: f(x, labels.long(), w, ignore_index=a.get("ignore_index", -100), reduction="none")


def gather_elements(x, attrs, at):
    axis = attrs.get("axis", 0)
    return x.gather(axis, at.long() % x.shape[axis])


def scatter_nd(x, attrs, at, updates):
    if attrs.get("reduction", "none") != "none":  # of whole rows
        f = {"add": torch.add, "mul": torch.mul, "max": torch.maximum, "min": torch.minimum}[attrs["reduction"]]
        rows = list(x)
        for i, row in zip(at.flatten().long().tolist(), updates):
            rows[i] = f(rows[i], row)
        return torch.stack(rows)
    x = x.clone()
    x[tuple(at.long().t())] = updates
    return x


def center_crop_pad(x, attrs, shape):
    for a, n in zip(attrs["axes"], shape.long().tolist()):
        size = x.shape[a]
        first = (size - n) // 2
        x = x.narrow(a, first, n) if n <= size else F.pad(x, [0, 0] * (x.dim() - 1 - a) + [(n - size) // 2, (n - size + 1) // 2])
    return x


def reverse_sequence(x, attrs, lengths):
    rows = [torch.cat([row[:n].flip(0), row[n:]]) for row, n in zip(x, lengths.long().tolist())]
    return torch.stack(rows)


def depth_to_space(x, attrs):
    b, (n, c, h, w) = attrs["blocksize"], x.shape
    if attrs.get("mode", "DCR") == "DCR":
        x = x.reshape(n, b, b, c // b // b, h, w).permute(0, 3, 4, 1, 5, 2)
    else:
        x = x.reshape(n, c // b // b, b, b, h, w).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(n, c // b // b, h * b, w * b)


def space_to_depth(x, attrs):
    b, (n, c, h, w) = attrs["blocksize"], x.shape
    return x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4).reshape(n, c * b * b, h // b, w // b)


def gemm(x, attrs, w, b=None):
    x, w = x.t() if attrs.get("transA", 0) else x, w.t() if attrs.get("transB", 0) else w
    y = attrs.get("alpha", 1.0) * (x @ w)
    return y if b is None else y + attrs.get("beta", 1.0) * b


def top_k(x, attrs, k):
    return list(x.topk(int(k), attrs.get("axis", -1), bool(attrs.get("largest", 1)), True))


def one_hot(at, attrs, depth, values):
    hot = F.one_hot(at.long() % int(depth), int(depth)).double()
    return values[0] + hot * (values[1] - values[0])


def arg(f):
    return lambda x, a: f(x, a.get("axis", 0), bool(a.get("keepdims", 1))).double()


def truth(f):
    return lambda *x: f(*x).double()


def product(x, attrs, axes):
    for axis in sorted((a % x.dim() for a in axes.long().tolist()), reverse=True):
        x = x.prod(axis, keepdim=bool(attrs.get("keepdims", 1)))
    return x


def reduction(f):
    return lambda x, a, axes: f(x, axes.long().tolist(), bool(a.get("keepdims", 1)))


def cast(x, attrs):
    return {1: lambda: x, 6: x.trunc, 7: x.trunc, 9: lambda: (x != 0).double()}[attrs["to"]]()


def quotient(x, attrs, y):
    whole = (x == x.trunc()).all() and (y == y.trunc()).all()
    return (x / y).trunc() if whole else x / y


OPERATORS = {
    "ConvTranspose": conv_transpose, "LRN": lrn, "LpPool": lp_pool, "Resize": resize, "CumSum": cumsum, "GatherElements": gather_elements,
    "ScatterND": scatter_nd, "CenterCropPad": center_crop_pad, "ReverseSequence": reverse_sequence, "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth, "TopK": top_k, "OneHot": one_hot, "Cast": cast,
    "ArgMax": arg(torch.argmax), "ArgMin": arg(torch.argmin), "GlobalMaxPool": lambda x, a: F.adaptive_max_pool2d(x, 1),
    "Greater": truth(lambda x, a, y: x > y), "GreaterOrEqual": truth(lambda x, a, y: x >= y), "Less": truth(lambda x, a, y: x < y),
    "LessOrEqual": truth(lambda x, a, y: x <= y), "Equal": truth(lambda x, a, y: x == y), "Not": truth(lambda x, a: x == 0),
    "And": truth(lambda x, a, y: (x != 0) & (y != 0)), "Or": truth(lambda x, a, y: (x != 0) | (y != 0)), "Xor": truth(lambda x, a, y: (x != 0) ^ (y != 0)),
    "IsNaN": truth(lambda x, a: x.isnan()), "IsInf": truth(lambda x, a: x.isinf()),
    "Mod": lambda x, a, y: torch.fmod(x, y) if a.get("fmod", 0) else torch.remainder(x, y),
    "ReduceMax": reduction(torch.amax), "ReduceMin": reduction(torch.amin), "ReduceProd": product,
    "ReduceL1": reduction(lambda x, axes, keep: x.abs().sum(axes, keep)), "ReduceLogSum": reduction(lambda x, axes, keep: x.sum(axes, keep).log()),
    "ReduceLogSumExp": reduction(torch.logsumexp), "Mean": lambda x, a, *y: sum(y, x) / (1 + len(y)),
    "LpNormalization": lambda x, a: x / x.norm(a.get("p", 2), a.get("axis", -1), True),
    "MeanVarianceNormalization": lambda x, a: (x - x.mean(a["axes"], True)) / (x.var(a["axes"], False, keepdim=True).sqrt() + 1e-9),
    "Ceil": lambda x, a: x.ceil(), "Floor": lambda x, a: x.floor(), "Round": lambda x, a: x.round(), "Sign": lambda x, a: x.sign(),
    "Celu": lambda x, a: F.celu(x, a.get("alpha", 1.0)), "Mish": lambda x, a: F.mish(x),
    "Selu": lambda x, a: a.get("gamma", 1.0507009873554805) * torch.where(x > 0, x, a.get("alpha", 1.6732632423543772) * (x.exp() - 1)),
    "Swish": lambda x, a: x * torch.sigmoid(a.get("alpha", 1.0) * x), "ThresholdedRelu": lambda x, a: torch.where(x > a.get("alpha", 1.0), x, torch.zeros_like(x)),
    "Shrink": lambda x, a: torch.where(x.abs() > a.get("lambd", 0.5), x - x.sign() * a.get("bias", 0.0), torch.zeros_like(x)),
    "Sin": lambda x, a: x.sin(), "Cos": lambda x, a: x.cos(), "Tan": lambda x, a: x.tan(), "Sinh": lambda x, a: x.sinh(), "Cosh": lambda x, a: x.cosh(),
    "Asin": lambda x, a: x.asin(), "Acos": lambda x, a: x.acos(), "Atan": lambda x, a: x.atan(), "Asinh": lambda x, a: x.asinh(),
    "Acosh": lambda x, a: x.acosh(), "Atanh": lambda x, a: x.atanh(),
    "Einsum": lambda x, a, *y: torch.einsum(a["equation"], x, *y), "Tile": lambda x, a, n: x.repeat(n.long().tolist()),
    "Trilu": lambda x, a, k: x.triu(int(k)) if a.get("upper", 1) else x.tril(int(k)), "GatherND": lambda x, a, at: x[tuple(at.long().t())],
    "ScatterElements": lambda x, a, at, y: (x.scatter_add if "reduction" in a else x.scatter)(a["axis"], at.long(), y),
    "GridSample": grid_sample, "AffineGrid": lambda t, a, size: F.affine_grid(t, size.long().tolist(), bool(a.get("align_corners", 0))),
    "Col2Im": col2im, "CumProd": cumprod, "Det": lambda x, a: torch.linalg.det(x), "CastLike": lambda x, a, y: x,
    "GlobalLpPool": lambda x, a: x.flatten(2).abs().pow(a["p"]).sum(2).pow(1 / a["p"]).reshape(list(x.shape[:2]) + [1] * (x.dim() - 2)),
    "SoftmaxCrossEntropyLoss": loss(F.cross_entropy), "NegativeLogLikelihoodLoss": loss(F.nll_loss),
    "SwiGLU": lambda x, a, y: x * torch.sigmoid(a.get("alpha", 1.0) * x) * y,
    "TensorScatter": lambda x, a, y: torch.cat((y, x[:, y.shape[1]:]), 1), "Compress": lambda x, a, c: x.index_select(a["axis"], c.nonzero().flatten()),
    "ConstantOfShape": lambda n, a: torch.zeros(n.long().tolist()).double(),
    "Conv": conv, "MaxPool": max_pool, "MaxUnpool": max_unpool, "AveragePool": average_pool,
    "Relu": lambda x, a: F.relu(x), "Identity": lambda x, a: x, "Dropout": lambda x, a, *_: x,
    "Flatten": lambda x, a: x.reshape(math.prod(x.shape[:a.get("axis", 1)]), -1),
    "Gemm": gemm, "Attention": attention, "RotaryEmbedding": rotary,
    "MatMul": lambda x, a, y: x @ y,
    "Add": lambda x, a, y: x + y, "Sub": lambda x, a, y: x - y, "Mul": lambda x, a, y: x * y, "Div": quotient,
    "ReduceL2": lambda x, a, axes: x.pow(2).sum(axes.long().tolist(), keepdim=True).sqrt(),
    "ReduceSumSquare": lambda x, a, axes: x.pow(2).sum(axes.long().tolist(), keepdim=True), "Sum": lambda x, a, *y: sum(y, x),
    "Max": lambda x, a, *y: functools.reduce(torch.maximum, y, x), "Min": lambda x, a, *y: functools.reduce(torch.minimum, y, x),
    "PRelu": lambda x, a, y: torch.where(x < 0, x * y, x),
    "Pow": lambda x, a, y: x ** y,
    "Sigmoid": lambda x, a: torch.sigmoid(x), "Tanh": lambda x, a: torch.tanh(x), "Erf": lambda x, a: torch.erf(x),
    "Exp": lambda x, a: torch.exp(x), "Log": lambda x, a: torch.log(x), "Sqrt": lambda x, a: torch.sqrt(x),
    "Reciprocal": lambda x, a: 1 / x, "Neg": lambda x, a: -x, "Abs": lambda x, a: x.abs(),
    "Softplus": lambda x, a: F.softplus(x, threshold=1000), "Softsign": lambda x, a: F.softsign(x),
    "HardSwish": lambda x, a: F.hardswish(x),
    "HardSigmoid": lambda x, a: (a.get("alpha", 0.2) * x + a.get("beta", 0.5)).clamp(0, 1),
    "LeakyRelu": lambda x, a: F.leaky_relu(x, a.get("alpha", 0.01)), "Elu": lambda x, a: F.elu(x, a.get("alpha", 1.0)),
    "Gelu": lambda x, a: F.gelu(x, approximate=a.get("approximate", "none")),
    "Clip": lambda x, a, low, high: torch.minimum(torch.maximum(x, low), high),
    "Concat": lambda x, a, *y: torch.cat((x,) + y, a["axis"]),
    "Slice": slice_, "Split": split, "Pad": pad_onnx, "Reshape": reshape, "Squeeze": squeeze, "Unsqueeze": unsqueeze,
    "Transpose": lambda x, a: x.permute(a.get("perm", list(reversed(range(x.dim()))))),
    "Expand": lambda x, a, shape: x.expand(torch.broadcast_shapes(x.shape, shape.long().tolist())),
    "Shape": lambda x, a: torch.tensor(x.shape).double(),
    "GlobalAveragePool": lambda x, a: x.mean(list(range(2, x.dim())), keepdim=True),
    "ReduceMean": lambda x, a, axes: x.mean(axes.long().tolist(), keepdim=bool(a.get("keepdims", 1))),
    "ReduceSum": lambda x, a, axes: x.sum(axes.long().tolist(), keepdim=bool(a.get("keepdims", 1))),
    "Softmax": lambda x, a: F.softmax(x, a.get("axis", -1)), "LogSoftmax": lambda x, a: F.log_softmax(x, a.get("axis", -1)),
    "LayerNormalization": layer_norm, "GroupNormalization": group_norm, "InstanceNormalization": group_norm,
    "RMSNormalization": rms_norm, "Gather": gather, "Where": lambda c, a, x, y: torch.where(c != 0, x, y),
    "LSTM": recurrent("LSTM"), "GRU": recurrent("GRU"), "RNN": recurrent("RNN"),
}


def body(g, values, training, *inputs):
    values = dict(values, **dict(zip(g["inputs"] or [], inputs)))
    run(g["nodes"] or [], values, training)
    return [values[name] for name in g["outputs"]]


def choose(node, values, training, condition):
    return body(node["attrs"]["then_branch" if condition != 0 else "else_branch"], values, training)


def loop(node, values, training, rounds, condition, *carried):
    i, g, stacks = 0, node["attrs"]["body"], []
    holds = torch.tensor(1.0).double() if condition is None else condition
    while holds != 0 and (rounds is None or i < int(rounds)):
        holds, *made = body(g, values, training, torch.tensor(i).double(), holds, *carried)
        carried = made[:len(carried)]
        stacks.append(made[len(carried):])
        i += 1
    return list(carried) + [torch.stack(parts) for parts in zip(*stacks)]


def scan(node, values, training, *inputs):
    attrs = node["attrs"]
    n = attrs["num_scan_inputs"]
    carried, parts, stacks = list(inputs[:-n]), inputs[-n:], []
    axes, back = attrs.get("scan_input_axes", [0] * n), attrs.get("scan_input_directions", [0] * n)
    parts = [x.flip(a).unbind(a) if b else x.unbind(a) for x, a, b in zip(parts, axes, back)]
    for step in zip(*parts):
        made = body(attrs["body"], values, training, *carried, *step)
        carried = made[:len(carried)]
        stacks.append(made[len(carried):])
    out = [torch.stack(list(x), a) for x, a in zip(zip(*stacks), attrs.get("scan_output_axes", [0] * len(stacks[0])))]
    turned = attrs.get("scan_output_directions", [0] * len(out))
    return carried + [x.flip(a) if b else x for x, a, b in zip(out, attrs.get("scan_output_axes", [0] * len(out)), turned)]


FLOW = {"If": choose, "Loop": loop, "Scan": scan}


def run(nodes, values, training):
    for node in nodes:
        inputs = [values[name] if name else None for name in node["inputs"]]
        made = FLOW[node["op"]](node, values, training, *inputs) if node["op"] in FLOW else apply(training, node, *inputs)
        values.update(zip(node["outputs"], made if isinstance(made, list) else [made]))


def apply(training, node, x, *inputs):
    attrs = dict(node["attrs"] or {}, outputs=len(node["outputs"]))
    if node["op"] == "BatchNormalization":
        scale, shift, mean, var = inputs
        return F.batch_norm(x, mean, var, scale, shift, training=training, momentum=0.1, eps=attrs.get("epsilon", 1e-5))
    return OPERATORS[node["op"]](x, attrs, *inputs)


def judge(folder):
    with open(os.path.join(folder, "case.json")) as f:
        case = json.load(f)
    flat = read(os.path.join(folder, "weights.f32"), [-1])
    weights = {}
    for name, shape in case["weights"]:
        n = math.prod(shape)
        weights[name], flat = flat[:n].reshape(shape).clone(), flat[n:]
    assert len(flat) == 0
    for name in case["params"]:
        weights[name].requires_grad_()
    constants = {name: torch.tensor(numbers).double().reshape(shape) for name, shape, numbers in case["constants"] or []}
    count = case["inputs"][0][1][0]
    samples = read(os.path.join(folder, "input.f32"), [count, -1])
    outputs = []
    for part in samples.split(case["chunk"] or count):
        values, at = dict(weights, **constants), 0
        for name, shape in case["inputs"]:
            size = math.prod(shape[1:])
            values[name], at = part[:, at:at + size].reshape([len(part)] + shape[1:]), at + size
        run(case["nodes"], values, case["chunk"] > 0)
        outputs.append(values[case["output"]])
    x = torch.cat(outputs)
    write(os.path.join(folder, "logits.f64"), x)
    (x * read(os.path.join(folder, "coefficients.f32"), x.shape)).sum().backward()
    write(os.path.join(folder, "grad.f64"), torch.cat([weights[name].grad.flatten() for name in case["params"]]))
    write(os.path.join(folder, "weights.f64"), torch.cat([weights[name].flatten() for name, _ in case["weights"]]))


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        judge(folder)
