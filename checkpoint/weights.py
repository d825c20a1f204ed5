"""Weights of networks on disk: one state dict per file."""

import contextlib
import io
import itertools
import pickle
import pickletools
import re
import warnings
import zipfile
from argparse import Namespace
from pathlib import Path
from typing import IO

import torch
from torch import Tensor, nn

from checkpoint.compat import adapt_state_dict, find_mismatch
from util.errors import UserError, printable, short_reason
from util.files import write_atomically

EMA_SUFFIX = "_ema"  # added to the name of a network: its exponential moving average
REMEDY = "copy it again, or choose other weights (--epoch, --name)"
MAX_UNPACK_RATIO = 10  # unpacked size of an archive / its size; torch does not compress at all
MAX_PICKLE_OPCODES = 200_000  # torch needs about 40 per tensor and reads 200,000 in a second


def weights_prefix(opt: Namespace) -> str:
    """The start of the names of the weights files that ``opt`` asks for."""
    return f"iter_{opt.load_iter}" if opt.load_iter else opt.epoch


def weights_path(folder: Path, prefix: str | int, name: str) -> Path:
    """The file of the network ``name``."""
    return folder / f"{prefix}_net_{name}.pth"


def find_weights(folder: Path, prefix: str | int) -> dict[str, Path]:
    """The files ``<prefix>_net_<name>.pth`` in ``folder``, by the name of the network."""
    marker = f"{prefix}_net_"
    files = sorted(file for file in folder.glob("*.pth") if file.name.startswith(marker))
    return {file.stem.removeprefix(marker): file for file in files}


def describe_available_weights(folder: Path) -> str:
    """The weights in ``folder``, or the runs beside it, for a message that others are missing."""
    if not folder.is_dir():
        runs = sorted(path.name for path in folder.parent.glob("*") if path.is_dir())
        names = ", ".join(runs[:10]) or "(none yet)"
        return f"there is no such folder; --name may be one of {names}"

    found = [file.name.removesuffix(".pth") for file in folder.glob("*_net_*.pth")]
    if not found:
        return "the folder holds no weights (*_net_*.pth); train first, or check --name"
    epochs = sorted({name.split("_net_")[0] for name in found}, key=lambda e: (len(e), e))
    networks = sorted({name.split("_net_")[1] for name in found})
    return f"it has --epoch {', '.join(epochs)} of the networks {', '.join(networks)}"


def save_weights(weights: dict[str, Tensor], path: Path) -> None:
    """Write a state dict: contiguous float32 tensors on the CPU, by the usual keys."""
    state = {key: _portable(value) for key, value in weights.items()}
    write_atomically(path, lambda file: torch.save(state, file))


def _portable(value: Tensor) -> Tensor:
    """``value`` as weights files hold it; copied only if it differs."""
    dtype = torch.float32 if value.is_floating_point() else value.dtype
    return value.detach().to("cpu", dtype).contiguous()


def prune_weights(folder: Path, keep: float) -> None:
    """Delete numbered weights except those of the ``keep`` latest epochs and iterations each."""
    numbered: dict[str, dict[int, list[Path]]] = {"": {}, "iter_": {}}
    for path in folder.glob("*_net_*.pth"):
        if match := re.match(r"(iter_)?(\d+)_net_", path.name):
            numbered[match[1] or ""].setdefault(int(match[2]), []).append(path)

    for files in numbered.values():
        for number in sorted(files, reverse=True)[int(min(keep, len(files))) :]:
            for path in files[number]:
                path.unlink(missing_ok=True)


def load_weights(net: nn.Module, path: Path) -> None:
    """Load what `save_weights` wrote into ``net``, which must have the same layers.

    State dicts of other programs load too if they are equivalent; a line lists what was changed.
    Raises `UserError` for a file that is missing, unreadable, or does not match ``net``.
    """
    state, changes = adapt_state_dict(net, read_state_dict(path))
    if problem := find_mismatch(net, state):
        raise UserError(f"{path} does not fit the network that the options describe: {problem}")
    expected = net.state_dict()
    for key, value in state.items():
        if problem := _find_defect(value, expected[key]):
            raise UserError(f"{path}: {key} {problem}; {REMEDY}")

    net.load_state_dict(state)
    if changes:
        print(f"note: {printable(str(path))}: {'; '.join(changes)}")


def _find_defect(value: Tensor, expected: Tensor) -> str | None:
    """Why ``value``, of the right shape, cannot be loaded; floats of any precision can."""
    if value.is_meta or value.is_quantized or value.layout != torch.strided:
        return "is not a plain dense tensor"
    if value.is_floating_point() != expected.is_floating_point():
        return f"holds {value.dtype} in the file, {expected.dtype} in the network"
    if not torch.isfinite(value.to(expected.dtype)).all():
        return "holds NaN or infinite values"
    return None


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the state dict in ``path``. Raises `UserError` if there is none."""
    if not path.is_file():
        available = describe_available_weights(path.parent)
        raise UserError(f"no weights {path.name} in {path.parent}: {available}")
    try:
        _check_size(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the pickle that is refused below
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UserError(
            f"{path} cannot be read as weights: it holds objects other than tensors; {REMEDY}"
        ) from None
    except Exception as error:  # a broken archive raises almost anything
        raise UserError(
            f"{path} cannot be read as weights: {short_reason(error)}; {REMEDY}"
        ) from None

    # An OrderedDict from a file may carry attributes, `_metadata` among them, that hide methods or
    # change how it is loaded: only its items are taken.
    if not isinstance(state, dict):
        raise UserError(f"{path} does not hold a state dict (names and tensors); {REMEDY}")
    items = dict(dict.items(state))
    if not all(isinstance(value, Tensor) for value in items.values()):
        raise UserError(f"{path} does not hold a state dict (names and tensors); {REMEDY}")
    return items


def _check_size(path: Path) -> None:
    """Raise ValueError for a file that `torch.load` would take very long or much memory to read."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            for _ in ("magic number", "protocol", "system", "state dict"):  # pickles in a row
                _check_pickle(file)
        return

    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
        packed = path.stat().st_size
        if unpacked > MAX_UNPACK_RATIO * packed:
            raise ValueError(f"its {packed / 1e6:.1f} MB would unpack to {unpacked / 1e6:.1f} MB")
        names = [name for name in archive.namelist() if name.endswith(".pkl")]
        if any(name.endswith("/constants.pkl") for name in names):
            raise ValueError("it is a TorchScript archive, not a state dict")
        for name in names:
            _check_pickle(io.BytesIO(archive.read(name)))


def _check_pickle(file: IO[bytes]) -> None:
    """Raise ValueError for a pickle of too many opcodes; a broken one is left to `torch.load`."""
    count = 0
    with contextlib.suppress(ValueError):
        for _ in itertools.islice(pickletools.genops(file), MAX_PICKLE_OPCODES + 1):
            count += 1
    if count > MAX_PICKLE_OPCODES:
        raise ValueError("it has too many parts for a state dict")
