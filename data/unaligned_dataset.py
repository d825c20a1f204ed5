"""Unpaired images: two folders whose images do not correspond one by one."""

import random
from argparse import Namespace
from pathlib import Path

from data.base_dataset import BaseDataset
from data.image_reader import ImageReader, find_images, side_channels

MAX_NAMES_SHOWN = 8


class UnalignedDataset(BaseDataset):
    """The images in ``<dataroot>/<phase>A`` in order, each with a random one of ``<phase>B``.

    There are as many items as images in the larger folder; the smaller one starts over. With
    ``--serial_batches`` the images of B are in order too.
    """

    @staticmethod
    def folders(opt: Namespace, phase: str) -> list[Path]:
        """Return the folders of both domains."""
        return [Path(opt.dataroot) / f"{phase}{domain}" for domain in "AB"]

    def make_readers(self, opt: Namespace) -> dict[str, ImageReader]:
        """Create one reader per folder."""
        root = Path(opt.dataroot)
        remedy = (
            f"--dataroot must name a folder that holds {opt.phase}A and {opt.phase}B"
            f"{_describe_content(root)}"
        )
        files_A, files_B = (find_images(folder, remedy) for folder in self.folders(opt, opt.phase))

        channels_A, channels_B = side_channels(opt)
        return {
            "A": ImageReader(files_A, channels_A, opt),
            "B": ImageReader(files_B, channels_B, opt),
        }

    def load_item(self, index: int, rng: random.Random) -> dict:
        """Load image A ``index`` and an image B."""
        reader_A = self.readers["A"]
        reader_B = self.readers["B"]
        serial = self.opt.serial_batches
        index_B = index % len(reader_B) if serial else rng.randrange(len(reader_B))

        A, A_path = reader_A.read(index % len(reader_A), rng)
        B, B_path = reader_B.read(index_B, rng)
        return {"A": A, "B": B, "A_paths": A_path, "B_paths": B_path}


def _describe_content(root: Path) -> str:
    if not root.is_dir():
        return f" ({root} does not exist)" if not root.exists() else f" ({root} is a file)"
    names = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
    found = ", ".join(names[:MAX_NAMES_SHOWN]) or "nothing"
    return f" (found {found}{', …' if len(names) > MAX_NAMES_SHOWN else ''})"
