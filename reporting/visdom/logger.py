"""Curves and images on a visdom server: a view that never makes the training wait or fail."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import Tensor

from reporting.history import History, Record
from reporting.visdom.server import VisdomServer, missing_packages, should_start
from util.images import to_uint8

RETRY_SECONDS = 30.0
TIMEOUT = (1.0, 3.0)  # seconds to connect; seconds between two bytes of an answer
BLANK_PAGE_NOTE = (
    "note: the live page, {address}, will be blank here: its scripts could not be fetched; run "
    "scripts/visdom_assets.py, or look at {page}"
)


class VisdomLogger:
    """Sends what it is given from a thread of its own, in the order given.

    The queue is short: what finds no place in it is dropped. The first failure is told in one
    line; the server is tried again every ``RETRY_SECONDS`` and then gets all of the ``history``
    once more. A server that should be on this machine, and is not, is started in ``folder``.
    """

    def __init__(
        self, server: str, port: int, env: str, window: int, columns: int, *,
        history: History, folder: Path, log: Callable[[str], None] = print,
    ):  # fmt: skip
        self.address = {"server": server, "port": port, "env": env}
        self.window, self.columns, self.log = window, columns, log
        self.history, self.folder = history, folder
        self.server: VisdomServer | None = None
        self.queue: queue.Queue = queue.Queue(maxsize=32)
        self.sent = self.dropped = 0
        self.known = -1  # the last point (total_iters) that the server has; -1: it has none
        self.thread = threading.Thread(target=self._run, name="visdom", daemon=True)
        self.thread.start()

    def scalars(self, record: Record) -> None:
        """Append a point to every curve, and say where the run is."""
        # All of the curves go to a server that has none, as after a restart of either of us.
        self._put(lambda client: self._send_losses(client, record))
        self._put(lambda client: client.text(str(record), win=f"{self.window}_progress",
                                             opts={"title": "progress"}))  # fmt: skip

    def images(self, visuals: dict[str, Tensor]) -> None:
        """Show the first image of each label (N, C, H, W): as a grid, or in windows each."""
        arrays = {label: enlarged(to_uint8(batch[0]).numpy()) for label, batch in visuals.items()}
        if self.columns > 0 and len({array.shape for array in arrays.values()}) == 1:
            title, grid = " · ".join(arrays), np.stack(list(arrays.values()))
            self._put(lambda client: client.images(
                grid, nrow=self.columns, win=f"{self.window}_images", opts={"title": title}
            ))  # fmt: skip
            return
        for label, array in arrays.items():
            self._put(lambda client, label=label, array=array: client.image(
                array, win=f"{self.window}_{label}", opts={"title": label}
            ))  # fmt: skip

    def close(self, wait: float = 5.0) -> None:
        """Give what is still waiting ``wait`` seconds to be sent; then stop our own server."""
        try:
            self.queue.put(None, timeout=wait)
            self.thread.join(wait)
        except queue.Full:
            pass
        if self.sent and self.dropped:
            self.log(f"note: visdom got {self.sent} messages; {self.dropped} found no place")
        if self.server:
            self.server.stop()

    def _put(self, send: Callable) -> None:
        try:
            self.queue.put_nowait(send)
        except queue.Full:
            self.dropped += 1

    def _run(self) -> None:
        client, away_until = None, 0.0
        while (send := self.queue.get()) is not None:
            if time.monotonic() < away_until:
                self.dropped += 1
                continue
            try:
                client = client or self._connect()
                send(client)
                self.sent += 1
                away_until = 0.0
            except Exception as error:  # whatever it is, the training goes on
                self.dropped += 1
                self.known, client = -1, None
                if not away_until:
                    where = f"{self.address['server']}:{self.address['port']}"
                    kind = type(error).__name__
                    self.log(f"note: no visdom at {where} ({kind}); training goes on without it")
                away_until = time.monotonic() + RETRY_SECONDS

    def _send_losses(self, client, record: Record) -> None:
        if record.total_iters <= self.known:
            return  # it was part of the history already
        appends = self.known >= 0
        records = [record] if appends else list(self.history.records)
        values = np.array([list(each.losses.values()) for each in records])
        # One infinity makes the browser drop the whole window; a gap does not.
        values = np.where(np.isfinite(values), values, np.nan)
        at = np.array([[each.total_iters] for each in records], dtype=np.float64)
        client.line(
            Y=values, X=np.broadcast_to(at, values.shape), win=f"{self.window}_losses",
            update="append" if appends else None, opts={
                "title": f"{self.address['env']}: loss over time", "legend": list(record.losses),
                "xlabel": "images", "ylabel": "loss",
            },
        )  # fmt: skip
        self.known = max(records[-1].total_iters, record.total_iters)

    def _connect(self):
        import visdom

        port = self.address["port"]
        gone = self.server is None or self.server.process.poll() is not None
        if gone and should_start(self.address["server"], port):
            self.server = VisdomServer(port, self.folder)
            if self.server.wait_until_there():
                address, page = f"http://localhost:{port}", self.folder / "web" / "index.html"
                line = BLANK_PAGE_NOTE if missing_packages() else "visdom: look at {address}"
                self.log(line.format(address=address, page=page))
        logging.getLogger("visdom").setLevel(logging.CRITICAL)

        class Client(visdom.Visdom):
            """visdom waits for ever for a server that does not answer; this one does not."""

            def _handle_post(self, url, data=None):
                answer = self.session.post(url, data=data or {}, timeout=TIMEOUT)
                answer.raise_for_status()
                return answer.text

        return Client(**self.address, raise_exceptions=True, use_incoming_socket=False)


def enlarged(image: np.ndarray, least: int = 128) -> np.ndarray:
    """(C, H, W), every pixel repeated until the image is about ``least`` pixels high.

    Gray becomes color: a grid takes images of one kind only.
    """
    times = max(1, least // image.shape[1])
    image = np.broadcast_to(image, (3, *image.shape[1:]))
    return image.repeat(times, axis=1).repeat(times, axis=2)
