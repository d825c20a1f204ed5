"""Options of ``test.py``."""

import math
import os
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from checkpoint.run_options import load_options
from checkpoint.weights import find_weights, weights_prefix
from models import MODELS
from options.base_options import COMMON, DISPLAY_WINSIZE, WHICH_WEIGHTS, BaseOptions, merge_groups
from options.parser import FlagGroups
from util.errors import UserError
from util.flags import Flag, count_or_inf, float_range, int_range, switch

#: Options of a training run that describe its networks and the images they were trained on.
INHERITED_OPTIONS = (
    "netG",
    "ngf",
    "norm",
    "no_dropout",
    "upsample",
    "skip",
    "residual",
    "preset",
    "input_nc",
    "output_nc",
    "bit_depth",
    "crop_size",
    "preprocess",
)

#: Options that describe training. ``test.py`` accepts them, so that a command line can be reused.
TRAINING_ONLY = {
    "preset",
    "serial_batches",
    "cache",
    "no_flip",
    "netD",
    "ndf",
    "n_layers_D",
    "spectral_norm",
    "init_type",
    "init_gain",
    *(name for model in MODELS.values() if model.trainable for name in model.flags),
}


TEST: FlagGroups = {
    "data": {
        "dataroot": Flag(None, str, "folder of images, one image, or dataset (required)"),
        "phase": Flag("test", str, "split of the dataset: testA and testB, or test"),
        "num_test": Flag(math.inf, count_or_inf, "translate at most N images"),
    },
    "image preprocessing": {
        "keep_size": switch("do not crop; write images in the size of the originals"),
    },
    "weights": {
        **WHICH_WEIGHTS,
        "ema": switch("use the moving average of the generator (train.py --ema)"),
        "eval": switch("running statistics in batch norm and no dropout"),
    },
    "results": {
        "results_dir": Flag("./results/", str, "folder that contains all results"),
        "aspect_ratio": Flag(1.0, float_range(1e-3), "stretch the width by this factor"),
        "contact_sheet": switch("also write contact_sheet.png, an overview of the results"),
        **DISPLAY_WINSIZE,
    },
    "device and speed": {
        "tile": Flag(
            0, int_range(0), "translate in tiles of N pixels, a multiple of 4; 0: no tiles"
        ),
        "overlap": Flag(128, int_range(0), "pixels shared by neighboring tiles, a multiple of 4"),
    },
}


class TestOptions(BaseOptions):
    """The options of ``test.py``."""

    __test__ = False  # not a test case, although pytest would collect the name
    description = (
        "Translate images with a trained model and write an HTML page of the results.\n"
        "The networks (--netG, --ngf, --norm, …), --crop_size and --preprocess are those of the\n"
        "training run unless others are given. Options of train.py that have no effect here are\n"
        "accepted and not listed."
    )
    examples = (
        "examples:\n"
        "  python test.py --dataroot ./datasets/horse2zebra/testA --name horse2zebra\n"
        "  python test.py --dataroot photo.jpg --name horse2zebra --direction BtoA --keep_size\n"
        "  python test.py --dataroot ./datasets/horse2zebra --name horse2zebra --model cycle_gan"
    )
    defaults = {"model": "test", "serial_batches": True, "no_flip": True}
    hidden = frozenset(TRAINING_ONLY)
    groups = merge_groups(COMMON, TEST)

    def resolve(self, args: Sequence[str] | None) -> Namespace:
        """Extend `BaseOptions.resolve` by ``backward``, see `_choose_generator`."""
        opt = super().resolve(args)
        folder = Path(opt.checkpoints_dir) / opt.name
        trained = load_options(folder)
        opt.backward = False
        if opt.model == "test":
            _choose_generator(opt, folder, trained.get("direction"))

        pairs = trained.get("dataset_mode") == "aligned" and opt.dataroot != os.devnull
        if pairs and "model" not in opt.explicit:
            opt.notes.append(
                f"note: {opt.name} was trained on pairs A|B, but every file is read as one image "
                f"A; for a dataset of pairs add --model {trained.get('model')}"
            )
        return opt

    def inherited_options(self, folder: Path, explicit: dict) -> dict:
        """Return what describes the networks; only ``--model test`` chooses its direction."""
        found = load_options(folder)
        names = list(INHERITED_OPTIONS)
        if explicit.get("model", "test") != "test":
            names.append("direction")
        return {name: found[name] for name in names if name in found}

    def preset_options(self, given: dict) -> dict:
        """Use the moving average of a run whose preset has one."""
        options = super().preset_options(given)
        return {**options, "ema": options.get("ema", 0.0) != 0.0}

    def fill_defaults(self, opt: Namespace, given: dict) -> None:
        """Scale images to the size of the crop; limit the overlap of small tiles."""
        if "load_size" not in given:
            opt.load_size = opt.crop_size
        if opt.tile and "overlap" not in given:
            opt.overlap = min(opt.overlap, opt.tile // 8 * 4)


def _choose_generator(opt: Namespace, folder: Path, trained: str | None) -> None:
    """Set ``opt.backward``: whether ``--model test`` loads the generator B → A of two.

    A single generator translates in the direction in which it was ``trained``. Raises `UserError`
    if the other one was requested.
    """
    single = find_weights(folder, weights_prefix(opt)).get("G")
    if opt.model_suffix:
        opt.backward = opt.model_suffix == "_B"
    elif single is None:
        opt.backward = opt.direction != (trained or "AtoB")
    elif trained is not None:
        if opt.explicit.get("direction", trained) != trained:
            raise UserError(
                f"--direction {opt.direction}: {single} translates {trained} only; leave it out"
            )
        opt.direction = trained
