"""CycleGAN: unpaired translation both ways (Zhu et al., 2017, https://arxiv.org/abs/1703.10593)."""

from argparse import Namespace
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from models.base_model import BaseModel
from models.image_pool import ImagePool
from models.losses import GAN_LOSSES, gradient_penalty, l1
from models.networks import define_D, define_G
from models.networks.layers import forward_batched
from util.flags import Flag, float_range

DIRECTIONS = (("A", "B"), ("B", "A"))
LOSSES = ("D_A", "G_A", "cycle_A", "idt_A", "D_B", "G_B", "cycle_B", "idt_B")  # as logs name them


class CycleGANModel(BaseModel):
    """Generators G_A: A → B and G_B: B → A; D_A judges images of B, D_B images of A.

    The names are those of the classic code: what ends in A is made by, or for, G_A.
    """

    flags = {
        "lambda_A": Flag(10.0, float_range(0), "weight of the cycle loss A → B → A"),
        "lambda_B": Flag(10.0, float_range(0), "weight of the cycle loss B → A → B"),
        "lambda_identity": Flag(
            0.5, float_range(0), "weight of the identity loss, as a share of lambda_A and lambda_B"
        ),
        "lambda_gp": Flag(
            10.0, float_range(0), "weight of the gradient penalty of --gan_mode wgangp"
        ),
    }
    defaults = {"no_dropout": True}
    dataset_modes = ("unaligned",)
    sources = {
        "real_A": "real_A", "fake_B": "real_A", "rec_A": "real_A", "idt_B": "real_A",
        "real_B": "real_B", "fake_A": "real_B", "rec_B": "real_B", "idt_A": "real_B",
    }  # fmt: skip

    def __init__(self, opt: Namespace):
        super().__init__(opt)
        layers = (opt.norm, not opt.no_dropout, opt.init_type, opt.init_gain)
        self.networks["G_A"] = define_G(opt.input_nc, opt.output_nc, opt.ngf, opt.netG, *layers)
        self.networks["G_B"] = define_G(opt.output_nc, opt.input_nc, opt.ngf, opt.netG, *layers)
        if self.training:
            self._prepare_training(opt)

    def _prepare_training(self, opt: Namespace) -> None:
        layers = (opt.netD, opt.n_layers_D, opt.norm, opt.init_type, opt.init_gain)
        self.networks["D_A"] = define_D(opt.output_nc, opt.ndf, *layers)
        self.networks["D_B"] = define_D(opt.input_nc, opt.ndf, *layers)
        self.pools = {
            name: ImagePool(opt.pool_size, f"{opt.seed} {name}") for name in ("fake_B", "fake_A")
        }
        self.gan_loss = GAN_LOSSES[opt.gan_mode]
        self.cycle_weights = {"A": opt.lambda_A, "B": opt.lambda_B}
        self.lambda_identity = opt.lambda_identity
        self.lambda_gp = opt.lambda_gp if opt.gan_mode == "wgangp" else 0
        self.needs_double_backward = self.lambda_gp > 0
        self.add_optimizer("G", ["G_A", "G_B"], opt.lr, opt.beta1)
        self.add_optimizer("D", ["D_A", "D_B"], opt.lr, opt.beta1)

    def forward(self) -> None:
        for here, there in DIRECTIONS:
            self.translate(here, there)

    def translate(self, here: str, there: str) -> None:
        """One direction, as A → B: the fake, what comes back from it, and the identity."""
        G, back = self.networks[f"G_{here}"], self.networks[f"G_{there}"]
        real, target = self.inputs[f"real_{here}"], self.inputs[f"real_{there}"]
        with_identity = self.training and self.lambda_identity > 0
        fake, *identity = forward_batched(G, real, target) if with_identity else (G(real),)
        self.visuals |= {f"real_{here}": real, f"fake_{there}": fake, f"rec_{here}": back(fake)}
        self.visuals |= {f"idt_{here}": image for image in identity}

    def generator_loss(self, here: str, there: str) -> Tensor:
        """One direction: eq. 1 for the generator + λ · eq. 2 + λ_idt · λ · the identity (5.2)."""
        self.translate(here, there)
        D, images, weight = self.networks[f"D_{here}"], self.visuals, self.cycle_weights
        real, target = self.inputs[f"real_{here}"], self.inputs[f"real_{there}"]
        gan = self.gan_loss(D(images[f"fake_{there}"]), True)  # D_A(G_A(A)) → real
        cycle = weight[here] * l1(images[f"rec_{here}"], real)  # |G_B(G_A(A)) − A|
        identity = torch.zeros_like(cycle)
        if self.lambda_identity > 0:
            identity = l1(images[f"idt_{here}"], target)  # |G_A(B) − B|
            identity = self.lambda_identity * weight[there] * identity
        self.losses |= {f"G_{here}": gan, f"cycle_{here}": cycle, f"idt_{here}": identity}
        return gan + cycle + identity

    def discriminator_loss(self, here: str, there: str) -> Tensor:
        """½ (GAN(D(real), real) + GAN(D(fake), fake)), the fake from the pool (eq. 1)."""
        D, real = self.networks[f"D_{here}"], self.inputs[f"real_{there}"]
        fake = self.pools[f"fake_{there}"].query(self.visuals[f"fake_{there}"].detach())
        on_real, on_fake = forward_batched(D, real, fake)
        loss = (self.gan_loss(on_real, True) + self.gan_loss(on_fake, False)) * 0.5
        if self.lambda_gp > 0:
            loss = loss + self.lambda_gp * gradient_penalty(D, real, fake)
        self.losses[f"D_{here}"] = loss
        return loss

    def step(self) -> None:
        """First the generators, the discriminators held fixed; then these, on the same fakes."""
        self.visuals, self.losses = {}, dict.fromkeys(LOSSES)
        self.update("G", self.generator_loss)
        self.update("D", self.discriminator_loss)

    def update(self, name: str, loss: Callable[[str, str], Tensor]) -> None:
        """Both directions, one after the other: the activations of one of them fill the memory."""
        super().update(name, *(partial(loss, *direction) for direction in DIRECTIONS))
