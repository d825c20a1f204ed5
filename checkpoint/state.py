"""The whole run in one file: ``latest_state.pth``."""

import hashlib
import platform
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from util.errors import UserError
from util.files import write_atomically

FORMAT = 1  # of the file; raised when older programs could not go on from it
LATEST, PREVIOUS = "latest_state.pth", "previous_state.pth"
Tree = Mapping | Sequence | Tensor | str | int | float | bool | None


class DamagedStateError(Exception):
    """A state file that cannot be used; the text says why."""


def save_state(folder: Path, state: dict, keep: str = PREVIOUS) -> None:
    """Write ``state``, a tree of dictionaries, lists, tensors on the CPU, numbers and texts.

    The file before takes the name ``keep`` when the new one has been read back.
    """
    content = {
        "format": FORMAT, "versions": versions(), "digest": digest(state), "state": state
    }  # fmt: skip
    write_atomically(
        folder / LATEST, lambda file: torch.save(content, file),
        prove=read_state_file, keep=folder / keep,
    )  # fmt: skip


def load_state(folder: Path) -> dict | None:
    """The newest readable state in ``folder``; None where there never was one.

    Falls back to the previous one with a line that says so. Raises `UserError` where none of them
    can be read, and for a state of a newer program.
    """
    found = [folder / name for name in (LATEST, PREVIOUS) if (folder / name).is_file()]
    damages = []
    for path in found:
        try:
            state = read_state_file(path)
        except DamagedStateError as damage:
            damages.append(f"{path} {damage}")
            continue
        for text in damages:
            print(f"warning: {text}; going on from {path.name}")
        return state
    if damages:
        raise UserError(
            f"{damages[0]}; the networks in {folder} may still be whole: start a new run from them "
            f"with --init_from {folder}"
        )
    return None


def read_state_file(path: Path) -> dict:
    """What `save_state` wrote. Raises `DamagedStateError`, or `UserError` for a newer format."""
    content = _read(path, mmap=False)
    if content["digest"] != digest(content["state"]):
        raise DamagedStateError("is damaged: its checksum does not fit its content")
    return content["state"]


def remembered_options(folder: Path) -> dict:
    """The options in the newest state; {} where there is none."""
    return _glance(folder).get("options", {})


def saved_job_id(folder: Path) -> str:
    """The job that wrote the newest state, see `distributed.context.job`; empty where there is none."""
    return _glance(folder).get("job", "")


def _glance(folder: Path) -> dict:
    """The newest readable state; {} where there is none. Tensors are not read."""
    for name in (LATEST, PREVIOUS):
        try:
            return _read(folder / name, mmap=True)["state"]
        except (DamagedStateError, FileNotFoundError):
            continue
    return {}


def images_seen(path: Path) -> int:
    """How far the run in a state file had come; -1 where there is no such file."""
    try:
        return _read(path, mmap=True)["state"]["progress"]["total_iters"]
    except (DamagedStateError, FileNotFoundError):
        return -1


def _read(path: Path, mmap: bool) -> dict:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except FileNotFoundError:
        raise
    except Exception as error:  # a broken archive raises almost anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DamagedStateError(f"is damaged: {reason[:150]}") from None
    if not isinstance(content, dict) or not {"format", "digest", "state"} <= set(content):
        raise DamagedStateError("is not the state of a run")
    if content["format"] > FORMAT:
        made_by = content.get("versions", {})
        raise UserError(
            f"{path} was written by a newer version of this program (format {content['format']}, "
            f"{made_by}); use that one, or start anew with --init_from {path.parent}"
        )
    return content


def digest(tree: Tree) -> str:
    """SHA-256 of everything in ``tree``: structure, values, and the bytes of the tensors."""
    total = hashlib.sha256()
    _digest(tree, total)
    return total.hexdigest()


def _digest(tree: Tree, total) -> None:
    if isinstance(tree, Tensor):
        total.update(f"tensor {tree.dtype} {tuple(tree.shape)}".encode())
        total.update(tree.contiguous().flatten().view(torch.uint8).numpy())
    elif isinstance(tree, Mapping):
        total.update(f"map {len(tree)}".encode())
        for key, value in tree.items():
            total.update(repr(key).encode())
            _digest(value, total)
    elif isinstance(tree, (list, tuple)):
        total.update(f"list {len(tree)}".encode())
        for value in tree:
            _digest(value, total)
    else:
        total.update(f"{type(tree).__name__} {tree!r};".encode())


def snapshot(tree: Tree) -> Tree:
    """A copy of ``tree`` that shares nothing with it; tensors contiguous, on the CPU."""
    if isinstance(tree, Tensor):
        return torch.empty(tree.shape, dtype=tree.dtype).copy_(tree.detach())
    if isinstance(tree, Mapping):
        return {key: snapshot(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(snapshot(value) for value in tree)
    return tree


def check_finite(state: dict) -> None:
    """Raise `DamagedStateError` if a tensor in ``state`` holds NaN or infinity."""
    if bad := _not_finite(state):
        raise DamagedStateError(f"{bad} is not finite")


def _not_finite(tree: Tree, name: str = "the state") -> str | None:
    """The name of the first tensor in ``tree`` that holds NaN or infinity."""
    if isinstance(tree, Tensor):
        return None if not tree.is_floating_point() or tree.isfinite().all() else name
    items = tree.items() if isinstance(tree, Mapping) else ()
    return next((bad for key, value in items if (bad := _not_finite(value, str(key)))), None)


def versions() -> dict[str, str]:
    """What made the state."""
    return {"python": platform.python_version(), "torch": str(torch.__version__)}
