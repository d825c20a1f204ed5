"""State dicts of other programs: convert what is equivalent to ours, explain mismatches."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from util.errors import printable

StateDict = dict[str, Tensor]

DATA_PARALLEL_PREFIX = "module."  # added to every key by torch.nn.DataParallel and DDP
RUNNING_STATS = ("running_mean", "running_var", "num_batches_tracked")
OTHER_OPTIONS = "give the --netG, --ngf, --norm, --no_dropout, --input_nc … it was trained with"
OTHER_LAYOUT = "give the --netG it was trained with; the layout of another program cannot be read"
MAX_KEY_LENGTH = 60  # characters of a key from a file, in a message


def adapt_state_dict(net: nn.Module, state: StateDict) -> tuple[StateDict, list[str]]:
    """Remove from ``state`` what ``net`` does not need; return it with a list of the changes.

    Half precision is only mentioned: `torch.nn.Module.load_state_dict` converts it.
    """
    changes = []
    if state and all(str(key).startswith(DATA_PARALLEL_PREFIX) for key in state):
        state = {key.removeprefix(DATA_PARALLEL_PREFIX): value for key, value in state.items()}
        changes.append(f'the prefix "{DATA_PARALLEL_PREFIX}" was removed from all keys')

    if unused := _instance_norm_keys(net, state, RUNNING_STATS):
        state = {key: value for key, value in state.items() if key not in unused}
        changes.append(f"{len(unused)} running statistics of instance norm ignored")

    if half := {value.dtype for value in state.values()} & {torch.float16, torch.bfloat16}:
        names = sorted(str(dtype).removeprefix("torch.") for dtype in half)
        changes.append(f"{' and '.join(names)} converted to full precision")
    return state, changes


def find_mismatch(net: nn.Module, state: StateDict) -> str | None:
    """Describe how ``state`` differs from the state of ``net``, and the remedy; None if it fits.

    Another layout and parameters of instance norm are recognized; otherwise the differences are
    listed.
    """
    expected = net.state_dict()
    missing = [key for key in expected if key not in state]
    unexpected = [key for key in state if key not in expected]
    if not state:
        return "the file holds no weights at all; choose another"
    if len(missing) == len(expected):
        keys = f"the file has {_first_two(unexpected)}, the network {_first_two(missing)}"
        return f"no key matches: {keys}; {OTHER_LAYOUT}"

    renamed = ""
    foreign = [key for key in unexpected if _layer_names([key]) - _layer_names(expected)]
    if foreign and missing:
        renamed = (
            f"its layers have other names, {_first(foreign)} where the network has "
            f"{_first(missing)}"
        )
    affine = _instance_norm_keys(net, state, ("weight",))
    if affine and (renamed or not missing):  # batch norm, in contrast, comes without biases
        reason = (
            f"its norm layers have parameters, {_first(affine)}; this network's instance norm has "
            "none, so such weights cannot be represented"
        )
        return f"{reason}; also, {renamed}" if renamed else reason
    if renamed:
        return f"{renamed}; {OTHER_LAYOUT}"

    differences = _list_differences(expected, state, missing, unexpected)
    return f"{differences}; {OTHER_OPTIONS}" if differences else None


def _list_differences(
    expected: StateDict, state: StateDict, missing: list[str], unexpected: list[str]
) -> str:
    differences = []
    if shapes := [
        f"{key} is {tuple(state[key].shape)} in the file, {tuple(value.shape)} in the network"
        for key, value in expected.items()
        if key in state and state[key].shape != value.shape
    ]:
        differences.append(_first(shapes, max_length=200))
    if missing:
        differences.append(f"the file lacks {_first(missing)}")
    if unexpected:
        differences.append(f"the file also has {_first(unexpected)}")
    return "; ".join(differences)


def _instance_norm_keys(net: nn.Module, state: StateDict, names: tuple[str, ...]) -> list[str]:
    """The keys of ``state`` for entries ``names`` of layers that are instance norm in ``net``.

    Tensors of more than one dimension are kernels of a convolution with the same layer name.
    """
    layers = {name for name, layer in net.named_modules() if isinstance(layer, nn.InstanceNorm2d)}
    parts = {key: str(key).rpartition(".") for key, value in state.items() if value.ndim <= 1}
    return [key for key, (layer, _, name) in parts.items() if layer in layers and name in names]


def _layer_names(keys: Iterable) -> set[str]:
    """The parts of ``keys`` that name layers, without numbers: model, conv_block."""
    return {part for key in keys for part in str(key).split(".")[:-1] if not part.isdigit()}


def _first(items: list, max_length: int = MAX_KEY_LENGTH) -> str:
    """The first item, and how many more there are."""
    more = f" (and {len(items) - 1} more)" if len(items) > 1 else ""
    return _shorten(items[0], max_length) + more


def _first_two(keys: list) -> str:
    """The first two keys, and how many there are."""
    return f"{', '.join(map(_shorten, keys[:2]))}{', …' if len(keys) > 2 else ''} ({len(keys)})"


def _shorten(key: object, max_length: int = MAX_KEY_LENGTH) -> str:
    text = printable(str(key))
    return text if len(text) <= max_length else text[: max_length - 1] + "…"
