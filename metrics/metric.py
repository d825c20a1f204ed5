"""The description of a metric, and the settings that all of them share."""

from collections.abc import Callable
from dataclasses import dataclass

FEATURES_NEEDED = "features"
PAIRS_NEEDED = "pairs"


@dataclass(frozen=True)
class Settings:
    """Settings of the metrics; results are the same for the same settings."""

    seed: int = 0
    kid_subsets: int = 100
    kid_subset_size: int = 1000  # at most half of the smaller set is used


@dataclass(frozen=True)
class Metric:
    """One measure of generated images.

    With ``needs`` "features", ``function`` takes the features of real and of fake images, float64
    (N, D) and (M, D), and `Settings`; it returns values by name, the first being that of the
    metric. With "pairs", it takes an image and its translation, float64 (1, C, H, W) in [0, 1],
    and returns a number that is averaged over all pairs.
    """

    function: Callable
    needs: str
    lower_is_better: bool
    title: str  # heading of its column
    digits: int  # shown after the decimal point
    paper: str
    help: str
    packages: tuple[str, ...] = ()
    min_images: int = 1
    prepare: Callable[[], object] = lambda: None  # fetches what ``function`` needs

    @property
    def is_paired(self) -> bool:
        """Whether every image needs its true counterpart."""
        return self.needs == PAIRS_NEEDED
