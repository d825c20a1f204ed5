"""Options of a training run, beside its weights: ``train_opt.txt`` and ``train_opt.json``."""

import hashlib
import json
from pathlib import Path

from util.errors import UserError
from util.files import write_text

OPTIONS_FILE = "train_opt.json"
CHECKSUM = "sha256"  # an entry of the file beside the options


def save_options(folder: Path, options: dict, printed: str) -> None:
    """Write the options as text for people (``printed``) and as JSON for `load_options`."""
    write_text(folder / "train_opt.txt", printed + "\n")
    content = {**options, CHECKSUM: _checksum(options)}
    write_text(folder / OPTIONS_FILE, json.dumps(content, indent=1))


def load_options(folder: Path) -> dict:
    """Read what `save_options` wrote; {} if there is no such file, as in runs of other programs.

    Raises `UserError` for a file that cannot be read or does not match its checksum. A file
    without a checksum, written by hand or by an older version, is accepted.
    """
    file = folder / OPTIONS_FILE
    try:
        options = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} cannot be read ({error}); repair or remove it") from None

    if not isinstance(options, dict):
        raise UserError(f"{file} does not hold options by name; repair or remove it")
    if options.pop(CHECKSUM, None) not in (None, _checksum(options)):
        raise UserError(
            f"{file} is damaged or was edited: its content does not match its {CHECKSUM}; repair "
            f"or remove the file, or delete its {CHECKSUM} line if the options are right"
        )
    return options


def _checksum(options: dict) -> str:
    return hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()
