"""Convert sRGB ↔ CIE L*a*b*, the color space in which gray images are colorized.

sRGB as in IEC 61966-2-1:1999; L*a*b* as in CIE 15.2-1986, for illuminant D65 and the 2° observer,
with the decimals printed there. (CIE 15:2004 gives fractions instead: (6/29)³ for 0.008856 and
841/108 for 7.787, which changes no color by more than 0.0002.) L ranges from 0 (black) to 100
(white); a (green to red) and b (blue to yellow) stay within ±108 for all colors of sRGB.
Images are tensors (…, 3, H, W).
"""

import torch
from torch import Tensor

# Linear RGB → XYZ: primaries of ITU-R BT.709, white D65, in the usual six decimals.
TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
WHITE = (0.95047, 1.0, 1.08883)  # XYZ of D65, 2° (ASTM E308)
LINEAR_BELOW = 0.008856  # f is linear below this value
LINEAR_SLOPE = 7.787
AB_SCALE = 110.0  # maps to 1 for networks; no a or b of an sRGB color is larger


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """(…, 3, H, W) in [0, 1] → L in [0, 100], a and b.

    L = 116 f(Y/Yn) − 16, a = 500 (f(X/Xn) − f(Y/Yn)), b = 200 (f(Y/Yn) − f(Z/Zn)).
    """
    linear = torch.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = _apply_matrix(_like(rgb, TO_XYZ), linear) / _like(rgb, WHITE)[:, None, None]
    x, y, z = _f(xyz).unbind(-3)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-3)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Invert `rgb_to_lab`; colors outside sRGB are clipped to [0, 1]."""
    L, a, b = lab.unbind(-3)
    y = (L + 16) / 116
    # A negative z has no physical meaning; scikit-image clips it too.
    z = (y - b / 200).clamp(min=0)
    xyz = _inverse_f(torch.stack([y + a / 500, y, z], dim=-3)) * _like(lab, WHITE)[:, None, None]
    matrix = torch.linalg.inv(torch.tensor(TO_XYZ, dtype=torch.float64))
    linear = _apply_matrix(_like(lab, matrix.tolist()), xyz).clamp(0, 1)
    return torch.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)


def rgb_to_network_lab(images: Tensor) -> tuple[Tensor, Tensor]:
    """Images in [-1, 1] → L/50 − 1, (…, 1, H, W), and (a, b)/110, (…, 2, H, W), for networks.

    In float64: in float32 the last bit would depend on the number of threads.
    """
    lab = rgb_to_lab((images.double() + 1) / 2)
    L, ab = lab.to(images.dtype).split([1, 2], dim=-3)
    return L / 50 - 1, ab / AB_SCALE


def network_lab_to_rgb(lightness: Tensor, ab: Tensor) -> Tensor:
    """Invert `rgb_to_network_lab`: images (…, 3, H, W) in [-1, 1]."""
    return lab_to_rgb(torch.cat([(lightness + 1) * 50, ab * AB_SCALE], dim=-3)) * 2 - 1


def _f(t: Tensor) -> Tensor:
    """f(t) = ∛t above 0.008856, 7.787 t + 16/116 below."""
    root = t.clamp(min=LINEAR_BELOW) ** (1 / 3)
    return torch.where(t > LINEAR_BELOW, root, LINEAR_SLOPE * t + 16 / 116)


def _inverse_f(f: Tensor) -> Tensor:
    return torch.where(f > 24 / 116, f**3, (f - 16 / 116) / LINEAR_SLOPE)


def _apply_matrix(matrix: Tensor, planes: Tensor) -> Tensor:
    """Multiply every pixel of ``planes`` (…, 3, H, W) by ``matrix`` (3, 3)."""
    return torch.einsum("ij,...jhw->...ihw", matrix, planes)


def _like(tensor: Tensor, values) -> Tensor:
    return torch.tensor(values, dtype=tensor.dtype, device=tensor.device)
