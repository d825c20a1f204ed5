"""A model to start from: copy it, change the equations, add a line to ``models/__init__.py``.

It learns B from A by regression: one generator, one loss. Saving, resuming, pages, precision and
capture come with `BaseModel`.
"""

from argparse import Namespace

from torch import Tensor

from models.base_model import BaseModel
from models.losses import l1
from models.networks import define_G
from util.flags import Flag, float_range


class TemplateModel(BaseModel):
    """Generator G: A → B, trained on pairs."""

    # Flags of its own, and other defaults for those of all: both appear in --help.
    flags = {"lambda_regression": Flag(1.0, float_range(0), "weight of the regression loss")}
    defaults = {"dataset_mode": "aligned"}
    dataset_modes = ("aligned", "unaligned")
    # Which of the images it makes comes from which input: for file names and pages.
    sources = {"real_A": "real_A", "fake_B": "real_A", "real_B": "real_B"}

    def __init__(self, opt: Namespace):
        super().__init__(opt)
        layers = (opt.norm, not opt.no_dropout, opt.init_type, opt.init_gain)
        self.networks["G"] = define_G(opt.input_nc, opt.output_nc, opt.ngf, opt.netG, *layers)
        if self.training:
            self.weight = opt.lambda_regression
            self.add_optimizer("G", ["G"], opt.lr, opt.beta1)

    def forward(self) -> None:
        fake_B = self.networks["G"](self.inputs["real_A"])
        self.visuals = {**self.inputs, "fake_B": fake_B}

    def regression_loss(self) -> Tensor:
        """λ · |G(A) − B|."""
        self.forward()
        self.losses["G"] = self.weight * l1(self.visuals["fake_B"], self.inputs["real_B"])
        return self.losses["G"]

    def step(self) -> None:
        self.update("G", self.regression_loss)
