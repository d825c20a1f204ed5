"""Colorization of grayscale images (Zhang et al., 2016, arXiv:1603.08511) with pix2pix.

The objective is that of Isola et al. (2017). A is the lightness L of CIE L*a*b*, B the color
channels a and b. The lightness of an image is kept; its colors are predicted.
"""

from torch import Tensor

from models.pix2pix_model import Pix2PixModel
from util.lab import network_lab_to_rgb


class ColorizationModel(Pix2PixModel):
    """Generator G: L/50 − 1 → (a, b)/110; the discriminator D judges (L, a, b)."""

    defaults = {
        **Pix2PixModel.defaults,
        "dataset_mode": "colorization",
        "input_nc": 1,
        "output_nc": 2,
    }
    dataset_modes = ("colorization",)
    directions = ("AtoB",)  # lightness cannot be predicted from color
    channels = {"input_nc": (1,), "output_nc": (2,)}
    visual_sources = {"real_A": "real_A", "fake_B_rgb": "real_A", "real_B_rgb": "real_B"}

    def get_current_visuals(self) -> dict[str, Tensor]:
        """Return the lightness, and RGB images with the predicted and the true colors.

        ``real_A`` is (N, 1, H, W), ``fake_B_rgb`` and ``real_B_rgb`` are (N, 3, H, W), in [-1, 1].
        """
        L = self.real_A
        return {
            "real_A": L,
            "fake_B_rgb": network_lab_to_rgb(L, self.fake_B.detach()),
            "real_B_rgb": network_lab_to_rgb(L, self.real_B),
        }
