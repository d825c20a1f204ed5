"""Download a file over HTTP, resuming where an earlier attempt stopped.

This is own code because `urllib`, `requests`, `pooch` and `torch.hub` start over after a failure.
"""

from __future__ import annotations

import shutil
import sys
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from common import UserError

TIMEOUT_S = 30  # without a byte from the server
CHUNK_BYTES = 1 << 18
MANUAL_DOWNLOAD = "download the archive in a browser and pass --from FILE"


class UnreachableError(UserError):
    """No server responds at this address; another address may work."""


def download_any(urls: tuple[str, ...], target: Path) -> None:
    """Download from the first address that responds; raise `UnreachableError` if none does."""
    for url, next_url in zip(urls, (*urls[1:], None), strict=True):
        try:
            return download(url, target)
        except UnreachableError:
            if not next_url:
                raise
            print(f"{url} does not respond, trying {next_url}", file=sys.stderr)


def download(url: str, target: Path) -> None:
    """Download `url` to `target`, which appears only when it is complete.

    Received data is kept in `target`.part after a failure; the next call requests only the rest.
    Servers that do not support this send the whole file again. Raises `UserError`.
    """
    if not url.startswith(("http://", "https://")):
        raise UserError(f"--url {url}: pass an address that starts with http:// or https://")
    part = Path(f"{target}.part")
    offset = part.stat().st_size if part.exists() else 0

    complete = _download_rest(url, part, offset)
    if not complete and offset:
        # The partial file does not belong to the file on the server: start over.
        part.unlink()
        complete = _download_rest(url, part, 0)
    if not complete:
        raise UserError(f"{url}: the server sends a part instead of the file: {MANUAL_DOWNLOAD}")

    part.replace(target)


def _download_rest(url: str, part: Path, offset: int) -> bool:
    """Complete `part`, which has `offset` bytes; return False if the server has another file."""
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    try:
        with urlopen(Request(url, headers=headers), timeout=TIMEOUT_S) as response:  # noqa: S310
            is_partial = response.status == 206
            if is_partial and not _content_range(response).startswith(f"bytes {offset}-"):
                return False
            _save(response, part, offset if is_partial else 0)
            return True

    except HTTPError as error:
        if error.code == 416 and offset:  # no bytes after `offset`: complete, or another file
            return _content_range(error) == f"bytes */{offset}"
        reason = f"the server responds {error.code} {error.reason}"
        raise UserError(f"{url}: {reason}: {MANUAL_DOWNLOAD}") from error
    except URLError as error:
        remedy = f"check the network, or {MANUAL_DOWNLOAD}"
        raise UnreachableError(f"{url}: {error.reason}: {remedy}") from error
    except (HTTPException, OSError) as error:
        reason = str(error) or "connection closed"
        raise UserError(f"{url}: {reason}: {_resume_hint(part)}") from error


def _save(response: HTTPResponse, part: Path, offset: int) -> None:
    """Write the body of `response` to `part` from byte `offset` on, with a progress bar."""
    length = response.headers.get("Content-Length")
    total = offset + int(length) if length else None
    bar = {"initial": offset, "total": total, "desc": part.stem, "disable": None}

    part.parent.mkdir(parents=True, exist_ok=True)
    with (
        tqdm.wrapattr(response, "read", **bar) as body,
        part.open("ab" if offset else "wb") as file,
    ):
        shutil.copyfileobj(body, file, CHUNK_BYTES)

    size = part.stat().st_size
    if total is not None and size != total:
        raise UserError(f"download stopped at {size} of {total} bytes: {_resume_hint(part)}")


def _content_range(response: HTTPResponse | HTTPError) -> str:
    return response.headers.get("Content-Range", "")


def _resume_hint(part: Path) -> str:
    return f"run the same command again to resume from {part}"
