"""Write a trained generator as ONNX, for programs without PyTorch.

    python scripts/export.py --name selfie2anime                    # A → B
    python scripts/export.py --name selfie2anime --direction BtoA --epoch 20 --output anime.onnx

The graph takes ``real`` (N, C, H, W) in [-1, 1], float32, and returns ``fake`` with the same N, H
and W, all three of them dynamic. It includes the padding that the network needs. Before the file is
written, onnxruntime and PyTorch translate noise of several sizes and must agree. Metadata of the
file: direction, range, layout, run, epoch, options (JSON), torch.
"""

import sys
from pathlib import Path

import util.environment  # noqa: F401  # explains missing packages; must come first
from options import ExportOptions
from util.errors import report_user_errors


def main() -> None:
    # Python searches the folder of a script first, where `export` is this file, not the package.
    folder = str(Path(__file__).resolve().parent)
    sys.path[:] = [entry for entry in sys.path if entry != folder]
    from export.generator import export_generator

    export_generator(ExportOptions().parse())


if __name__ == "__main__":
    with report_user_errors():
        main()
