"""Pictures through a trained generator, from Python.

    from translator import Translator

    translate = Translator("selfie2anime")
    translate("photo.jpg").save("anime.png")

The same pictures as `python test.py --model test --name selfie2anime --dataroot photo.jpg`.
"""

import contextlib
import io
import os
import random
from pathlib import Path

from PIL import Image

from data.pictures import as_seen, read_picture
from data.reader import channels_to_translate
from data.transforms import cut, draw, preprocess_of, scale, to_range
from models import create_model
from options import TestOptions
from util.device import prepare_process
from util.images import TO_LEVELS, in_size, to_picture
from util.runner import Runner


class Translator:
    """The generator of the run ``name``; call it with a file or a `PIL.Image.Image`.

    ``options`` are those of ``test.py``: ``direction="BtoA"``, ``epoch=20``, ``crop_size=512``.
    Raises `util.errors.UserError` for a run that is not there.
    """

    def __init__(self, name: str, **options):
        prepare_process()
        words = ["--name", name, "--dataroot", os.devnull, "--model", "test"]
        for flag, value in options.items():
            words += [f"--{flag}"] if value is True else [f"--{flag}", str(value)]
        self.opt = TestOptions().resolve(words)
        with contextlib.redirect_stdout(io.StringIO()):
            self.model = create_model(self.opt).setup(self.opt)
            self.runner = Runner(self.model, self.opt)
        self.model.train(not self.opt.eval)

    def __call__(self, picture: str | Path | Image.Image) -> Image.Image:
        """The translation, 8 bits a channel; with ``bit_depth=16`` grey, mode ``I;16``."""
        opt = self.opt
        if isinstance(picture, Image.Image):
            seen = as_seen(picture, opt.bit_depth)
        else:
            seen = read_picture(Path(picture), opt.bit_depth)
        mode = preprocess_of(opt.preprocess, opt.keep_size)
        pixels = scale(
            seen, preprocess=opt.preprocess, load_size=opt.load_size, crop_size=opt.crop_size,
            grayscale=channels_to_translate(opt) == 1,
        )  # fmt: skip
        crop_size = opt.crop_size if mode.crops else None
        # Where there is something to cut, as from the first picture of a folder.
        chance = draw(pixels.shape[1::-1], random.Random(f"{opt.seed} 0 0"),
                      crop_size=crop_size, flips=not opt.no_flip)  # fmt: skip
        real = to_range(cut(pixels, chance, crop_size))
        fake = self.runner.test({"A": real[None], "A_paths": [""]})["fake"][0]
        fake = in_size(fake, seen.size) if opt.keep_size else fake
        return to_picture(TO_LEVELS[opt.bit_depth](fake))
