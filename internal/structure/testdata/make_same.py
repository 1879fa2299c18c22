"""Writes narrow networks of torchvision as every kind of file: exported, traced, scripted, a state dict, and whole.

usage: make_same.py (torch 2.8 or later with torchvision)
"""
import os, sys, zipfile

import torch, torch.nn as nn, torchvision.models as tv

here = os.path.dirname(os.path.abspath(__file__))


def narrow(m, by):
    """Divides the numbers of channels, but those of the images and the classes."""
    size = lambda n: n if n in (3, 5) else max(n // by, 1)
    for name, c in list(m.named_modules()):
        parent, last = m.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]
        if isinstance(c, nn.Conv2d):
            setattr(parent, last, nn.Conv2d(size(c.in_channels), size(c.out_channels), c.kernel_size, c.stride, c.padding, bias=c.bias is not None))
        elif isinstance(c, nn.BatchNorm2d):
            setattr(parent, last, nn.BatchNorm2d(size(c.num_features)))
        elif isinstance(c, nn.Linear):
            setattr(parent, last, nn.Linear(size(c.in_features), size(c.out_features)))
    return m


def save(module, path):
    """Saves a module without the records that say where its code was."""
    torch.jit.save(module, path)
    with zipfile.ZipFile(path) as z:
        records = [(n.split("/", 1)[1], z.read(n)) for n in z.namelist()]
    writer = torch._C.PyTorchFileWriter(path)
    for name, content in records:
        if not name.endswith(".debug_pkl") and name not in ("version", "byteorder", ".data/version", ".data/serialization_id"):
            writer.write_record(name, content, len(content))
    writer.write_end_of_file()


networks = {
    "resnet": narrow(tv.ResNet(tv.resnet.BasicBlock, [1, 1, 1, 1], num_classes=5), 32),
    "densenet": tv.DenseNet(growth_rate=2, block_config=(2, 1, 1, 1), num_init_features=4, bn_size=1, num_classes=5),
    "squeezenet": narrow(tv.squeezenet1_1(num_classes=5), 16),
}
for name, m in networks.items():
    torch.manual_seed(1)
    with torch.no_grad():
        for p in m.parameters():
            p.normal_(0, 0.3)
        for b in m.modules():
            if isinstance(b, nn.BatchNorm2d):
                b.running_mean.normal_(0, 0.2), b.running_var.uniform_(0.5, 2)
    m.eval()
    at = os.path.join(here, "same-" + name)
    x = torch.zeros(2, 3, 64, 64)
    with torch.no_grad():
        program = torch.export.export(m, (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
        for node in program.graph.nodes:
            for key in ("stack_trace", "from_node", "source_fn_stack", "torch_fn", "nn_module_stack"):
                node.meta.pop(key, None)
        torch.export.save(program, at + ".pt2")
        save(torch.jit.trace(m, x, check_trace=False), at + "-traced.pt")
        save(torch.jit.script(m), at + "-scripted.pt")
    torch.save(m.state_dict(), at + "-state.pt")
    torch.save(m, at + "-whole.pt")
