"""Generated images beside what they can be judged by: their originals, and the target itself."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from metrics.evaluate import METRICS, evaluate_sets
from metrics.features import AUTO, FeatureExtractor
from metrics.image_set import ImageSet
from metrics.metric import Settings

DEFAULT_METRICS = ("kid", "fid")
DEFAULT_PAIRED_METRICS = ("l1", "psnr", "ssim")

#: Rows of a comparison.
TRANSLATED = "translated"
UNTRANSLATED = "untranslated"
FLOOR = "half of the target"


@dataclass(frozen=True)
class Comparison:
    """``fake`` images, the ``real`` ones they should resemble, and those they were made from."""

    name: str  # as fake_B
    fake: ImageSet
    real: ImageSet
    source: ImageSet | None = None

    def choose_metrics(self, metrics: str) -> list[str]:
        """Return the names in ``metrics``; for "auto" the paired ones only if all names agree.

        ``metrics`` are names separated by commas, or "auto".
        """
        if metrics != AUTO:
            return metrics.split(",")
        paired = DEFAULT_PAIRED_METRICS if self.fake.has_same_names(self.real) else ()
        return [*DEFAULT_METRICS, *paired]

    def num_images(self) -> int:
        """Return how many images have features."""
        return len(self.fake) + len(self.real) + (len(self.source) if self.source else 0)

    def measure(
        self,
        metrics: Sequence[str],
        features: FeatureExtractor | None,
        settings: Settings,
        on_images: Callable[[int], object] = lambda count: None,
    ) -> dict[str, dict[str, float]]:
        """Compute ``metrics`` for each row.

        `TRANSLATED` compares the fake images with the real ones, `UNTRANSLATED` those that they
        were made from: a translation should be better. `FLOOR` compares two random halves of the
        real images: no translation can be expected to be better. It has no paired metrics.
        """
        extractor = features or AUTO
        unpaired = [name for name in metrics if not METRICS[name].is_paired]

        values = {
            TRANSLATED: evaluate_sets(self.real, self.fake, metrics, extractor, settings, on_images)
        }
        if self.source is not None:
            values[UNTRANSLATED] = evaluate_sets(
                self.real, self.source, metrics, extractor, settings, on_images
            )
        required = 2 * max((METRICS[name].min_images for name in unpaired), default=0)
        if unpaired and len(self.real) >= required:
            halves = split_in_half(self.real, settings.seed)
            values[FLOOR] = evaluate_sets(*halves, unpaired, extractor, settings)
        return values


def split_in_half(images: ImageSet, seed: int) -> tuple[ImageSet, ImageSet]:
    """Return two random halves; of an odd number, one image is left out."""
    order = random.Random(seed).sample(range(len(images)), len(images))
    half = len(images) // 2
    return images.subset(order[:half]), images.subset(order[half : 2 * half])
