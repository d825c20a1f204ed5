"""Time the commands of this program, and those of another checkout for comparison.

    python scripts/benchmark.py train --size 256 --images 20
    python scripts/benchmark.py train --size 128 --peer ../other-checkout
    python scripts/benchmark.py test  --size 256 --images 100
    python scripts/benchmark.py data  --size 256

``train`` and ``test`` run ``train.py`` and ``test.py`` on generated images, or on ``--dataroot``;
with ``--peer``, both programs run alternately and are compared pair by pair. Options after ``--``
go to both commands, those in ``--ours`` to ours only. Raw measurements are written as JSON to
``benchmarks/``.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSOLE_LINE = re.compile(r"iters: (\d+), time: ([\d.]+)")
NO_DISPLAY = ["--display_id", "0", "--no_html"]
DEFAULT_IMAGES = {"train": 12, "test": 100, "data": 100}
MAX_PRINT_FREQ = 50  # images; each log line synchronizes a GPU, so frequent ones slow it down
OUTPUT_TAIL = 3000  # characters of a failed command to show


def main() -> None:
    opt, extra = parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        opt.scratch = Path(scratch)
        opt.dataroot = opt.dataroot or draw_images(opt)
        report = {"what": opt.what, "machine": machine(), "flags": extra, "size": opt.size}
        report |= {"train": train, "test": test, "data": data}[opt.what](opt, extra)
    write_report(f"{opt.label or opt.what}_{opt.size}", report)


def parse_args() -> tuple[Namespace, list[str]]:
    args, extra = split_args()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=DEFAULT_IMAGES)
    parser.add_argument("--size", type=int, default=256, help="side length in pixels")
    parser.add_argument("--images", type=int, help="images to time")
    parser.add_argument("--warm_up", type=int, default=4, help="train: images before, not timed")
    parser.add_argument("--pairs", type=int, default=3, help="runs of each program")
    parser.add_argument("--dataroot", type=Path, help="dataset; generated if not given")
    parser.add_argument("--peer", type=Path, help="another checkout with the same commands")
    parser.add_argument("--ours", default="", help="options for our command only")
    parser.add_argument("--label", default="", help="start of the name of the report")

    opt = parser.parse_args(args)
    opt.images = opt.images or DEFAULT_IMAGES[opt.what]
    return opt, extra


def split_args() -> tuple[list[str], list[str]]:
    """Return the arguments of this script before and after ``--``."""
    args = sys.argv[1:]
    split = args.index("--") if "--" in args else len(args)
    return args[:split], args[split + 1 :]


def write_report(name: str, report: dict) -> None:
    """Write raw measurements to ``benchmarks/<name>.json``, and to the folder ``$OUT`` if set."""
    text = json.dumps(report, indent=1) + "\n"
    folders = [ROOT / "benchmarks"]
    if os.environ.get("OUT"):
        folders.append(Path(os.environ["OUT"]))
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.json"
        path.write_text(text, encoding="utf-8")
        print(f"report: {path}", flush=True)


def draw_images(opt: Namespace) -> Path:
    """Generate a dataset with as many images as the benchmark needs."""
    num_train = opt.images + opt.warm_up if opt.what == "train" else opt.images
    folder = opt.scratch / "mini"
    counts = ["--train", str(num_train), "--test", str(opt.images if opt.what == "test" else 1)]
    command = [sys.executable, "datasets/make_mini.py", "--out", str(folder), *counts]
    subprocess.run([*command, "--size", str(opt.size)], cwd=ROOT, check=True)
    return folder


def train(opt: Namespace, extra: list[str]) -> dict:
    """Time training steps, in seconds per image, without the first ``--warm_up`` images.

    A run counts with the median over its log lines. Our times come from ``losses.jsonl``, averaged
    over the images since the previous line; a peer prints every step. The wall-clock time of the
    whole command is reported too.
    """
    return compare(opt, lambda side, number: train_once(opt, side, number, extra))


def train_once(opt: Namespace, side: str, number: int, extra: list[str]) -> dict:
    """Run one training of one epoch."""
    is_ours = side == "ours"
    print_freq = max(1, min(MAX_PRINT_FREQ, opt.images // 4)) if is_ours else 1
    folder = opt.scratch / f"{side}_{number}"
    args = ["train.py", *common_args(opt, opt.dataroot, folder), *NO_DISPLAY]
    args += ["--n_epochs", "1", "--n_epochs_decay", "0", "--num_threads", "2"]
    args += ["--print_freq", str(print_freq), "--max_dataset_size", str(opt.images + opt.warm_up)]
    output, seconds = run(opt, side, [*args, *extra])

    if is_ours:
        times = logged_times(folder / "benchmark" / "losses.jsonl", opt.warm_up)
    else:
        lines = CONSOLE_LINE.finditer(output)
        times = [float(line[2]) for line in lines if int(line[1]) > opt.warm_up]
    if len(times) < 2:
        sys.exit(f"error: {side} logged fewer than 2 steps; raise --images:\n{output[-2000:]}")
    return {"seconds": statistics.median(times), "steps": times, "whole_command": seconds}


def logged_times(log: Path, warm_up: int) -> list[float]:
    """Return seconds per image of each record that covers only images after ``warm_up``."""
    times = []
    start = 0  # images before the record
    for line in log.read_text("utf-8").splitlines():
        record = json.loads(line)
        if start >= warm_up:
            times.append(record["time"])
        start = record["total_iters"]
    return times


def test(opt: Namespace, extra: list[str]) -> dict:
    """Time the whole command ``test.py``, start and results page included."""
    from checkpoint.weights import save_weights
    from models.networks import define_G

    net = define_G(3, 3, 64, "resnet_9blocks", "instance")
    save_weights(net.state_dict(), opt.scratch / "benchmark" / "latest_net_G.pth")
    args = ["test.py", *common_args(opt, opt.dataroot / "testA", opt.scratch)]
    args += ["--model", "test", "--no_dropout", "--num_test", str(opt.images)]
    args += ["--results_dir", str(opt.scratch / "results")]

    def once(side: str, number: int) -> dict:
        _, seconds = run(opt, side, [*args, *extra])
        return {"seconds": seconds / opt.images}

    return compare(opt, once)


def data(opt: Namespace, extra: list[str]) -> dict:
    """Measure images per second of the data loader alone, without and with the image cache."""
    from data import create_dataset
    from options import TrainOptions

    load_size = ["--load_size", str(round(opt.size * 286 / 256)), "--crop_size", str(opt.size)]
    common = ["--dataroot", str(opt.dataroot), "--gpu_ids", "-1", *load_size, *NO_DISPLAY]

    def images_per_second(args: list[str]) -> float:
        """Measure the second epoch, which finds the cache filled."""
        dataset = create_dataset(TrainOptions().parse([*common, *args, *extra]))
        for epoch in (1, 2):
            dataset.set_epoch(epoch)
            start = time.perf_counter()
            images = sum(2 * len(batch["A"]) for batch in dataset)
            seconds = time.perf_counter() - start
        return images / seconds

    rounds = [
        (images_per_second(["--cache", "off"]), images_per_second([])) for _ in range(opt.pairs)
    ]
    ratio = statistics.median(cached / uncached for uncached, cached in rounds)
    print(f"without and with cache (images/s): {rounds}; ratio {ratio:.2f}")
    return {"rounds": rounds, "ratio": ratio}


def compare(opt: Namespace, once: Callable[[str, int], dict]) -> dict:
    """Run ours, and the peer if given, alternately; print the ratio of each pair."""
    sides = ["ours", "peer"] if opt.peer else ["ours"]
    rounds = []
    for number in range(1, opt.pairs + 1):
        results = {side: once(side, number) for side in sides}
        rounds.append(results)

        text = ", ".join(f"{side} {result['seconds']:.4f} s" for side, result in results.items())
        ratio = f", ratio {_ratio(results):.2f}" if opt.peer else ""
        print(f"{opt.what} {opt.size}: round {number}: {text} per image{ratio}", flush=True)

    seconds = [results["ours"]["seconds"] for results in rounds]
    summary = {"median": statistics.median(seconds), "spread": max(seconds) - min(seconds)}
    if opt.peer:
        summary["ratio"] = statistics.median(map(_ratio, rounds))
    print(f"{opt.what} {opt.size}: " + ", ".join(f"{k} {v:.4f}" for k, v in summary.items()))
    return {"rounds": rounds, **summary}


def _ratio(results: dict[str, dict]) -> float:
    return results["peer"]["seconds"] / results["ours"]["seconds"]


def common_args(opt: Namespace, dataroot: Path, checkpoints: Path) -> list[str]:
    size = ["--load_size", str(opt.size), "--crop_size", str(opt.size)]
    folders = ["--dataroot", str(dataroot), "--checkpoints_dir", str(checkpoints)]
    return ["--name", "benchmark", *folders, *size]


def run(opt: Namespace, side: str, args: list[str]) -> tuple[str, float]:
    """Run a command in the checkout of ``side``; return its output and duration in seconds."""
    command = [sys.executable, *args]
    folder = opt.peer
    if side == "ours":
        command += opt.ours.split()
        folder = ROOT

    start = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"error: {side}: {' '.join(command)} failed:\n{done.stdout[-OUTPUT_TAIL:]}")
    return done.stdout, seconds


def machine() -> dict:
    """Describe hardware and libraries."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text("utf-8"))
    return {
        "gpu": gpu,
        "cpu": cpu[1] if cpu else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if gpu else None,
    }


if __name__ == "__main__":
    main()
