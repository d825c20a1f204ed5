"""Colors for gray images (Zhang et al., 2016, https://arxiv.org/abs/1603.08511), by pix2pix.

The objective is that of Isola et al. (2017) on other images: A is the lightness L, B the colors
a and b of CIE L*a*b*. What is seen of an image is never touched, only network_lab_to_rgb.
"""

from torch import Tensor

from models.pix2pix_model import Pix2PixModel
from util.lab import network_lab_to_rgb


class ColorizationModel(Pix2PixModel):
    """Generator G: L/50 − 1 → (a, b)/110; the discriminator D judges (L, a, b)."""

    defaults = {
        **Pix2PixModel.defaults, "dataset_mode": "colorization", "input_nc": 1, "output_nc": 2
    }  # fmt: skip
    dataset_modes = ("colorization",)
    directions = ("AtoB",)  # lightness does not follow from colors
    channels = {"input_nc": (1,), "output_nc": (2,)}
    sources = {"real_A": "real_A", "fake_B_rgb": "real_A", "real_B_rgb": "real_B"}

    def get_current_visuals(self) -> dict[str, Tensor]:
        """`real_A`, the lightness, and it with the colors found and the true ones, as images.

        (N, 1, H, W), then (N, 3, H, W), all in [-1, 1].
        """
        L = self.inputs["real_A"]
        fake_B, real_B = (self.visuals[name].detach() for name in ("fake_B", "real_B"))
        return {
            "real_A": L,
            "fake_B_rgb": network_lab_to_rgb(L, fake_B),
            "real_B_rgb": network_lab_to_rgb(L, real_B),
        }

    def get_image_paths(self) -> dict[str, list[str]]:
        """The file that each image of `get_current_visuals` is made from."""
        return {label: self.paths[real] for label, real in self.sources.items()}
