"""Translate images with a trained generator, from Python.

    from translator import Translator

    translate = Translator("selfie2anime")
    translate("photo.jpg").save("anime.png")

The results equal `python test.py --model test --name selfie2anime --dataroot photo.jpg`.
"""

import contextlib
import io
import os
import random
from pathlib import Path

from PIL import Image

from data.image_io import read_image, to_rgb_or_gray
from data.image_reader import generator_input_channels
from data.transforms import get_transform
from engine.device import configure_process
from engine.executor import StepExecutor
from models import create_model
from options import TestOptions
from util.images import QUANTIZERS, resize_tensor, to_pil


class Translator:
    """The generator of the run ``name``; call it with a file or a `PIL.Image.Image`.

    ``options`` are those of ``test.py``: ``direction="BtoA"``, ``epoch=20``, ``crop_size=512``.
    Raises `util.errors.UserError` for a run that does not exist.
    """

    def __init__(self, name: str, **options):
        configure_process()
        args = ["--name", name, "--dataroot", os.devnull, "--model", "test"]
        for flag, value in options.items():
            args += [f"--{flag}"] if value is True else [f"--{flag}", str(value)]
        self.opt = TestOptions().resolve(args)

        with contextlib.redirect_stdout(io.StringIO()):
            self.model = create_model(self.opt).setup(self.opt)
            self.executor = StepExecutor(self.model, self.opt)
        self.model.train(not self.opt.eval)

    def __call__(self, image: str | Path | Image.Image) -> Image.Image:
        """Return the translation with 8 bits per channel; with ``bit_depth=16`` mode ``I;16``."""
        opt = self.opt
        if isinstance(image, Image.Image):
            image = to_rgb_or_gray(image, opt.bit_depth)
        else:
            image = read_image(Path(image), opt.bit_depth)

        # A random crop is that of the first image in a folder.
        rng = random.Random(f"{opt.seed} 0 0")
        transform = get_transform(opt, grayscale=generator_input_channels(opt) == 1, rng=rng)
        real = transform(image)[None]
        fake = self.executor.test({"A": real, "A_paths": [""]})["fake"][0]

        if opt.keep_size:
            fake = resize_tensor(fake, image.size)
        return to_pil(QUANTIZERS[opt.bit_depth](fake))
