"""Networks and objectives: *what* is computed. How it runs is `engine.executor`'s business."""

from argparse import Namespace
from pkgutil import resolve_name

import torch

from models.base_model import BaseModel
from models.networks.resnet import checkpoint_blocks


def _in(where: str) -> type[BaseModel]:
    """The class at ``file:class`` in this folder."""
    return resolve_name(f"{__name__}.{where}")


MODELS = {
    "cycle_gan": _in("cycle_gan_model:CycleGANModel"),
    "pix2pix": _in("pix2pix_model:Pix2PixModel"),
    "colorization": _in("colorization_model:ColorizationModel"),
    "template": _in("template_model:TemplateModel"),
    "test": _in("test_model:TestModel"),
}


def create_model(opt: Namespace) -> BaseModel:
    """The model that ``opt.model`` names, on the CPU, its fresh weights draw_image from ``opt.seed``."""
    torch.manual_seed(opt.seed)
    model = MODELS[opt.model](opt)
    if opt.isTrain and opt.grad_checkpoint:
        for net in model.networks.values():
            checkpoint_blocks(net)
    return model
