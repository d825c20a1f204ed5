"""Networks and objectives: *what* is computed. How it runs is `util.runner`'s business."""

from argparse import Namespace

import torch

from models.base_model import BaseModel
from models.colorization_model import ColorizationModel
from models.cycle_gan_model import CycleGANModel
from models.pix2pix_model import Pix2PixModel
from models.template_model import TemplateModel
from models.test_model import TestModel

MODELS: dict[str, type[BaseModel]] = {
    "cycle_gan": CycleGANModel,
    "pix2pix": Pix2PixModel,
    "colorization": ColorizationModel,
    "template": TemplateModel,
    "test": TestModel,
}


def create_model(opt: Namespace) -> BaseModel:
    """The model that ``opt.model`` names, on the CPU, its fresh weights drawn from ``opt.seed``."""
    torch.manual_seed(opt.seed)
    return MODELS[opt.model](opt)
