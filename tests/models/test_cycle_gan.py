"""The training step of CycleGAN: reference values, and who moves whom."""

from __future__ import annotations

import pytest
import torch
from helpers.commands import GOLDEN, golden
from helpers.models import batch, moved, new_model, weights_of, words
from torch.nn.functional import l1_loss, mse_loss

from models import create_model
from models.image_pool import ImagePool
from models.losses import GAN_LOSSES
from models.networks import DISCRIMINATORS, GENERATORS, NORMS
from options import TrainOptions

REFERENCES = sorted(file.name for file in GOLDEN.glob("steps_cycle_gan_*.pt"))
LOSSES = ["D_A", "G_A", "cycle_A", "idt_A", "D_B", "G_B", "cycle_B", "idt_B"]
OTHER_MODELS = ("lambda_L1",)


def reference_model(reference: dict):
    """The model of a reference file, with its initial weights."""
    options = {k: v for k, v in reference["options"].items() if k not in OTHER_MODELS}
    options |= {"load_size": 32, "crop_size": 32, "gpu_ids": -1}
    model = create_model(TrainOptions().parse(["--dataroot", ".", *words(options)]))
    assert set(model.networks) == set(reference["initial"])
    for name, state in reference["initial"].items():
        model.networks[name].load_state_dict(state, strict=True)
    return model


def feed(model, reference: dict, step: int) -> None:
    A, B = (reference[side][step].double() / 127.5 - 1 for side in "AB")
    model.set_input({"A": A, "B": B, "A_paths": [""], "B_paths": [""]})
    model.optimize_parameters()


def test_there_are_references():
    assert len(REFERENCES) == 2


@pytest.mark.parametrize("file", REFERENCES)
def test_steps_agree_with_the_reference_in_float64(file):
    reference = golden(file)
    model = reference_model(reference).double()
    for step, expected in enumerate(reference["losses"].tolist()):
        feed(model, reference, step)
        losses = model.get_current_losses()
        assert list(losses) == reference["loss_names"] == LOSSES
        assert list(losses.values()) == pytest.approx(expected, rel=1e-9, abs=0), f"step {step}"
    for name, state in reference["final"].items():
        ours = model.networks[name].state_dict()
        assert max((ours[key] - state[key]).abs().max() for key in state) <= 1e-6, name


@pytest.mark.parametrize("file", REFERENCES)
def test_first_step_agrees_with_the_reference_in_float32(file):
    reference = golden(file)
    model = reference_model(reference)
    feed(model, reference, 0)
    assert all(w.dtype == torch.float32 for w in model.networks["G_A"].parameters())
    expected = reference["losses"][0].tolist()
    assert list(model.get_current_losses().values()) == pytest.approx(expected, rel=1e-4, abs=0)


def stepped(**options):
    model = new_model(**options)
    model.set_input(batch(0))
    model.optimize_parameters()
    return model


def test_each_update_moves_its_own_networks_only():
    model = new_model()
    model.set_input(batch(0))
    model.plan_pools()
    start = weights_of(model)
    model.update("G", model.generator_loss_A, model.generator_loss_B)
    assert moved(model, start) == {"G_A", "G_B"}
    for name in ("D_A", "D_B"):
        assert all(weight.grad is None for weight in model.networks[name].parameters())
    middle = weights_of(model)
    grads = {name: gradients(model.networks[name]) for name in ("G_A", "G_B")}
    model.update("D", model.discriminator_loss_A, model.discriminator_loss_B)
    assert moved(model, middle) == {"D_A", "D_B"}
    for name, before in grads.items():
        for weight, grad in zip(model.networks[name].parameters(), before, strict=True):
            assert weight.grad is None or torch.equal(weight.grad, grad)


def gradients(net) -> list:
    """A copy of the gradients; a weight without effect may have none."""
    return [None if w.grad is None else w.grad.clone() for w in net.parameters()]


def test_gradients_of_a_step_do_not_leak_into_the_next():
    """With the rate at 0 nothing moves, so that two equal steps have equal gradients."""
    model = new_model(lr=0)
    seen = []
    for _ in range(2):
        model.set_input(batch(0))
        model.optimize_parameters()
        seen.append([slope for net in model.networks.values() for slope in gradients(net)])
    assert sum(first is not None for first in seen[0]) > len(seen[0]) / 2
    for first, second in zip(*seen, strict=True):
        assert (first is second is None) or torch.equal(first, second)


class KnownPool(ImagePool):
    """Records the images it gets and returns known ones."""

    def __init__(self, returned):
        super().__init__(size=0)
        self.returned = returned
        self.planned = 0
        self.received = None

    def plan(self, n, *device):
        self.planned += n

    def query(self, fakes):
        self.received = fakes
        return self.returned


def test_discriminators_judge_what_comes_from_their_pool():
    model = new_model()
    data, other = batch(0), batch(1)
    model.fake_B_pool = KnownPool(other["B"])
    model.fake_A_pool = KnownPool(other["A"])
    model.set_input(data)
    with torch.no_grad():
        fakes = {"fake_B": model.networks["G_A"](data["A"]),
                 "fake_A": model.networks["G_B"](data["B"])}  # fmt: skip
        D_A, D_B = model.networks["D_A"], model.networks["D_B"]
        expected = {
            "D_A": (lsgan(D_A(data["B"]), 1) + lsgan(D_A(other["B"]), 0)) / 2,
            "D_B": (lsgan(D_B(data["A"]), 1) + lsgan(D_B(other["A"]), 0)) / 2,
        }
    model.optimize_parameters()
    for name, fake in fakes.items():
        pool = model.pools[name]
        assert pool.planned == 1
        assert not pool.received.requires_grad
        # The fakes come from the generators before their update.
        torch.testing.assert_close(pool.received, fake, rtol=0, atol=1e-12)
    for name, value in expected.items():
        assert model.get_current_losses()[name] == pytest.approx(value.item(), rel=1e-12)


def lsgan(scores, target: float):
    return mse_loss(scores, torch.full_like(scores, target))


def test_pools_have_the_size_asked_for_and_streams_of_their_own():
    pools = new_model(pool_size=7, seed=3).pools
    assert {name: pool.size for name, pool in pools.items()} == {"fake_A": 7, "fake_B": 7}
    assert len({pool.random.random() for pool in pools.values()}) == 2
    again = new_model(pool_size=7, seed=3).pools
    other = new_model(pool_size=7, seed=4).pools
    first = new_model(pool_size=7, seed=3).pools["fake_A"].random.random()
    assert again["fake_A"].random.random() == first != other["fake_A"].random.random()


def test_a_pool_changes_what_the_discriminators_see():
    def losses(pool_size):
        model = new_model(pool_size=pool_size)
        for seed in range(12):
            model.set_input(batch(seed))
            model.optimize_parameters()
        return model.get_current_losses()

    assert losses(2)["D_A"] != losses(0)["D_A"]


def test_generator_losses_by_hand():
    """Different weights everywhere, so that no two can be exchanged."""
    model = new_model(lambda_A=3, lambda_B=5, lambda_identity=0.25)
    data = batch(0, n=2)
    nets, A, B = model.networks, data["A"], data["B"]
    with torch.no_grad():
        fake_B, fake_A = nets["G_A"](A), nets["G_B"](B)
        expected = {
            "G_A": lsgan(nets["D_A"](fake_B), 1),
            "G_B": lsgan(nets["D_B"](fake_A), 1),
            "cycle_A": 3 * l1_loss(nets["G_B"](fake_B), A),
            "cycle_B": 5 * l1_loss(nets["G_A"](fake_A), B),
            "idt_A": 0.25 * 5 * l1_loss(nets["G_A"](B), B),
            "idt_B": 0.25 * 3 * l1_loss(nets["G_B"](A), A),
        }
    model.set_input(data)
    model.optimize_parameters()
    losses = model.get_current_losses()
    assert list(losses) == LOSSES
    for name, value in expected.items():
        assert losses[name] == pytest.approx(value.item(), rel=1e-12), name


def test_the_generators_descend_on_the_sum_of_their_losses():
    model = new_model()
    model.set_input(batch(0))
    model.plan_pools()
    total = model.generator_loss_A().item() + model.generator_loss_B().item()
    parts = {name: loss.item() for name, loss in model.losses.items()}
    assert total == pytest.approx(sum(parts.values()), rel=1e-12)


def test_without_identity_loss_no_network_runs_for_it():
    passes = {}
    for weight in (0.5, 0):
        model = new_model(lambda_identity=weight)
        images = []
        model.networks["G_A"].register_forward_pre_hook(
            lambda net, args, images=images: images.append(len(args[0]))
        )
        model.set_input(batch(0))
        model.optimize_parameters()
        passes[weight] = sum(images)
    losses = model.get_current_losses()
    assert losses["idt_A"] == losses["idt_B"] == 0
    assert passes == {0.5: 3, 0: 2}


@pytest.mark.parametrize("channels", [(3, 3), (1, 3)], ids=str)
def test_direction_exchanges_the_domains(channels):
    options = {"lambda_identity": 0, "input_nc": channels[0], "output_nc": channels[1]}
    there, back = new_model(**options), new_model(direction="BtoA", **options)
    data = batch(0, channels=channels)
    there.set_input(data)
    back.set_input({"A": data["B"], "B": data["A"],
                    "A_paths": data["B_paths"], "B_paths": data["A_paths"]})  # fmt: skip
    for model in (there, back):
        model.optimize_parameters()
        paths = model.get_image_paths()
        assert set(paths) == set(model.get_current_visuals())
        for label in ("real_A", "fake_B", "rec_A"):
            assert paths[label] == data["A_paths"]
        for label in ("real_B", "fake_A", "rec_B"):
            assert paths[label] == data["B_paths"]
    assert there.get_current_losses() == back.get_current_losses()
    visuals = back.get_current_visuals()
    assert torch.equal(visuals["real_A"], data["A"])
    assert torch.equal(visuals["real_B"], data["B"])


def test_scaling_the_learning_rates_reaches_all_weights():
    model = new_model(lr=0.5)
    model.scale_learning_rates(0.25)
    groups = [group for each in model.optimizers.values() for group in each.param_groups]
    assert {group["lr"] for group in groups} == {0.125}
    held = {id(weight) for group in groups for weight in group["params"]}
    assert held == {id(w) for net in model.networks.values() for w in net.parameters()}


def test_adam_starts_with_the_options():
    for optimizer in new_model(lr=0.01, beta1=0.25).optimizers.values():
        assert (optimizer.defaults["lr"], optimizer.defaults["betas"]) == (0.01, (0.25, 0.999))


@pytest.mark.parametrize("netG", GENERATORS)
@pytest.mark.parametrize("netD", DISCRIMINATORS)
@pytest.mark.parametrize("norm", NORMS)
def test_every_combination_takes_a_step(netG, netD, norm):
    model = stepped(netG=netG, netD=netD, norm=norm, ngf=1)
    assert all(value == value for value in model.get_current_losses().values())
    for net in model.networks.values():
        assert all(value.isfinite().all() for value in net.state_dict().values())


@pytest.mark.parametrize("gan_mode", GAN_LOSSES)
def test_every_objective_moves_every_network(gan_mode):
    model = new_model(gan_mode=gan_mode)
    start = weights_of(model)
    for seed in range(3):
        model.set_input(batch(seed, n=2))
        model.optimize_parameters()
    assert moved(model, start) == {"G_A", "G_B", "D_A", "D_B"}
    for value in model.get_current_losses().values():
        assert abs(value) < float("inf")


def test_discriminators_can_have_a_learning_rate_of_their_own():
    model = new_model(lr=0.5, lr_D=2)
    model.scale_learning_rates(0.25)
    rates = {name: each.param_groups[0]["lr"] for name, each in model.optimizers.items()}
    assert rates == {"G": 0.125, "D": 0.5}


@pytest.mark.parametrize(
    "options",
    [
        {"spectral_norm": True},
        {"lambda_gp0": 1},
        {"diffaug": "color,translation,cutout"},
        {"upsample": "resize", "skip": "add", "residual": "on"},
        {"gan_mode": "relativistic", "spectral_norm": True, "lambda_gp0": 0.1, "ema": 0.9},
    ],
    ids=str,
)
def test_options_of_training_move_every_network_and_repeat(options):
    """The same seed gives the same weights; the random numbers are those of the run."""
    ends = []
    for _ in range(2):
        model = new_model(**options)
        start = weights_of(model)
        torch.manual_seed(3)
        for seed in range(2):
            model.set_input(batch(seed, n=2))
            model.optimize_parameters()
        assert moved(model, start) == {"G_A", "G_B", "D_A", "D_B"}
        ends.append(weights_of(model))
    for name, weights in ends[0].items():
        assert all(torch.equal(value, ends[1][name][key]) for key, value in weights.items())
