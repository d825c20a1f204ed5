"""Images in pairs: each file holds A on its left half and B on its right."""

import random
from argparse import Namespace
from pathlib import Path

from data.image_io import list_images
from data.image_reader import ImageReader, find_images, side_channels


class AlignedDataset:
    """``<dataroot>/<phase>``: both halves of an image are cut out and reflect_pad alike."""

    def __init__(self, opt: Namespace):
        folder = Path(opt.dataroot) / opt.phase
        files = find_images(
            folder, f"--dataroot must name a folder that holds {opt.phase} with images A|B"
        )
        self.A, self.B = (
            ImageReader(files, nc, opt, half=half) for half, nc in enumerate(side_channels(opt))
        )
        self.readers = (self.A, self.B)

    @staticmethod
    def has_phase(opt: Namespace, phase: str) -> bool:
        """Whether there are images for ``phase``."""
        folder = Path(opt.dataroot) / phase
        return folder.is_dir() and bool(list_images(folder))

    def __len__(self) -> int:
        return len(self.A)

    def size(self, index: int) -> tuple:
        """The size of the images in item ``index``."""
        return self.A.size(index)

    def paths(self, index: int) -> dict[str, str]:
        """The file of item ``index``, for both sides."""
        path = str(self.A.paths[index])
        return {"A_paths": path, "B_paths": path}

    def get(self, index: int, rng: random.Random) -> dict:
        """Item ``index``, all that is random in it taken from ``rng``."""
        state = rng.getstate()
        A, A_path = self.A.read(index, rng)
        rng.setstate(state)
        B, B_path = self.B.read(index, rng)
        return {"A": A, "B": B, "A_paths": A_path, "B_paths": B_path}
