"""Results as a table for people, as ``metrics.json``, and as lines of ``results.csv``."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from filelock import FileLock

from metrics.comparison import FLOOR, TRANSLATED, UNTRANSLATED, Comparison
from metrics.distribution import kid_subset_size
from metrics.evaluate import METRICS
from metrics.features import FeatureExtractor
from metrics.metric import Settings
from util.files import write_text
from util.versions import versions

PACKAGES = ("torchvision", "torch-fidelity", "torchmetrics")
FID_IMAGES = 2000  # FID of fewer images depends strongly on their number
VALUE_COLUMNS = tuple(
    column for name in METRICS for column in ([name, "kid_std"] if name == "kid" else [name])
)

Values = Mapping[str, Mapping[str, float]]  # by row and metric


def format_table(
    comparison: Comparison, values: Values, metrics: Sequence[str], features: str
) -> str:
    """Return the table of one comparison; its first line names the features."""
    real = len(comparison.real)
    counts = {
        TRANSLATED: len(comparison.fake),
        UNTRANSLATED: len(comparison.source or ()),
        FLOOR: real // 2,
    }
    arrows = {name: "↓" if METRICS[name].lower_is_better else "↑" for name in metrics}
    header = ["", "images", *(f"{METRICS[name].title} {arrows[name]}" for name in metrics)]
    rows = [
        [row, str(counts[row]), *(_format_value(name, results) for name in metrics)]
        for row, results in values.items()
    ]

    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [
        row[0].ljust(widths[0])
        + "".join("  " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in (header, *rows)
    ]
    title = f"{comparison.name} against {real} real images"
    return "\n".join([f"{title}, features: {features}" if features else title, *lines])


def _format_value(name: str, results: Mapping[str, float]) -> str:
    if name not in results:
        return "–"
    digits = METRICS[name].digits
    text = f"{results[name]:.{digits}f}"
    return f"{text} ± {results['kid_std']:.{digits}f}" if name == "kid" else text


def list_notes(comparison: Comparison, metrics: Sequence[str], settings: Settings) -> list[str]:
    """Return what must be known to judge the values."""
    notes = []
    smaller = min(len(comparison.fake), len(comparison.real))
    size = kid_subset_size(len(comparison.fake), len(comparison.real), settings)
    if "kid" in metrics and size < settings.kid_subset_size:
        notes.append(f"note: kid: subsets of {size} images, half of the smaller set")
    if "fid" in metrics and smaller < FID_IMAGES:
        notes.append(
            f"note: fid of {smaller} images depends strongly on their number; "
            "compare it for equal numbers only (the half of the target has fewer), or use kid"
        )
    return notes


def to_json(run: dict, features: FeatureExtractor | None, settings: Settings, results: dict) -> str:
    """Return the text of ``metrics.json``; ``run`` says what was measured."""
    content = {
        **run,
        "features": features
        and {"name": features.name, "network": features.help, "weights_sha256": features.sha256},
        "seed": settings.seed,
        "kid_subsets": settings.kid_subsets,
        "kid_subset_size": settings.kid_subset_size,
        "versions": {**versions(), **_package_versions()},
        "translations": results,
    }
    return json.dumps(_finite(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def describe_comparison(comparison: Comparison, values: Values) -> dict:
    """Return the entry of one comparison in ``metrics.json``."""
    return {
        "images": len(comparison.fake),
        "real_images": len(comparison.real),
        **{row.replace(" ", "_"): dict(results) for row, results in values.items()},
    }


def _package_versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _finite(value: object) -> object:
    """Replace infinite numbers, which JSON does not have, by text."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def append_csv(path: Path, lines: Sequence[Mapping[str, object]]) -> None:
    """Append ``lines`` to the table in ``path``; columns that it lacks are added."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        old = []
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                old = list(csv.DictReader(file))

        columns = list(dict.fromkeys(key for line in (*old, *lines) for key in line))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows([*old, *lines])
        write_text(path, text.getvalue())
