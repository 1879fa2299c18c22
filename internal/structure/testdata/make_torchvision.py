"""Writes small networks of torchvision, saved whole, in which modules were replaced: heads, activations, poolings; one of modules of torch.nn; and torchvision.json, what they compute.

usage: make_torchvision.py (torch 2.15 with torchvision)
"""
import json, os, warnings

warnings.filterwarnings("ignore")
import torch, torch.nn as nn
from functools import partial
from torchvision.models import ConvNeXt, DenseNet, EfficientNet, MobileNetV3, RegNet, ShuffleNetV2, VisionTransformer
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.efficientnet import FusedMBConvConfig, MBConvConfig
from torchvision.models.mobilenetv3 import InvertedResidualConfig
from torchvision.models.regnet import BlockParams
from torchvision.models.resnet import BasicBlock, Bottleneck

here = os.path.dirname(os.path.abspath(__file__))
S = nn.Sequential


def heads():
    v3 = partial(InvertedResidualConfig, width_mult=1)
    m = MobileNetV3([v3(8, 3, 8, 8, True, "RE", 1, 1), v3(8, 5, 16, 12, True, "HS", 2, 1)], 16, num_classes=3)
    m.classifier[1] = nn.ReLU()
    yield "tv-mobilenetv3", m, 32
    m = EfficientNet([FusedMBConvConfig(2, 3, 2, 8, 8, 1), MBConvConfig(2, 3, 1, 8, 8, 1)], 0.2, last_channel=16, norm_layer=partial(nn.BatchNorm2d, eps=0.05), num_classes=3)
    m.classifier = S(nn.Dropout(), nn.Linear(16, 8), nn.SiLU(), nn.Linear(8, 3), nn.Softmax(dim=1))
    yield "tv-efficientnet", m, 16
    m = ShuffleNetV2([1, 1, 1], [4, 8, 8, 8, 8], num_classes=3)
    m.fc = S(nn.Linear(8, 4), nn.ELU(0.5), nn.Linear(4, 3))
    yield "tv-shufflenet", m, 32
    m = DenseNet(4, (2, 1), 4, bn_size=2, num_classes=3)
    m.features.pool0 = nn.AvgPool2d(2)
    yield "tv-densenet", m, 16
    m = ConvNeXt([CNBlockConfig(4, 8, 1), CNBlockConfig(8, None, 1)], num_classes=3)
    m.classifier = S(nn.Flatten(), nn.Linear(8, 3))
    yield "tv-convnext", m, 16
    m = RegNet(BlockParams([1, 1], [8, 8], [4, 4], [1.0, 1.0], [2, 2], 0.25), num_classes=3, stem_width=4)
    m.trunk_output[0][0].activation = nn.Tanh()
    yield "tv-regnet", m, 16
    m = VisionTransformer(16, 8, 1, 2, 8, 16, num_classes=3)
    m.heads = S(nn.Linear(8, 3), nn.LogSoftmax(dim=1))
    yield "tv-vit", m, 16
    blocks = S(BasicBlock(3, 3), Bottleneck(3, 2, norm_layer=partial(nn.BatchNorm2d, eps=0.1), downsample=nn.Conv2d(3, 8, 1)), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    blocks[0].relu = nn.GELU()
    yield "tv-blocks", nn.DataParallel(blocks), 8
    layers = S(nn.CircularPad2d((1, 0, 2, 1)), nn.Conv2d(3, 4, (3, 2), padding="same", padding_mode="reflect"), nn.InstanceNorm2d(4, affine=True, track_running_stats=True), nn.RReLU(), nn.Upsample(size=(8, 6), mode="bicubic"),
               nn.PixelUnshuffle(2), nn.ChannelShuffle(4), nn.Tanhshrink(), nn.UpsamplingBilinear2d(scale_factor=1.5), nn.InstanceNorm2d(16), nn.Upsample(scale_factor=(1, 2)), nn.Softmax2d(),
               nn.Unfold(2, stride=2), nn.RMSNorm(12), nn.Flatten(), nn.Linear(768, 3), nn.Softmin(dim=1))
    yield "tv-modules", layers, 8


golden = {}
for name, m, side in heads():
    torch.manual_seed(1)
    shape = [3, side, side]
    with torch.no_grad():
        for p in m.parameters():
            p.normal_(0.05, max(p[0].numel(), 4) ** -0.5 if p.dim() > 1 else 0.5)
        for b in m.modules():
            if getattr(b, "running_mean", None) is not None:
                b.running_mean.normal_(0, 0.2), b.running_var.uniform_(0.5, 2)
    torch.save(m, os.path.join(here, name + ".pt"))
    x = ((torch.arange(3 * 3 * side * side) * 7919 % 1000).float() / 500 - 1).reshape([3] + shape)
    golden[name] = {"input": shape, "values": [round(v, 7) for v in (m.module if isinstance(m, nn.DataParallel) else m).eval()(x).flatten().tolist()]}
with open(os.path.join(here, "torchvision.json"), "w") as f:
    f.write("{\n" + ",\n".join("%s: %s" % (json.dumps(k), json.dumps(v)) for k, v in golden.items()) + "\n}\n")
