"""Writes the golden files of this folder, with torch 2 and torchvision:

    python make.py

torchvision.json.gz: names, shapes and types of the state dict of every
classifier of torchvision. logits.json: for some of them, one of each family,
what the real module makes of made-up weights and images, both of which the test
makes again: element i of a tensor is a hash of its name and i.
"""

import gzip
import json
import pathlib
import zlib

import numpy as np
import torch
import torchvision
import torchvision.models as tv
from torchvision.models import get_model, list_models, regnet

import cifar

# Each with the size of the images, small ones to keep the test quick, and with
# a gain of the weights at which the image still tells in the logits.
MODELS = {
    "alexnet": (64, 2.4), "convnext_tiny": (64, 1.7), "densenet121": (64, 2.4), "efficientnet_b0": (64, 2.3),
    "efficientnet_b5": (64, 2.1), "efficientnet_v2_s": (64, 2), "googlenet": (64, 2.4), "inception_v3": (96, 2.4),
    "mnasnet0_5": (64, 2), "mobilenet_v2": (64, 2), "mobilenet_v3_large": (64, 2.2), "mobilenet_v3_small": (64, 2.3),
    "regnet_x_400mf": (64, 1.7), "regnet_y_400mf": (64, 2), "resnet18": (64, 1.7), "resnet50": (64, 1.7),
    "resnext50_32x4d": (64, 1.7), "shufflenet_v2_x0_5": (64, 2.1), "squeezenet1_0": (64, 2.4),
    "squeezenet1_1": (64, 2.4), "vgg11_bn": (32, 2.4), "small swin": (112, 1.7), "small swin_v2": (128, 1.7),
    "small vit": (32, 1.7), "small maxvit": (32, 1.7), "small cifar preact": (32, 1.7), "small cifar preact 3": (32, 1.7), "small cifar senet": (32, 1.7),
    "small cifar senet after": (32, 1.7), "small cifar dpn": (32, 1.7), "small cifar dla": (32, 1.7), "small cifar simple dla": (32, 1.7),
    "small cifar mobilenet": (32, 2.2), "small cifar mobilenetv2": (32, 2.2), "small cifar regnet": (32, 1.7), "small cifar resnext": (32, 1.7),
}

# Networks of torchvision's modules that are smaller than the published ones.
swin = {"patch_size": [4, 4], "embed_dim": 24, "depths": [2, 2, 2], "num_heads": [2, 4, 4], "num_classes": 10}
SMALL = {
    "small swin": lambda: tv.SwinTransformer(window_size=[7, 7], **swin),
    "small swin_v2": lambda: tv.SwinTransformer(
        window_size=[8, 8], block=tv.swin_transformer.SwinTransformerBlockV2, downsample_layer=tv.swin_transformer.PatchMergingV2, **swin
    ),
    "small vit": lambda: tv.VisionTransformer(32, 8, 2, 2, 128, 256, num_classes=10),
    **cifar.SMALL,
    "small maxvit": lambda: tv.MaxVit((32, 32), 8, 2, [8, 16], [1, 2], 4, 0.1, num_classes=10),
}


def uniform(name, count):
    """Numbers from -1 to 1: splitmix64 of the CRC-32 of the name and the index."""
    with np.errstate(over="ignore"):
        z = (np.uint64(zlib.crc32(name.encode())) << np.uint64(32)) + np.arange(count, dtype=np.uint64)
        z = z * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(40)).astype(np.float64) / (1 << 23) - 1).astype(np.float32)


def made_up(name, shape, gain):
    """Weights of a size that keeps activations near 1, statistics away from 0 and 1."""
    u = uniform(name, int(np.prod(shape)))
    if name.endswith("running_var"):
        u = np.float32(1) + u * np.float32(0.25)
    elif name.endswith("running_mean"):
        u = u * np.float32(0.25)
    elif len(shape) < 2:
        u = np.float32(name.endswith("weight")) + u * np.float32(0.25)
    else:
        u = u * np.float32(gain / np.sqrt(np.float64(np.prod(shape[1:]))))
    return torch.from_numpy(u.reshape(shape))


def build(name):
    if name in SMALL:
        return SMALL[name]()
    return get_model(name, **({"init_weights": False} if name in ("googlenet", "inception_v3") else {}))


def names_and_shapes(model):
    return [[k, list(v.shape), str(v.dtype)[6:]] for k, v in model.state_dict().items()]


def shapes():
    from_params = regnet.BlockParams.from_init_params.__func__

    def on_cpu(cls, *args, **kwargs):
        with torch.device("cpu"):
            return from_params(cls, *args, **kwargs)

    regnet.BlockParams.from_init_params = classmethod(on_cpu)
    out = {}
    with torch.device("meta"):
        for name in list_models(module=torchvision.models):
            out[name] = names_and_shapes(build(name))
    return out


def logits():
    out = {}
    for name, (size, gain) in MODELS.items():
        model = build(name).eval()
        for k, v in model.state_dict().items():
            if v.is_floating_point() and "relative_coords" not in k:
                v.copy_(made_up(k, v.shape, gain))
        x = torch.from_numpy(uniform("input", 2 * 3 * size * size).reshape(2, 3, size, size))
        with torch.no_grad():
            y = model(x)
        weights = {"weights": names_and_shapes(model)} if name in SMALL else {}
        out[name] = {**weights, "size": size, "gain": gain, "logits": [[float(f"{v:.7g}") for v in row[:10]] for row in y.tolist()], "largest": float(y.abs().max())}
        print(name, out[name]["largest"], float((y[0] - y[1]).abs().max()))
    return out


if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    with open(here / "torchvision.json.gz", "wb") as f, gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
        z.write(json.dumps(shapes(), separators=(",", ":")).encode())
    (here / "logits.json").write_text(json.dumps(logits(), separators=(",", ":")).replace("},", "},\n") + "\n")
