"""Published datasets: image counts, image size, and download addresses."""

from __future__ import annotations

from dataclasses import dataclass

from common import UserError
from util.errors import did_you_mean

_SERVER = "efrosgans.eecs.berkeley.edu/cyclegan/datasets"


@dataclass(frozen=True)
class KnownDataset:
    """One published dataset; `counts` are the images in trainA, trainB, testA and testB."""

    name: str
    counts: tuple[int, int, int, int]
    side: int | None = 256  # pixels of the square images; None if they differ or are not known
    manual_source: str = ""  # where users find the archive if there is no direct link

    @property
    def urls(self) -> tuple[str, ...]:
        """Addresses to try in this order; empty if the archive has no direct link."""
        if self.manual_source:
            return ()
        return tuple(f"{scheme}://{_SERVER}/{self.name}.zip" for scheme in ("https", "http"))


_SELFIE2ANIME_SOURCE = (
    "the Google Drive link of the U-GAT-IT authors (github.com/taki0112/UGATIT) "
    "or from Kaggle (arnaud58/selfie2anime)"
)
_ALL = (
    KnownDataset("selfie2anime", (3400, 3400, 100, 100), manual_source=_SELFIE2ANIME_SOURCE),
    KnownDataset("apple2orange", (995, 1019, 266, 248)),
    KnownDataset("summer2winter_yosemite", (1231, 962, 309, 238)),
    KnownDataset("horse2zebra", (1067, 1334, 120, 140)),
    KnownDataset("monet2photo", (1072, 6287, 121, 751)),
    KnownDataset("cezanne2photo", (525, 6287, 58, 751)),
    KnownDataset("ukiyoe2photo", (562, 6287, 263, 751)),
    KnownDataset("vangogh2photo", (400, 6287, 400, 751)),
    KnownDataset("maps", (1096, 1096, 1098, 1098), side=None),
    KnownDataset("facades", (400, 400, 106, 106)),
    KnownDataset("iphone2dslr_flower", (1812, 3325, 569, 480), side=None),
)
DATASETS = {dataset.name: dataset for dataset in _ALL}


def find_dataset(name: str) -> KnownDataset:
    """Return the dataset called `name`; raise `UserError` with a suggestion if there is none."""
    if name in DATASETS:
        return DATASETS[name]
    hint = did_you_mean(name.lower(), DATASETS) or f": choose from {', '.join(DATASETS)}"
    raise UserError(f"NAME {name!r} is not a known dataset{hint}")
