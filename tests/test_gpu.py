"""Code paths that need a GPU. Without one, pytest reports these tests as skipped."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from helpers import jobs
from helpers.commands import golden, ok, run_in
from helpers.models import batch, weights_of, words

from engine.cuda_graph import WARMUP_STEPS
from engine.executor import StepExecutor
from models import create_model
from models.networks import define_G
from models.networks.layers import ChannelsLastReflectionPad2d
from options import TrainOptions

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]

NO_DISPLAY = {"display_id": 0, "no_html": True}  # works without dominate and visdom
SIZE = {"crop_size": 32, "load_size": 32, "ngf": 8, "ndf": 8, "netG": "resnet_6blocks"}


@pytest.fixture
def no_tf32(monkeypatch):
    """Compute convolutions in float32, which PyTorch rounds to TF32 by default."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture(autouse=True)
def restored_cudnn(monkeypatch):
    """Restore the settings of cuDNN that executors change."""
    for name in ("benchmark", "deterministic", "allow_tf32"):
        monkeypatch.setattr(torch.backends.cudnn, name, getattr(torch.backends.cudnn, name))


def make_executor(**options):
    opt = TrainOptions().parse(["--dataroot", ".", *words({**NO_DISPLAY, **options})])
    model = create_model(opt)
    return model, StepExecutor(model, opt)


def images(seed: int, n: int = 1, size: int = 32) -> dict:
    data = batch(seed, n, size)
    return {name: v.float() if torch.is_tensor(v) else v for name, v in data.items()}


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_hold_in_every_layout(n, layout, no_tf32):
    torch.manual_seed(0)
    net = define_G(3, 3, 8, "resnet_6blocks", "instance", init_gain=0.1)
    x = torch.randn(n, 3, 32, 32)
    grads = []
    for device, dtype in (("cpu", torch.float64), ("cuda", torch.float32)):
        net.to(device, dtype, memory_format=layout).zero_grad()
        out = net(x.to(device, dtype, memory_format=layout))
        out.square().sum().backward()
        found = [w.grad.double().cpu().flatten() for w in net.parameters() if w.grad is not None]
        grads.append(torch.cat(found))
    assert (grads[1] - grads[0]).norm() < 1e-2 * grads[0].norm()


def test_reflection_padding_keeps_channels_last():
    x = torch.randn(2, 4, 9, 11, device="cuda").to(memory_format=torch.channels_last)
    y = ChannelsLastReflectionPad2d(3)(x)
    assert torch.equal(y, F.pad(x, (3, 3, 3, 3), mode="reflect"))
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("pool_size", [0, 3])
def test_captured_steps_equal_eager_steps(pool_size, no_tf32):
    """More steps than the warm-up, with an odd batch and a change of the learning rate."""
    ends = []
    for captured in (False, True):
        model, executor = make_executor(
            **SIZE, precision="fp32", compile="off", pool_size=pool_size, batch_size=2
        )
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        if not captured:
            executor.run_step = model.step
        losses = []
        for i in range(WARMUP_STEPS + 6):
            model.scale_learning_rates(1 if i < WARMUP_STEPS + 3 else 0.5)
            executor.step(images(i, n=1 if i == WARMUP_STEPS + 2 else 2))
            losses.append(list(model.get_current_losses().values()))
        ends.append((losses, weights_of(model)))
    assert torch.allclose(torch.tensor(ends[0][0]), torch.tensor(ends[1][0]), rtol=2e-3, atol=1e-4)
    for name, state in ends[0][1].items():
        for key, value in state.items():
            assert torch.allclose(value, ends[1][1][name][key], atol=2e-3), (name, key)


@pytest.mark.parametrize("model_name", ["cycle_gan", "pix2pix"])
def test_all_optimizations_work_together(model_name):
    """bf16, compiled and captured, with moving averages, dropout, previews and an odd batch."""
    options = {**SIZE, "model": model_name, "batch_size": 2, "ema": 0.9}
    model, executor = make_executor(**options, precision="bf16", compile="on", capture="on")
    before = weights_of(model)
    for i in range(WARMUP_STEPS + 6):
        if i in (1, WARMUP_STEPS + 3):
            executor.preview([images(100 + i)])
        executor.step(images(i, n=1 if i in (2, WARMUP_STEPS + 2) else 2))
        assert all(math.isfinite(value) for value in executor.losses().values()), i
        assert executor.pop_problem() is None
    assert executor.run_step.graph is not None
    for name, state in weights_of(model).items():
        assert any(not torch.equal(value, before[name][key]) for key, value in state.items()), name


@pytest.mark.parametrize("compile_", ["off", "on"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_first_golden_step_holds(precision, compile_):
    reference = golden("steps_cycle_gan_default.pt")
    options = {k: v for k, v in reference["options"].items() if k != "lambda_L1"}
    sizes = {"crop_size": 32, "load_size": 32}
    model, executor = make_executor(**options, **sizes, precision=precision, compile=compile_)
    for net, state in reference["initial"].items():
        model.networks[net].load_state_dict(state)
    A, B = (reference[side][0].float() / 127.5 - 1 for side in "AB")
    executor.step({"A": A, "B": B})
    found = torch.tensor(list(model.get_current_losses().values()), dtype=torch.float64)
    bound = 1e-2 if precision == "fp32" else 5e-2  # TF32 and bf16
    assert torch.allclose(found, reference["losses"][0], rtol=bound)


def test_images_of_16_bits_are_computed_without_tf32(capsys):
    torch.backends.cudnn.allow_tf32 = True
    make_executor(**SIZE, input_nc=1, output_nc=1, bit_depth=16)
    assert not torch.backends.cudnn.allow_tf32
    assert "TF32" not in capsys.readouterr().out


def test_running_statistics_are_restored_in_a_captured_step():
    model, executor = make_executor(**SIZE, norm="batch", precision="fp32", compile="off")
    for i in range(WARMUP_STEPS + 2):
        executor.step(images(i))
    before = weights_of(model)
    bad = images(WARMUP_STEPS + 2)
    executor.step({**bad, "A": bad["A"] * float("nan")})
    assert executor.run_step.graph is not None
    for name, state in before.items():
        for key, value in model.networks[name].state_dict().items():
            assert torch.equal(value, state[key]) or key.endswith("tracked"), (name, key)
    assert executor.pop_problem() is not None
    executor.step(images(WARMUP_STEPS + 3))
    assert executor.pop_problem() is None


def test_images_of_several_sizes_are_not_replayed():
    """The pool stores both sizes from the odd one on; before that, the step was captured."""
    _, executor = make_executor(**SIZE, precision="fp32", compile="off", pool_size=3)
    for i in range(WARMUP_STEPS + 2):
        executor.step(images(i))
    assert executor.run_step.graph is not None
    executor.run_step._replay = None  # calling it is now an error
    for size in (36, 32, 32):
        executor.step(images(size, size=size))
    assert executor.pop_problem() is None


@pytest.mark.slow
def test_one_process_over_nccl_equals_a_plain_run(dataset, tmp_path):
    """Bit for bit with deterministic kernels. Both are new processes with default settings."""
    flags = ["--dataroot", dataset, "--deterministic", "--compile", "off", "--capture", "off"]
    flags += words({**SIZE, **NO_DISPLAY, "n_epochs": 2, "n_epochs_decay": 0})
    ok(run_in(tmp_path, "train.py", *flags, "--name", "plain"))
    ok(jobs.run(tmp_path, "train.py", *flags, "--name", "distributed", size=1))
    for name in ("G_A", "G_B", "D_A", "D_B"):
        plain, distributed = (
            torch.load(tmp_path / "checkpoints" / run / f"latest_net_{name}.pth")
            for run in ("plain", "distributed")
        )
        assert all(torch.equal(value, distributed[key]) for key, value in plain.items()), name
