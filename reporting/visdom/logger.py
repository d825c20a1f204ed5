"""Curves and images on a visdom server, which never delays or ends the training."""

import logging
import queue
import threading
import time
from argparse import Namespace
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import numpy as np

from reporting.history import Evaluation, Record
from reporting.logger import Logger, RunContext, Visuals
from reporting.visdom.server import VisdomServer, missing_packages, should_start
from util.errors import printable
from util.flags import Flag, int_range
from util.images import to_uint8

RETRY_INTERVAL_S = 30.0
TIMEOUT_S = (1.0, 3.0)  # to connect; between two bytes of a response
CLOSE_TIMEOUT_S = 5.0
MAX_PENDING_MESSAGES = 32
MIN_IMAGE_HEIGHT = 128  # pixels; smaller images are enlarged
BLANK_PAGE_NOTE = (
    "note: the visdom page {address} will be blank, its scripts could not be downloaded; run "
    "scripts/visdom_assets.py, or open {page}"
)


class VisdomLogger(Logger):
    """Send messages from a background thread, in order.

    The queue is short: a message that does not fit is dropped. The first failure is logged in one
    line; after ``RETRY_INTERVAL_S`` the next message tries again, and a server that is back
    receives the whole history. A missing server on this machine is started.
    """

    flags = {
        "display_id": Flag(1, int, "visdom: ID of the window; 0 or less disables visdom"),
        "display_ncols": Flag(4, int_range(0), "visdom: images per row; 0 for separate windows"),
        "display_server": Flag("http://localhost", str, "visdom: address of the server"),
        "display_port": Flag(8097, int_range(1, 65535), "visdom: port of the server"),
        "display_env": Flag("main", str, "visdom: environment; the name of the run if not given"),
    }

    def __init__(self, run: RunContext):
        self.run = run
        self.host = run.opt.display_server
        self.port = run.opt.display_port
        self.env = environment(run.opt)
        self.window = run.opt.display_id
        self.columns = run.opt.display_ncols

        self.server: VisdomServer | None = None
        self.announced = False  # whether the address was logged
        self.sent = 0
        self.dropped = 0
        self.last_sent_iters = -1  # total_iters of the last point on the server; -1: it has none

        self.queue: queue.Queue = queue.Queue(maxsize=MAX_PENDING_MESSAGES)
        self.thread = threading.Thread(target=self._send_messages, name="visdom", daemon=True)
        self.thread.start()

    @staticmethod
    def is_enabled(value: object) -> bool:
        """Return whether this ``--display_id`` is a window."""
        return isinstance(value, int) and value > 0

    def scalars(self, record: Record) -> None:
        """Append a point to each curve and show the latest line of losses."""
        self._enqueue(lambda client: self._send_losses(client, record))
        self._enqueue(
            lambda client: client.text(
                str(record), win=f"{self.window}_progress", opts={"title": "progress"}
            )
        )

    def evaluation(self, evaluation: Evaluation) -> None:
        """Show the curve of each metric in a window of its own."""
        curves = self.run.history.metric_curves()
        self._enqueue(lambda client: self._send_metrics(client, curves))

    def _send_metrics(self, client, curves: dict[str, list[tuple[int, float]]]) -> None:
        """Replace a window for each metric: there are few points."""
        for name, points in curves.items():
            iters, values = zip(*points, strict=True)
            client.line(
                Y=np.array(values),
                X=np.array(iters),
                win=f"{self.window}_metric_{name}",
                opts={"title": f"{self.env}: {name}", "xlabel": "images", "ylabel": name},
            )

    def images(self, samples: list[Visuals]) -> None:
        """Show the first sample: as a grid, or each image in a window of its own."""
        arrays = {label: enlarge(to_uint8(batch[0]).numpy()) for label, batch in samples[0].items()}
        same_shape = len({array.shape for array in arrays.values()}) == 1

        if self.columns > 0 and same_shape:
            title = " · ".join(arrays)
            grid = np.stack(list(arrays.values()))
            self._enqueue(
                lambda client: client.images(
                    grid, nrow=self.columns, win=f"{self.window}_images", opts={"title": title}
                )
            )
            return

        for label, array in arrays.items():
            self._enqueue(
                lambda client, label=label, array=array: client.image(
                    array, win=f"{self.window}_{label}", opts={"title": label}
                )
            )

    def close(self) -> None:
        """Wait at most ``CLOSE_TIMEOUT_S`` for pending messages, then stop our own server."""
        try:
            self.queue.put(None, timeout=CLOSE_TIMEOUT_S)
            self.thread.join(CLOSE_TIMEOUT_S)
        except queue.Full:
            pass
        if self.sent and self.dropped:
            self.run.log(f"note: visdom received {self.sent} messages; {self.dropped} were dropped")
        if self.server:
            self.server.stop()

    def _enqueue(self, send: Callable) -> None:
        try:
            self.queue.put_nowait(send)
        except queue.Full:
            self.dropped += 1

    def _send_messages(self) -> None:
        """Body of the thread: send until None is in the queue."""
        client = None
        retry_at = 0.0  # 0: the server answered the last message
        while (send := self.queue.get()) is not None:
            if time.monotonic() < retry_at:
                self.dropped += 1
                continue
            try:
                client = client or self._connect()
                send(client)
                self.sent += 1
                retry_at = 0.0
                self._announce()
            except Exception as error:  # of requests, visdom, or a missing package
                client = None
                self.dropped += 1
                self.last_sent_iters = -1
                if not retry_at:
                    self.run.log(
                        f"note: no visdom at {self.host}:{self.port} ({type(error).__name__}); "
                        "training continues without it"
                    )
                retry_at = time.monotonic() + RETRY_INTERVAL_S

    def _send_losses(self, client, record: Record) -> None:
        """Append the record, or send the whole history to a server that has no curves."""
        if record.total_iters <= self.last_sent_iters:
            return  # sent as part of the history

        append = self.last_sent_iters >= 0
        records = [record] if append else list(self.run.history.records)
        values = np.array([list(each.losses.values()) for each in records])
        # A browser drops the whole window for one infinity, but shows NaN as a gap.
        values = np.where(np.isfinite(values), values, np.nan)
        iters = np.array([[each.total_iters] for each in records], dtype=np.float64)

        client.line(
            Y=values,
            X=np.broadcast_to(iters, values.shape),
            win=f"{self.window}_losses",
            update="append" if append else None,
            opts={
                "title": f"{self.env}: loss over time",
                "legend": list(record.losses),
                "xlabel": "images",
                "ylabel": "loss",
            },
        )
        self.last_sent_iters = max(records[-1].total_iters, record.total_iters)

    def _connect(self):
        """Return a client of a server that answers, after starting one if necessary."""
        import visdom

        stopped = self.server is None or self.server.process.poll() is not None
        if stopped and should_start(self.host, self.port):
            self.server = VisdomServer(self.port, self.run.folder)
            self.server.wait_until_ready()

        class Client(visdom.Visdom):
            """A client with timeouts, which visdom's own requests lack."""

            session: Any

            def _handle_post(self, url, data=None):
                response = self.session.post(url, data=data or {}, timeout=TIMEOUT_S)
                response.raise_for_status()
                return response.text

        logging.getLogger("visdom").setLevel(logging.CRITICAL)
        return Client(
            server=self.host,
            port=self.port,
            env=self.env,
            raise_exceptions=True,
            use_incoming_socket=False,
        )

    def _announce(self) -> None:
        """Log the address of the page after the first message."""
        if self.announced:
            return
        self.announced = True
        page = quote(self.env.replace("/", "_"), safe="")  # as the server names environments
        address = f"{self.host}:{self.port}/env/{page}"
        if self.server and missing_packages():
            html = self.run.folder / "web" / "index.html"
            self.run.log(BLANK_PAGE_NOTE.format(address=address, page=html))
        else:
            self.run.log(f"visdom: open {address}")


def environment(opt: Namespace) -> str:
    """``--display_env`` if given, now or at the start of the run, else the name of the run.

    With one environment for all, two runs would draw into the same windows.
    """
    if "display_env" in opt.explicit or opt.display_env != opt.defaults["display_env"]:
        return opt.display_env
    return printable(opt.name)


def enlarge(image: np.ndarray) -> np.ndarray:
    """Repeat the pixels of a (C, H, W) image until it is about ``MIN_IMAGE_HEIGHT`` high.

    A gray image gets three equal channels, as visdom's grid takes one number of channels only.
    """
    factor = max(1, MIN_IMAGE_HEIGHT // image.shape[1])
    image = np.broadcast_to(image, (3, *image.shape[1:]))
    return image.repeat(factor, axis=1).repeat(factor, axis=2)
