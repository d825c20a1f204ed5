"""Color images, taken apart into what a gray image shows and what it lacks."""

import random
from argparse import Namespace
from pathlib import Path

from data.image_io import list_images
from data.image_reader import ImageReader, find_images
from data.transforms import normalize
from util.lab import rgb_to_network_lab


class ColorizationDataset:
    """``<dataroot>/<phase>``: A is the lightness of an image, B its colors (see `util.lab`)."""

    def __init__(self, opt: Namespace):
        files = find_images(
            Path(opt.dataroot) / opt.phase,
            f"--dataroot must name a folder that holds {opt.phase} with color images",
        )
        self.images = ImageReader(files, 3, opt)
        self.images.pixel_bytes *= 4  # handed over taken apart, in floats
        self.readers = (self.images,)

    @staticmethod
    def has_phase(opt: Namespace, phase: str) -> bool:
        """Whether there are images for ``phase``."""
        return bool(list_images(Path(opt.dataroot) / phase))

    def __len__(self) -> int:
        return len(self.images)

    def size(self, index: int) -> tuple:
        """The size of the image in item ``index``."""
        return self.images.size(index)

    def paths(self, index: int) -> dict[str, str]:
        """The file of item ``index``, for both sides."""
        path = str(self.images.paths[index])
        return {"A_paths": path, "B_paths": path}

    def get(self, index: int, rng: random.Random) -> dict:
        """Item ``index``, all that is random in it taken from ``rng``."""
        image, path = self.images.read(index, rng)
        A, B = rgb_to_network_lab(normalize(image))
        return {"A": A, "B": B, "A_paths": path, "B_paths": path}
