"""Two folders of images that have nothing to do with each other one by one."""

import random
from argparse import Namespace
from pathlib import Path

from data.image_io import list_images
from data.image_reader import ImageReader, find_images, side_channels


class UnalignedDataset:
    """``<dataroot>/<phase>A`` and ``…B``: image A in order, with an image B draw_image at random.

    As many items as the larger folder has images; the smaller one starts again from its
    beginning. With ``serial_batches`` B goes in order too.
    """

    def __init__(self, opt: Namespace):
        self.A, self.B = (
            ImageReader(_images(opt, side), nc, opt)
            for side, nc in zip("AB", side_channels(opt), strict=True)
        )
        self.readers = (self.A, self.B)
        self.serial = opt.serial_batches

    @staticmethod
    def has_phase(opt: Namespace, phase: str) -> bool:
        """Whether there are images for ``phase``."""
        return all(list_images(Path(opt.dataroot) / f"{phase}{side}") for side in "AB")

    def __len__(self) -> int:
        return max(len(self.A), len(self.B))

    def size(self, index: int) -> tuple:
        """The sizes of the images in item ``index``, which must be in order."""
        return self.A.size(index % len(self.A)), self.B.size(index % len(self.B))

    def paths(self, index: int) -> dict[str, str]:
        """The files of item ``index``, which must be in order."""
        A, B = self.A.paths, self.B.paths
        return {"A_paths": str(A[index % len(A)]), "B_paths": str(B[index % len(B)])}

    def get(self, index: int, rng: random.Random) -> dict:
        """Item ``index``, all that is random in it taken from ``rng``."""
        a = index % len(self.A)
        b = index % len(self.B) if self.serial else rng.randrange(len(self.B))
        A, A_path = self.A.read(a, rng)
        B, B_path = self.B.read(b, rng)
        return {"A": A, "B": B, "A_paths": A_path, "B_paths": B_path}


def _images(opt: Namespace, side: str) -> list[Path]:
    names = f"{opt.phase}A and {opt.phase}B"
    remedy = f"--dataroot must name a folder that holds {names}" + _found(Path(opt.dataroot))
    return find_images(Path(opt.dataroot) / f"{opt.phase}{side}", remedy)


def _found(root: Path) -> str:
    if not root.is_dir():
        return f" ({root} does not exist)" if not root.exists() else f" ({root} is a file)"
    names = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
    return f" (found {', '.join(names[:8]) or 'nothing'}{', …' if len(names) > 8 else ''})"
