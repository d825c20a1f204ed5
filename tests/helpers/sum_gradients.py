"""A job of two processes that sum gradients; rank 0 prints the results. Started by torchrun.

Two losses for three weights, one of which gets no gradient.
"""

from __future__ import annotations

import json

import torch
import torch.distributed as dist

from distributed.context import distributed_session, get_world
from distributed.gradients import GradientAllReduce


def gradients(rank: int, flattened: bool) -> tuple[list, int]:
    """The gradients of three steps, and the number of messages sent for them."""
    torch.manual_seed(0)
    a, b, unused = (torch.nn.Parameter(torch.randn(3, 2)) for _ in range(3))
    optimizer = torch.optim.SGD([a, b, unused], lr=0.1)
    sync = GradientAllReduce(optimizer)
    sent = []
    real = dist.all_reduce
    dist.all_reduce = lambda *args, **kwargs: sent.append(args) or real(*args, **kwargs)

    found = []
    for step in range(3):
        optimizer.zero_grad(set_to_none=True)
        x = torch.full((2,), float(rank + step + 1))
        ((a @ x).square().sum() + (b @ x).sum()).backward()
        ((a * b).sum() * (rank + 1)).backward()

        if flattened:
            sync.start()
            torch.randn(64, 64).sum()  # other work while the message travels
            sync.finish()
        else:
            for weight in (a, b):
                dist.all_reduce(weight.grad)
        optimizer.step()
        found.append([weight.grad.tolist() for weight in (a, b)])
        assert unused.grad is None

    dist.all_reduce = real
    return found, len(sent)


with distributed_session():
    rank = get_world().rank
    print(json.dumps([gradients(rank, True), gradients(rank, False)]))
