"""A local visdom server that runs as long as the training.

`VisdomServer` starts this file as a program, ``python server.py PORT FOLDER``.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

LOCAL_HOSTS = ("localhost", "127.0.0.1")
DOWNLOAD_TIMEOUT_S = 20.0  # for missing files of the page
START_TIMEOUT_S = 15.0 + DOWNLOAD_TIMEOUT_S
STOP_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 1.0
#: Third-party files that visdom's page loads to show images, curves and text:
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
    """A server process; its output goes to ``visdom.log`` in ``folder``.

    A pipe without a reader would fill up after a thousand requests and block the server.
    """

    def __init__(self, port: int, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-u", str(Path(__file__)), str(port), str(folder / "visdom")]
        with (folder / "visdom.log").open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C goes to the training only
            )
        self.port = port

    def wait_until_ready(self) -> bool:
        """Wait until the server accepts connections; False if it ends or times out."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            if is_listening(self.port):
                return True
            time.sleep(0.1)
        return False

    def stop(self) -> None:
        """Terminate the process, or kill it if that takes too long."""
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()


def should_start(server: str, port: int) -> bool:
    """Whether ``server`` is this machine and nothing listens on ``port``."""
    host = server.split("://")[-1].strip("/")
    return host in LOCAL_HOSTS and not is_listening(port)


def is_listening(port: int) -> bool:
    """Whether any program on this machine listens on ``port``."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=CONNECT_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def static_dir() -> Path:
    """The folder of the files that visdom's page loads. Raises ImportError without visdom."""
    spec = find_spec("visdom")
    if spec is None or spec.origin is None:
        raise ImportError("visdom is not installed")
    return Path(spec.origin).parent / "static"


def missing_packages() -> list[str]:
    """The keys of `PACKAGES` with files that are not in visdom's static folder."""
    static = static_dir()
    return [
        package
        for package, files in PACKAGES.items()
        if not all((static / target).is_file() for target in files.values())
    ]


def download_page_files() -> None:
    """Let visdom download missing files of its page; without a network this has no effect."""

    def download() -> None:
        from visdom.server.build import download_scripts

        try:
            download_scripts()
        except Exception as error:  # of several libraries; the server works without the files
            print(f"not all files of visdom's page could be downloaded: {error}", flush=True)

    # The download has no timeout of its own; the daemon thread ends with the process.
    thread = threading.Thread(target=download, daemon=True)
    thread.start()
    thread.join(DOWNLOAD_TIMEOUT_S)


def serve(port: int, folder: str) -> None:
    """Serve until the parent process ends; ``folder`` keeps the environments."""
    import visdom.server.app
    from visdom.server.run_server import start_server

    parent = os.getppid()

    def exit_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(0)

    threading.Thread(target=exit_with_parent, daemon=True).start()

    if missing_packages():
        download_page_files()
    visdom.server.app.tornado_settings["autoreload"] = False
    Path(folder).mkdir(parents=True, exist_ok=True)
    start_server(port=port, base_url="", env_path=folder, bind_local=True)


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2])
