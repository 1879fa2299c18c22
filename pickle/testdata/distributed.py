"""Makes folders of torch.distributed.checkpoint.

    python distributed.py FOLDER

Written with PyTorch 2.15: dcp by one process, dcp2 by two processes (gloo) that hold a tensor in rows each.
"""

import os
import sys

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.multiprocessing as mp

HERE = os.path.abspath(sys.argv[1])


def two(rank):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29511")
    dist.init_process_group("gloo", rank=rank, world_size=2)
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor
    mesh = init_device_mesh("cpu", (2,))
    w = distribute_tensor(torch.arange(15.).reshape(5, 3), mesh, [Shard(0)])
    c = distribute_tensor(torch.arange(8, dtype=torch.int64).reshape(2, 4), mesh, [Shard(1)])
    dcp.save({"model": {"w": w, "c": c, "b": torch.ones(2)}, "epoch": 3}, checkpoint_id=os.path.join(HERE, "dcp2"))
    dist.destroy_process_group()


if __name__ == "__main__":
    os.chdir("/")
    dcp.save({"model": {"w": torch.arange(6.).reshape(2, 3), "b": torch.arange(2)}, "epoch": 3}, checkpoint_id=os.path.join(HERE, "dcp"), no_dist=True)
    mp.spawn(two, nprocs=2)
