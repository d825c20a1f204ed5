"""NaN and infinite values never reach the weights, and are reported by name."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.commands import TINY, call_in, make_images, ok
from helpers.runs import RUN, losses, resume, start
from PIL import Image

from checkpoint.state import LATEST, DamagedStateError, check_finite, load_state
from engine.nonfinite import NonFiniteGuard
from models.cycle_gan_model import CycleGANModel
from util.errors import UserError


@pytest.fixture
def make_losses_nan(monkeypatch):
    """``make_losses_nan({2, 5})``: every GAN loss is NaN in these steps of the run."""

    def patch_steps(steps: set[int]) -> None:
        real, taken = CycleGANModel.step, 0

        def step(self):
            nonlocal taken
            taken += 1
            with pytest.MonkeyPatch.context() as patch:
                if taken in steps:
                    patch.setattr(self.criterionGAN, "loss", lambda pred, _: pred.mean() * math.nan)
                real(self)

        monkeypatch.setattr(CycleGANModel, "step", step)

    return patch_steps


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_update_with_a_nonfinite_gradient_is_skipped(value):
    weight = torch.nn.Parameter(torch.ones(4))
    optimizer = torch.optim.Adam([weight], lr=0.1, fused=True)
    guard = NonFiniteGuard({"G": optimizer}, torch.device("cpu"))
    results = []
    for gradient in (1.0, value, 1.0):
        weight.grad = torch.full((4,), 1.0)
        weight.grad[2] = gradient
        optimizer.step()
        results.append((weight.detach().clone(), guard.new_skipped_updates()))
    assert [skipped for _, skipped in results] == [[], ["G"], []]
    assert torch.equal(results[0][0], results[1][0])
    assert not torch.equal(results[1][0], results[2][0])
    assert guard.total == 1
    assert int(optimizer.state[weight]["step"]) == 2


def test_a_nan_loss_stops_the_run_and_names_step_and_remedies(dataset, tmp_path, make_losses_nan):
    make_losses_nan({5})
    words = ["--dataroot", dataset, *RUN, "--save_latest_freq", "2"]
    done = call_in(tmp_path, "train.py", "--name", "run", *words)
    folder = tmp_path / "checkpoints" / "run"
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    for part in ("G_A is nan", "total_iters 5", str(folder / LATEST), "--skip_nonfinite", "--lr"):
        assert part in done.stderr
    check_finite(load_state(folder))
    done = ok(resume(tmp_path))  # with the image after the bad one
    assert done.stdout.startswith("resuming run at epoch 2, iteration 1")


def test_skip_nonfinite_allows_some(dataset, tmp_path, make_losses_nan):
    make_losses_nan({2, 4})
    words = ["--dataroot", dataset, *RUN, "--skip_nonfinite", "4"]
    done = ok(call_in(tmp_path, "train.py", "--name", "run", *words))
    assert done.stdout.count("the update was skipped") == 2
    assert "4 of 4" in done.stdout  # those of the generators and of the discriminators
    assert all(math.isfinite(v) for v in losses(tmp_path / "checkpoints" / "run")[-1][3].values())


def test_an_infinite_gradient_with_finite_losses_is_named(dataset, tmp_path, monkeypatch):
    real = CycleGANModel.generator_loss_A

    class InfiniteGradient(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad * math.inf

    monkeypatch.setattr(
        CycleGANModel, "generator_loss_A", lambda self: InfiniteGradient.apply(real(self))
    )
    with pytest.raises(UserError, match="a gradient of G is not finite at epoch 1, iters 1"):
        start(tmp_path, "run", "--dataroot", dataset, *RUN)


def test_a_far_too_high_learning_rate_is_reported(dataset, tmp_path):
    words = ["--dataroot", dataset, *RUN, "--lr", "1e30"]
    done = call_in(tmp_path, "train.py", "--name", "run", *words)
    assert done.returncode == 2
    assert "error: " in done.stderr and "--lr" in done.stderr


@pytest.fixture
def batch_norm_step():
    """``batch_norm_step(x, gradient)``: take a step; return whether it was skipped, and a state."""
    layer = torch.nn.BatchNorm2d(2)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1, fused=True)
    guard = NonFiniteGuard({"G": optimizer}, torch.device("cpu"), [layer])

    def step(x: torch.Tensor, gradient: float) -> tuple[bool, dict[str, torch.Tensor]]:
        guard.begin_step()
        y = layer(x)
        layer(x)  # another forward pass may come before the gradient of the first
        optimizer.zero_grad()
        y.mean().backward(torch.tensor(gradient))
        optimizer.step()
        state = {name: value.clone() for name, value in layer.state_dict().items()}
        del state["num_batches_tracked"]  # has no effect
        return guard.new_skipped_updates() == ["G"], state

    return step


@pytest.mark.parametrize(
    ("scale", "gradient"),
    [(math.nan, 1.0), (1.0, math.inf), (1e30, 1.0)],
    ids=["image", "gradient", "variance"],
)
def test_running_statistics_are_restored_with_a_skipped_update(scale, gradient, batch_norm_step):
    x = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    skipped, before = batch_norm_step(x, 1.0)
    assert not skipped
    skipped, after = batch_norm_step(x * scale, gradient)
    assert skipped
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    skipped, after = batch_norm_step(x, 1.0)
    assert not skipped
    assert not any(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize("allowed", [0, 99])
def test_states_with_batch_norm_are_finite_after_skipped_steps(allowed, tmp_path):
    make_images(tmp_path / "pairs" / "train", 3, size=(80, 40))
    words = [*RUN, "--model", "pix2pix", "--norm", "batch", "--ema", "0.9", "--lr", "1e30"]
    words += ["--dataroot", tmp_path / "pairs", "--name", "run", "--skip_nonfinite", allowed]
    done = call_in(tmp_path, "train.py", *words)
    assert done.returncode == (0 if allowed else 2)
    lines = (done.stdout + done.stderr).splitlines()
    lines = [line for line in lines if line.startswith(("error: ", "warning: "))]
    assert lines and all("G_GAN is nan" in line for line in lines)
    state = load_state(tmp_path / "checkpoints" / "run")
    assert state["progress"]["total_iters"] == (6 if allowed else 1)
    check_finite(state)


def test_a_nonfinite_state_is_not_saved():
    state = {
        "model": {"networks": {"G": {"good": torch.ones(2), "bad": torch.tensor([1, math.nan])}}}
    }
    with pytest.raises(DamagedStateError, match="bad is not finite"):
        check_finite(state)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_losses_stay_finite_on_images_of_one_color(precision, tmp_path):
    for side in ("trainA", "trainB"):
        (tmp_path / "data" / side).mkdir(parents=True)
        for i, gray in enumerate((0, 127, 255)):
            Image.new("RGB", (40, 40), (gray,) * 3).save(tmp_path / "data" / side / f"{i}.png")
    words = [*TINY[:-2], "--precision", precision, "--dataroot", tmp_path / "data", "--no_html"]
    words += ["--n_epochs", "17", "--n_epochs_decay", "0", "--display_id", "0", "--name", "run"]
    ok(call_in(tmp_path, "train.py", *words, "--print_freq", "1"))
    found = losses(tmp_path / "checkpoints" / "run")
    assert len(found) == 51
    assert all(math.isfinite(value) for record in found for value in record[3].values())
