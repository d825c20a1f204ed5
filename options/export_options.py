"""Options of ``scripts/export.py``."""

import os
from argparse import Namespace

from options.base_options import merge_groups
from options.parser import FlagGroups
from options.test_options import TestOptions
from util.errors import UserError
from util.flags import Flag

#: Options that select the generator; all others of ``test.py`` have no effect.
SHOWN = {
    "name",
    "checkpoints_dir",
    "suffix",
    "direction",
    "input_nc",
    "output_nc",
    "epoch",
    "load_iter",
    "ema",
    "eval",
    "model_suffix",
    "netG",
    "ngf",
    "norm",
    "no_dropout",
    "upsample",
    "skip",
    "residual",
    "output",
}


EXPORT: FlagGroups = {
    "results": {"output": Flag("", str, "file to write [that of the weights, with .onnx]")},
}


class ExportOptions(TestOptions):
    """The options of ``test.py`` that select a generator, and the file to write."""

    usage = "--name NAME [options]"
    description = (
        "Write a trained generator as ONNX. All options of test.py are accepted; those that do\n"
        "not select the generator have no effect. --dataroot is not needed."
    )
    examples = (
        "examples:\n"
        "  python scripts/export.py --name horse2zebra\n"
        "  python scripts/export.py --name horse2zebra --direction BtoA --output zebra2horse.onnx"
    )
    groups = merge_groups(TestOptions.groups, EXPORT)
    hidden = frozenset(name for flags in groups.values() for name in flags if name not in SHOWN)
    hidden |= TestOptions.hidden

    def fill_defaults(self, opt: Namespace, given: dict) -> None:
        """Need no images; treat the generator of any model as that of ``--model test``."""
        super().fill_defaults(opt, given)
        opt.dataroot = os.devnull
        if opt.model != "test":
            raise UserError(
                f"--model {opt.model}: the generators of all models are exported in the same way; "
                "leave it out"
            )
