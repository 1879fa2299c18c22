"""Writes huggingface.json.gz of this folder, with torch 2 and transformers:

    python make_hf.py

For a small network of each architecture: its config.json, the names and shapes
of its weights, and what the real module makes of made-up weights and inputs
(see make.py).
"""

import gzip
import json
import pathlib
import tempfile

import torch
import transformers as hf
from safetensors.torch import load_file, save_file

from make import made_up, uniform

small = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96, "num_labels": 7}
image = {**small, "image_size": 32, "patch_size": 8}
text = {**small, "vocab_size": 100, "max_position_embeddings": 66}
CONFIGS = {
    "ResNet": hf.ResNetConfig(embedding_size=16, hidden_sizes=[16, 32, 48, 64], depths=[1, 2, 1, 1], layer_type="bottleneck", num_labels=7),
    "ResNet basic": hf.ResNetConfig(embedding_size=16, hidden_sizes=[16, 32], depths=[2, 1], layer_type="basic", downsample_in_first_stage=True, num_labels=7),
    "ViT": hf.ViTConfig(**image),
    "DeiT": hf.DeiTConfig(**image),
    "ConvNext": hf.ConvNextConfig(hidden_sizes=[16, 24, 32, 48], depths=[1, 1, 2, 1], image_size=64, num_labels=7),
    "Swin": hf.SwinConfig(embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4, image_size=32, patch_size=2, num_labels=7),
    "MobileNetV2": hf.MobileNetV2Config(num_labels=7, depth_multiplier=0.35, image_size=64),
    "MobileNetV2 even": hf.MobileNetV2Config(num_labels=7, depth_multiplier=0.35, image_size=64, tf_padding=False),
    "Bert": hf.BertConfig(**text),
    "DistilBert": hf.DistilBertConfig(dim=48, n_layers=2, n_heads=4, hidden_dim=96, vocab_size=100, max_position_embeddings=64, num_labels=7),
    "Roberta": hf.RobertaConfig(**text),
    "DeiT teacher": hf.DeiTConfig(**image),
    "ConvNextV2": hf.ConvNextV2Config(hidden_sizes=[16, 24, 32, 48], depths=[1, 1, 2, 1], image_size=64, num_labels=7),
    "MobileNetV1": hf.MobileNetV1Config(num_labels=7, depth_multiplier=0.25, image_size=64),
    "Dinov2": hf.Dinov2Config(**{**image, "mlp_ratio": 2}),
    "Bert ernie": hf.ErnieConfig(**text),
    "Roberta data2vec": hf.Data2VecTextConfig(**text),
    "Electra text": hf.ElectraConfig(embedding_size=24, **text),
    "Albert": hf.AlbertConfig(embedding_size=24, **text),
    "RegNet": hf.RegNetConfig(embedding_size=8, hidden_sizes=[16, 32, 48, 64], depths=[1, 2, 1, 1], groups_width=8, num_labels=7),
    "RegNet x": hf.RegNetConfig(embedding_size=8, hidden_sizes=[16, 32], depths=[1, 2], groups_width=8, layer_type="x", downsample_in_first_stage=False, num_labels=7),
    "Beit": hf.BeitConfig(**image, use_relative_position_bias=True),
    "Beit shared": hf.BeitConfig(**image, use_shared_relative_position_bias=True, use_absolute_position_embeddings=True, use_mean_pooling=False, layer_scale_init_value=0.0),
    "Data2VecVision": hf.Data2VecVisionConfig(**image, use_relative_position_bias=True, use_shared_relative_position_bias=True),
    "Swinv2": hf.Swinv2Config(embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4, image_size=32, patch_size=2, num_labels=7),
    "Swinv2 other windows": hf.Swinv2Config(embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=8, pretrained_window_sizes=[4, 2], image_size=32, patch_size=2, num_labels=7),
    "MobileViT": hf.MobileViTConfig(image_size=64, hidden_sizes=[16, 20, 24], neck_hidden_sizes=[8, 8, 12, 16, 16, 20, 24], num_attention_heads=2, num_labels=7),
    "Levit": hf.LevitConfig(image_size=80, hidden_sizes=[16, 24, 32], num_attention_heads=[2, 2, 2], depths=[1, 1, 1], key_dim=[4, 4, 4], num_labels=7),
    "Levit teacher": hf.LevitConfig(image_size=64, hidden_sizes=[16, 24, 32], num_attention_heads=[2, 3, 2], depths=[1, 1, 1], key_dim=[8, 4, 4], attention_ratio=[2, 4, 2], num_labels=7),
    "PoolFormer": hf.PoolFormerConfig(hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 1, 1], num_labels=7),
    "PoolFormer plain": hf.PoolFormerConfig(hidden_sizes=[8, 12], depths=[1, 2], num_encoder_blocks=2, strides=[2, 2], padding=[3, 1], pool_size=5, use_layer_scale=False, num_labels=7),
    "DebertaV2 text": hf.DebertaV2Config(**text, relative_attention=True, pos_att_type=["p2c", "c2p"], position_buckets=4, max_relative_positions=-1, norm_rel_ebd="layer_norm", share_att_key=True, type_vocab_size=0, position_biased_input=False, conv_kernel_size=3),
    "DebertaV2 own": hf.DebertaV2Config(**text, relative_attention=True, pos_att_type="c2p|p2c", type_vocab_size=2),
    "Deberta text": hf.DebertaConfig(**text, relative_attention=True, pos_att_type=["c2p", "p2c"], position_biased_input=False, type_vocab_size=0),
    "DebertaV2 none": hf.DebertaV2Config(**text, type_vocab_size=0, embedding_size=24),
}
CLASSES = {
    "Levit teacher": "LevitForImageClassificationWithTeacher",
    "DebertaV2 own": "DebertaV2ForSequenceClassification",
    "DebertaV2 none": "DebertaV2ForSequenceClassification",
    "DeiT teacher": "DeiTForImageClassificationWithTeacher",
    "Bert ernie": "ErnieForSequenceClassification",
    "Roberta data2vec": "Data2VecTextForSequenceClassification",
}
TEXT = {"Bert", "DistilBert", "Roberta", "Bert ernie", "Roberta data2vec", "Electra text", "Albert", "DebertaV2 text", "DebertaV2 own", "DebertaV2 none", "Deberta text"}
TYPED = {"Bert", "Bert ernie", "Electra text", "Albert", "DebertaV2 own"}


def inputs(kind, config):
    if kind not in TEXT:
        size = getattr(config, "image_size", 64)
        return {"pixel_values": torch.from_numpy(uniform("input", 2 * 3 * size * size).reshape(2, 3, size, size))}
    ids = torch.arange(14).reshape(2, 7) * 11 % 97 + 3
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    ids[1, 4:] = config.pad_token_id
    out = {"input_ids": ids, "attention_mask": mask}
    if kind in TYPED:
        out["token_type_ids"] = torch.arange(14).reshape(2, 7) % 2
    return out


out = {}
for kind, config in CONFIGS.items():
    task = "Sequence" if kind in TEXT else "Image"
    kind_of = getattr(hf, CLASSES.get(kind, f"{kind.split()[0]}For{task}Classification"))
    with tempfile.TemporaryDirectory() as folder:
        # Weights are made up for the names of the file, which newer modules translate.
        kind_of(config).save_pretrained(folder)
        path = pathlib.Path(folder) / "model.safetensors"
        state = {k: made_up(k, v.shape, 2) if v.is_floating_point() else v for k, v in load_file(path).items()}
        save_file(state, path, {"format": "pt"})
        model = kind_of.from_pretrained(folder).eval()
        settings = json.loads((pathlib.Path(folder) / "config.json").read_text())
    x = inputs(kind, config)
    with torch.no_grad():
        y = model(**x).logits
    out[kind] = {
        "config": settings,
        "weights": [[k, list(v.shape), str(v.dtype)[6:]] for k, v in state.items()],
        "inputs": {k: v.flatten().tolist() for k, v in x.items() if not v.is_floating_point()},
        "shapes": [list(v.shape) for v in x.values()],
        "logits": [[float(f"{v:.7g}") for v in row] for row in y.tolist()],
    }
    print(kind, y.abs().max().item(), (y[0] - y[1]).abs().max().item())

path = pathlib.Path(__file__).parent / "huggingface.json.gz"
with open(path, "wb") as f, gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
    z.write(json.dumps(out, separators=(",", ":")).encode())
