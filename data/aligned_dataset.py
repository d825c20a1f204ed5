"""Paired images: each file holds A in its left half and B in its right half."""

import random
from argparse import Namespace
from pathlib import Path

from data.base_dataset import BaseDataset
from data.image_reader import ImageReader, find_images, side_channels


class AlignedDataset(BaseDataset):
    """The images in ``<dataroot>/<phase>``; both halves get the same crop and flip."""

    @staticmethod
    def folders(opt: Namespace, phase: str) -> list[Path]:
        """Return the folder of the pairs."""
        return [Path(opt.dataroot) / phase]

    def make_readers(self, opt: Namespace) -> dict[str, ImageReader]:
        """Create one reader per half."""
        (folder,) = self.folders(opt, opt.phase)
        remedy = f"--dataroot must name a folder that holds {opt.phase} with images A|B"
        files = find_images(folder, remedy)

        channels_A, channels_B = side_channels(opt)
        return {
            "A": ImageReader(files, channels_A, opt, half=0),
            "B": ImageReader(files, channels_B, opt, half=1),
        }

    def load_item(self, index: int, rng: random.Random) -> dict:
        """Load the pair ``index``."""
        state = rng.getstate()
        A, A_path = self.readers["A"].read(index, rng)

        rng.setstate(state)  # draws the same crop and flip again
        B, B_path = self.readers["B"].read(index, rng)
        return {"A": A, "B": B, "A_paths": A_path, "B_paths": B_path}
