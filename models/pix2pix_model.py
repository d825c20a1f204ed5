"""pix2pix: paired image-to-image translation (Isola et al., 2017, arXiv:1611.07004)."""

from argparse import Namespace

import torch
from torch import Tensor

from models.base_model import BaseModel
from models.image_pool import ImagePool
from models.losses import GANLoss, l1
from models.networks.layers import forward_batched
from util.flags import Flag, float_range


class Pix2PixModel(BaseModel):
    """Generator G: A → B; the discriminator D judges pairs (A, B), concatenated as channels.

    Equation numbers are those of the paper; λ_L1 is ``--lambda_L1``.
    """

    flags = {"lambda_L1": Flag(100.0, float_range(0), "weight of the L1 loss")}
    defaults = {
        "norm": "batch",
        "netG": "unet_256",
        "dataset_mode": "aligned",
        "pool_size": 0,
        "gan_mode": "vanilla",
    }
    dataset_modes = ("aligned",)
    gan_modes = ("lsgan", "vanilla")  # the gradient penalty of wgangp is not part of this method
    loss_names = ("G_GAN", "G_L1", "D_real", "D_fake")
    visual_sources = {"real_A": "real_A", "fake_B": "real_A", "real_B": "real_B"}

    def __init__(self, opt: Namespace):
        super().__init__(opt)
        self.netG = self.create_G(opt, opt.input_nc, opt.output_nc)
        if not self.is_train:
            return

        self.netD = self.create_D(opt, opt.input_nc + opt.output_nc)
        self.fake_AB_pool = ImagePool(opt.pool_size, f"{opt.seed} fake_AB")
        self.criterionGAN = GANLoss(opt.gan_mode)
        self.lambda_L1 = opt.lambda_L1
        self.add_optimizer("G", ["G"], opt.lr, opt.beta1)
        self.add_optimizer("D", ["D"], opt.lr_D or opt.lr, opt.beta1)

    def step(self) -> None:
        """Translate once; update the discriminator, then the generator on the same fake."""
        self.netG.requires_grad_(True)
        with self.autocast():
            self.forward()
        self.update("D", self.loss_D)
        self.update("G", self.loss_G)

    def forward(self) -> None:
        """Translate A."""
        self.fake_B = self.netG(self.real_A)  # G(A)

    # --- losses: one line for each term -------------------------------------------------------

    def loss_D(self) -> Tensor:
        """½ (GAN(D(A, B), real) + GAN(D(A, G(A)), fake)): eq. 1, halved as in section 3.3."""
        real_AB = torch.cat([self.real_A, self.real_B], dim=1)
        fake_AB = torch.cat([self.real_A, self.fake_B.detach()], dim=1)
        fake_AB = self.fake_AB_pool.query(fake_AB)

        pred_fake, pred_real = forward_batched(self.netD, fake_AB, real_AB)
        return 0.5 * self.sum_losses(
            loss_D_real=self.criterionGAN(pred_real, True),
            loss_D_fake=self.criterionGAN(pred_fake, False),
        )

    def loss_G(self) -> Tensor:
        """Adversarial and L1 loss of the generator: eq. 4."""
        fake_AB = torch.cat([self.real_A, self.fake_B], dim=1)
        return self.sum_losses(
            loss_G_GAN=self.criterionGAN(self.netD(fake_AB), True),  # GAN(D(A, G(A)), real)
            loss_G_L1=self.lambda_L1 * l1(self.fake_B, self.real_B),  # λ_L1 |G(A) − B|
        )
