"""Optional packages."""

from importlib.util import find_spec

from util.errors import UserError


def require_packages(feature: str, *packages: str) -> None:
    """Raise `UserError` if any of the ``packages`` that ``feature`` needs is not installed."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise UserError(
            f"{feature}: {', '.join(missing)} {verb} not installed; pip install {' '.join(missing)}"
        )
