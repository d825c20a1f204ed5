"""What can be said to ``test.py``."""

import math
import os
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from checkpoint.weights import load_options, weights_in, weights_prefix
from options.base_options import BaseOptions
from util.errors import UserError
from util.flags import Flag, count_or_inf, float_range, int_range, switch

#: What a training run says about its networks, and the scale of the images they know.
INHERITED_OPTIONS = (
    "netG", "ngf", "norm", "no_dropout", "input_nc", "output_nc", "bit_depth", "crop_size",
    "preprocess",
)  # fmt: skip


class TestOptions(BaseOptions):
    """The options of ``test.py``."""

    __test__ = False  # for pytest: the name is the field's, this is no test
    about = (
        "Translate images with a trained model. The networks (--netG, --ngf, --norm, …), "
        "--crop_size and --preprocess are those of the training unless others are typed."
    )
    defaults = {"model": "test", "serial_batches": True, "no_flip": True}
    flags = {
        "results_dir": Flag("./results/", str, "where the pages of results are written"),
        "keep_size": switch("cut nothing off, and write images in the size of the originals"),
        "aspect_ratio": Flag(1.0, float_range(1e-3), "width of the written images, relative"),
        "phase": Flag("test", str, "test, or another pair of folders in the data set"),
        "contact_sheet": switch("write contact_sheet.png too: many results in one image"),
        "tile": Flag(
            0, int_range(0), "translate in tiles of so many pixels, a multiple of 4; 0: no"
        ),
        "overlap": Flag(128, int_range(0), "pixels, a multiple of 4, that neighboring tiles share"),
        "ema": switch("use the moving average of the generator, from a training with --ema"),
        "eval": switch("batch norm by its running values and no dropout"),
        "num_test": Flag(math.inf, count_or_inf, "translate at most so many images"),
    }

    def resolve(self, args: Sequence[str] | None) -> Namespace:
        """As `BaseOptions.resolve`; with ``backward``, see `_choose_generator`.

        Who learned from pairs and gets single images is told so.
        """
        opt = super().resolve(args)
        folder = Path(opt.checkpoints_dir) / opt.name
        trained = load_options(folder)
        opt.backward = False
        if opt.model == "test":
            _choose_generator(opt, folder, trained.get("direction"))
        pairs = trained.get("dataset_mode") == "aligned" and opt.dataroot != os.devnull
        if pairs and "model" not in opt.typed:
            opt.notes.append(
                f"note: {opt.name} learned from pairs A|B; images are taken for A as a whole; "
                f"for a data set of pairs type --model {trained.get('model')}"
            )
        return opt

    def remembered(self, folder: Path, typed: dict) -> dict:
        """What training said about the networks; ``--model test`` goes the way it is asked to."""
        found = load_options(folder)
        names = (
            INHERITED_OPTIONS
            if typed.get("model", "test") == "test"
            else (*INHERITED_OPTIONS, "direction")
        )
        return {name: found[name] for name in names if name in found}

    def finish(self, opt: Namespace, settled: dict) -> None:
        """Images are scaled to the very size that is cut out; small tiles share less."""
        if "load_size" not in settled:
            opt.load_size = opt.crop_size
        if opt.tile and "overlap" not in settled:
            opt.overlap = min(opt.overlap, opt.tile // 8 * 4)


def _choose_generator(opt: Namespace, folder: Path, trained: str | None) -> None:
    """Which one ``--model test`` takes: with ``backward`` the second, of the way back.

    A generator alone goes the way it was ``trained``. Raises `UserError` where another was typed.
    """
    alone = weights_in(folder, weights_prefix(opt)).get("G")
    if opt.model_suffix:
        opt.backward = opt.model_suffix == "_B"
    elif alone is None:
        opt.backward = opt.direction != (trained or "AtoB")
    elif trained is not None:
        if opt.typed.get("direction", trained) != trained:
            raise UserError(
                f"--direction {opt.direction}: {alone} goes {trained} only; leave it out"
            )
        opt.direction = trained
