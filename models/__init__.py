"""Models and networks: what is computed, independent of device, precision and process count.

Start with `models.cycle_gan_model`, then `models.base_model`; layers are in `models.networks`.
May import ``checkpoint``, ``distributed`` and ``util``. `engine.executor` runs the steps.
"""

from argparse import Namespace
from pkgutil import resolve_name

import torch

from models.base_model import BaseModel
from models.networks.resnet import enable_gradient_checkpointing


def _model(location: str) -> type[BaseModel]:
    """The class at ``module:class``: given as a string, a model takes one line below."""
    return resolve_name(f"{__name__}.{location}")


MODELS = {
    "cycle_gan": _model("cycle_gan_model:CycleGANModel"),
    "pix2pix": _model("pix2pix_model:Pix2PixModel"),
    "colorization": _model("colorization_model:ColorizationModel"),
    "template": _model("template_model:TemplateModel"),
    "test": _model("test_model:TestModel"),
}


def create_model(opt: Namespace) -> BaseModel:
    """Create the model named ``opt.model`` on the CPU, with weights initialized from ``opt.seed``.

    Training options must be complete, as `options.TrainOptions` returns them.
    """
    torch.manual_seed(opt.seed)
    model = MODELS[opt.model](opt)
    if opt.isTrain and opt.grad_checkpoint:
        for net in model.networks.values():
            enable_gradient_checkpointing(net)
    return model
