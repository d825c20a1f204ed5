"""Write a trained generator as ONNX, for programs without PyTorch.

    python scripts/export.py --name selfie2anime                    # A → B
    python scripts/export.py --name selfie2anime --direction BtoA --epoch 20 --output anime.onnx

The graph takes ``real`` (N, C, H, W) in [-1, 1], float32, and gives ``fake`` of the same N, H and
W; all three are open. The padding that the network needs is part of it. Before the file is written
onnxruntime has translated noise of several sizes with it, as PyTorch does. Metadata of the file:
direction, range, layout, run, epoch, options (JSON), torch.
"""

import json
import os
import sys
from argparse import Namespace
from pathlib import Path

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from checkpoint.run_options import load_options  # noqa: E402
from checkpoint.weights import EMA_SUFFIX, weights_prefix  # noqa: E402
from engine.device import configure_process  # noqa: E402
from export.dynamic_padding import DynamicPadding  # noqa: E402
from export.onnx_export import largest_difference, onnx_graph  # noqa: E402
from models import create_model  # noqa: E402
from options import ExportOptions  # noqa: E402
from options.test_options import INHERITED_OPTIONS  # noqa: E402
from util.errors import UserError, report_user_errors  # noqa: E402
from util.files import write_atomically  # noqa: E402
from util.packages import require_packages  # noqa: E402

TOLERANCE = 1e-3  # of images in [-1, 1]: an eighth of a gray level
COLORS = {1: "gray", 3: "RGB"}


def export(opt: Namespace) -> None:
    """Load the generator, trace it, compare, write."""
    require_packages("scripts/export.py", "onnx", "onnxscript", "onnxruntime")
    configure_process()
    for note in opt.notes:
        print(note)
    model = create_model(opt).setup(opt)
    weights = model.weights_file(weights_prefix(opt), "G")
    output = Path(opt.output) if opt.output else weights.with_suffix(".onnx")
    refuse_unwritable(output)
    net, direction = model.networks["G"].eval(), direction_of(weights, opt)
    if not opt.eval and acts_otherwise_in_training(net):
        print("exported as with --eval: batch norm by its running values, no dropout")
    channels = (opt.input_nc, opt.output_nc)
    channels = channels[::-1] if model.backward else channels
    colors = " to ".join(dict.fromkeys(COLORS[count] for count in channels))
    graph = checked_graph(net, channels[0], {
        "direction": direction, "range": "[-1, 1]", "layout": f"NCHW, {colors}", **origin(opt),
    })  # fmt: skip
    write(graph, output)
    print(f"{len(graph) / 1e6:.1f} MB written to {output}: {direction}, real → fake")


def direction_of(weights: Path, opt: Namespace) -> str:
    """The way that the network in the file ``weights`` translates.

    Raises `UserError` where another one was typed.
    """
    name = weights.stem.removesuffix(EMA_SUFFIX)
    one_of_two = name.endswith(("_net_G_A", "_net_G_B"))
    trained = load_options(weights.parent).get("direction", "AtoB" if one_of_two else opt.direction)
    forwards = (trained == "AtoB") != name.endswith("_net_G_B")
    direction = "AtoB" if forwards else "BtoA"
    if opt.typed.get("direction", direction) != direction:
        raise UserError(
            f"--direction {opt.direction}: {weights} goes {direction}; leave it out, or name a run "
            "that was trained both ways"
        )
    return direction


def origin(opt: Namespace) -> dict[str, str]:
    """Where the network comes from and how it was built."""
    built = {name: vars(opt)[name] for name in INHERITED_OPTIONS}
    return {
        "run": opt.name, "epoch": weights_prefix(opt), "options": json.dumps(built),
        "torch": torch.__version__,
    }  # fmt: skip


def acts_otherwise_in_training(net: nn.Module) -> bool:
    """Whether a translation is another in training mode, which test.py uses without --eval."""
    return any(isinstance(layer, (nn.BatchNorm2d, nn.Dropout)) for layer in net.modules())


def checked_graph(net: nn.Module, input_nc: int, about: dict[str, str]) -> bytes:
    """The generator as ONNX, proven to do what it does. Raises `UserError` where it does not."""
    images = noise(input_nc, side=max(64, net.stride))
    try:
        graph = onnx_graph(DynamicPadding(net.model, net.stride, net.min_size), images[1], about)
        difference = largest_difference(graph, net, images)
    except Exception as error:  # compilers of graphs raise almost anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"this generator cannot be written as ONNX: {reason[:200]}") from None
    sizes = ", ".join("×".join(map(str, batch.shape)) for batch in images)
    if not difference <= TOLERANCE:  # which NaN is not either
        raise UserError(
            f"onnxruntime differs from PyTorch by {difference:.2g}, more than {TOLERANCE}, at "
            f"{sizes}; nothing was written; try another --epoch"
        )
    print(f"largest difference between onnxruntime and PyTorch: {difference:.2g} at {sizes}")
    return graph


def noise(channels: int, side: int) -> list[Tensor]:
    """ImageLoader (N, C, H, W) in [-1, 1]: a fitting size, an odd one, and one smaller than strides."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, channels, side, side), (2, channels, side - 3, side + 9), (1, channels, 8, 13)]
    return [torch.rand(shape, generator=generator) * 2 - 1 for shape in shapes]


def refuse_unwritable(output: Path) -> None:
    """Raise `UserError`, before the work, where it can be told that it would be lost."""
    folder = next(parent for parent in output.absolute().parents if parent.exists())
    if output.is_dir():
        raise UserError(f"--output {output} is a folder; name a file in it")
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UserError(f"--output {output}: {folder} cannot be written into; choose another")


def write(graph: bytes, output: Path) -> None:
    try:
        write_atomically(output, lambda file: file.write_bytes(graph))
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{output} cannot be written: {reason}; choose another --output") from None


if __name__ == "__main__":
    with report_user_errors():
        export(ExportOptions().parse())
