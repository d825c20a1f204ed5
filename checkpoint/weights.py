"""Weights and options of a run, on disk."""

import json
import pickle
import re
import warnings
import zipfile
from argparse import Namespace
from pathlib import Path

import torch
from torch import Tensor, nn

from checkpoint.compat import adapt_state_dict, find_mismatch
from models.ema import EMA_SUFFIX
from util.errors import UserError, printable
from util.files import write_atomically, write_text

OPTIONS_FILE = "train_opt.json"
OTHERS = "copy it anew, or choose other weights (--epoch, --name)"
MAX_UNPACK_RATIO = (
    10  # times its size: what an archive may unpack to; those of torch are not even compressed
)


def weights_prefix(opt: Namespace) -> str:
    """How the names of the weights begin that ``opt`` asks for."""
    return f"iter_{opt.load_iter}" if opt.load_iter else opt.epoch


def save_weights(weights: dict[str, Tensor], path: Path) -> None:
    """Write a state dict: contiguous float32 tensors on the CPU, by the usual keys."""
    state = {key: _portable(value) for key, value in weights.items()}
    write_atomically(path, lambda file: torch.save(state, file))


def _portable(value: Tensor) -> Tensor:
    """Nothing is copied that is portable already."""
    value = value.detach().to("cpu", torch.float32 if value.is_floating_point() else value.dtype)
    return value.contiguous()


def exported_weights(model: dict) -> dict[str, dict[str, Tensor]]:
    """What of a model's state goes into files of its own: the name in the file → weights."""
    averages = model.get("averages", {})
    return {
        **model["networks"],
        **{name + EMA_SUFFIX: weights for name, weights in averages.items()},
    }


def prune_weights(folder: Path, keep: float) -> None:
    """Delete numbered weights but those of the ``keep`` highest epochs, and of as many iters."""
    numbered: dict[str, dict[int, list[Path]]] = {"": {}, "iter_": {}}
    for path in folder.glob("*_net_*.pth"):
        if match := re.match(r"(iter_)?(\d+)_net_", path.name):
            numbered[match[1] or ""].setdefault(int(match[2]), []).append(path)
    for epochs in numbered.values():
        for number in sorted(epochs, reverse=True)[int(min(keep, len(epochs))) :]:
            for path in epochs[number]:
                path.unlink(missing_ok=True)


def weights_in(folder: Path, suffix: str) -> dict[str, Path]:
    """The files ``<suffix>_net_<name>.pth`` in ``folder``, by the name of the network."""
    marker = f"{suffix}_net_"
    files = sorted(file for file in folder.glob("*.pth") if file.name.startswith(marker))
    return {file.stem.removeprefix(marker): file for file in files}


def load_weights(net: nn.Module, path: Path) -> None:
    """Read what `save_weights` wrote into ``net``, which must have the same layers.

    What other programs write loads too if it comes to the same; a line tells what was done to it.
    """
    state, done = adapt_state_dict(net, read_state(path))
    if problem := find_mismatch(net, state):
        raise UserError(f"{path} does not fit the network that the options describe: {problem}")
    expected = net.state_dict()
    for key, value in state.items():
        if problem := _unusable(value, expected[key]):
            raise UserError(f"{path}: {key} {problem}; {OTHERS}")
    net.load_state_dict(state)
    if done:
        print(f"note: {printable(str(path))}: {'; '.join(done)}")


def _unusable(value: Tensor, expected: Tensor) -> str | None:
    """Why ``value``, of the right shape, cannot be loaded; floats of any width can."""
    if value.is_meta or value.is_quantized or value.layout != torch.strided:
        return "is no plain tensor"
    if value.is_floating_point() != expected.is_floating_point():
        return f"holds {value.dtype} in the file, {expected.dtype} in the network"
    if not torch.isfinite(value.to(expected.dtype)).all():
        return "holds NaN or infinite numbers"
    return None


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict in ``path``. Raises `UserError` where there is none."""
    if not path.is_file():
        raise UserError(
            f"no weights {path.name} in {path.parent}: {describe_available_weights(path.parent)}"
        )
    try:
        _refuse_bombs(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the pickle that is refused below
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UserError(
            f"{path} cannot be read as weights: it holds other things than tensors; {OTHERS}"
        ) from None
    except Exception as error:  # a broken archive raises almost anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} cannot be read as weights: {reason[:200]}; {OTHERS}") from None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"{path} does not hold a state dict (names and tensors); {OTHERS}")
    return state


def _refuse_bombs(path: Path) -> None:
    """Raise ValueError for a small archive that unpacks to something large."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    packed = path.stat().st_size
    if unpacked > MAX_UNPACK_RATIO * packed:
        raise ValueError(f"its {packed / 1e6:.1f} MB would unpack to {unpacked / 1e6:.1f} MB")


def describe_available_weights(folder: Path) -> str:
    """The weights in ``folder``, or the runs beside it, for the one who looked for others."""
    if not folder.is_dir():
        runs = sorted(p.name for p in folder.parent.glob("*") if p.is_dir())
        return (
            f"there is no such folder; --name may be one of {', '.join(runs[:10]) or '(none yet)'}"
        )
    found = sorted(file.name for file in folder.glob("*_net_*.pth"))
    if not found:
        return "the folder holds no weights (*_net_*.pth); train first, or check --name"
    epochs = sorted({name.split("_net_")[0] for name in found}, key=lambda e: (len(e), e))
    nets = sorted({name.split("_net_")[1].removesuffix(".pth") for name in found})
    return f"it has --epoch {', '.join(epochs)} of the networks {', '.join(nets)}"


def save_options(folder: Path, options: dict, printed: str) -> None:
    """Keep the options of a training run beside its weights: for `load_options`, and to be read."""
    write_text(folder / "train_opt.txt", printed + "\n")
    write_text(folder / OPTIONS_FILE, json.dumps(options, indent=1))


def load_options(folder: Path) -> dict:
    """What `save_options` wrote, or an empty dictionary for runs of other programs."""
    file = folder / OPTIONS_FILE
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({error}); mend or remove it") from None
    if not isinstance(found, dict):
        raise UserError(f"{file} does not hold options by name; mend or remove it")
    return found
