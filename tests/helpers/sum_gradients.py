"""A job of two processes that sum gradients; process 0 prints what it found. Run by torchrun.

Two losses for three weights, one of which gets no gradient; buckets of one weight and of all.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).parents[2]))

from distributed.context import distributed_session, get_world
from distributed.gradients import Reducer


def gradients(rank: int, reduced: bool, overlap: bool, size: int) -> tuple[list, list[int]]:
    """The gradients of three steps, and how many sums were under way before each update."""
    torch.manual_seed(0)
    a, b, unused = (torch.nn.Parameter(torch.randn(3, 2)) for _ in range(3))
    optimizer = torch.optim.SGD([a, b, unused], lr=0.1)
    reducer = Reducer(optimizer, overlap=overlap, size=size) if reduced else None
    found, early = [], []
    for step in range(3):
        optimizer.zero_grad(set_to_none=True)
        x = torch.full((2,), float(rank + step + 1))
        ((a @ x).square().sum() + (b @ x).sum()).backward()
        ((a * b).sum() * (rank + 1)).backward()
        early.append(sum(bucket.sent is not None for bucket in reducer.buckets) if reducer else 0)
        if not reduced:  # the same by hand
            for weight in (a, b):
                dist.all_reduce(weight.grad)
        optimizer.step()
        found.append([weight.grad.tolist() for weight in (a, b)])
        assert unused.grad is None
    return found, early


with distributed_session():
    rank = get_world().rank
    ways = {
        f"{overlap} {size}": gradients(rank, True, overlap, size)
        for overlap in (True, False) for size in (1, 10**6)
    }  # fmt: skip
    print(json.dumps({"by hand": gradients(rank, False, False, 0), **ways}))
