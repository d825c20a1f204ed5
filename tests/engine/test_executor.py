"""However a step runs, its results and gradients equal those of a plain eager step."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest
import torch
import torch.nn.functional as F
from helpers.commands import golden
from helpers.models import batch, moved, weights_of, words
from torch import nn

import distributed.sync_batch_norm
import engine.winograd
from distributed.sync_batch_norm import synchronize_batch_norm
from engine.compile import compile_network
from engine.cuda_graph import CapturedStep
from engine.executor import StepExecutor
from engine.winograd import use_winograd
from models import create_model
from models.networks import define_D, define_G
from models.networks.layers import (
    BiasFreeConv2d,
    BiasFreeConvTranspose2d,
    ChannelsLastInstanceNorm2d,
    reflect_pad,
)
from options import TrainOptions


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


NETWORKS = {
    "generator": lambda: define_G(3, 3, 16, "resnet_6blocks", "instance", init_gain=0.1),
    "unet": lambda: define_G(3, 3, 4, "unet_128", "instance", init_gain=0.1),
    "discriminator": lambda: define_D(3, 8, "basic", 3, "instance", init_gain=0.1),
    "batch norm": lambda: define_G(3, 3, 4, "resnet_6blocks", "batch", init_gain=0.1),
}
#: Bounds for ‖gradient − exact‖ / ‖exact‖. Measured: 8e-6 and 0.06; a wrong gradient is off by 1.
PRECISIONS = {"fp32": 3e-5, "bf16": 0.1}


def smooth(net: nn.Module) -> nn.Module:
    """Replace ReLUs by SiLU: rounding across the kink of a ReLU would count as an error."""
    for module in list(net.modules()):
        for name, layer in module.named_children():
            if isinstance(layer, (nn.ReLU, nn.LeakyReLU)):
                setattr(module, name, nn.SiLU())
    return net


def gradients(net: nn.Module, x: torch.Tensor, precision=None) -> list[torch.Tensor]:
    net.zero_grad()
    context = precision or (lambda: torch.autocast("cpu", enabled=False))
    with context():
        y = net(x)
    weights = random(*y.shape, seed=3).to(y.dtype)
    (y * weights).sum().backward()
    return [w.grad.clone() for w in net.parameters() if w.grad is not None]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_hold_in_every_layout_batch_and_precision(
    name, n, layout, precision, monkeypatch
):
    monkeypatch.setattr(engine.winograd, "MIN_WORK", 0)
    torch.manual_seed(0)
    net = smooth(NETWORKS[name]())
    x = random(n, 3, 128 if name == "unet" else 32, 128 if name == "unet" else 32, seed=4)
    exact = gradients(net.double(), x.double())
    net.float().to(memory_format=layout)
    use_winograd(net)
    autocast = partial(torch.autocast, "cpu", dtype=torch.bfloat16)
    x = x.to(memory_format=layout)
    found = gradients(net, x, autocast if precision == "bf16" else None)
    found, exact = (torch.cat([g.double().flatten() for g in grads]) for grads in (found, exact))
    assert (found - exact).norm() < PRECISIONS[precision] * exact.norm()


def make_executor(**options):
    opt = TrainOptions().parse(["--dataroot", ".", "--gpu_ids", "-1", *words(options)])
    model = create_model(opt)
    return model, StepExecutor(model, opt)


SIZE = {"crop_size": 32, "load_size": 32, "ngf": 4, "ndf": 4, "netG": "resnet_6blocks"}


@pytest.mark.parametrize("flags", [{}, {"grad_checkpoint": True}, {"compile": "on"}], ids=str)
@pytest.mark.parametrize(
    "name", ["steps_cycle_gan_default.pt", "steps_cycle_gan_no_identity_vanilla_bs2.pt"]
)
# In bf16 the smallest feature maps, of 3×3 pixels, are normalized by noisy statistics.
@pytest.mark.slow
@pytest.mark.parametrize(("precision", "bound"), [("fp32", 1e-4), ("bf16", 5e-2)])
def test_the_first_golden_step_holds_through_the_executor(
    name, flags, precision, bound, monkeypatch
):
    monkeypatch.setattr(engine.winograd, "MIN_CHANNELS", 1)
    monkeypatch.setattr(engine.winograd, "MIN_WORK", 0)
    # All stages of the compiler except the last, which needs a C++ compiler.
    partial_compile = partial(compile_network, backend="aot_eager")
    monkeypatch.setattr("engine.executor.compile_network", partial_compile)
    reference = golden(name)
    options = {k: v for k, v in reference["options"].items() if k != "lambda_L1"}
    model, executor = make_executor(**{**options, **SIZE, **flags}, precision=precision)
    for net, state in reference["initial"].items():
        model.networks[net].load_state_dict(state)
    before = weights_of(model)
    A, B = (reference[side][0].float() / 127.5 - 1 for side in "AB")
    executor.step({"A": A, "B": B, "A_paths": [], "B_paths": []})
    losses = model.get_current_losses()
    for key, value in zip(reference["loss_names"], reference["losses"][0].tolist(), strict=True):
        assert losses[key] == pytest.approx(value, rel=bound, abs=1e-12), key
    assert moved(model, before) == set(model.networks)


def test_bf16_keeps_weights_losses_and_images_in_fp32():
    model, executor = make_executor(precision="bf16", **SIZE)
    seen = {}
    for name in ("G_A", "D_A"):
        model.networks[name].register_forward_hook(
            lambda net, args, out, name=name: seen.update({name: out.dtype})
        )
    inner = model.networks["G_A"].model[10].conv_block[1]
    inner.register_forward_hook(lambda net, args, out: seen.update(inner=out.dtype))
    executor.step({k: v.float() if torch.is_tensor(v) else v for k, v in batch(0).items()})
    assert seen == {"G_A": torch.float32, "D_A": torch.float32, "inner": torch.bfloat16}
    assert {w.dtype for net in model.networks.values() for w in net.parameters()} == {torch.float32}
    assert {loss.dtype for loss in model.losses.values()} == {torch.float32}


def test_a_preview_changes_nothing():
    steps = []
    for with_preview in (False, True):
        model, executor = make_executor(**{**SIZE, "norm": "batch", "netG": "unet_128"})
        for i in range(2):
            data = {k: v.float() if torch.is_tensor(v) else v for k, v in batch(i).items()}
            executor.step(data)
            if with_preview:
                executor.preview([data])
        steps.append(weights_of(model))
    for name, state in steps[0].items():
        assert all(torch.equal(value, steps[1][name][key]) for key, value in state.items())


@pytest.mark.parametrize("pad", [1, 3])
@pytest.mark.parametrize("dim", [2, 3])
def test_reflect_pad_is_reflection_padding(pad, dim):
    x = random(2, 3, 7, 9).to(memory_format=torch.channels_last)
    sides = (0, 0, pad, pad) if dim == 2 else (pad, pad, 0, 0)
    assert torch.equal(reflect_pad(x, pad, dim), F.pad(x, sides, mode="reflect"))


@pytest.mark.parametrize("kind", [BiasFreeConv2d, BiasFreeConvTranspose2d])
def test_a_bias_before_instance_norm_is_stored_and_has_no_effect(kind):
    torch.manual_seed(0)
    layer, norm = kind(4, 5, 3, stride=2, padding=1), ChannelsLastInstanceNorm2d(5)
    plain = (nn.Conv2d if kind is BiasFreeConv2d else nn.ConvTranspose2d)(
        4, 5, 3, stride=2, padding=1
    )
    plain.load_state_dict(layer.state_dict(), strict=True)
    x = random(2, 4, 12, 12)
    assert layer.bias is not None
    assert torch.allclose(norm(layer(x)), norm(plain(x)), atol=1e-5)


class ThreadedDist:
    """Stand-in for `torch.distributed` with ``n`` threads instead of processes."""

    def __init__(self, n: int):
        self.given: list[torch.Tensor] = []
        self.arrived, self.read = Barrier(n, timeout=60), Barrier(n, self.given.clear, timeout=60)

    def all_reduce(self, x: torch.Tensor) -> None:
        self.given.append(x.clone())
        self.arrived.wait()
        total = sum(self.given)
        self.read.wait()
        x.copy_(total)


def test_synchronized_batch_norm_ignores_padding_steps(monkeypatch):
    """Two ranks with an image each and one without, against one process with both images."""
    monkeypatch.setattr(distributed.sync_batch_norm, "dist", ThreadedDist(3))
    x, goal = random(2, 3, 5, 4).double(), random(2, 3, 5, 4, seed=1).double()
    plain, *layers = (nn.BatchNorm2d(3).double() for _ in range(4))

    def learn(layer, image, wanted, share: float) -> torch.Tensor:
        image = image.clone().requires_grad_()
        (share * (layer(image) - wanted).square().mean()).backward()
        return image.grad

    def learn_together(layer, part: int, share: float) -> torch.Tensor:
        assert synchronize_batch_norm(layer, torch.tensor(share)) == 1
        return learn(layer, x[part, None], goal[part, None], share)

    whole = learn(plain, x, goal, 1.0)
    with ThreadPoolExecutor(3) as pool:
        parts = list(pool.map(learn_together, layers, (0, 1, 0), (0.5, 0.5, 0.0)))
    assert torch.allclose(torch.cat(parts[:2]), whole)
    assert not parts[2].any()
    for layer in layers:
        assert torch.allclose(layer.running_mean, plain.running_mean)
        assert torch.allclose(layer.running_var, plain.running_var)
    assert torch.allclose(sum(layer.weight.grad for layer in layers), plain.weight.grad)


def test_steps_are_captured_as_long_as_images_have_one_size(monkeypatch):
    """A pool with several sizes is read by the host, which a graph cannot do."""
    monkeypatch.setattr(torch.cuda, "Stream", lambda: None)
    on_stream = []
    monkeypatch.setattr(CapturedStep, "_warm_up", lambda self: on_stream.append(self.model.step()))
    _, executor = make_executor(**SIZE, pool_size=3)
    executor._enable_cuda_graph(allow_distributed=True)
    assert "one size" in executor.description[-1]
    for size in (32, 32, 36, 32):
        data = batch(0, size=size)
        executor.step({k: v.float() if torch.is_tensor(v) else v for k, v in data.items()})
    assert len(on_stream) == 2
