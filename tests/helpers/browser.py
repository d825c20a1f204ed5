"""Pages in a headless browser."""

from __future__ import annotations

import shutil
import subprocess

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--hide-scrollbars", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--window-size=1000,900", "--virtual-time-budget=3000",
    "--enable-logging=stderr", "--dump-dom",
]  # fmt: skip


needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def browse(page, tmp_path, script: str = "") -> str:
    """What a browser makes of ``page``, with ``script`` run in it; its console must stay empty."""
    if script:
        text = page.read_text("utf-8").replace("</body>", f"<script>{script}</script></body>")
        page = page.with_name("with_script.html")
        page.write_text(text, encoding="utf-8")
    words = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert "CONSOLE" not in done.stderr, done.stderr
    return done.stdout
