"""Weights of published networks: found in the usual cache, or fetched once and verified."""

import hashlib
import re
import socket
from pathlib import Path
from urllib.parse import urlparse

import torch

from util.errors import UserError, short_reason

CONNECT_TIMEOUT_S = 20
HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,})\.pth?$")


def cached_weights(url: str) -> Path:
    """Return where PyTorch keeps the file of ``url``, which need not exist."""
    return Path(torch.hub.get_dir(), "checkpoints", Path(urlparse(url).path).name)


def fetch_weights(purpose: str, url: str) -> Path:
    """Return the weights at ``url`` from the cache of PyTorch; download them if they are missing.

    Raises `UserError` without network, and for a file that does not match the hash in its name.
    """
    path = cached_weights(url)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        print(f"downloading {path.name} for {purpose} to {path.parent}")
        _download(purpose, url, path)
    verify_hash(path)
    return path


def _download(purpose: str, url: str, path: Path) -> None:
    """Download atomically and verify."""
    match = HASH_IN_NAME.search(path.name)
    previous = socket.getdefaulttimeout()
    socket.setdefaulttimeout(CONNECT_TIMEOUT_S)  # `download_url_to_file` would wait forever
    try:
        torch.hub.download_url_to_file(url, str(path), match[1] if match else None)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"{purpose}: {path.name} cannot be downloaded ({short_reason(error)}); "
            f"get {url} elsewhere and put it into {path.parent}"
        ) from None
    finally:
        socket.setdefaulttimeout(previous)


def verify_hash(path: Path) -> None:
    """Raise `UserError` if the name of ``path`` holds a hash that its content does not have."""
    match = HASH_IN_NAME.search(path.name)
    if match and not sha256(path).startswith(match[1]):
        raise UserError(f"{path} is damaged: its SHA-256 is not {match[1]}…; delete it")


def sha256(path: Path) -> str:
    """Return the SHA-256 of the file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
