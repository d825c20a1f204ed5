"""The visdom view: whatever its server does, the training goes on and ends."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager

import pytest
from conftest import TINY_TRAIN

OFTEN = ["--display_id", "1", "--print_freq", "1", "--display_freq", "1"]


@contextmanager
def nobody():
    """A port on which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    yield port


@contextmanager
def silence():
    """A server that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def hold():
            while True:
                try:
                    held.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=hold, daemon=True).start()
        yield server.getsockname()[1]
        for each in held:
            each.close()


@contextmanager
def nonsense():
    """A server that hangs up at once."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up():
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=hang_up, daemon=True).start()
        yield server.getsockname()[1]


@pytest.mark.parametrize("server", [nobody, silence, nonsense])
def test_a_server_that_does_not_answer_costs_one_line(server, run, dataset):
    start = time.monotonic()
    with server() as port:
        done = run(
            "train.py", "--dataroot", dataset, *TINY_TRAIN, *OFTEN,
            "--display_server", "http://127.0.0.1", "--display_port", port,
        )  # fmt: skip
    assert time.monotonic() - start < 60
    assert done.returncode == 0
    text = done.stdout + done.stderr
    assert "Traceback" not in text
    notes = [line for line in text.splitlines() if "visdom" in line and "note" in line]
    assert len(notes) == 1, text
    assert str(port) in notes[0]
    assert done.stderr == ""
    assert "End of epoch 1 / 1" in done.stdout


def test_visdom_that_is_not_installed_costs_one_line(run, dataset, tmp_path):
    (tmp_path / "visdom.py").write_text("raise ImportError('visdom is not here')")
    words = ["train.py", "--dataroot", dataset, *TINY_TRAIN, *OFTEN]
    done = run(*words, env={"PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stderr) == (0, "")
    notes = [line for line in done.stdout.splitlines() if line.startswith("note")]
    assert sum("visdom" in line for line in notes) == 1
