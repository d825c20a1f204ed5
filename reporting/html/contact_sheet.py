"""Many results in one image, for a README or an overview."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid

from util.files import write_atomically
from util.images import to_pil, to_rgb8

MARGIN = 3  # pixels around each group
WHITE = 255
MAX_GROUPS = 48


def contact_sheet(groups: Iterable[list[Path]], side: int = 96, columns: int = 0) -> Image.Image:
    """Draw ``groups`` of equally many image files, each group side by side without a gap.

    Every image is scaled to a square of ``side`` pixels. At most `MAX_GROUPS` groups, spread evenly
    over all, are arranged in ``columns``; 0 makes the sheet about square.
    """
    selected = list(groups)
    selected = selected[:: max(1, -(-len(selected) // MAX_GROUPS))]
    columns = columns or max(1, round((len(selected) / len(selected[0])) ** 0.5))

    rows = [torch.cat([_load(file, side) for file in group], dim=2) for group in selected]
    # Not the padding of make_grid, which leaves a single image without margins.
    cells = F.pad(torch.stack(rows), [MARGIN] * 4, value=WHITE)
    return to_pil(make_grid(cells, nrow=columns, padding=0, pad_value=WHITE))


def save_contact_sheet(groups: Iterable[list[Path]], path: Path) -> None:
    """Write `contact_sheet` as PNG."""
    sheet = contact_sheet(groups)
    write_atomically(path, lambda file: sheet.save(file, format="PNG", optimize=True))


def _load(file: Path, side: int) -> Tensor:
    """The image as uint8 (3, side, side)."""
    with Image.open(file) as image:
        small = to_rgb8(image).resize((side, side), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(small)).permute(2, 0, 1)
