"""The terms of the objectives, one by one, against sums written out."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.models import batch, new_model
from torch import nn

from models.losses import GAN_LOSSES, gradient_penalty, l1, relative_scores

SCORES = (-2.0, -0.25, 0.5, 3.0)


def mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)


#: (objective, judged as real) → its value for SCORES
BY_HAND = {
    ("lsgan", True): mean((s - 1) ** 2 for s in SCORES),
    ("lsgan", False): mean(s**2 for s in SCORES),
    ("vanilla", True): mean(math.log(1 + math.exp(-s)) for s in SCORES),
    ("vanilla", False): mean(math.log(1 + math.exp(s)) for s in SCORES),
    ("wgangp", True): -mean(SCORES),
    ("wgangp", False): mean(SCORES),
    ("relativistic", True): mean(math.log(1 + math.exp(-s)) for s in SCORES),
    ("relativistic", False): mean(math.log(1 + math.exp(s)) for s in SCORES),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("gan_mode", "real"), BY_HAND)
def test_gan_losses(gan_mode, real, dtype):
    """The scores are exact in all three formats, and so are not the sums: bfloat16 is raised."""
    scores = torch.tensor(SCORES, dtype=dtype).view(2, 1, 1, 2)
    loss = GAN_LOSSES[gan_mode](scores, real)
    assert loss.shape == ()
    assert loss.dtype in (torch.float32, torch.float64)
    assert loss.item() == pytest.approx(BY_HAND[gan_mode, real], rel=1e-6)


@pytest.mark.parametrize("gan_mode", GAN_LOSSES)
def test_every_objective_tells_real_from_fake(gan_mode):
    """Judged as real, higher scores cost less; judged as fake, they cost more."""
    low, high = torch.full((1, 1, 2, 2), 0.25), torch.full((1, 1, 2, 2), 0.75)
    loss = GAN_LOSSES[gan_mode]
    assert loss(high, True) < loss(low, True)
    assert loss(high, False) > loss(low, False)


def test_l1_is_the_mean_over_all_values():
    a, b = torch.tensor([[1.0, -2.0], [0.5, 0.0]]), torch.tensor([[0.0, 2.0], [0.5, -1.0]])
    assert l1(a, b).item() == (1 + 4 + 0 + 1) / 4
    assert l1(a.bfloat16(), b.bfloat16()).dtype == torch.float32


class Linear(nn.Module):
    """Two scores an image, whose sum is the sum of ``slope`` times the pixels."""

    def __init__(self, slope: float):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope, dtype=torch.float64))

    def forward(self, x):
        return (x * self.slope / 2).flatten(1).sum(1).view(-1, 1, 1, 1).expand(-1, 1, 1, 2)


@pytest.mark.parametrize("slope", [0.125, 0.0625, 0.5])
def test_gradient_penalty_of_a_linear_critic(slope):
    """8×8 equal slopes have the length 8 · slope, whatever the image and the batch."""
    critic, real, fake = Linear(slope), *torch.randn(2, 5, 1, 8, 8, dtype=torch.float64)
    penalty = gradient_penalty(critic, real, fake)
    assert penalty.item() == pytest.approx((8 * slope - 1) ** 2, rel=1e-12, abs=1e-15)
    penalty.backward()
    assert critic.slope.grad.item() == pytest.approx(2 * (8 * slope - 1) * 8, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("slope", [0.125, 0.5])
def test_zero_centered_gradient_penalty_of_a_linear_critic(slope):
    critic, real, fake = Linear(slope), *torch.randn(2, 5, 1, 8, 8, dtype=torch.float64)
    penalty = gradient_penalty(critic, real, fake, target_norm=0)
    assert penalty.item() == pytest.approx((8 * slope) ** 2, rel=1e-12)


def scores_of(model, data):
    """Maps of scores of real_B and fake_B by D_A, without the model's own loss functions."""
    with torch.no_grad():
        return model.netD_A(data["B"]), model.netD_A(model.netG_A(data["A"]))


def test_relativistic_losses_compare_the_scores_of_pairs():
    """Softplus of the differences, written out, for both players."""
    model, data = new_model(gan_mode="relativistic"), batch(0, n=2)
    real, fake = scores_of(model, data)
    model.set_input(data)
    model.optimize_parameters()
    losses = model.get_current_losses()
    difference = (real - fake).flatten().tolist()
    as_G = mean(math.log(1 + math.exp(d)) for d in difference)
    as_D = mean(math.log(1 + math.exp(-d)) for d in difference)
    assert losses["G_A"] == pytest.approx(as_G, rel=1e-6)
    assert losses["D_A"] == pytest.approx(as_D, rel=1e-6)


def test_relative_scores_are_opposite():
    real, fake = relative_scores(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 4.0]))
    assert real.tolist() == [2.0, -3.0]
    assert fake.tolist() == [-2.0, 3.0]


@pytest.mark.parametrize("gan_mode", GAN_LOSSES)
def test_the_zero_centered_penalty_is_added_with_its_weight(gan_mode):
    def loss(weight):
        torch.manual_seed(0)
        model = new_model(gan_mode=gan_mode, lambda_gp=0, lambda_gp0=weight)
        model.set_input(batch(0))
        torch.manual_seed(5)
        model.optimize_parameters()
        return model.get_current_losses()["D_A"]

    once = loss(1) - loss(0)
    assert once > 0
    assert loss(4) - loss(0) == pytest.approx(4 * once, rel=1e-6)


class Square(nn.Module):
    """The score's slope is the image itself."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x):
        self.seen.append(x.detach())
        return (x**2 / 2).flatten(1).sum(1)


def test_gradient_penalty_looks_between_real_and_fake():
    torch.manual_seed(0)
    critic, n = Square(), 400
    real, fake = torch.zeros(n, 1, 2, 2), torch.ones(n, 1, 2, 2)
    penalty = gradient_penalty(critic, real, fake)
    (between,) = critic.seen
    shares = between[:, 0, 0, 0]
    assert torch.equal(between, shares.view(-1, 1, 1, 1).expand_as(between))
    assert shares.min() >= 0 and shares.max() <= 1
    assert shares.mean().item() == pytest.approx(0.5, abs=5 * 0.289 / n**0.5)
    assert shares.std().item() == pytest.approx(0.289, abs=0.04)
    assert penalty.item() == pytest.approx(((2 * shares - 1) ** 2).mean().item(), rel=1e-5)


def test_wgangp_adds_the_penalty_with_its_weight():
    """The same draw of points, so that the two losses differ by the penalty alone."""

    def loss(weight):
        model = new_model(gan_mode="wgangp", lambda_gp=weight)
        model.set_input(batch(0))
        torch.manual_seed(5)
        model.optimize_parameters()
        return model.get_current_losses()["D_A"]

    none, once, twice = loss(0), loss(4), loss(8)
    assert once > none
    assert twice - once == pytest.approx(once - none, rel=1e-9)


def test_only_wgangp_pays_the_penalty():
    def loss(weight):
        model = new_model(gan_mode="lsgan", lambda_gp=weight)
        model.set_input(batch(0))
        model.optimize_parameters()
        return model.get_current_losses()["D_A"]

    assert loss(100) == loss(0)
