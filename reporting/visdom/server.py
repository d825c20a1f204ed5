"""A visdom server of our own: on this machine only, as long as the training runs.

``python reporting/visdom/server.py PORT FOLDER`` is what `VisdomServer` starts. What pip installs lacks
scripts and styles of visdom's page; ``scripts/visdom_assets.py`` puts them in place beforehand.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

LOCAL = ("localhost", "127.0.0.1")
FETCH_SECONDS = 20.0  # that the first start may take longer
START_SECONDS = 15.0 + FETCH_SECONDS
#: What the page needs for images, curves and text:
#: npm package → file in the package → file in visdom's static folder
PACKAGES = {
    "jquery@3.1.1": {"dist/jquery.min.js": "js/jquery.min.js"},
    "bootstrap@3.3.7": {
        "dist/js/bootstrap.min.js": "js/bootstrap.min.js",
        "dist/css/bootstrap.min.css": "css/bootstrap.min.css",
        "dist/fonts/glyphicons-halflings-regular.woff2": (
            "fonts/glyphicons-halflings-regular.woff2"
        ),
    },
    "plotly.js-dist-min@2.11.1": {"plotly.min.js": "js/plotly-plotly.min.js"},
    "layout-bin-packer@1.4.0": {"dist/layout-bin-packer.js": "js/layout_bin_packer.js"},
    "react-resizable@1.4.6": {"css/styles.css": "css/react-resizable-styles.css"},
    "react-grid-layout@0.16.3": {"css/styles.css": "css/react-grid-layout-styles.css"},
}


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


def static_dir() -> Path:
    """Where visdom keeps what its page loads."""
    return Path(find_spec("visdom").origin).parent / "static"


def missing_packages() -> list[str]:
    """The packages of which something is not in place."""
    static = static_dir()
    return [
        package
        for package, files in PACKAGES.items()
        if not all((static / target).is_file() for target in files.values())
    ]


def fetch_page() -> None:
    """Let visdom fetch what its page lacks, for a while; a network that is away does no harm."""

    def fetch() -> None:
        from visdom.server.build import download_scripts

        try:
            download_scripts()
        except Exception as error:  # of several libraries, and none of them matters
            print(f"not all of visdom's page could be fetched: {error}", flush=True)

    # In a thread, as it would wait for ever for a host that does not answer.
    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    thread.join(FETCH_SECONDS)


def serve(port: int, folder: str) -> None:
    """Serve until the parent is gone, without visdom's reloading."""
    import visdom.server.app
    from visdom.server.run_server import start_server

    parent = os.getppid()

    def leave_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(0)

    threading.Thread(target=leave_with_parent, daemon=True).start()
    if missing_packages():
        fetch_page()
    visdom.server.app.tornado_settings["autoreload"] = False
    Path(folder).mkdir(parents=True, exist_ok=True)
    start_server(port=port, base_url="", env_path=folder, bind_local=True)


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2])
