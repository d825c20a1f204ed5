"""Images to be measured, read from folders."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from torchvision.transforms.v2.functional import pil_to_tensor

from data.image_io import read_image
from data.image_reader import find_images
from metrics.image_set import ImageSet
from util.errors import UserError


def find_named_images(where: str, flag: str) -> dict[str, Path]:
    """Return the image files of a folder, or of a pattern as ``DIR/*_fake_B.png``, by name.

    The name is the path within the folder, without its ending; with a pattern, of the file name
    only what ``*`` stands for. Raises `UserError` if there are no such files, or equal names.
    """
    pattern = Path(where).name
    if "*" not in pattern:
        folder = Path(where)
        pattern = "*"
        files = find_images(folder, f"{flag} must name a folder of images")
        names = names_of(files, folder)
    else:
        folder = Path(where).parent
        files, names = _match(folder, pattern, flag)

    found = dict(zip(names, files, strict=True))
    if len(found) < len(files):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{flag} {where}: several files are named {twice}; rename them")
    return found


def _match(folder: Path, pattern: str, flag: str) -> tuple[list[Path], list[str]]:
    """Return the images in ``folder`` whose names match ``pattern``, and what ``*`` stands for."""
    if pattern.count("*") > 1:
        raise UserError(f"{flag} {folder / pattern}: use '*' only once")
    before, after = map(re.escape, pattern.split("*"))
    remedy = f"{flag} must name images, as 'DIR/*_fake.png'"
    matches = [
        (file, match[1])
        for file in find_images(folder, remedy)
        if (match := re.fullmatch(f"{before}(.*){after}", file.name))
    ]
    if not matches:
        raise UserError(f"{folder} holds no image named {pattern}; {remedy}")
    files = [file for file, _ in matches]
    return files, [str(file.relative_to(folder).parent / part) for file, part in matches]


def names_of(files: Sequence[Path], folder: Path | None = None) -> list[str]:
    """Return the paths of ``files`` in ``folder``, by default their common one, without endings."""
    if folder is None:
        folder = Path(os.path.commonpath([file.parent for file in files]))
    return [file.relative_to(folder).with_suffix("").as_posix() for file in files]


def read_image_set(
    files: dict[str, Path], cache_dir: Path | None, on_images: Callable[[int], object]
) -> ImageSet:
    """Read image files by name; raises `UserError` for one that cannot be read."""
    images = []
    for file in files.values():
        images.append(pil_to_tensor(read_image(file)))
        on_images(1)
    return ImageSet(images, list(files), cache_dir)
