"""The visdom logger: whatever its server does, the training continues and ends."""

from __future__ import annotations

import json
import math
import os
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
import torch
from helpers.browser import CHROMIUM, FLAGS, needs_browser
from helpers.commands import ROOT, TINY_TRAIN

import reporting.visdom.logger
from reporting.history import Record
from reporting.visdom import server as visdom_server
from reporting.visdom.logger import VisdomLogger, environment
from reporting.visdom.server import is_listening

pytestmark = pytest.mark.slow

OFTEN = ["--display_id", "1", "--print_freq", "1", "--display_freq", "1"]


@contextmanager
def no_server():
    """A port on which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    yield "127.0.0.2", port  # not one of the addresses at which we start a server


@contextmanager
def silent_server():
    """A server that accepts every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def hold():
            while True:
                try:
                    held.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=hold, daemon=True).start()
        yield "127.0.0.1", server.getsockname()[1]
        for each in held:
            each.close()


@contextmanager
def broken_server():
    """A server that closes every connection at once."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up():
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=hang_up, daemon=True).start()
        yield "127.0.0.1", server.getsockname()[1]


@pytest.mark.parametrize("server", [no_server, silent_server, broken_server])
def test_a_server_that_does_not_answer_costs_one_line(server, run, dataset):
    start = time.monotonic()
    with server() as (host, port):
        done = run(
            "train.py", "--dataroot", dataset, *TINY_TRAIN, *OFTEN,
            "--display_server", f"http://{host}", "--display_port", port,
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


# --- the real server, the real client, a real browser ---------------------------------------


@pytest.fixture
def port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def record(i: int) -> Record:
    return Record(1, i, i, 2e-4, 0.1, 0.0, {"G_A": 1 / i, "D_A": math.inf if i == 3 else 0.5})


@pytest.fixture
def view(port, make_run):
    """A logger whose server does not run yet: it starts its own."""
    told: list[str] = []
    run = make_run("--display_port", port)
    run.log = told.append
    made = VisdomLogger(run)
    made.told = told
    yield made
    made.close()
    assert not is_listening(port)


def show(view: VisdomLogger, steps: range) -> None:
    for i in steps:
        view.run.history.add(record(i))
        view.scalars(record(i))
        wait_until_sent(view)


def wait_until_sent(view: VisdomLogger) -> None:
    end = time.monotonic() + 30
    while view.queue.qsize() or view.sent == 0:
        assert time.monotonic() < end, view.told
        time.sleep(0.01)


def curves(view: VisdomLogger) -> list[dict]:
    client = view._connect()
    return json.loads(client.get_window_data("1_losses"))["content"]["data"]


def test_a_server_is_started_and_has_every_point_once(view, tmp_path):
    show(view, range(1, 11))
    assert view.told == [f"visdom: open http://localhost:{view.port}/env/run"]
    for curve in curves(view):
        assert curve["x"] == list(range(1, 11))
    assert (tmp_path / "run" / "visdom.log").stat().st_size > 0


def test_a_server_that_comes_back_gets_the_whole_history(view, monkeypatch):
    monkeypatch.setattr(reporting.visdom.logger, "RETRY_INTERVAL_S", 0.0)
    show(view, range(1, 4))
    view.server.stop()
    view.run.history.add(record(4))
    view.scalars(record(4))
    wait_until_sent(view)
    show(view, range(5, 8))
    assert sum("no visdom" in line for line in view.told) >= 1
    assert [curve["x"] for curve in curves(view)] == [list(range(1, 8))] * 2


def test_five_thousand_messages_all_arrive(view):
    show(view, range(1, 2))
    for i in range(5000):
        while view.queue.full():
            time.sleep(0.001)
        view._enqueue(lambda client, i=i: client.text(str(i), win="count"))
    wait_until_sent(view)
    deadline = time.monotonic() + 60
    while view.sent < 5002 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (view.sent, view.dropped) == (5002, 0)


@needs_browser
def test_the_page_shows_curves_images_and_text(view, tmp_path):
    if visdom_server.missing_packages():
        pytest.skip("the files of visdom's page are not here: run scripts/visdom_assets.py")
    show(view, range(1, 21))
    view.images([{name: torch.rand(1, 3, 16, 16) for name in ("real_A", "fake_B", "rec_A")}])
    wait_until_sent(view)
    time.sleep(0.5)
    flags = [f.replace("=3000", "=8000") for f in FLAGS]
    words = [CHROMIUM, *flags, f"--user-data-dir={tmp_path / 'profile'}"]
    address = f"http://127.0.0.1:{view.port}/env/run"
    dom = subprocess.run([*words, address], capture_output=True, text=True, timeout=60).stdout
    assert ">online<" in dom
    assert re.findall(r'class="legendtext"[^>]*>([^<]*)<', dom) == ["G_A", "D_A"]
    # Each curve, in the plot and in its legend; infinity left a gap in one of them.
    assert dom.count('class="js-line"') == 5
    assert re.search(r'<img[^>]*src="data:image/', dom)
    assert "iters: 20" in dom


def test_two_hundred_steps_do_not_notice_a_silent_server(make_run):
    """Each step shows losses and images of full size; all calls together take a few ms."""
    told: list[str] = []
    with silent_server() as (host, port):
        run = make_run("--display_server", f"http://{host}", "--display_port", port)
        run.log = told.append
        made = VisdomLogger(run)
        images = {name: torch.rand(1, 3, 64, 64) for name in ("real_A", "fake_B")}
        spent = 0.0
        for i in range(1, 201):
            start = time.perf_counter()
            made.scalars(record(i))
            made.images([images])
            spent += time.perf_counter() - start
            time.sleep(0.01)  # a step
        made.close()
    assert spent < 0.05 * 200 * 0.1  # a step takes 0.1 s or more, with networks worth showing
    assert len(told) == 1 and "no visdom" in told[0]
    assert made.sent == 0 and made.dropped > 300


# --- environments: one for each run ---------------------------------------------------------


def test_the_environment_is_the_name_of_the_run_unless_given(make_run, tmp_path):
    assert environment(make_run().opt) == "run"
    assert environment(make_run("--suffix", "{netG}").opt) == "run_resnet_9blocks"
    assert environment(make_run("--display_env", "mine").opt) == "mine"
    assert environment(make_run("--display_env", "main").opt) == "main"

    resumed = make_run().opt
    resumed.display_env = "mine"  # remembered from the start of the run
    assert environment(resumed) == "mine"


def test_two_runs_on_one_server_do_not_share_windows(view, make_run, tmp_path):
    other = VisdomLogger(make_run("--display_port", view.port, folder=tmp_path / "other"))
    show(view, range(1, 4))
    show(other, range(1, 6))
    other.close()
    assert [curve["x"] for curve in curves(view)] == [[1, 2, 3]] * 2
    assert [curve["x"] for curve in curves(other)] == [[1, 2, 3, 4, 5]] * 2


# --- a visdom that is installed without the files of its page ----------------------------------


def test_a_page_that_will_be_blank_is_announced_in_one_line(view, monkeypatch, tmp_path):
    monkeypatch.setattr(reporting.visdom.logger, "missing_packages", lambda: ["jquery@3.1.1"])
    show(view, range(1, 2))
    (line,) = view.told
    address = f"http://localhost:{view.port}/env/run"
    assert line.startswith(f"note: the visdom page {address} will be blank")
    assert "scripts/visdom_assets.py" in line
    assert line.endswith(str(tmp_path / "run" / "web" / "index.html"))


def offline(*_):
    raise OSError("no network")


def forever(*_):
    threading.Event().wait()


@pytest.mark.parametrize("download", [offline, forever])
def test_a_missing_network_neither_stops_nor_delays_the_server(download, monkeypatch):
    monkeypatch.setattr("visdom.server.build.download_scripts", download)
    monkeypatch.setattr(visdom_server, "DOWNLOAD_TIMEOUT_S", 0.2)
    start = time.monotonic()
    visdom_server.download_page_files()
    assert time.monotonic() - start < 5


VISDOM = {
    "__init__.py": "",
    "server/__init__.py": "",
    "server/app.py": "tornado_settings = {}",
    "server/build.py": "def download_scripts():\n    print('fetched')",
    "server/run_server.py": "def start_server(**_):\n    print('serving')",
}


@pytest.mark.parametrize("whole", [True, False])
def test_the_server_fetches_what_is_missing_and_no_more(whole, tmp_path):
    wanted = [target for files in visdom_server.PACKAGES.values() for target in files.values()]
    pages = {f"static/{target}": "" for target in (wanted if whole else wanted[1:])}
    for name, text in {**VISDOM, **pages}.items():
        (tmp_path / "visdom" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "visdom" / name).write_text(text)
    done = subprocess.run(
        [sys.executable, visdom_server.__file__, "0", str(tmp_path / "environments")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == (["serving"] if whole else ["fetched", "serving"])


def test_setting_up_again_tries_again_to_download_the_page(tmp_path):
    """A Python that only records its arguments replaces the one of the environment."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/asked"\n')
    python.chmod(0o755)
    for _ in range(2):
        subprocess.run(
            [ROOT / "scripts" / "setup.sh"], check=True, capture_output=True,
            env={**os.environ, "VENV": str(tmp_path), "PYTHON": sys.executable},
        )  # fmt: skip
    asked = (tmp_path / "asked").read_text().splitlines()
    assert sum("-m pip" in line for line in asked) == 1
    assert sum("visdom_assets.py" in line for line in asked) == 2
