"""Packages that only some of the program needs."""

from importlib.util import find_spec

from util.errors import UserError


def require_packages(what: str, *packages: str) -> None:
    """Raise `UserError` if any of ``packages``, which ``what`` needs, is not installed."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        raise UserError(
            f"{what}: {', '.join(missing)} {are} not installed; pip install {' '.join(missing)}"
        )
