"""Converts small programs of one operator each, in the default and the core dialect, and compares ONNX Runtime with PyTorch.

usage: operators.py PT2ONNX FOLDER [PART OF A NAME]

Prints a line for every program that differs or cannot be converted, and how many agree.
"""
import collections, json, logging, os, subprocess, sys, warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn as nn
import torch.nn.functional as F

onnxruntime.set_default_logger_severity(4)
torch.set_num_threads(1)
R = torch.randn
cases = {}


def case(name, f, *shapes, **kw):
    """A case is a function of tensors; its inputs have these shapes after the batch, or are made by functions of it."""
    cases[name] = (f, shapes, kw)


ints = lambda low, high, *shape: lambda n: torch.randint(low, high, (n, *shape))
positive = lambda *shape: lambda n: torch.rand(n, *shape) + 0.1
bools = lambda *shape: lambda n: torch.rand(n, *shape) > 0.5

for f in "relu sigmoid tanh exp neg abs floor ceil round erf sin cos tan atan sinh cosh asinh sign reciprocal square expm1 erfc trunc frac".split():
    case(f, getattr(torch, f), (3, 4))
for f in "log sqrt rsqrt log2 log10 log1p acosh".split():
    case(f, lambda x, f=f: getattr(torch, f)(x + 1), positive(3, 4))
for f in "asin acos atanh".split():
    case(f, lambda x, f=f: getattr(torch, f)(x * 0.8), positive(3))
for f in "silu mish softsign relu6 hardswish hardsigmoid hardtanh leaky_relu elu celu selu softplus hardshrink softshrink logsigmoid gelu tanhshrink".split():
    case(f, getattr(F, f), (3, 4))
case("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), (3, 4))
case("elu_alpha", lambda x: F.elu(x, 0.5), (3,))
case("softplus_beta", lambda x: F.softplus(x * 10, 2, 5), (3, 4))
case("threshold", lambda x: F.threshold(x, 0.1, 20), (3, 4))
case("glu", lambda x: F.glu(x, 1), (4, 3))
case("glu_last", lambda x: F.glu(x), (4, 6))
case("prelu", lambda x, w=torch.rand(3): F.prelu(x, w), (3, 4, 4))
case("clamp", lambda x: x.clamp(-0.5, 0.5), (3, 4))
case("clamp_min", lambda x: x.clamp(min=0.2), (3,))
case("clamp_max_int", lambda x: x.clamp(max=3), ints(0, 9, 3))
case("clamp_tensor", lambda x, y: torch.clamp(x, y, y + 1), (3,), (3,))
case("sqrt_of_integers", lambda x: torch.sqrt(x), ints(0, 9, 3))
case("sigmoid_of_integers", lambda x: torch.sigmoid(x), ints(0, 9, 3))
case("add_alpha", lambda x, y: torch.add(x, y, alpha=2), (3,), (3,))
case("add_scalar", lambda x: x + 2, (3,))
case("add_float_to_int", lambda x: x + 2.5, ints(0, 9, 3))
case("sub_scalar", lambda x: x - 1.5, (3,))
case("rsub", lambda x: 1 - x, (3,))
case("rsub_alpha", lambda x, y: torch.rsub(x, y, alpha=3), (3,), (3,))
case("mul_bool", lambda x, y: x * y, bools(3), bools(3))
case("mul_mixed", lambda x, y: x * y, (3,), ints(0, 5, 3))
case("div_ints", lambda x, y: x / y, ints(-9, 9, 3), ints(1, 5, 3))
for mode in ("floor", "trunc"):
    case("div_%s_ints" % mode, lambda x, y, mode=mode: torch.div(x, y, rounding_mode=mode), ints(-9, 9, 30), ints(1, 5, 30))
    case("div_%s" % mode, lambda x, y, mode=mode: torch.div(x, y, rounding_mode=mode), (30,), positive(30))
case("floor_divide", lambda x: x // 3, ints(-9, 9, 30))
case("remainder", lambda x: x % 3, ints(-9, 9, 30))
case("remainder_float", lambda x: torch.remainder(x * 5, 1.5), (30,))
case("fmod", lambda x: torch.fmod(x * 5, 1.5), (30,))
case("fmod_ints", lambda x: torch.fmod(x, 3), ints(-9, 9, 30))
case("pow2", lambda x: x**2, (3,))
case("pow3", lambda x: x**3, (3,))
case("pow_half", lambda x: x**0.5, positive(3))
case("pow_tensor", lambda x, y: x**y, positive(3), (3,))
case("pow_scalar_base", lambda x: 2**x, (3,))
case("pow_int_base", lambda x: torch.pow(2, x), ints(0, 5, 3))
case("maximum", torch.maximum, (3,), (3,))
case("minimum", torch.minimum, (3,), (3,))
for f in ("eq", "ne", "lt", "gt", "le", "ge"):
    case(f, getattr(torch, f), ints(0, 3, 8), ints(0, 3, 8))
    case(f + "_scalar", lambda x, f=f: getattr(torch, f)(x, 0.5), (8,))
    case(f + "_mixed", lambda x, f=f: getattr(torch, f)(x, 1.5), ints(0, 4, 8))
case("logical_and", lambda x, y: torch.logical_and(x > 0, y > 0), (5,), (5,))
case("logical_or", lambda x, y: torch.logical_or(x, y), ints(0, 2, 5), ints(0, 2, 5))
case("logical_xor", lambda x, y: torch.logical_xor(x > 0, y > 0), (5,), (5,))
case("bitwise_and", lambda x, y: (x > 0) & (y > 0), (5,), (5,))
case("bitwise_or", lambda x, y: (x > 0) | (y > 0), (5,), (5,))
case("bitwise_not", lambda x: ~(x > 0), (5,))
case("logical_not", lambda x: torch.logical_not(x), ints(0, 2, 5))
case("where", lambda x, y: torch.where(x > 0, x, y), (5,), (5,))
case("where_scalar", lambda x: torch.where(x > 0, x, 0.0), (5,))
case("masked_fill", lambda x, y: x.masked_fill(y, -float("inf")).softmax(-1), (5,), lambda n: torch.arange(n * 5).reshape(n, 5) % 3 == 0)
case("addcmul", lambda x, y, z: torch.addcmul(x, y, z, value=0.5), (3,), (3,), (3,))
case("addcdiv", lambda x, y, z: torch.addcdiv(x, y, z, value=0.5), (3,), (3,), positive(3))
case("lerp", lambda x, y: torch.lerp(x, y, 0.3), (3,), (3,))
case("isnan", lambda x: torch.isnan(x / x.round()), (8,))
case("to_int", lambda x: (x * 3).to(torch.int64), (8,))
case("to_bool", lambda x: x.to(torch.bool), ints(0, 2, 5))
case("to_half", lambda x: x.half() * 2, (5,))
case("to_double", lambda x: x.double() / 3, (5,))
case("type_as", lambda x, y: y.type_as(x) + x, (3,), ints(0, 5, 3))

# Convolutions and other layers.
def layer(name, module, *shapes, **kw):
    torch.manual_seed(1)
    m = module()
    for p in m.parameters():
        if p.dim() == 1:
            torch.nn.init.uniform_(p, 0.3, 1.5)
    for q in m.modules():
        if getattr(q, "running_mean", None) is not None:
            q.running_mean.normal_(0, 0.3)
            q.running_var.uniform_(0.5, 2)
    cases[name] = (m.eval(), shapes, kw)


layer("conv1d", lambda: nn.Conv1d(3, 4, 3, 2, 1), (3, 9))
layer("conv2d", lambda: nn.Conv2d(4, 6, (3, 5), (2, 1), (1, 2), (1, 2), groups=2), (4, 9, 12))
layer("conv3d", lambda: nn.Conv3d(2, 3, 3, padding=1), (2, 5, 5, 5))
layer("conv2d_same", lambda: nn.Conv2d(2, 3, 4, padding="same"), (2, 7, 7))
layer("conv2d_valid", lambda: nn.Conv2d(2, 3, 3, padding="valid"), (2, 7, 7))
layer("conv2d_same_dilated", lambda: nn.Conv2d(2, 3, (3, 2), padding="same", dilation=3), (2, 9, 9))
layer("conv2d_reflect", lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), (2, 7, 7))
layer("conv2d_circular", lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (2, 7, 7))
layer("conv_transpose1d", lambda: nn.ConvTranspose1d(3, 4, 3, 2, 1, 1), (3, 5))
layer("conv_transpose2d", lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2, dilation=2), (4, 5, 6))
layer("batch_norm1d", lambda: nn.BatchNorm1d(4), (4,))
layer("batch_norm1d_time", lambda: nn.BatchNorm1d(4), (4, 5))
layer("batch_norm2d", lambda: nn.BatchNorm2d(4, eps=1e-3), (4, 5, 5))
layer("batch_norm2d_plain", lambda: nn.BatchNorm2d(4, affine=False), (4, 5, 5))
layer("batch_norm3d", lambda: nn.BatchNorm3d(2), (2, 3, 3, 3))
layer("batch_norm_own", lambda: nn.BatchNorm2d(3, track_running_stats=False), (3, 4, 4))
layer("instance_norm2d", lambda: nn.InstanceNorm2d(3, affine=True), (3, 4, 4))
layer("instance_norm2d_plain", lambda: nn.InstanceNorm2d(3), (3, 4, 4))
layer("instance_norm_running", lambda: nn.InstanceNorm2d(3, track_running_stats=True), (3, 4, 4))
layer("group_norm", lambda: nn.GroupNorm(2, 4), (4, 5, 5))
layer("group_norm_plain", lambda: nn.GroupNorm(4, 4, affine=False), (4, 5))
layer("layer_norm", lambda: nn.LayerNorm(6), (3, 6))
layer("layer_norm2", lambda: nn.LayerNorm((3, 6)), (3, 6))
layer("layer_norm_plain", lambda: nn.LayerNorm(6, elementwise_affine=False), (3, 6))
layer("layer_norm_no_bias", lambda: nn.LayerNorm(6, bias=False), (3, 6))
layer("rms_norm", lambda: nn.RMSNorm(6), (3, 6))
layer("linear", lambda: nn.Linear(6, 3), (6,))
layer("linear3", lambda: nn.Linear(6, 3), (4, 6))
layer("linear_no_bias", lambda: nn.Linear(6, 3, bias=False), (4, 6))
layer("bilinear", lambda: nn.Bilinear(3, 4, 2), (3,), (4,))
layer("embedding", lambda: nn.Embedding(10, 4), ints(0, 10, 5))
layer("prelu_module", lambda: nn.PReLU(), (3, 4, 4))
layer("dropout", lambda: nn.Sequential(nn.Dropout(), nn.Dropout2d(), nn.AlphaDropout()), (3, 4, 4))
layer("local_response_norm", lambda: nn.LocalResponseNorm(3), (5, 4, 4))
for k in ("LSTM", "GRU", "RNN"):
    for n, kw in (("", {}), ("_bi", {"bidirectional": True}), ("_deep", {"num_layers": 2}), ("_plain", {"bias": False})):
        layer(k.lower() + n, lambda k=k, kw=kw: nn.Sequential(collections.OrderedDict(r=getattr(nn, k)(3, 4, batch_first=True, **kw))), (6, 3), dialects=("default",))
layer("rnn_relu", lambda: nn.RNN(3, 4, nonlinearity="relu", batch_first=True), (6, 3), dialects=("default",))
layer("lstm_time_first", lambda: nn.LSTM(3, 4), (6, 3), dialects=("default",))
layer("transformer", lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True, activation="gelu"), (5, 8))


class Attend(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        return self.a(x, x, x, need_weights=True)[0]


layer("multihead", lambda: Attend(), (5, 8))

# Poolings.
for size in (6, 7, 10, 11):
    for k, s, p in ((2, 2, 0), (3, 2, 1), (3, 3, 1), (3, 1, 1), (2, 3, 1), (3, 4, 0)):
        for ceil in (False, True):
            n = "%d_k%ds%dp%d%s" % (size, k, s, p, "_ceil" if ceil else "")
            if size in (7, 10) or ceil:
                case("max_pool" + n, lambda x, k=k, s=s, p=p, c=ceil: F.max_pool2d(x, k, s, p, ceil_mode=c), (2, size, size), dialects=("default",), opsets=(17,))
                for count in (False, True):
                    case("avg_pool" + n + ("_count" if count else ""), lambda x, k=k, s=s, p=p, c=ceil, i=count: F.avg_pool2d(x, k, s, p, c, i), (2, size, size), dialects=("default",), opsets=(17,))
case("max_pool_dilated", lambda x: F.max_pool2d(x, 3, 2, 1, 2), (2, 11, 11))
case("max_pool_default_stride", lambda x: F.max_pool2d(x, 3), (2, 10, 11))
case("max_pool1d", lambda x: F.max_pool1d(x, 3, 2), (2, 11))
case("max_pool3d", lambda x: F.max_pool3d(x, 2), (2, 6, 6, 6))
case("avg_pool1d", lambda x: F.avg_pool1d(x, 3, 2, 1), (2, 11))
case("avg_pool3d", lambda x: F.avg_pool3d(x, 2), (2, 6, 6, 6))
case("avg_pool_divisor", lambda x: F.avg_pool2d(x, 2, divisor_override=3), (2, 6, 6))
for out in (1, 2, 3, 4, 5, 7, (3, 1), (None, 2)):
    case("adaptive_avg_%s" % (out,), lambda x, out=out: F.adaptive_avg_pool2d(x, out), (2, 7, 6))
for out in (1, 2, 3, 6):
    case("adaptive_max_%s" % out, lambda x, out=out: F.adaptive_max_pool2d(x, out), (2, 6, 6))
case("adaptive_avg1d", lambda x: F.adaptive_avg_pool1d(x, 3), (2, 7))

# Shapes.
case("view", lambda x: x.view(x.size(0), -1), (3, 4))
case("view_merge", lambda x: x.view(-1, 4), (3, 4))
case("reshape_split", lambda x: x.reshape(x.shape[0], 2, 3, 4), (6, 4))
case("reshape_batch_products", lambda x: x.reshape(x.shape[0] * 3, 4).reshape(x.shape[0], 3, 4), (3, 4))
case("reshape_permuted", lambda x: x.permute(1, 0, 2).reshape(3, x.shape[0] * 4), (3, 4))
case("flatten", lambda x: x.flatten(1), (3, 4))
case("flatten_middle", lambda x: x.flatten(1, 2), (3, 4, 5))
case("flatten_all", lambda x: x.flatten(), (3, 4))
case("unflatten", lambda x: x.unflatten(1, (2, 3)), (6, 4))
case("squeeze", lambda x: x.squeeze(2), (3, 1, 4))
case("squeeze_nothing", lambda x: x.squeeze(1), (3, 4))
case("squeeze_dims", lambda x: torch.squeeze(x, (1, 3)), (1, 4, 1))
case("unsqueeze", lambda x: x.unsqueeze(1).unsqueeze(-1), (3,))
case("permute", lambda x: x.permute(0, -1, 1, 2), (3, 4, 5))
case("transpose", lambda x: x.transpose(-1, 1), (3, 4))
case("movedim", lambda x: x.movedim(1, -1), (3, 4, 5))
case("mT", lambda x: x.mT, (3, 4))
case("expand", lambda x: x.unsqueeze(1).expand(-1, 4, -1), (3,))
case("expand_parameter", lambda x, p=R(1, 1, 3): torch.cat([p.expand(x.shape[0], -1, -1), x], 1), (2, 3))
case("expand_as", lambda x, y: x.unsqueeze(-1).expand_as(y) + y, (3,), (3, 4))
case("repeat", lambda x: x.repeat(1, 2, 3), (3, 4))
case("repeat_new", lambda x: x.repeat(2, 1, 1), (3,))
case("repeat_interleave", lambda x: x.repeat_interleave(2, dim=1), (3, 4))
case("tile", lambda x: x.tile((2,)), (3, 4))
case("pad", lambda x: F.pad(x, (1, 2, 0, 3), value=1.5), (3, 4))
case("pad_negative", lambda x: F.pad(x, (-1, 1)), (5,))
case("pad_reflect", lambda x: F.pad(x, (1, 2), mode="reflect"), (3, 5))
case("pad_replicate", lambda x: F.pad(x, (1, 2, 2, 1), mode="replicate"), (3, 5, 5))
case("pixel_shuffle", lambda x: F.pixel_shuffle(x, 2), (8, 3, 3))
case("pixel_unshuffle", lambda x: F.pixel_unshuffle(x, 2), (2, 6, 6))
case("channel_shuffle", lambda x: F.channel_shuffle(x, 2), (6, 3, 3))
for mode in ("nearest", "bilinear", "bicubic", "nearest-exact"):
    case("resize_scale_" + mode, lambda x, m=mode: F.interpolate(x, scale_factor=2, mode=m), (2, 5, 6), dialects=("default",))
    case("resize_size_" + mode, lambda x, m=mode: F.interpolate(x, size=(7, 9), mode=m), (2, 5, 6), dialects=("default",))
case("resize_align", lambda x: F.interpolate(x, size=(7, 9), mode="bilinear", align_corners=True), (2, 5, 6), dialects=("default",))
case("resize_linear", lambda x: F.interpolate(x, scale_factor=1.5, mode="linear"), (2, 6), dialects=("default",))
case("resize_down", lambda x: F.interpolate(x, scale_factor=0.5, mode="nearest"), (2, 8, 8), dialects=("default",))

# Parts.
case("slice", lambda x: x[:, 1:3], (5,))
case("slice_negative", lambda x: x[:, -3:-1], (5,))
case("slice_step", lambda x: x[:, 1::2], (7,))
case("select", lambda x: x[:, 2], (5, 3))
case("select_last", lambda x: x[:, -1], (5, 3))
case("narrow", lambda x: x.narrow(1, 1, 2), (5,))
case("chunk", lambda x: torch.cat(x.chunk(3, 1)[::-1], 1), (7,))
case("split", lambda x: torch.cat(x.split(2, 1)[::-1], 1), (5,))
case("split_sizes", lambda x: torch.cat(x.split([1, 4], 1)[::-1], 1), (5,))
case("unbind", lambda x: x.unbind(1)[0] - x.unbind(1)[2], (3, 4))
case("stack", lambda x, y: torch.stack([x, y], 1), (3,), (3,))
case("stack_last", lambda x, y: torch.stack([x, y], -1), (3,), (3,))
case("cat_mixed", lambda x, y: torch.cat([x, y], 1), (3,), ints(0, 5, 2))
case("index", lambda x, i=torch.tensor([2, 0, 0]): x[:, i], (3, 4))
case("index_last", lambda x, i=torch.tensor([[2, 0], [1, 1]]): x[..., i], (3, 4))
case("index_two", lambda x, i=torch.tensor([2, 0]), j=torch.tensor([1, 3]): x[:, i, j], (3, 4))
case("index_two_broadcast", lambda x, i=torch.tensor([[2], [0]]), j=torch.tensor([1, 3]): x[:, i, j], (3, 4, 2))
case("index_apart", lambda x, i=torch.tensor([2, 0]), j=torch.tensor([1, 3]): x[:, i, :, j], (3, 2, 4))
case("index_select", lambda x, i=torch.tensor([2, 0]): x.index_select(1, i), (3, 4))
case("gather", lambda x, y: x.gather(1, y), (5,), ints(0, 5, 3))
case("take_table", lambda x, w=R(10, 3): w[x], ints(0, 10, 4))
for m in ("sum", "mean", "max"):
    layer("embedding_bag_" + m, lambda m=m: nn.EmbeddingBag(10, 4, mode=m), ints(0, 10, 5))
    layer("embedding_bag_padded_" + m, lambda m=m: nn.EmbeddingBag(10, 4, mode=m, padding_idx=3), ints(0, 10, 2))
for p in (1.0, 2.0, float("inf"), 3.0):
    case("cdist_%s" % p, lambda x, y, p=p: torch.cdist(x, y, p=p), (3, 4), (5, 4))
case("pairwise_distance", lambda x, y: F.pairwise_distance(x, y, keepdim=True), (3, 4), (3, 4))
for o in (-2, 0, 1):
    case("diagonal_%d" % o, lambda x, o=o: torch.diagonal(x, o, 1, 2), (3, 4, 2))
    case("diag_embed_%d" % o, lambda x, o=o: torch.diag_embed(x, o), (3, 2))
case("diag_embed_turned", lambda x: torch.diag_embed(x, 1, 1, 3), (3, 2))
case("unfold", lambda x: x.unfold(1, 3, 2), (8, 2))
case("im2col", lambda x: F.unfold(x, (2, 3), 2, 1, (1, 2)), (2, 7, 8))
case("col2im", lambda x: F.fold(x, (5, 6), (2, 3), 1, 1, 2), (12, 12))
case("median", lambda x: x.median(1)[0], (6, 3))
case("median_even", lambda x: x.median(-1, keepdim=True)[0], (6, 4))
case("rot90", lambda x: torch.cat([torch.rot90(x, k, (1, 2)) for k in (1, 2, 3, -1)], 1), (3, 3))
case("bucketize", lambda x, b=torch.tensor([-0.5, 0.0, 0.7]): torch.bucketize(x, b, right=True), (5,))
case("scatter", lambda x, i: torch.zeros(x.shape[0], 6).scatter(1, i, x), (3,), lambda n: torch.tensor([[4, 0, 2]]).repeat(n, 1))
case("scatter_add", lambda x, i: torch.zeros(x.shape[0], 4).scatter_add(1, i, x), (5,), ints(0, 4, 5), opsets=(17, 21))
case("index_add", lambda x, y, i=torch.tensor([2, 0, 2]): x.index_add(1, i, y, alpha=2), (3, 2), (3, 2), opsets=(17, 21))
case("mask_put", lambda x: torch.index_put(x, [x > 0], torch.tensor(5.0)), (5,))
case("index_put", lambda x, y, i=torch.tensor([2, 0]): torch.index_put(x, [None, i], y), (4, 3), (2, 3))
case("index_fill", lambda x, i=torch.tensor([2, 0]): x.index_fill(1, i, 3.0), (4, 3))
case("meshgrid", lambda x: x + torch.stack(torch.meshgrid(torch.arange(3.0), torch.arange(4.0), indexing="xy")).sum(0), (4, 3))
for m in ("bilinear", "nearest"):
    for p in ("zeros", "border", "reflection"):
        case("grid_sample_%s_%s" % (m, p), lambda x, g, m=m, p=p: F.grid_sample(x, g * 1.4, mode=m, padding_mode=p, align_corners=False), (2, 5, 6), (4, 3, 2), opsets=(17, 21))
case("affine_grid", lambda x: F.affine_grid(x, [x.shape[0], 1, 4, 5], align_corners=True), (2, 3))
case("matrix_exp", lambda x, w=R(4, 4): x @ torch.matrix_exp(w - w.t()), (4,))
case("roll", lambda x: x.roll((2, -1), (1, 2)), (5, 4))
case("roll_far", lambda x: x.roll(7, 1), (5,))
case("flip", lambda x: x.flip([1, 2]), (3, 4))
case("tril", lambda x: x.tril(), (4, 4), opsets=(17, 21))
case("triu", lambda x: x.triu(1), (4, 4), opsets=(17, 21))
case("topk", lambda x: x.topk(3, 1), (7,))
case("sort", lambda x: x.sort(1, descending=True), (7,))
case("one_hot", lambda x: F.one_hot(x, 5), ints(0, 5, 3))

# Reductions.
for f in ("mean", "sum", "amax", "amin", "prod", "std", "var"):
    case(f, lambda x, f=f: getattr(x, f)(1), (5, 3))
    case(f + "_keep", lambda x, f=f: getattr(x, f)(-1, keepdim=True), (5, 3))
case("mean_two", lambda x: x.mean((2, 3)), (3, 4, 5))
case("mean_all", lambda x: x.mean() + x * 0, (3, 4))
case("sum_bool", lambda x: (x > 0).sum(1), (5,))
case("sum_int", lambda x: x.sum(1), ints(0, 5, 4))
case("max_dim", lambda x: x.max(1), (5, 3))
case("min_dim", lambda x: x.min(1, keepdim=True), (5, 3))
case("max_all", lambda x: x - x.max(), (5,))
case("argmax", lambda x: x.argmax(1), (5, 3))
case("argmin_keep", lambda x: x.argmin(-1, keepdim=True), (5, 3))
case("any", lambda x: (x > 1).any(1), (5,))
case("all", lambda x: (x > -1).all(1, keepdim=True), (5,))
case("logsumexp", lambda x: x.logsumexp(1), (5,))
case("softmax", lambda x: x.softmax(1), (5, 3))
case("log_softmax", lambda x: x.log_softmax(-1), (5, 3))
case("softmin", lambda x: F.softmin(x, 1), (5,))
case("cumsum", lambda x: x.cumsum(1), (5,))
case("cumsum_int", lambda x: x.cumsum(1), ints(0, 5, 4))
case("var_unbiased", lambda x: x.var(1, unbiased=False), (5,))
case("std_correction", lambda x: x.std((1, 2), correction=2), (5, 3))
case("var_mean", lambda x: torch.var_mean(x, 1), (5,))
case("norm", lambda x: x.norm(dim=1), (5,))
case("norm1", lambda x: x.norm(1, dim=1), (5,))
case("norm3", lambda x: torch.linalg.vector_norm(x, 3, dim=1), (5,))
case("norm_inf", lambda x: torch.linalg.vector_norm(x, float("inf"), dim=1), (5,))
case("normalize", lambda x: F.normalize(x, dim=1), (5,))
case("cosine_similarity", lambda x, y: F.cosine_similarity(x, y, dim=1), (5,), (5,))

# Matrices and attention.
case("matmul", torch.matmul, (3, 4), (4, 5))
case("matmul_weight", lambda x, w=R(4, 5): x @ w, (3, 4))
case("matmul_vector", lambda x, w=R(4): x @ w, (3, 4))
case("bmm", torch.bmm, (3, 4), (4, 5))
case("baddbmm", lambda x, y, z: torch.baddbmm(x, y, z, beta=0.5, alpha=2), (3, 5), (3, 4), (4, 5))
case("addmm", lambda x, b=R(5), w=R(4, 5): torch.addmm(b, x, w, beta=0.5, alpha=2), (4,))
case("einsum", lambda x, y: torch.einsum("b i d, b j d -> b i j", x, y), (3, 4), (5, 4))
case("einsum_weight", lambda x, w=R(4, 2, 5): torch.einsum("bid,dhk->bhik", x, w), (3, 4))
sdpa = F.scaled_dot_product_attention
case("sdpa", lambda q, k, v: sdpa(q, k, v), (2, 5, 4), (2, 6, 4), (2, 6, 4))
case("sdpa_causal", lambda q, k, v: sdpa(q, k, v, is_causal=True), (2, 5, 4), (2, 5, 4), (2, 5, 4))
case("sdpa_scale", lambda q, k, v: sdpa(q, k, v, scale=0.3), (2, 5, 4), (2, 5, 4), (2, 5, 4))
case("sdpa_mask", lambda q, k, v, m=R(5, 6): sdpa(q, k, v, attn_mask=m), (2, 5, 4), (2, 6, 4), (2, 6, 4))
case("sdpa_bool_mask", lambda q, k, v, m: sdpa(q, k, v, attn_mask=m), (2, 5, 4), (2, 6, 4), (2, 6, 4), lambda n: (torch.arange(n * 6).reshape(n, 1, 1, 6) % 4 != 0) & (torch.arange(5).reshape(1, 1, 5, 1) != 2))
case("sdpa_gqa", lambda q, k, v: sdpa(q, k, v, enable_gqa=True), (4, 5, 4), (2, 5, 4), (2, 5, 4))

# New tensors.
case("zeros", lambda x: torch.zeros(x.shape[0], 3) + x, (3,))
case("ones_like", lambda x: torch.ones_like(x) + x, (3,))
case("full", lambda x: torch.full((x.shape[0], 3), 2.5) + x, (3,))
case("new_full", lambda x: x.new_full((2, 3), 7).sum() + x, (3,))
case("arange", lambda x: torch.arange(3) + x, (3,))
case("arange_batch", lambda x: torch.arange(x.shape[0]).unsqueeze(1) + x, (3,))
case("arange_step", lambda x: torch.arange(1, 7, 2) + x, (3,))
case("arange_float", lambda x: torch.arange(0.5, 3.5) + x, (3,))
case("linspace", lambda x: torch.linspace(0, 1, 3) + x, (3,))
case("eye", lambda x: torch.eye(3) + x, (3, 3))

# Writing in place.
def written(f):
    def g(x):
        y = x.clone()
        f(y)
        return y

    return g


case("fill_slice", written(lambda y: y[:, 1:3].fill_(7)), (5,))
case("fill_select", written(lambda y: y[:, 2].zero_()), (5, 3))
case("fill_steps", written(lambda y: y[:, 1::2].fill_(7)), (5,))
case("write_slice", written(lambda y: y[:, 1:3].copy_(y[:, 3:5] * 2)), (5,))
case("add_to_slice", written(lambda y: y[:, :2].add_(1)), (5,))
case("write_transposed", written(lambda y: y.transpose(1, 2)[:, 0].mul_(3)), (3, 4))
case("write_view", written(lambda y: y.view(y.shape[0], 6)[:, 1:4].neg_()), (2, 3))
case("write_chunk", written(lambda y: y.chunk(2, 1)[1].relu_()), (4,))
case("relu_then_read", lambda x: (lambda y: (y[:, 1:].relu_(), y)[1])(x * 2), (5,))
case("masked_fill_", written(lambda y: y.masked_fill_(y > 0, 2.0)), (5,))
case("mask_of_constants", lambda x: x + (lambda m: (m[:2].fill_(1), m[:, 1:].fill_(2), m)[2])(torch.zeros(4, 3)), (4, 3))


class Module(nn.Module):
    def __init__(self, f):
        super().__init__()
        self.f = f
        if isinstance(f, nn.Module):
            self.m = f

    def forward(self, *args):
        return self.f(*args)


def inputs(shapes, n):
    return tuple(s(n) if callable(s) else R(n, *s) for s in shapes)


def flat(y):
    return [t.detach().numpy() for t in torch.utils._pytree.tree_flatten(y)[0]]


def main():
    pt2onnx, folder, *part = sys.argv[1:]
    agree = wrong = 0
    for name, (f, shapes, kw) in cases.items():
        if part and part[0] not in name:
            continue
        torch.manual_seed(0)
        m = Module(f).eval()
        args = inputs(shapes, 2)
        try:
            program = torch.export.export(m, args, dynamic_shapes=(tuple({0: torch.export.Dim.DYNAMIC} for _ in args),))
        except Exception as e:
            print("%-28s not exported: %s" % (name, str(e)[:200].replace("\n", " ")), flush=True)
            continue
        for dialect in kw.get("dialects", ("default", "core")):
            path = os.path.join(folder, "operator.pt2")
            torch.export.save(program if dialect == "default" else program.run_decompositions(), path)
            for opset in kw.get("opsets", (13, 17, 21)):
                where = "%-28s %s opset %d: " % (name, dialect, opset)
                out = os.path.join(folder, "operator.onnx")
                done = subprocess.run([pt2onnx, "--force", "--opset", str(opset), path, out], capture_output=True, text=True)
                try:
                    if done.returncode:
                        raise ValueError(done.stderr.strip()[:400])
                    if "not checked" in done.stdout:
                        print(where + done.stdout[done.stdout.index("the sizes"):].strip()[:200], flush=True)
                    onnx.checker.check_model(onnx.load(out), full_check=True)
                    session = onnxruntime.InferenceSession(out)
                    for n in (2, 1, 5):
                        torch.manual_seed(n)
                        args = inputs(shapes, n)
                        want = flat(m(*args))
                        got = session.run(None, {i.name: a.numpy() for i, a in zip(session.get_inputs(), args)})
                        assert len(got) == len(want), "%d outputs, not %d" % (len(got), len(want))
                        for g, w in zip(got, want):
                            assert g.shape == w.shape and g.dtype == w.dtype, "%s %s, not %s %s" % (g.dtype, g.shape, w.dtype, w.shape)
                            d = np.abs(g.astype(np.float64) - w.astype(np.float64))
                            d = np.where(np.isnan(w.astype(np.float64)) & np.isnan(g.astype(np.float64)) | (g == w), 0, d)
                            assert d.max() <= 1e-4 * max(1e-3, np.abs(np.nan_to_num(w.astype(np.float64), posinf=0, neginf=0)).max()), "difference %g at batch %d" % (d.max(), n)
                    agree += 1
                except Exception as e:
                    wrong += 1
                    print(where + str(e)[:400].replace("\n", " "), flush=True)
    print("%d programs agree, %d do not" % (agree, wrong))


if __name__ == "__main__":
    main()
