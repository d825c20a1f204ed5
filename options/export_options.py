"""What can be said to ``scripts/export.py``."""

import os
from argparse import Namespace

from options.test_options import TestOptions
from util.errors import UserError
from util.flags import Flag


class ExportOptions(TestOptions):
    """The options of ``test.py``, of which those count that say which network; and a file."""

    about = (
        "Write a trained generator as ONNX. The options are those of test.py; here only those "
        "count that say which network it is. No --dataroot is needed."
    )
    flags = TestOptions.flags | {
        "output": Flag("", str, "file to write; by default beside the weights, with .onnx"),
    }

    def finish(self, opt: Namespace, settled: dict) -> None:
        """There are no images, and whatever the method was, there is one generator."""
        super().finish(opt, settled)
        opt.dataroot = os.devnull
        if opt.model != "test":
            raise UserError(
                f"--model {opt.model}: the generators of every method are exported as those of "
                "--model test; leave it out"
            )
