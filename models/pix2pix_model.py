"""pix2pix: paired translation (Isola et al., 2017, https://arxiv.org/abs/1611.07004)."""

from argparse import Namespace

import torch
from torch import Tensor

from models.base_model import BaseModel
from models.image_pool import ImagePool
from models.losses import GAN_LOSSES, l1
from models.networks import define_D, define_G
from models.networks.layers import forward_batched
from util.flags import Flag, float_range


class Pix2PixModel(BaseModel):
    """Generator G: A → B; the discriminator D judges pairs (A, B)."""

    flags = {"lambda_L1": Flag(100.0, float_range(0), "weight of the L1 loss")}
    defaults = {
        "norm": "batch", "netG": "unet_256", "dataset_mode": "aligned", "pool_size": 0,
        "gan_mode": "vanilla",
    }  # fmt: skip
    dataset_modes = ("aligned",)
    gan_modes = ("lsgan", "vanilla")  # the penalty of wgangp is not part of this method
    sources = {"real_A": "real_A", "fake_B": "real_A", "real_B": "real_B"}

    def __init__(self, opt: Namespace):
        super().__init__(opt)
        layers = (opt.norm, not opt.no_dropout, opt.init_type, opt.init_gain)
        self.networks["G"] = define_G(opt.input_nc, opt.output_nc, opt.ngf, opt.netG, *layers)
        if self.training:
            layers = (opt.netD, opt.n_layers_D, opt.norm, opt.init_type, opt.init_gain)
            self.networks["D"] = define_D(opt.input_nc + opt.output_nc, opt.ndf, *layers)
            self.pools["fake_AB"] = ImagePool(opt.pool_size, f"{opt.seed} fake_AB")
            self.gan_loss, self.lambda_L1 = GAN_LOSSES[opt.gan_mode], opt.lambda_L1
            self.add_optimizer("G", ["G"], opt.lr, opt.beta1)
            self.add_optimizer("D", ["D"], opt.lr, opt.beta1)

    def forward(self) -> None:
        fake_B = self.networks["G"](self.inputs["real_A"])
        self.visuals = {**self.inputs, "fake_B": fake_B}

    def discriminator_loss(self) -> Tensor:
        """½ (GAN(D(A, B), real) + GAN(D(A, G(A)), fake)): eq. 1, halved as in section 3.3."""
        real_A, real_B = self.inputs["real_A"], self.inputs["real_B"]
        fake_AB = torch.cat([real_A, self.visuals["fake_B"].detach()], dim=1)
        fake_AB = self.pools["fake_AB"].query(fake_AB)
        on_fake, on_real = forward_batched(
            self.networks["D"], fake_AB, torch.cat([real_A, real_B], dim=1)
        )
        self.losses["D_real"] = self.gan_loss(on_real, True)
        self.losses["D_fake"] = self.gan_loss(on_fake, False)
        return 0.5 * (self.losses["D_real"] + self.losses["D_fake"])

    def generator_loss(self) -> Tensor:
        """GAN(D(A, G(A)), real) + λ_L1 · |G(A) − B|: eq. 4."""
        fake_B = self.visuals["fake_B"]
        fake_AB = torch.cat([self.inputs["real_A"], fake_B], dim=1)
        self.losses["G_GAN"] = self.gan_loss(self.networks["D"](fake_AB), True)
        self.losses["G_L1"] = self.lambda_L1 * l1(fake_B, self.inputs["real_B"])
        return self.losses["G_GAN"] + self.losses["G_L1"]

    def step(self) -> None:
        """One translation; first the discriminator learns from it, then the generator."""
        self.losses = dict.fromkeys(("G_GAN", "G_L1", "D_real", "D_fake"))
        self.networks["G"].requires_grad_(True)
        with self.precision():
            self.forward()
        self.update("D", self.discriminator_loss)
        self.update("G", self.generator_loss)
