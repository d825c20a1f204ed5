"""A starting point for a new model: copy, change the equations, register in models/__init__.py.

It learns B from A by regression: one generator, one loss. Saving, resuming, pages, mixed precision
and CUDA graph capture come with `BaseModel`.
"""

from argparse import Namespace

from torch import Tensor

from models.base_model import BaseModel
from models.losses import l1
from util.flags import Flag, float_range


class TemplateModel(BaseModel):
    """Generator G: A → B, trained on pairs."""

    # The model's own flags, and other defaults for flags that all models share: see --help.
    flags = {"lambda_regression": Flag(1.0, float_range(0), "weight of the regression loss")}
    defaults = {"dataset_mode": "aligned"}
    dataset_modes = ("aligned", "unaligned")
    # The images to display, each with the input it is computed from.
    visual_sources = {"real_A": "real_A", "fake_B": "real_A", "real_B": "real_B"}

    def __init__(self, opt: Namespace):
        super().__init__(opt)
        self.netG = self.create_G(opt, opt.input_nc, opt.output_nc)  # saved as network "G"
        if self.is_train:
            self.lambda_regression = opt.lambda_regression
            self.add_optimizer("G", ["G"], opt.lr, opt.beta1)

    def step(self) -> None:
        """Update the generator."""
        self.update("G", self.loss_G)

    def forward(self) -> None:
        """Translate A."""
        self.fake_B = self.netG(self.real_A)

    def loss_G(self) -> Tensor:
        """Regression loss; a further term is one more line."""
        self.forward()
        return self.sum_losses(
            loss_G=self.lambda_regression * l1(self.fake_B, self.real_B),  # λ |G(A) − B|
        )
