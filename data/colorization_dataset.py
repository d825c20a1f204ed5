"""Colour pictures, taken apart into what a grey picture shows and what it lacks."""

import random
from argparse import Namespace
from pathlib import Path

from data.pictures import list_pictures
from data.reader import PictureReader, find_pictures
from data.transforms import to_range
from util.lab import lightness_and_colour


class ColorizationDataset:
    """``<dataroot>/<phase>``: A is the lightness of a picture, B its colours (see `util.lab`)."""

    def __init__(self, opt: Namespace):
        files = find_pictures(
            Path(opt.dataroot) / opt.phase,
            f"--dataroot must name a folder that holds {opt.phase} with colour pictures",
        )
        self.pictures = PictureReader(files, 3, opt)
        self.pictures.pixel_bytes *= 4  # handed over taken apart, in floats
        self.readers = (self.pictures,)

    @staticmethod
    def has_phase(opt: Namespace, phase: str) -> bool:
        """Whether there are pictures for ``phase``."""
        return bool(list_pictures(Path(opt.dataroot) / phase))

    def __len__(self) -> int:
        return len(self.pictures)

    def size(self, index: int) -> tuple:
        """The size of the picture in item ``index``."""
        return self.pictures.size(index)

    def paths(self, index: int) -> dict[str, str]:
        """The file of item ``index``, for both sides."""
        path = str(self.pictures.paths[index])
        return {"A_paths": path, "B_paths": path}

    def get(self, index: int, rng: random.Random) -> dict:
        """Item ``index``, all that is random in it taken from ``rng``."""
        picture, path = self.pictures.read(index, rng)
        A, B = lightness_and_colour(to_range(picture))
        return {"A": A, "B": B, "A_paths": path, "B_paths": path}
