"""CycleGAN: unpaired image-to-image translation (Zhu et al., 2017, arXiv:1703.10593)."""

from argparse import Namespace

from torch import Tensor, nn

from models.augmentation import DiffAugment, augmentation_names
from models.base_model import BaseModel
from models.image_pool import ImagePool
from models.losses import GANLoss, gradient_penalty, l1, relative_scores
from models.networks.layers import forward_batched
from util.flags import Flag, float_range


class CycleGANModel(BaseModel):
    """Generators G_A: A → B and G_B: B → A; D_A judges images of B, D_B judges images of A.

    In the paper's notation A = X, B = Y, G_A = G, G_B = F, D_A = D_Y and D_B = D_X: a discriminator
    has the letter of the generator it judges. GAN(·) is the adversarial loss of ``--gan_mode``, by
    default least squares (section 4) in place of the logarithms of eq. 1. λ_A, λ_B and λ_idt are
    ``--lambda_A``, ``--lambda_B`` and ``--lambda_identity``; logged values include them; |·| is
    the mean absolute error.

    The two directions are differentiated one after the other, which halves the activations in
    memory and gives the same gradients as their sum.
    """

    flags = {
        "lambda_A": Flag(10.0, float_range(0), "weight of the cycle loss A → B → A"),
        "lambda_B": Flag(10.0, float_range(0), "weight of the cycle loss B → A → B"),
        "lambda_identity": Flag(
            0.5, float_range(0), "weight of the identity loss, relative to lambda_A and lambda_B"
        ),
        "lambda_gp": Flag(
            10.0, float_range(0), "weight of the gradient penalty with --gan_mode wgangp"
        ),
        "lambda_gp0": Flag(
            0.0, float_range(0), "weight of the zero-centered gradient penalty, for any --gan_mode"
        ),
        "diffaug": Flag(
            "", augmentation_names, "augment what discriminators see: color,translation,cutout"
        ),
    }
    defaults = {"no_dropout": True}
    dataset_modes = ("unaligned",)
    loss_names = ("D_A", "G_A", "cycle_A", "idt_A", "D_B", "G_B", "cycle_B", "idt_B")
    visual_sources = {
        "real_A": "real_A",
        "fake_B": "real_A",
        "rec_A": "real_A",
        "idt_B": "real_A",
        "real_B": "real_B",
        "fake_A": "real_B",
        "rec_B": "real_B",
        "idt_A": "real_B",
    }

    def __init__(self, opt: Namespace):
        super().__init__(opt)
        self.netG_A = self.create_G(opt, opt.input_nc, opt.output_nc)
        self.netG_B = self.create_G(opt, opt.output_nc, opt.input_nc)
        self.use_identity = self.is_train and opt.lambda_identity > 0
        if not self.use_identity:
            sources = self.visual_sources.items()
            self.visual_sources = {k: v for k, v in sources if not k.startswith("idt")}
        if self.is_train:
            self._init_training(opt)

    def _init_training(self, opt: Namespace) -> None:
        """Create what only training needs: discriminators, image pools, losses, optimizers."""
        self.netD_A = self.create_D(opt, opt.output_nc)
        self.netD_B = self.create_D(opt, opt.input_nc)
        self.fake_B_pool = ImagePool(opt.pool_size, f"{opt.seed} fake_B")
        self.fake_A_pool = ImagePool(opt.pool_size, f"{opt.seed} fake_A")

        self.criterionGAN = GANLoss(opt.gan_mode)
        self.lambda_A = opt.lambda_A
        self.lambda_B = opt.lambda_B
        # Not swapped: idt_A = G_A(B) is compared with B, so it has the weight of domain B.
        self.lambda_idt_A = opt.lambda_identity * opt.lambda_B
        self.lambda_idt_B = opt.lambda_identity * opt.lambda_A
        self.lambda_gp = opt.lambda_gp if opt.gan_mode == "wgangp" else 0
        self.lambda_gp0 = opt.lambda_gp0
        self.needs_double_backward = self.lambda_gp > 0 or self.lambda_gp0 > 0
        self.augment = DiffAugment(opt.diffaug)

        self.add_optimizer("G", ["G_A", "G_B"], opt.lr, opt.beta1)
        self.add_optimizer("D", ["D_A", "D_B"], opt.lr_D or opt.lr, opt.beta1)

    def step(self) -> None:
        """Compute all gradients, then update all networks.

        The generator losses run the forward pass and set the fakes that the discriminator losses
        use, so G comes first. Under torchrun the gradients of G are all-reduced while those of D
        are computed.
        """
        self.backward("G", self.generator_loss_A, self.generator_loss_B)
        self.backward("D", self.discriminator_loss_A, self.discriminator_loss_B)
        self.optimizer_step("G")
        self.optimizer_step("D")

    # --- translations -------------------------------------------------------------------------

    def forward(self) -> None:
        """Translate both ways and back."""
        self.forward_A()
        self.forward_B()

    def forward_A(self) -> None:
        """A → B → A, and the identity mapping of G_A: one call for both inputs is faster."""
        if self.use_identity:
            self.fake_B, self.idt_A = forward_batched(self.netG_A, self.real_A, self.real_B)
        else:
            self.fake_B = self.netG_A(self.real_A)  # G_A(A)
            self.idt_A = self.real_B  # its loss is 0
        self.rec_A = self.netG_B(self.fake_B)  # G_B(G_A(A))

    def forward_B(self) -> None:
        """B → A → B, and the identity mapping of G_B."""
        if self.use_identity:
            self.fake_A, self.idt_B = forward_batched(self.netG_B, self.real_B, self.real_A)
        else:
            self.fake_A = self.netG_B(self.real_B)  # G_B(B)
            self.idt_B = self.real_A  # its loss is 0
        self.rec_B = self.netG_A(self.fake_A)  # G_A(G_B(B))

    # --- losses: one line for each term; the log shows loss_cycle_A as cycle_A --------------------

    def generator_loss_A(self) -> Tensor:
        """Generator loss, direction A → B → A: adversarial (eq. 1), cycle (eq. 2), identity."""
        self.forward_A()
        return self.sum_losses(
            loss_G_A=self.gan_loss_G(self.netD_A, self.real_B, self.fake_B),  # GAN(D_A(G_A(A)))
            loss_cycle_A=self.lambda_A * l1(self.rec_A, self.real_A),  # λ_A |G_B(G_A(A)) − A|
            loss_idt_A=self.lambda_idt_A * l1(self.idt_A, self.real_B),  # λ_idt λ_B |G_A(B) − B|
        )

    def generator_loss_B(self) -> Tensor:
        """Generator loss, direction B → A → B: adversarial (eq. 1), cycle (eq. 2), identity."""
        self.forward_B()
        return self.sum_losses(
            loss_G_B=self.gan_loss_G(self.netD_B, self.real_A, self.fake_A),  # GAN(D_B(G_B(B)))
            loss_cycle_B=self.lambda_B * l1(self.rec_B, self.real_B),  # λ_B |G_A(G_B(B)) − B|
            loss_idt_B=self.lambda_idt_B * l1(self.idt_B, self.real_A),  # λ_idt λ_A |G_B(A) − A|
        )

    def discriminator_loss_A(self) -> Tensor:
        """Loss of D_A, which tells images of B from G_A(A) (eq. 1)."""
        fake_B = self.fake_B_pool.query(self.fake_B.detach())
        return self.sum_losses(loss_D_A=self.gan_loss_D(self.netD_A, self.real_B, fake_B))

    def discriminator_loss_B(self) -> Tensor:
        """Loss of D_B, which tells images of A from G_B(B) (eq. 1)."""
        fake_A = self.fake_A_pool.query(self.fake_A.detach())
        return self.sum_losses(loss_D_B=self.gan_loss_D(self.netD_B, self.real_A, fake_A))

    def gan_loss_G(self, netD: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        """GAN(D(fake), real). Real images count only if --gan_mode compares scores with theirs."""
        if not self.criterionGAN.is_relativistic:
            return self.criterionGAN(netD(self.augment(fake)), True)

        _, pred_fake = self.scores(netD, self.augment(real), self.augment(fake))
        return self.criterionGAN(pred_fake, True)

    def gan_loss_D(self, netD: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        """½ (GAN(D(real), real) + GAN(D(fake), fake)), plus gradient penalties.

        Halved to slow down D relative to G, as in the appendix of the paper (7.1).
        """
        real, fake = self.augment(real), self.augment(fake)
        pred_real, pred_fake = self.scores(netD, real, fake)
        loss = 0.5 * (self.criterionGAN(pred_real, True) + self.criterionGAN(pred_fake, False))
        if self.lambda_gp > 0:
            loss = loss + self.lambda_gp * gradient_penalty(netD, real, fake)
        if self.lambda_gp0 > 0:
            loss = loss + self.lambda_gp0 * gradient_penalty(netD, real, fake, target_norm=0)
        return loss

    def scores(self, netD: nn.Module, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps of raw scores of real and fake images, relative to each other or not."""
        pred_real, pred_fake = forward_batched(netD, real, fake)
        if self.criterionGAN.is_relativistic:
            return relative_scores(pred_real, pred_fake)
        return pred_real, pred_fake
