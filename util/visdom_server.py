"""A visdom server of our own: on this machine only, as long as the training runs.

``python util/visdom_server.py PORT FOLDER`` is what `VisdomServer` starts.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

LOCAL = ("localhost", "127.0.0.1")
START_SECONDS = 15.0


class VisdomServer:
    """The process of a server; its output goes to ``visdom.log`` in ``folder``.

    A pipe that nobody reads would be full after a thousand requests, and then everybody waits.
    """

    def __init__(self, port: int, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "visdom.log").open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__)), str(port), str(folder / "visdom")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the training
            )  # fmt: skip
        self.port = port

    def wait_until_there(self) -> bool:
        """Whether it answers before long."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            if answers(self.port):
                return True
            time.sleep(0.1)
        return False

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()


def should_start(server: str, port: int) -> bool:
    """Whether the server wanted is one of this machine, and nothing listens there."""
    host = server.split("://")[-1].strip("/")
    return host in LOCAL and not answers(port)


def answers(port: int) -> bool:
    """Whether anything on this machine listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def serve(port: int, folder: str) -> None:
    """Serve until the parent is gone; without visdom's downloads and without its reloading."""
    import visdom.server.app
    from visdom.server.run_server import start_server

    parent = os.getppid()

    def leave_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(0)

    threading.Thread(target=leave_with_parent, daemon=True).start()
    visdom.server.app.tornado_settings["autoreload"] = False
    Path(folder).mkdir(parents=True, exist_ok=True)
    start_server(port=port, base_url="", env_path=folder, bind_local=True)


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2])
