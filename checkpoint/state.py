"""The complete state of a run in one file: ``latest_state.pth``."""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from util.errors import UserError, printable, short_reason
from util.files import write_atomically
from util.versions import versions

FORMAT = 1  # of the file; increased when older versions could not resume from it
LATEST = "latest_state.pth"
PREVIOUS = "previous_state.pth"

Tree = Mapping | Sequence | Tensor | str | int | float | bool | None


class DamagedStateError(Exception):
    """A state file that cannot be used; the message says why."""


def save_state(folder: Path, state: dict, keep: str = PREVIOUS) -> None:
    """Write ``state``, a tree of dictionaries, lists, tensors on the CPU, numbers and strings.

    The old file is renamed to ``keep`` after the new one has been read back.
    """
    content = {
        "format": FORMAT,
        "versions": versions(),
        "digest": digest(state),
        "state": state,
    }
    write_atomically(
        folder / LATEST,
        lambda file: torch.save(content, file),
        verify=read_state_file,
        keep=folder / keep,
    )


def load_state(folder: Path) -> dict | None:
    """Load the newest readable state in ``folder``; None if there is no state at all.

    Falls back to the previous state with a warning. Raises `UserError` if no state can be read, and
    for a state of a newer version.
    """
    damages = []
    for path in (folder / LATEST, folder / PREVIOUS):
        try:
            state = read_state_file(path)
        except FileNotFoundError:
            continue
        except DamagedStateError as error:
            damages.append(f"{path} {error}")
            continue

        for damage in damages:
            print(f"warning: {printable(damage)}; resuming from {path.name}")
        return state

    if damages:
        raise UserError(
            f"{damages[0]}; the networks in {folder} may still be intact: start a new run from "
            f"them with --init_from {folder}"
        )
    return None


def read_state_file(path: Path) -> dict:
    """Read what `save_state` wrote, and verify its checksum.

    Raises `DamagedStateError`, FileNotFoundError, or `UserError` for a newer format.
    """
    content = _read(path, mmap=False)
    if content["digest"] != digest(content["state"]):
        raise DamagedStateError("is damaged: its checksum does not match its content")
    return content["state"]


def remembered_options(folder: Path) -> dict:
    """The options in the newest state; {} if there is none."""
    return _read_metadata(folder).get("options", {})


def saved_job_id(folder: Path) -> str:
    """The `distributed.context.job_id` that wrote the newest state; empty if there is none."""
    return _read_metadata(folder).get("job", "")


def images_seen(path: Path) -> int:
    """The number of images that the run in a state file was trained on; -1 without such a file."""
    try:
        return _read(path, mmap=True)["state"]["progress"]["total_iters"]
    except (DamagedStateError, FileNotFoundError):
        return -1


def _read_metadata(folder: Path) -> dict:
    """The newest readable state, its tensors not yet read from the disk; {} if there is none."""
    for name in (LATEST, PREVIOUS):
        try:
            return _read(folder / name, mmap=True)["state"]
        except (DamagedStateError, FileNotFoundError):
            continue
    return {}


def _read(path: Path, mmap: bool) -> dict:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except FileNotFoundError:
        raise
    except Exception as error:  # a broken archive raises almost anything
        raise DamagedStateError(f"is damaged: {short_reason(error)}") from None

    if not isinstance(content, dict) or not {"format", "digest", "state"} <= set(content):
        raise DamagedStateError("is not the state of a run")
    if content["format"] > FORMAT:
        raise UserError(
            f"{path} was written by a newer version of this program (format {content['format']}, "
            f"{content.get('versions', {})}); use that version, or start a new run with "
            f"--init_from {path.parent}"
        )
    return content


def digest(tree: Tree) -> str:
    """SHA-256 of everything in ``tree``: structure, values, and the bytes of the tensors."""
    sha256 = hashlib.sha256()
    _update(sha256, tree)
    return sha256.hexdigest()


def _update(sha256, tree: Tree) -> None:
    if isinstance(tree, Tensor):
        sha256.update(f"tensor {tree.dtype} {tuple(tree.shape)}".encode())
        sha256.update(tree.contiguous().flatten().view(torch.uint8).numpy())
    elif isinstance(tree, Mapping):
        sha256.update(f"map {len(tree)}".encode())
        for key, value in tree.items():
            sha256.update(repr(key).encode())
            _update(sha256, value)
    elif isinstance(tree, (list, tuple)):
        sha256.update(f"list {len(tree)}".encode())
        for value in tree:
            _update(sha256, value)
    else:
        sha256.update(f"{type(tree).__name__} {tree!r};".encode())


def snapshot(tree: Tree) -> Any:
    """Copy ``tree``; tensors become contiguous, on the CPU, and share no memory with it."""
    if isinstance(tree, Tensor):
        return torch.empty(tree.shape, dtype=tree.dtype).copy_(tree.detach())
    if isinstance(tree, Mapping):
        return {key: snapshot(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(snapshot(value) for value in tree)
    return tree


def check_finite(state: dict) -> None:
    """Raise `DamagedStateError` if a tensor in ``state`` holds NaN or infinity."""
    if name := _find_nonfinite(state):
        raise DamagedStateError(f"{name} is not finite")


def _find_nonfinite(tree: Tree, name: str = "the state") -> str | None:
    """The name of the first tensor in ``tree`` that holds NaN or infinity."""
    if isinstance(tree, Tensor):
        return None if not tree.is_floating_point() or tree.isfinite().all() else name
    items = tree.items() if isinstance(tree, Mapping) else ()
    return next((bad for key, value in items if (bad := _find_nonfinite(value, str(key)))), None)
