"""The form in which every room declares its flags; `options` turns the tables into a parser."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Flag:
    """One option: its default, what a text must look like, and a line for ``--help``.

    ``kind`` turns the typed text into a value and raises ValueError with the reason; None makes a
    switch that is off unless typed. ``choices`` are the allowed values, mostly a registry's keys.
    """

    default: object
    kind: Callable[[str], object] | None
    help: str
    choices: Collection[str] | None = None


def switch(help: str) -> Flag:
    """A flag without a value: off unless typed."""
    return Flag(False, None, help)


def choice(default: str, registry: Collection[str], help: str) -> Flag:
    """A flag whose values are the keys of ``registry``."""
    return Flag(default, str, help, registry)


def int_range(least: int = 0, most: float = math.inf) -> Callable[[str], int]:
    """A whole number from ``least`` to ``most``."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError("not a whole number") from None
        if value < least:
            raise ValueError(f"must be at least {least}")
        if value > most:
            raise ValueError(f"must be at most {most}")
        return value

    return parse


def int_choice(*numbers: int) -> Callable[[str], int]:
    """One of a few whole numbers."""

    def parse(text: str) -> int:
        value = int_range()(text)
        if value not in numbers:
            raise ValueError(f"must be {' or '.join(map(str, numbers))}")
        return value

    return parse


def float_range(least: float = -math.inf, below: float = math.inf) -> Callable[[str], float]:
    """A finite number from ``least`` up to, but not including, ``below``."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ValueError("not a number") from None
        if not math.isfinite(value):
            raise ValueError("not a finite number")
        if value < least:
            raise ValueError(f"must be at least {least:g}")
        if value >= below:
            raise ValueError(f"must be below {below:g}")
        return value

    return parse


def count_or_inf(text: str) -> float:
    """A whole number of at least 1, or ``inf``."""
    return math.inf if text == "inf" else int_range(1)(text)


def gpu_list(text: str) -> list[int]:
    """``0`` or ``0,1`` → device numbers; ``-1`` → none, which means the CPU."""
    try:
        numbers = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ValueError("write 0, or 0,1 for two processes, or -1 for the CPU") from None
    return [number for number in numbers if number >= 0]
