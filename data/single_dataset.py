"""A folder of images, or one image, to be translated."""

import random
from argparse import Namespace
from pathlib import Path

from data.image_reader import ImageReader, find_images, generator_input_channels


class SingleDataset:
    """The images in ``dataroot`` itself, which may also be a single file; each is an ``A``."""

    def __init__(self, opt: Namespace):
        root = Path(opt.dataroot)
        if root.is_file():
            paths = [root]
        else:
            remedy = "--dataroot must name a folder of images or one image"
            paths = find_images(root, remedy)
        self.A = ImageReader(paths, generator_input_channels(opt), opt)
        self.readers = (self.A,)

    @staticmethod
    def has_phase(opt: Namespace, phase: str) -> bool:
        """There is only the folder itself."""
        return False

    def __len__(self) -> int:
        return len(self.A)

    def size(self, index: int) -> tuple:
        """The size of the image in item ``index``."""
        return self.A.size(index)

    def paths(self, index: int) -> dict[str, str]:
        """The file of item ``index``."""
        return {"A_paths": str(self.A.paths[index])}

    def get(self, index: int, rng: random.Random) -> dict:
        """Item ``index``, all that is random in it taken from ``rng``."""
        A, path = self.A.read(index, rng)
        return {"A": A, "A_paths": path}
