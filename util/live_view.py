"""Curves and pictures on a visdom server: a view that never makes the training wait or fail."""

import logging
import queue
import threading
import time

import numpy as np
from torch import Tensor

from util.history import Record

RETRY_SECONDS = 30.0
TIMEOUT = (1.0, 3.0)  # seconds to connect; seconds between two bytes of an answer


class LiveView:
    """Sends what it is given from a thread of its own, in the order given.

    The queue is short: what finds no place in it is dropped. The first failure is told in one
    line; the server is tried again every ``RETRY_SECONDS``.
    """

    def __init__(self, server: str, port: int, env: str, window: int, columns: int, tell=print):
        self.address = {"server": server, "port": port, "env": env}
        self.window, self.columns, self.tell = window, columns, tell
        self.queue: queue.Queue = queue.Queue(maxsize=32)
        self.sent = self.dropped = 0
        self.thread = threading.Thread(target=self._run, name="visdom", daemon=True)
        self.thread.start()

    def losses(self, record: Record) -> None:
        """Append a point to every curve."""
        values = np.array([list(record.losses.values())])
        # One infinity makes the browser drop the whole window; a gap does not.
        values = np.where(np.isfinite(values), values, np.nan)
        self._put(
            "line", Y=values, X=np.full_like(values, record.total_iters), update="append",
            win=f"{self.window}_losses", opts={
                "title": f"{self.address['env']}: loss over time", "legend": list(record.losses),
                "xlabel": "pictures", "ylabel": "loss",
            },
        )  # fmt: skip

    def pictures(self, visuals: dict[str, Tensor]) -> None:
        """Show the first picture of each label (N, C, H, W): as a grid, or in windows each."""
        arrays = {
            label: ((batch[0].detach().float().cpu().numpy() + 1) * 127.5).round().clip(0, 255)
            for label, batch in visuals.items()
        }
        if self.columns > 0 and len({array.shape for array in arrays.values()}) == 1:
            title = " · ".join(arrays)
            self._put("images", np.stack(list(arrays.values())), nrow=self.columns,
                      win=f"{self.window}_pictures", opts={"title": title})  # fmt: skip
            return
        for label, array in arrays.items():
            self._put("image", array, win=f"{self.window}_{label}", opts={"title": label})

    def close(self, wait: float = 5.0) -> None:
        """Give what is still waiting ``wait`` seconds to be sent."""
        try:
            self.queue.put(None, timeout=wait)
        except queue.Full:
            return
        self.thread.join(wait)

    def _put(self, method: str, *args, **kwargs) -> None:
        try:
            self.queue.put_nowait((method, args, kwargs))
        except queue.Full:
            self.dropped += 1

    def _run(self) -> None:
        client, away_until = None, 0.0
        while (item := self.queue.get()) is not None:
            if time.monotonic() < away_until:
                self.dropped += 1
                continue
            try:
                client = client or self._connect()
                method, args, kwargs = item
                getattr(client, method)(*args, **kwargs)
                self.sent += 1
                away_until = 0.0
            except Exception as error:  # whatever it is, the training goes on
                self.dropped += 1
                if not away_until:
                    where = f"{self.address['server']}:{self.address['port']}"
                    kind = type(error).__name__
                    self.tell(f"note: no visdom at {where} ({kind}); training goes on without it")
                away_until = time.monotonic() + RETRY_SECONDS

    def _connect(self):
        import visdom

        logging.getLogger("visdom").setLevel(logging.CRITICAL)

        class Client(visdom.Visdom):
            """visdom waits for ever for a server that does not answer; this one does not."""

            def _handle_post(self, url, data=None):
                answer = self.session.post(url, data=data or {}, timeout=TIMEOUT)
                answer.raise_for_status()
                return answer.text

        return Client(**self.address, raise_exceptions=True, use_incoming_socket=False)
