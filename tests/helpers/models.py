"""Models for the tests of the training step, without a command line around them."""

from __future__ import annotations

import torch
from torch import Tensor

from models import create_model
from models.base_model import BaseModel
from options import TrainOptions

SMALL = {
    "crop_size": 32, "load_size": 32, "ngf": 2, "ndf": 2, "netG": "resnet_6blocks",
    "pool_size": 0, "gpu_ids": -1,
}  # fmt: skip


def words(options: dict) -> list[str]:
    """Options as one would type them."""
    typed = []
    for name, value in options.items():
        if isinstance(value, bool):
            typed += [f"--{name}"] if value else []
        else:
            typed += [f"--{name}", str(value)]
    return typed


def new_model(**options) -> BaseModel:
    """A model in training, float64 on the CPU, with weights large enough to do something."""
    opt = TrainOptions().parse(["--dataroot", ".", *words({**SMALL, **options})])
    model = create_model(opt).double()
    generator = torch.Generator().manual_seed(1)
    for net in model.networks.values():
        for weight in net.parameters():
            noise = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
            weight.data.copy_(0.2 * noise)
    return model


def batch(seed: int, n: int = 1, size: int = 32, channels: tuple[int, int] = (3, 3)) -> dict:
    """Images of noise, A dark and B bright, so that they cannot be taken for each other."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(n, c, size, size) for c in channels]
    A, B = (torch.rand(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return {
        "A": A - 1, "B": B,
        "A_paths": [f"a{seed}_{i}" for i in range(n)],
        "B_paths": [f"b{seed}_{i}" for i in range(n)],
    }  # fmt: skip


def weights_of(model: BaseModel) -> dict[str, dict[str, Tensor]]:
    """A copy of all weights."""
    return {
        name: {key: value.clone() for key, value in net.state_dict().items()}
        for name, net in model.networks.items()
    }


def moved(model: BaseModel, before: dict) -> set[str]:
    """The networks of which any weight is another than ``before``."""
    return {
        name
        for name, net in model.networks.items()
        if any(not torch.equal(value, before[name][key]) for key, value in net.state_dict().items())
    }
