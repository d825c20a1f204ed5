"""What is known about the published sets: how many pictures, which size, where they are served."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from dataset_tools import UserError

_SERVER = "efrosgans.eecs.berkeley.edu/cyclegan/datasets"


@dataclass(frozen=True)
class KnownSet:
    """One published set; `counts` are the pictures in trainA, trainB, testA and testB."""

    name: str
    counts: tuple[int, int, int, int]
    side: int | None = 256  # pixels of the square pictures; None: not all alike, or not known
    by_hand: str = ""  # where to get the archive if no server hands it out

    @property
    def urls(self) -> tuple[str, ...]:
        """Addresses to try in this order; none if the archive has to be fetched by hand."""
        if self.by_hand:
            return ()
        return tuple(f"{scheme}://{_SERVER}/{self.name}.zip" for scheme in ("https", "http"))


_SETS = (
    KnownSet("selfie2anime", (3400, 3400, 100, 100),
             by_hand="the Google Drive link of the U-GAT-IT authors (github.com/taki0112/UGATIT) "
                     "or from Kaggle (arnaud58/selfie2anime)"),
    KnownSet("apple2orange", (995, 1019, 266, 248)),
    KnownSet("summer2winter_yosemite", (1231, 962, 309, 238)),
    KnownSet("horse2zebra", (1067, 1334, 120, 140)),
    KnownSet("monet2photo", (1072, 6287, 121, 751)),
    KnownSet("cezanne2photo", (525, 6287, 58, 751)),
    KnownSet("ukiyoe2photo", (562, 6287, 263, 751)),
    KnownSet("vangogh2photo", (400, 6287, 400, 751)),
    KnownSet("maps", (1096, 1096, 1098, 1098), side=None),
    KnownSet("facades", (400, 400, 106, 106)),
    KnownSet("iphone2dslr_flower", (1812, 3325, 569, 480), side=None),
)  # fmt: skip
SETS = {known.name: known for known in _SETS}


def find_set(name: str) -> KnownSet:
    """The set of this name; UserError with the nearest right name if there is none."""
    if name in SETS:
        return SETS[name]
    near = difflib.get_close_matches(name.lower(), SETS, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(SETS)}"
    raise UserError(f"NAME {name!r} is not a known set: {hint}")
