"""Pictures in pairs: each file holds A on its left half and B on its right."""

import random
from argparse import Namespace
from pathlib import Path

from data.pictures import list_pictures
from data.reader import PictureReader, channels_of_sides, find_pictures


class AlignedDataset:
    """``<dataroot>/<phase>``: both halves of a picture are cut out and mirrored alike."""

    def __init__(self, opt: Namespace):
        folder = Path(opt.dataroot) / opt.phase
        files = find_pictures(
            folder, f"--dataroot must name a folder that holds {opt.phase} with pictures A|B"
        )
        self.A, self.B = (
            PictureReader(files, nc, opt, half=half)
            for half, nc in enumerate(channels_of_sides(opt))
        )
        self.readers = (self.A, self.B)

    @staticmethod
    def has_phase(opt: Namespace, phase: str) -> bool:
        """Whether there are pictures for ``phase``."""
        folder = Path(opt.dataroot) / phase
        return folder.is_dir() and bool(list_pictures(folder))

    def __len__(self) -> int:
        return len(self.A)

    def size(self, index: int) -> tuple:
        """The size of the pictures in item ``index``."""
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
