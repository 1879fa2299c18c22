"""Makes row-scripted.pt, a network for samples in a row whose file does not say their size."""
import torch

torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3))
torch.jit.script(net.eval()).save("row-scripted.pt")
