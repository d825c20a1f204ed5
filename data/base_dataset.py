"""The base class of all datasets, one subclass per ``--dataset_mode``.

To add one, write a subclass in a file of its own and register it in `data.DATASETS`.
"""

import random
from abc import ABC, abstractmethod
from argparse import Namespace
from pathlib import Path

from data.image_io import list_images
from data.image_reader import ImageReader


class BaseDataset(ABC):
    """Items of one image of each domain; domains with fewer images start over."""

    def __init__(self, opt: Namespace):
        self.opt = opt
        self.readers = self.make_readers(opt)

    @staticmethod
    @abstractmethod
    def folders(opt: Namespace, phase: str) -> list[Path]:
        """Return the folders that must hold the images of ``phase``, for example ``train``."""

    @abstractmethod
    def make_readers(self, opt: Namespace) -> dict[str, ImageReader]:
        """Return the reader of each domain by its name, for example ``A``.

        Raises `UserError` for missing or empty folders and for images that do not fit the options.
        """

    @abstractmethod
    def load_item(self, index: int, rng: random.Random) -> dict:
        """Load the images of item ``index`` and their paths, as ``{"A": …, "A_paths": …}``.

        Images are tensors (C, H, W): uint8 or uint16 pixels, or floats in [-1, 1]. All randomness
        comes from ``rng``. `ImageReader.read` does both.
        """

    @classmethod
    def has_phase(cls, opt: Namespace, phase: str) -> bool:
        """Return whether there are images of ``phase``."""
        folders = cls.folders(opt, phase)
        return bool(folders) and all(list_images(folder) for folder in folders)

    def __len__(self) -> int:
        return max(map(len, self.readers.values()))

    def item_size(self, index: int) -> tuple:
        """Return the sizes of the images in item ``index``; items of equal size share batches.

        Called for items in order only, without random pairs.
        """
        readers = self.readers.values()
        return tuple(reader.output_size(index % len(reader)) for reader in readers)

    def item_paths(self, index: int) -> dict[str, str]:
        """Return the paths of item ``index`` by their key in the item, also for items in order."""
        return {
            f"{domain}_paths": str(reader.paths[index % len(reader)])
            for domain, reader in self.readers.items()
        }
