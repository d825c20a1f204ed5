"""Declarations of command-line flags; `options` turns tables of them into a parser."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Flag:
    """One option: its default, how its text is parsed, and a line for ``--help``.

    ``kind`` converts the text to a value and raises ValueError with the reason; None makes a
    switch that is off by default. ``choices`` are the allowed values, mostly keys of a registry.
    """

    default: object
    kind: Callable[[str], object] | None
    help: str
    choices: Collection[str] | None = None


def switch(help: str) -> Flag:
    """Declare a flag without a value, off by default."""
    return Flag(False, None, help)


def choice(default: str, registry: Collection[str], help: str) -> Flag:
    """Declare a flag whose values are the keys of ``registry``."""
    return Flag(default, str, help, registry)


def int_range(minimum: int = 0, maximum: float = math.inf) -> Callable[[str], int]:
    """Parse an integer from ``minimum`` to ``maximum``."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError("not a whole number") from None
        if value < minimum:
            raise ValueError(f"must be at least {minimum}")
        if value > maximum:
            raise ValueError(f"must be at most {maximum}")
        return value

    return parse


def int_choice(*numbers: int) -> Callable[[str], int]:
    """Parse one of the integers ``numbers``."""

    def parse(text: str) -> int:
        value = int_range()(text)
        if value not in numbers:
            raise ValueError(f"must be {' or '.join(map(str, numbers))}")
        return value

    return parse


def float_range(minimum: float = -math.inf, below: float = math.inf) -> Callable[[str], float]:
    """Parse a finite number from ``minimum`` up to, but not including, ``below``."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ValueError("not a number") from None
        if not math.isfinite(value):
            raise ValueError("not a finite number")
        if value < minimum:
            raise ValueError(f"must be at least {minimum:g}")
        if value >= below:
            raise ValueError(f"must be below {below:g}")
        return value

    return parse


def count_or_inf(text: str) -> float:
    """Parse an integer of at least 1, or ``inf``."""
    return math.inf if text == "inf" else int_range(1)(text)


def gpu_list(text: str) -> list[int]:
    """Parse ``0`` or ``0,1`` to device indices; ``-1`` to an empty list, which means the CPU."""
    try:
        numbers = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ValueError("write 0, or 0,1 for two processes, or -1 for the CPU") from None
    return [number for number in numbers if number >= 0]
