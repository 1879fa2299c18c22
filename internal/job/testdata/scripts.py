"""Makes the TorchScript files of this folder, the network of cmd/testdata/tiny/lenet.pt with an activation that no
published network has there:

    /usr/bin/python3 scripts.py ../../../cmd/testdata/tiny/lenet.pt .

Needs torch 1.13, which writes into neither file what shape its input has.
"""
import os
import sys
import zipfile

import torch
from torch import nn


def block(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 5), nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = block(1, 2), block(2, 3)
        self.fc, self.fc1, self.fc2 = nn.Linear(3, 8), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x):
        x = self.two(self.one(x)).view(x.size(0), -1)
        return self.fc2(nn.functional.silu(self.fc1(torch.relu(self.fc(x)))))


def save(module, path):
    """Saves a module without the records that say where its code was."""
    torch.jit.save(module, path)
    with zipfile.ZipFile(path) as z:
        records = [(n.split("/", 1)[1], z.read(n)) for n in z.namelist()]
    writer = torch._C.PyTorchFileWriter(path)
    for name, content in records:
        if not name.endswith(".debug_pkl") and name != "version":
            writer.write_record(name, content, len(content))
    writer.write_end_of_file()


weights, folder = sys.argv[1:]
net = Net()
net.load_state_dict({n.replace("block1", "one").replace("block2", "two"): t for n, t in torch.load(weights).items()})
net.eval()
save(torch.jit.script(net), os.path.join(folder, "scripted.pt"))
with torch.no_grad():
    save(torch.jit.trace(net, torch.zeros(2, 1, 16, 16)), os.path.join(folder, "traced.pt"))
