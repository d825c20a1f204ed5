"""Downloads one file over HTTP, going on where an earlier try stopped."""

from __future__ import annotations

import http.client
import sys
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from dataset_tools import UserError

SILENCE = 30  # seconds without a byte until a connection counts as dead
CHUNK = 1 << 18  # bytes
BY_HAND = "get the archive by hand and pass --from FILE"


class NoAnswerError(UserError):
    """The server could not be reached at all, so another address may be tried."""


def fetch_any(urls: tuple[str, ...], target: Path) -> None:
    """Downloads from the first address that answers; raises UserError if none does."""
    for url, following in zip(urls, (*urls[1:], None), strict=True):
        try:
            return fetch(url, target)
        except NoAnswerError:
            if not following:
                raise
            print(f"{url} does not answer, trying {following}", file=sys.stderr)


def fetch(url: str, target: Path) -> None:
    """Downloads `url` to `target`, which appears only when complete.

    What has arrived lies in `target`.part and stays there after a failure; the next call asks
    the server for the rest alone. A server that cannot do so sends everything again.
    """
    if not url.startswith(("http://", "https://")):
        raise UserError(f"--url {url} is neither http:// nor https://: pass such an address")
    part = Path(f"{target}.part")
    have = part.stat().st_size if part.exists() else 0
    if _continue(url, part, have):
        part.replace(target)
    elif have:  # the half file does not belong to what the server has now
        part.unlink()
        fetch(url, target)
    else:
        raise UserError(f"{url}: the server sends a part that nobody asked for: {BY_HAND}")


def _continue(url: str, part: Path, have: int) -> bool:
    """Appends to the `have` bytes of `part`, or writes it anew; False if it does not fit."""
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        with urlopen(Request(url, headers=headers), timeout=SILENCE) as answer:  # noqa: S310
            if answer.status == 206 and not _range(answer).startswith(f"bytes {have}-"):
                return False
            _save(answer, part, have if answer.status == 206 else 0)
            return True
    except HTTPError as refusal:
        if refusal.code == 416 and have:  # nothing comes after byte `have`: complete, or too long
            return _range(refusal) == f"bytes */{have}"
        message = f"{url}: the server answers {refusal.code} {refusal.reason}: {BY_HAND}"
        raise UserError(message) from refusal
    except URLError as trouble:
        message = f"{url}: {trouble.reason}: check the network, or {BY_HAND}"
        raise NoAnswerError(message) from trouble
    except (http.client.HTTPException, OSError) as trouble:
        raise UserError(f"{url}: {trouble or 'cut off'}: {_again(part)}") from trouble


def _save(answer, part: Path, have: int) -> None:
    length = answer.headers.get("Content-Length")
    total = have + int(length) if length else None
    part.parent.mkdir(parents=True, exist_ok=True)
    bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=part.stem, disable=None)
    with bar, part.open("ab" if have else "wb") as file:
        while chunk := answer.read(CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
    size = part.stat().st_size
    if total is not None and size != total:
        raise UserError(f"the download stopped at {size} of {total} bytes: {_again(part)}")


def _range(message) -> str:
    return message.headers.get("Content-Range", "")


def _again(part: Path) -> str:
    return f"run the same command again, it goes on from {part}"
