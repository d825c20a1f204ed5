"""The formulas against independent computations in float64, and on cases with known results."""

from __future__ import annotations

import inspect
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from skimage.metrics import structural_similarity

from metrics import Settings, paired
from metrics.distribution import fid, kid, kid_subset_size, precision, recall
from util.errors import UserError

linalg = pytest.importorskip("scipy.linalg")
pytest.importorskip("torch_fidelity")
pytest.importorskip("torchmetrics")


def gaussian(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def whitened(n: int, d: int, seed: int) -> torch.Tensor:
    """n vectors with mean 0 and sample covariance 1, up to rounding."""
    x = gaussian(n, d, seed)
    x = x - x.mean(0)
    return x @ torch.linalg.inv(torch.linalg.cholesky(x.T @ x / (n - 1))).T


def image(seed: int, channels: int = 3, side: int = 24) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, channels, side, side, dtype=torch.float64, generator=generator)


# --- FID -----------------------------------------------------------------------------------------


def fid_by_definition(x: torch.Tensor, y: torch.Tensor) -> float:
    a, b = x.numpy(), y.numpy()
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = linalg.sqrtm(cov_a @ cov_b + 1e-12 * np.eye(len(cov_a)))
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root.real))


@pytest.mark.parametrize(("n", "d"), [(200, 8), (40, 30), (12, 64)])
def test_fid_is_the_definition(n, d):
    x = gaussian(n, d, 1)
    y = 1.5 * gaussian(n + 3, d, 2) + 0.5
    assert fid(x, y, Settings())["fid"] == pytest.approx(fid_by_definition(x, y), rel=1e-4)


@pytest.mark.parametrize(("n", "d"), [(300, 5), (20, 50)])
def test_fid_of_shifted_vectors_is_the_squared_shift(n, d):
    x = gaussian(n, d)
    shift = torch.linspace(-1, 2, d, dtype=torch.float64)
    expected = float(shift.square().sum())
    assert fid(x, x + shift, Settings())["fid"] == pytest.approx(expected, rel=1e-6)


def test_fid_of_gaussians_is_the_closed_form():
    scale_x = torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)
    scale_y = torch.tensor([2.0, 2.0, 1.5, 0.1], dtype=torch.float64)
    x = whitened(100, 4, 1) * scale_x
    y = whitened(80, 4, 2) * scale_y + 0.7
    expected = 4 * 0.7**2 + float((scale_x - scale_y).square().sum())
    assert fid(x, y, Settings())["fid"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("d", [3, 100])
def test_fid_of_equal_sets_is_zero(d):
    x = gaussian(30, d)
    assert fid(x, x.flip(0), Settings())["fid"] == pytest.approx(0, abs=1e-5)


# --- KID -----------------------------------------------------------------------------------------


def kid_by_double_loop(x: np.ndarray, y: np.ndarray) -> float:
    m, d = x.shape

    def kernel(a, b):
        return (float(a @ b) / d + 1) ** 3

    within = sum(
        kernel(s[i], s[j]) for s in (x, y) for i in range(m) for j in range(m) if i != j
    ) / (m * (m - 1))
    between = sum(kernel(a, b) for a in x for b in y) / m**2
    return within - 2 * between


def test_kid_is_the_unbiased_estimate_of_each_subset():
    x = gaussian(20, 6, 1)
    y = gaussian(26, 6, 2) + 0.3
    settings = Settings(seed=5, kid_subsets=3, kid_subset_size=7)
    rng = np.random.RandomState(5)
    expected = []
    for _ in range(3):
        subset_x = x.numpy()[rng.choice(20, 7, replace=False)]
        subset_y = y.numpy()[rng.choice(26, 7, replace=False)]
        expected.append(1000 * kid_by_double_loop(subset_x, subset_y))
    found = kid(x, y, settings)
    assert found["kid"] == pytest.approx(np.mean(expected), rel=1e-10)
    assert found["kid_std"] == pytest.approx(np.std(expected), rel=1e-10)


def test_kid_of_equal_distributions_is_zero_on_average():
    values = [
        kid(gaussian(60, 5, 2 * i), gaussian(60, 5, 2 * i + 1), Settings(kid_subsets=20))["kid"]
        for i in range(30)
    ]
    error = np.std(values) / math.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * error
    assert min(values) < 0 < max(values)


def test_kid_of_shifted_gaussians_is_the_closed_form():
    """E k(x, y) for d = 1: E (xy + 1)³ with Gaussians of means 0 and s, variance 1."""
    s = 0.8
    # E(xy+1)³ = E x³ E y³ + 3 E x² E y² + 3 E x E y + 1
    equal = 0 + 3 + 0 + 1
    shifted = (3 * s + s**3) ** 2 + 3 * (1 + s**2) ** 2 + 3 * s**2 + 1
    mixed = 0 + 3 * (1 + s**2) + 0 + 1
    expected = 1000 * (equal + shifted - 2 * mixed)
    x, y = gaussian(4000, 1, 1), gaussian(4000, 1, 2) + s
    found = kid(x, y, Settings(kid_subsets=20, kid_subset_size=1000))
    assert found["kid"] == pytest.approx(expected, rel=0.1)


def test_kid_depends_on_the_seed_only():
    x, y = gaussian(30, 4, 1), gaussian(30, 4, 2)
    first, again, other = (kid(x, y, Settings(seed=seed)) for seed in (1, 1, 2))
    assert first == again != other
    kid(x, y, Settings(seed=2**63 - 1))


@pytest.mark.parametrize(
    ("counts", "asked", "size"),
    [((150, 150), 1000, 75), ((150, 7), 1000, 3), ((3, 3), 9, 2), ((9000, 9000), 50, 50)],
)
def test_kid_subsets_are_at_most_half_of_a_set(counts, asked, size):
    assert kid_subset_size(*counts, Settings(kid_subset_size=asked)) == size


# --- precision and recall ------------------------------------------------------------------------


def fraction_within(points: torch.Tensor, manifold: torch.Tensor) -> float:
    """Fraction of ``points`` within the distance of a manifold point to its third neighbor."""
    inside = 0
    for point in points:
        for center in manifold:
            radius = sorted(float((center - other).norm()) for other in manifold)[3]
            if float((center - point).norm()) <= radius:
                inside += 1
                break
    return inside / len(points)


def test_precision_and_recall_are_the_definition():
    real = gaussian(25, 2, 1)
    fake = 0.4 * gaussian(30, 2, 2) + 0.5
    settings = Settings()
    assert precision(real, fake, settings)["precision"] == pytest.approx(
        fraction_within(fake, real)
    )
    assert recall(real, fake, settings)["recall"] == pytest.approx(fraction_within(real, fake))
    assert 0 < recall(real, fake, settings)["recall"] < 1


# --- paired --------------------------------------------------------------------------------------


def test_l1_and_psnr_by_hand():
    real = torch.zeros(1, 3, 4, 4, dtype=torch.float64)
    fake = real.clone()
    fake[0, 0, 0, 0] = 0.48
    assert paired.l1(real, fake) == pytest.approx(0.48 / 48)
    assert paired.psnr(real, fake) == pytest.approx(-10 * math.log10(0.48**2 / 48))
    assert paired.psnr(real, real + 0.1) == pytest.approx(20)


def test_equal_images():
    a = image(1)
    assert paired.l1(a, a) == 0
    assert paired.psnr(a, a) == math.inf
    assert paired.ssim(a, a) == pytest.approx(1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [11, 24, 64])
def test_ssim_is_that_of_scikit_image(channels, side):
    a = image(1, channels, side)
    b = (0.7 * a + 0.3 * image(2, channels, side)).clamp(0, 1)
    expected = structural_similarity(
        a[0].numpy(),
        b[0].numpy(),
        channel_axis=0,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert paired.ssim(a, b) == pytest.approx(expected, abs=1e-6)


def test_small_images_are_refused():
    with pytest.raises(UserError, match="metric ssim needs images of at least 11 pixels"):
        paired.ssim(image(1, side=8), image(2, side=8))
    with pytest.raises(UserError, match="metric lpips needs images of at least 32 pixels"):
        paired.lpips(image(1, side=8), image(2, side=8))


@pytest.fixture
def alexnet(monkeypatch):
    """AlexNet with random weights in place of those that would be downloaded."""
    torch.manual_seed(0)
    network = torchvision.models.alexnet(weights=None)
    monkeypatch.setattr(torchvision.models, "alexnet", lambda weights: network)
    monkeypatch.setattr(paired, "fetch_weights", lambda *_: None)
    paired.lpips_network.cache_clear()
    yield network
    paired.lpips_network.cache_clear()


def lpips_by_definition(a: torch.Tensor, b: torch.Tensor, network: torch.nn.Module) -> float:
    from torchmetrics.functional.image import lpips

    layers = network.features.double()
    file = Path(inspect.getfile(lpips)).parent / "lpips_models" / "alex.pth"
    weights = torch.load(file, map_location="cpu", weights_only=True)
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).view(3, 1, 1)
    x, y = ((2 * image - 1 - shift) / scale for image in (a, b))
    total, stage = 0.0, 0
    for layer in layers:
        x, y = layer(x), layer(y)
        if isinstance(layer, torch.nn.ReLU):
            unit_x, unit_y = (t / (t.square().sum(1, keepdim=True).sqrt() + 1e-10) for t in (x, y))
            weight = weights[f"lin{stage}.model.1.weight"].double()
            total += float((weight * (unit_x - unit_y).square()).sum(1).mean())
            stage += 1
            if stage == 5:
                return total
    raise AssertionError


def test_lpips_is_the_definition(alexnet):
    a, b = image(1, side=48), image(2, side=48)
    found = paired.lpips(a, b)
    assert paired.lpips(a, a) == 0
    gray = a[:, :1]
    assert paired.lpips(gray, b) == pytest.approx(paired.lpips(gray.expand(-1, 3, -1, -1), b))
    with torch.no_grad():
        assert found == pytest.approx(lpips_by_definition(a, b, alexnet), rel=1e-4)
