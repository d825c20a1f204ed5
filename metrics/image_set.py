"""A set of images to be measured."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from metrics.features import FeatureExtractor
from util.errors import UserError
from util.files import write_atomically
from util.images import to_uint8


class ImageSet:
    """Images in memory: uint8 (C, H, W), with the names by which counterparts find each other.

    ``images`` are uint8, or floats in [-1, 1]; single images (C, H, W) or batches (N, C, H, W).
    Features are computed once per network and kept; with ``cache_dir`` also in a file there.
    """

    def __init__(
        self,
        images: Iterable[Tensor],
        names: Sequence[str] | None = None,
        cache_dir: Path | None = None,
    ):
        self.images = [image for item in images for image in _split(item)]
        self.names = list(names) if names is not None else None
        self.cache_dir = cache_dir
        self._features: dict[str, Tensor] = {}
        assert self.names is None or len(self.names) == len(self.images)

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, indices: Sequence[int]) -> "ImageSet":
        """Return the images at ``indices``, with the features computed so far."""
        names = [self.names[i] for i in indices] if self.names is not None else None
        part = ImageSet([self.images[i] for i in indices], names)
        part._features = {key: features[indices] for key, features in self._features.items()}
        return part

    def features(
        self,
        extractor: FeatureExtractor,
        on_images: Callable[[int], object] = lambda count: None,
    ) -> Tensor:
        """Return the features, float64 (N, D)."""
        network = f"{extractor.name} {extractor.sha256}"
        if network not in self._features:
            self._features[network] = self._load_or_compute(extractor, on_images).double()
        return self._features[network]

    def _load_or_compute(
        self, extractor: FeatureExtractor, on_images: Callable[[int], object]
    ) -> Tensor:
        if self.cache_dir is None:
            return extractor(self.images, on_images)

        file = self.cache_dir / f"{extractor.key(self.images)}.npy"
        with contextlib.suppress(OSError, ValueError, EOFError):  # missing or damaged
            features = torch.from_numpy(np.load(file, allow_pickle=False))
            if len(features) == len(self):
                on_images(len(self))
                return features

        features = extractor(self.images, on_images)
        with contextlib.suppress(OSError):  # a cache that cannot be written is only slower
            write_atomically(file, lambda path: _save_array(path, features))
        return features

    def has_same_names(self, other: "ImageSet") -> bool:
        """Return whether both sets have names, and the same ones."""
        if self.names is None or other.names is None:
            return False
        return set(self.names) == set(other.names)

    def counterparts(self, other: "ImageSet") -> list[tuple[Tensor, Tensor]]:
        """Pair each image with that of the same name in ``other``; without names, by position.

        The pairs are float64 (1, C, H, W) in [0, 1]; gray images become RGB beside RGB ones.
        Raises `UserError` if one is missing or differs in size.
        """
        return [
            _equal_shapes(image, counterpart, name)
            for image, counterpart, name in self._matches(other)
        ]

    def _matches(self, other: "ImageSet") -> list[tuple[Tensor, Tensor, str]]:
        if self.names is None or other.names is None:
            if len(self) != len(other):
                raise UserError(f"{len(self)} and {len(other)} images cannot be paired")
            numbers = [str(i) for i in range(len(self))]
            return list(zip(self.images, other.images, numbers, strict=True))

        by_name = dict(zip(other.names, other.images, strict=True))
        missing = [name for name in self.names if name not in by_name]
        if missing:
            more = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
            raise UserError(
                f"there is no counterpart for {missing[0]}{more}: pairs must have the same file "
                "name; rename the files, or use the metrics kid and fid"
            )
        return [
            (image, by_name[name], name)
            for image, name in zip(self.images, self.names, strict=True)
        ]


def _split(item: Tensor) -> Iterable[Tensor]:
    """Return the uint8 images (C, H, W) of one image or batch."""
    pixels = (to_uint8(item) if item.is_floating_point() else item.detach().cpu()).byte()
    return pixels if pixels.dim() == 4 else [pixels]


def _equal_shapes(image: Tensor, counterpart: Tensor, name: str) -> tuple[Tensor, Tensor]:
    if image.shape[1:] != counterpart.shape[1:]:
        sizes = " and ".join(f"{t.shape[2]}×{t.shape[1]}" for t in (image, counterpart))
        raise UserError(
            f"{name} and its counterpart differ in size ({sizes}): make them equal, "
            "or use the metrics kid and fid"
        )
    channels = max(len(image), len(counterpart))
    pairs = (t.expand(channels, -1, -1)[None].double() / 255 for t in (image, counterpart))
    first, second = pairs
    return first, second


def _save_array(path: Path, features: Tensor) -> None:
    with path.open("wb") as file:  # np.save would append .npy to the name
        np.save(file, features.numpy())
