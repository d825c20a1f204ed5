"""Export of a trained generator: load, convert, compare with PyTorch, write."""

import json
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from checkpoint.run_options import load_options
from checkpoint.weights import EMA_SUFFIX, weights_path, weights_prefix
from engine.device import configure_process
from export.dynamic_padding import DynamicPadding
from export.onnx_export import max_difference, to_onnx
from models import create_model
from models.test_model import TestModel
from options.test_options import INHERITED_OPTIONS
from util.errors import UserError, short_reason
from util.files import write_atomically
from util.packages import require_packages

TOLERANCE = 1e-3  # for images in [-1, 1]: an eighth of a gray level
COLORS = {1: "gray", 3: "RGB"}  # by number of channels
MIN_TRACED_SIDE = 64  # pixels


def export_generator(opt: Namespace) -> None:
    """Write the generator that ``opt`` selects as ONNX, padding included.

    onnxruntime and PyTorch must compute the same images, within `TOLERANCE`. Raises `UserError`,
    and writes nothing, if they do not, or if the generator cannot be loaded or converted.
    """
    require_packages("scripts/export.py", "onnx", "onnxscript", "onnxruntime")
    configure_process()
    for note in opt.notes:
        print(note)

    model = create_model(opt)
    assert isinstance(model, TestModel)  # whatever the run was trained as
    weights = generator_file(model, weights_prefix(opt))
    output = Path(opt.output) if opt.output else weights.with_suffix(".onnx")
    check_output(output)
    model.setup(opt)

    net = model.netG.eval()
    direction = get_direction(weights, opt)
    if not opt.eval and depends_on_mode(net):
        print("exported as with --eval: running statistics in batch norm, no dropout")
    channels = (opt.output_nc, opt.input_nc) if model.uses_G_B else (opt.input_nc, opt.output_nc)
    onnx_file = convert(net, channels[0], metadata(opt, direction, channels))

    write(onnx_file, output)
    print(f"{len(onnx_file) / 1e6:.1f} MB written to {output}: {direction}, real → fake")


def generator_file(model: TestModel, prefix: str | int) -> Path:
    """Return the weights file that ``model.setup`` loads."""
    return weights_path(model.save_dir, prefix, model.generator_name(prefix))


def get_direction(weights: Path, opt: Namespace) -> str:
    """Return the direction in which the generator in the file ``weights`` translates.

    Raises `UserError` if the other one was requested.
    """
    name = weights.stem.removesuffix(EMA_SUFFIX)
    is_one_of_two = name.endswith(("_net_G_A", "_net_G_B"))
    trained = load_options(weights.parent).get(
        "direction", "AtoB" if is_one_of_two else opt.direction
    )
    is_forward = (trained == "AtoB") != name.endswith("_net_G_B")
    direction = "AtoB" if is_forward else "BtoA"

    if opt.explicit.get("direction", direction) != direction:
        raise UserError(
            f"--direction {opt.direction}: {weights} translates {direction}; leave it out, or name "
            "a run that was trained in both directions"
        )
    return direction


def metadata(opt: Namespace, direction: str, channels: tuple[int, int]) -> dict[str, str]:
    """Return the metadata of the file; ``channels`` are those of input and output."""
    colors = " to ".join(dict.fromkeys(COLORS[count] for count in channels))
    network_options = {name: vars(opt)[name] for name in INHERITED_OPTIONS}
    return {
        "direction": direction,
        "range": "[-1, 1]",
        "layout": f"NCHW, {colors}",
        "run": opt.name,
        "epoch": weights_prefix(opt),
        "options": json.dumps(network_options),
        "torch": torch.__version__,
    }


def depends_on_mode(net: nn.Module) -> bool:
    """Return whether training mode, which test.py uses without --eval, changes the output."""
    return any(isinstance(layer, (nn.BatchNorm2d, nn.Dropout)) for layer in net.modules())


def convert(net: Any, input_nc: int, metadata: dict[str, str]) -> bytes:
    """Return a generator as an ONNX file, verified by `max_difference`.

    ``net`` is a Module with the attributes `model`, `stride` and `min_size`.
    Raises `UserError` if it cannot be converted or differs by more than `TOLERANCE`.
    """
    batches = noise(input_nc, side=max(MIN_TRACED_SIDE, net.stride))
    try:
        padded_net = DynamicPadding(net.model, net.stride, net.min_size)
        onnx_file = to_onnx(padded_net, batches[1], metadata)
        difference = max_difference(onnx_file, net, batches)
    except Exception as error:  # exporters raise almost anything
        reason = short_reason(error)
        raise UserError(f"this generator cannot be written as ONNX: {reason}") from None

    sizes = ", ".join("×".join(map(str, batch.shape)) for batch in batches)
    if not difference <= TOLERANCE:  # also true for NaN
        raise UserError(
            f"onnxruntime differs from PyTorch by {difference:.2g}, more than {TOLERANCE}, at "
            f"{sizes}; nothing was written; try another --epoch"
        )
    print(f"largest difference between onnxruntime and PyTorch: {difference:.2g} at {sizes}")
    return onnx_file


def noise(channels: int, side: int) -> list[Tensor]:
    """Return noise (N, C, H, W) in [-1, 1] of three sizes.

    One needs no padding, one needs padding, and one is smaller than the stride of a U-Net.
    """
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, channels, side, side), (2, channels, side - 3, side + 9), (1, channels, 8, 13)]
    return [torch.rand(shape, generator=generator) * 2 - 1 for shape in shapes]


def check_output(output: Path) -> None:
    """Raise `UserError`, before any work, if the file could not be written."""
    if output.is_dir():
        raise UserError(f"--output {output} is a folder; name a file in it")
    if output.exists() and not output.is_file():
        raise UserError(
            f"--output {output} is a device or another special file; name a regular file"
        )

    target = Path(os.path.realpath(output))  # write_atomically follows symbolic links
    folder = next(parent for parent in target.parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UserError(f"--output {output}: {folder} is not a writable folder; choose another")


def write(onnx_file: bytes, output: Path) -> None:
    """Write ``output`` atomically. Raises `UserError` if that fails, for example on a full disk."""
    try:
        write_atomically(output, lambda file: file.write_bytes(onnx_file))
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{output} cannot be written: {reason}; choose another --output") from None
