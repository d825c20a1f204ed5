"""State dicts of other programs: what can be taken off them, and how they differ from ours."""

from collections.abc import Collection, Iterable

import torch
from torch import Tensor, nn

State = dict[str, Tensor]  # as a file holds it, and as `torch.nn.Module.state_dict` gives it

PARALLEL = "module."  # what torch.nn.DataParallel and its kin put before every name
RUNNING = ("running_mean", "running_var", "num_batches_tracked")
OTHER_OPTIONS = "give the --netG, --ngf, --norm, --no_dropout, --input_nc … it was trained with"
OTHER_LAYOUT = "give the --netG it was trained with; the layout of another program cannot be read"
LONGEST = 60  # letters of a name from a file, in a message


def adapt_state_dict(net: nn.Module, state: State) -> tuple[State, list[str]]:
    """``state`` without what ``net`` has no place for and does not need; what was done, in words.

    Half precision is only told of: `torch.nn.Module.load_state_dict` widens it.
    """
    done = []
    if state and all(str(key).startswith(PARALLEL) for key in state):
        state = {key.removeprefix(PARALLEL): value for key, value in state.items()}
        done.append(f'the prefix "{PARALLEL}" was taken off all names')
    if unused := _of_instance_norm(net, state, RUNNING):
        state = {key: value for key, value in state.items() if key not in unused}
        done.append(f"{len(unused)} running values of instance norm, which needs none, left out")
    if halves := {v.dtype for v in state.values()} & {torch.float16, torch.bfloat16}:
        names = sorted(str(dtype).removeprefix("torch.") for dtype in halves)
        done.append(f"{' and '.join(names)} widened to full precision")
    return state, done


def find_mismatch(net: nn.Module, state: State) -> str | None:
    """How ``state`` differs from that of ``net``, and what to do about it; None where it fits."""
    if not state:
        return "the file holds no weights at all; choose another"
    expected = net.state_dict()
    missing = [key for key in expected if key not in state]
    surplus = [key for key in state if key not in expected]
    if len(missing) == len(expected):
        names = f"the file has {_listed(surplus)}, the network {_listed(missing)}"
        return f"not one name fits: {names}; {OTHER_LAYOUT}"
    renamed = _renamed(expected, missing, surplus)
    scaled = _of_instance_norm(net, state, ("weight",))
    if scaled and not _without_biases(expected, state):
        return (
            f"its norm layers have parameters, {_and_more(scaled)}; this network's instance norm "
            "has none, so such weights cannot be represented"
        ) + (f"; besides, {renamed}" if renamed else "")
    if renamed:
        return f"{renamed}; {OTHER_LAYOUT}"
    problem = _difference(expected, state, missing, surplus)
    return f"{problem}; {OTHER_OPTIONS}" if problem else None


def _of_instance_norm(net: nn.Module, state: State, kinds: Collection[str]) -> list[str]:
    """The keys of ``state`` that name one of ``kinds`` of a layer that is instance norm in ``net``.

    Kernels, of four dimensions, belong to a convolution which has the same name by chance.
    """
    layers = {name for name, layer in net.named_modules() if isinstance(layer, nn.InstanceNorm2d)}
    parts = {key: str(key).rpartition(".") for key, value in state.items() if value.ndim <= 1}
    return [key for key, (layer, _, kind) in parts.items() if layer in layers and kind in kinds]


def _without_biases(expected: State, state: State) -> bool:
    """Whether convolutions lack their biases: then what follows them is batch norm."""
    common = (key for key in expected if key in state and key.endswith(".weight"))
    biases = [key.removesuffix("weight") + "bias" for key in common]
    return any(bias in expected and bias not in state for bias in biases)


def _renamed(expected: State, missing: list[str], surplus: list[str]) -> str:
    """Told only where the file uses words of which the network knows none."""
    known = _words(expected)
    foreign = [key for key in surplus if _words([key]) - known]
    if not foreign or not missing:
        return ""
    return (
        f"its layers have other names, {_and_more(foreign)} where the network has "
        f"{_and_more(missing)}"
    )


def _words(keys: Iterable) -> set[str]:
    """The names of layers within names of weights, without numbers: model, conv_block."""
    return {word for key in keys for word in str(key).split(".")[:-1] if not word.isdigit()}


def _difference(expected: State, found: State, missing: list[str], surplus: list[str]) -> str:
    shapes = [
        f"{key} is {tuple(found[key].shape)} in the file, {tuple(value.shape)} in the network"
        for key, value in expected.items()
        if key in found and found[key].shape != value.shape
    ]
    parts = []
    if shapes:
        parts.append(_and_more(shapes, longest=200))
    if missing:
        parts.append(f"the file lacks {_and_more(missing)}")
    if surplus:
        parts.append(f"the file has {_and_more(surplus)} besides")
    return "; ".join(parts)


def _and_more(items: list, longest: int = LONGEST) -> str:
    """The first one, and how many there are."""
    more = f" (and {len(items) - 1} more)" if len(items) > 1 else ""
    return _short(items[0], longest) + more


def _listed(keys: list) -> str:
    """The first two, and how many there are."""
    return f"{', '.join(map(_short, keys[:2]))}{', …' if len(keys) > 2 else ''} ({len(keys)})"


def _short(name: object, longest: int = LONGEST) -> str:
    text = str(name)
    return text if len(text) <= longest else text[: longest - 1] + "…"
