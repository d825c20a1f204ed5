"""Images of one domain, to be translated."""

import random
from argparse import Namespace
from pathlib import Path

from data.base_dataset import BaseDataset
from data.image_reader import ImageReader, find_images, generator_input_channels


class SingleDataset(BaseDataset):
    """The images in ``<dataroot>`` itself, which may also be a single file; each is an ``A``."""

    @staticmethod
    def folders(opt: Namespace, phase: str) -> list[Path]:
        """Return no folders: there are no phases."""
        return []

    def make_readers(self, opt: Namespace) -> dict[str, ImageReader]:
        """Create the reader of the folder or file."""
        root = Path(opt.dataroot)
        if root.is_file():
            files = [root]
        else:
            files = find_images(root, "--dataroot must name a folder of images or one image")
        return {"A": ImageReader(files, generator_input_channels(opt), opt)}

    def load_item(self, index: int, rng: random.Random) -> dict:
        """Load image ``index``."""
        A, path = self.readers["A"].read(index, rng)
        return {"A": A, "A_paths": path}
