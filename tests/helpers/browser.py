"""Pages in a headless browser."""

from __future__ import annotations

import html
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=3000",
    "--enable-logging=stderr",
    "--dump-dom",
]

WIDE = (1000, 900)  # pixels
PHONE = (380, 800)

#: A page in a frame, which replaces the frame two seconds after it was loaded.
FRAME = """<!DOCTYPE html>
<iframe style="width: {width}px; height: {height}px; border: 0" srcdoc="{text}"></iframe>
<script>addEventListener("load", () => setTimeout(() => {{
    const page = document.querySelector("iframe").contentDocument.documentElement;
    document.documentElement.replaceWith(document.importNode(page, true));
}}, 2000));</script>"""


def needs_browser(test):
    """Mark a test that is skipped where Chromium is missing."""
    skip = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
    return pytest.mark.browser(skip(test))


def browse(page: Path, tmp_path: Path, script: str = "", size: tuple[int, int] = WIDE) -> str:
    """Return the DOM of ``page`` after running ``script`` in it; the console must stay empty."""
    text = page.read_text("utf-8")
    if script:
        text = text.replace("</body>", f"<script>{script}</script></body>")
    if size != WIDE:  # a window of Chromium is at least 500 pixels wide, a frame is not
        text = FRAME.format(text=html.escape(text), width=size[0], height=size[1])
    page = page.with_name("in_browser.html")
    page.write_text(text, encoding="utf-8")

    command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()]
    command.append(f"--window-size={WIDE[0]},{WIDE[1]}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "CONSOLE" not in done.stderr, done.stderr
    return done.stdout
