"""Color images, split into lightness and color."""

import random
from argparse import Namespace
from pathlib import Path

from data.base_dataset import BaseDataset
from data.image_reader import ImageReader, find_images
from data.transforms import normalize
from util.lab import rgb_to_network_lab


class ColorizationDataset(BaseDataset):
    """The images in ``<dataroot>/<phase>``: A is the lightness, B the color (see `util.lab`)."""

    @staticmethod
    def folders(opt: Namespace, phase: str) -> list[Path]:
        """Return the folder of the color images."""
        return [Path(opt.dataroot) / phase]

    def make_readers(self, opt: Namespace) -> dict[str, ImageReader]:
        """Create the reader of the color images."""
        (folder,) = self.folders(opt, opt.phase)
        remedy = f"--dataroot must name a folder that holds {opt.phase} with color images"
        reader = ImageReader(find_images(folder, remedy), 3, opt)
        reader.bytes_per_pixel *= 4  # items hold float32
        return {"images": reader}

    def item_paths(self, index: int) -> dict[str, str]:
        """Return the same path for A and B."""
        path = str(self.readers["images"].paths[index])
        return {"A_paths": path, "B_paths": path}

    def load_item(self, index: int, rng: random.Random) -> dict:
        """Load image ``index``; A is (1, H, W), B (2, H, W), both in [-1, 1]."""
        image, path = self.readers["images"].read(index, rng)
        A, B = rgb_to_network_lab(normalize(image))
        return {"A": A, "B": B, "A_paths": path, "B_paths": path}
