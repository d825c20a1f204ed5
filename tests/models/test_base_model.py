"""Conventions of `BaseModel`: what the type and name of an attribute mean."""

from __future__ import annotations

import torch
from helpers.models import batch, new_model
from torch import nn

from models.image_pool import ImagePool
from models.template_model import TemplateModel


class PerceptualModel(TemplateModel):
    """The template with a frozen feature network in its loss."""

    def __init__(self, opt):
        super().__init__(opt)
        self.features = nn.Conv2d(3, 4, 3).requires_grad_(False)

    def loss_G(self):
        self.forward()
        difference = self.features(self.fake_B) - self.features(self.real_B)
        return self.sum_losses(loss_G=difference.abs().mean(), loss_extra=self.fake_B.mean() * 0)


def perceptual_model(monkeypatch) -> PerceptualModel:
    monkeypatch.setitem(__import__("models").MODELS, "template", PerceptualModel)
    return new_model(model="template", dataset_mode="unaligned")


def test_frozen_helper_moves_with_the_model_and_is_neither_saved_nor_trained(monkeypatch):
    model = perceptual_model(monkeypatch)
    assert model.features.weight.dtype == torch.float64  # new_model() calls double()
    assert list(model.networks) == ["G"]
    assert list(model.state_dict()["networks"]) == ["G"]

    helper = model.features.weight.clone()
    generator = [weight.clone() for weight in model.netG.parameters()]
    model.set_input(batch(0))
    model.optimize_parameters()
    assert torch.equal(model.features.weight, helper)
    assert model.features.weight.grad is None
    pairs = zip(model.netG.parameters(), generator, strict=True)
    assert any(not torch.equal(new, old) for new, old in pairs)


def test_terms_of_a_loss_are_logged_under_their_names(monkeypatch):
    model = perceptual_model(monkeypatch)
    model.set_input(batch(0))
    model.optimize_parameters()
    assert list(model.get_current_losses()) == ["G", "extra"]


def test_networks_and_pools_are_found_by_attribute():
    model = new_model(pool_size=3)
    assert list(model.networks) == ["G_A", "G_B", "D_A", "D_B"]
    assert model.networks["D_A"] is model.netD_A
    assert model.pools == {"fake_B": model.fake_B_pool, "fake_A": model.fake_A_pool}
    assert all(isinstance(pool, ImagePool) for pool in model.pools.values())


def test_averages_stand_in_for_generators_only_inside_the_block():
    model = new_model()
    average = nn.Identity()
    own = model.netG_A
    model.ema_networks = {"G_A": average}
    with model.use_ema():
        assert model.networks["G_A"] is model.netG_A is average
    assert model.netG_A is own


def test_no_graph_stays_alive_after_a_step():
    """A reference to it would keep buffers of a captured CUDA graph for later eager steps."""
    model = new_model()
    model.set_input(batch(0))
    model.optimize_parameters()
    assert all(loss.grad_fn is None for loss in model.losses.values())
    assert all(image.grad_fn is None for image in model.get_current_visuals().values())
