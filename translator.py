"""Images through a trained generator, from Python.

    from translator import Translator

    translate = Translator("selfie2anime")
    translate("photo.jpg").save("anime.png")

The same images as `python test.py --model test --name selfie2anime --dataroot photo.jpg`.
"""

import contextlib
import io
import os
import random
from pathlib import Path

from PIL import Image

from data.image_io import read_image, to_rgb_or_gray
from data.image_reader import generator_input_channels
from data.transforms import crop_and_flip, get_params, get_preprocess, normalize, scale
from engine.device import configure_process
from engine.executor import StepExecutor
from models import create_model
from options import TestOptions
from util.images import QUANTIZERS, resize_tensor, to_pil


class Translator:
    """The generator of the run ``name``; call it with a file or a `PIL.Image.Image`.

    ``options`` are those of ``test.py``: ``direction="BtoA"``, ``epoch=20``, ``crop_size=512``.
    Raises `util.errors.UserError` for a run that is not there.
    """

    def __init__(self, name: str, **options):
        configure_process()
        words = ["--name", name, "--dataroot", os.devnull, "--model", "test"]
        for flag, value in options.items():
            words += [f"--{flag}"] if value is True else [f"--{flag}", str(value)]
        self.opt = TestOptions().resolve(words)
        with contextlib.redirect_stdout(io.StringIO()):
            self.model = create_model(self.opt).setup(self.opt)
            self.executor = StepExecutor(self.model, self.opt)
        self.model.train(not self.opt.eval)

    def __call__(self, image: str | Path | Image.Image) -> Image.Image:
        """The translation, 8 bits a channel; with ``bit_depth=16`` gray, mode ``I;16``."""
        opt = self.opt
        if isinstance(image, Image.Image):
            seen = to_rgb_or_gray(image, opt.bit_depth)
        else:
            seen = read_image(Path(image), opt.bit_depth)
        mode = get_preprocess(opt.preprocess, opt.keep_size)
        pixels = scale(
            seen, preprocess=opt.preprocess, load_size=opt.load_size, crop_size=opt.crop_size,
            grayscale=generator_input_channels(opt) == 1,
        )  # fmt: skip
        crop_size = opt.crop_size if mode.crops else None
        # Where there is something to cut, as from the first image of a folder.
        chance = get_params(pixels.shape[1::-1], random.Random(f"{opt.seed} 0 0"),
                      crop_size=crop_size, flips=not opt.no_flip)  # fmt: skip
        real = normalize(crop_and_flip(pixels, chance, crop_size))
        fake = self.executor.test({"A": real[None], "A_paths": [""]})["fake"][0]
        fake = resize_tensor(fake, seen.size) if opt.keep_size else fake
        return to_pil(QUANTIZERS[opt.bit_depth](fake))
