"""The registry of metrics, and their computation for two sets of images."""

from collections.abc import Callable, Iterable, Sequence

from torch import Tensor

from metrics import distribution, paired
from metrics.features import AUTO, FeatureExtractor, create_extractor
from metrics.image_set import ImageSet
from metrics.metric import FEATURES_NEEDED, PAIRS_NEEDED, Metric, Settings
from util.errors import UserError
from util.packages import require_packages

METRICS: dict[str, Metric] = {
    "kid": Metric(
        distribution.kid,
        FEATURES_NEEDED,
        lower_is_better=True,
        title="kid×1000",
        digits=2,
        paper="Bińkowski et al., 2018, arXiv:1801.01401",
        help="distance of features, unbiased",
        packages=("torch_fidelity",),
        min_images=2,
    ),
    "fid": Metric(
        distribution.fid,
        FEATURES_NEEDED,
        lower_is_better=True,
        title="fid",
        digits=2,
        paper="Heusel et al., 2017, arXiv:1706.08500",
        help="distance of features, for thousands of images",
        packages=("torch_fidelity",),
        min_images=2,
    ),
    "precision": Metric(
        distribution.precision,
        FEATURES_NEEDED,
        lower_is_better=False,
        title="precision",
        digits=3,
        paper="Kynkäänniemi et al., 2019, arXiv:1904.06991",
        help="fraction of realistic images",
        packages=("torch_fidelity",),
        min_images=distribution.NEIGHBORS + 1,
    ),
    "recall": Metric(
        distribution.recall,
        FEATURES_NEEDED,
        lower_is_better=False,
        title="recall",
        digits=3,
        paper="Kynkäänniemi et al., 2019, arXiv:1904.06991",
        help="fraction of the real variety that is covered",
        packages=("torch_fidelity",),
        min_images=distribution.NEIGHBORS + 1,
    ),
    "l1": Metric(
        paired.l1,
        PAIRS_NEEDED,
        lower_is_better=True,
        title="l1",
        digits=4,
        paper="Isola et al., 2017, arXiv:1611.07004",
        help="mean absolute difference from the counterpart, from 0 to 1",
    ),
    "psnr": Metric(
        paired.psnr,
        PAIRS_NEEDED,
        lower_is_better=False,
        title="psnr dB",
        digits=2,
        paper="Huynh-Thu and Ghanbari, 2008, doi:10.1049/el:20080522",
        help="peak signal-to-noise ratio",
    ),
    "ssim": Metric(
        paired.ssim,
        PAIRS_NEEDED,
        lower_is_better=False,
        title="ssim",
        digits=4,
        paper="Wang et al., 2004, doi:10.1109/TIP.2003.819861",
        help="structural similarity",
        packages=("torchmetrics",),
    ),
    "lpips": Metric(
        paired.lpips,
        PAIRS_NEEDED,
        lower_is_better=True,
        title="lpips",
        digits=4,
        paper="Zhang et al., 2018, arXiv:1801.03924",
        help="perceptual distance (233 MB, fetched once)",
        packages=("torchmetrics",),
        prepare=paired.lpips_network,
    ),
}

Images = ImageSet | Iterable[Tensor]


def evaluate_sets(
    real: Images,
    fake: Images,
    metrics: Sequence[str] = ("kid", "fid"),
    features: FeatureExtractor | str = AUTO,
    settings: Settings | None = None,
    on_images: Callable[[int], object] = lambda count: None,
) -> dict[str, float]:
    """Compute ``metrics``, keys of `METRICS`, of ``fake`` images against ``real`` ones.

    Images are uint8 or floats in [-1, 1], (C, H, W) or batches of them; paired metrics take them
    in equal order, or by name. The result has a value for every metric, in their order, and
    ``kid_std``. An `ImageSet` keeps its features, so that the next call is faster. ``features`` is
    a network or the name of one. ``on_images`` receives the
    number of images whose features have been computed, batch by batch.

    Writes nothing, except weights fetched for a named network. Raises `UserError` for unknown
    metrics, missing packages, too few images, and images without counterpart.
    """
    settings = settings or Settings()
    real = real if isinstance(real, ImageSet) else ImageSet(real)
    fake = fake if isinstance(fake, ImageSet) else ImageSet(fake)
    check_metrics(metrics)
    for name in metrics:
        _check_counts(name, len(real), len(fake))

    values: dict[str, float] = {}
    vectors: tuple[Tensor, Tensor] | None = None
    pairs: list[tuple[Tensor, Tensor]] | None = None
    for name in metrics:
        metric = METRICS[name]
        if metric.is_paired:
            pairs = fake.counterparts(real) if pairs is None else pairs
            numbers = [metric.function(image, generated) for generated, image in pairs]
            values[name] = sum(numbers) / len(numbers)
        else:
            if isinstance(features, str):
                features = create_extractor(features)
            if vectors is None:
                vectors = real.features(features, on_images), fake.features(features, on_images)
            values.update(metric.function(*vectors, settings))
    return values


def check_metrics(names: Sequence[str], flag: str = "--metrics") -> None:
    """Raise `UserError` for an unknown metric, or one whose packages are not installed."""
    for name in names:
        if name not in METRICS:
            raise UserError(f"{flag} {name}: choose from {', '.join(METRICS)}")
        require_packages(f"{flag} {name}", *METRICS[name].packages)


def prepare_metric(name: str, num_images: int) -> None:
    """Raise `UserError` for too few images, and fetch what the metric needs."""
    _check_counts(name, num_images, num_images)
    METRICS[name].prepare()


def _check_counts(name: str, num_real: int, num_fake: int) -> None:
    required = METRICS[name].min_images
    if min(num_real, num_fake) < required:
        raise UserError(
            f"metric {name} needs at least {required} images on each side, "
            f"not {num_real} real and {num_fake} generated ones"
        )
