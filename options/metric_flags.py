"""Parsing of the names of metrics on the command line."""

from metrics import METRICS
from metrics.features import AUTO
from util.errors import did_you_mean


def metric_names(text: str) -> str:
    """Parse names of metrics separated by commas, or ``auto``; return them without repetition."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    if names == [AUTO]:
        return AUTO
    for name in names:
        if name not in METRICS:
            known = ", ".join(METRICS)
            raise ValueError(f"{name!r} is none of {known}{did_you_mean(name, METRICS)}")
    return ",".join(names)
