"""Time the real commands, and another checkout beside them.

    python scripts/benchmark.py train --size 256 --steps 20
    python scripts/benchmark.py train --size 128 --peer ../their-checkout
    python scripts/benchmark.py test  --size 256 --images 100
    python scripts/benchmark.py data  --size 256

``train`` and ``test`` run ``train.py`` and ``test.py`` as a user types them, on draw_image images or
on ``--dataroot``; with ``--peer`` theirs and ours alternately, and the ratio pair by pair. What
stands behind ``--`` goes to both commands, what is in ``--ours`` to ours alone. Raw figures are
written as JSON to ``benchmarks/``.
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
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "datasets")]

LINE = re.compile(r"iters: (\d+), time: ([\d.]+)")
WITHOUT_DISPLAY = ["--display_id", "0", "--no_html", "--num_threads", "2"]


def main() -> None:
    opt, extra = parse()
    with tempfile.TemporaryDirectory() as scratch:
        opt.scratch = Path(scratch)
        opt.dataroot = opt.dataroot or draw_images(opt)
        report = {"what": opt.what, "machine": machine(), "flags": extra, "size": opt.size}
        report |= {"train": train, "test": test, "data": data}[opt.what](opt, extra)
    write_report(f"{opt.label or opt.what}_{opt.size}", report)


def write_report(name: str, report: dict) -> None:
    """Keep raw figures as ``benchmarks/<name>.json``."""
    path = ROOT / "benchmarks" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"raw figures: {path.relative_to(ROOT)}")


def split_words() -> tuple[list[str], list[str]]:
    """The words of the command line before and behind ``--``."""
    words = sys.argv[1:]
    split = words.index("--") if "--" in words else len(words)
    return words[:split], words[split + 1 :]


def parse() -> tuple[Namespace, list[str]]:
    words, extra = split_words()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("train", "test", "data"))
    parser.add_argument("--size", type=int, default=256, help="pixels of a side")
    parser.add_argument("--steps", type=int, default=12, help="train: timed steps a run")
    parser.add_argument("--warm_up", type=int, default=4, help="train: steps before, not timed")
    parser.add_argument("--images", type=int, default=100, help="test, data: how many")
    parser.add_argument("--pairs", type=int, default=3, help="how often each side runs")
    parser.add_argument("--dataroot", type=Path, help="real images; else some are draw_image")
    parser.add_argument("--peer", type=Path, help="another checkout with the same commands")
    parser.add_argument("--ours", default="", help="flags for our command alone")
    parser.add_argument("--label", default="", help="name of the file with the raw figures")
    return parser.parse_args(words), extra


def draw_images(opt: Namespace) -> Path:
    from make_mini import draw_set

    folder = opt.scratch / "mini"
    folder.mkdir()
    train_images = opt.images if opt.what == "data" else opt.steps + opt.warm_up
    counts = {"train": train_images, "test": opt.images if opt.what == "test" else 1}
    draw_set(folder, opt.size, counts, seed=0)
    return folder


def train(opt: Namespace, extra: list[str]) -> dict:
    """Seconds per image in the steps after the warm-up, from the program's own log lines.

    Both programs print every step; the median of the timed steps of each run is one figure. The
    wall clock of the whole command stands beside it.
    """
    return compare(opt, lambda side: train_once(opt, side, extra))


def train_once(opt: Namespace, side: str, extra: list[str]) -> dict:
    size = ["--load_size", str(opt.size), "--crop_size", str(opt.size)]
    words = ["train.py", "--dataroot", str(opt.dataroot), "--name", "benchmark", *size]
    words += ["--n_epochs", "1", "--n_epochs_decay", "0", "--print_freq", "1", *WITHOUT_DISPLAY]
    words += ["--max_dataset_size", str(opt.steps + opt.warm_up)]
    output, seconds = run(opt, side, [*words, *extra])
    steps = [float(line[2]) for line in LINE.finditer(output)][opt.warm_up :]
    if len(steps) < 2:
        sys.exit(f"error: {side} printed no losses:\n{output[-2000:]}")
    return {"seconds": statistics.median(steps), "steps": steps, "whole_command": seconds}


def test(opt: Namespace, extra: list[str]) -> dict:
    """Seconds per image of the whole command, start and page included."""
    from checkpoint.weights import save_weights
    from models.networks import define_G

    folder = opt.scratch / "benchmark"
    save_weights(
        define_G(3, 3, 64, "resnet_9blocks", "instance").state_dict(), folder / "latest_net_G.pth"
    )
    size = ["--load_size", str(opt.size), "--crop_size", str(opt.size)]
    words = ["test.py", "--dataroot", str(opt.dataroot / "testA"), "--name", "benchmark", *size]
    words += ["--model", "test", "--no_dropout", "--num_test", str(opt.images)]
    words += ["--results_dir", str(opt.scratch / "results")]

    def once(side: str) -> dict:
        _, seconds = run(opt, side, [*words, *extra])
        return {"seconds": seconds / opt.images}

    return compare(opt, once)


def data(opt: Namespace, extra: list[str]) -> dict:
    """Images per second of the loader alone: first epoch (nothing kept), then a later one."""
    from data import create_dataset
    from options import TrainOptions

    def rate(words: list[str], epochs: int) -> float:
        common = ["--dataroot", str(opt.dataroot), "--gpu_ids", "-1", "--crop_size", str(opt.size)]
        load_size = ["--load_size", str(round(opt.size * 286 / 256))]
        dataset = create_dataset(TrainOptions().parse([*common, *load_size, *words, *extra]))
        for epoch in range(1, epochs + 1):
            dataset.set_epoch(epoch)
            start = time.perf_counter()
            images = sum(2 * len(batch["A"]) for batch in dataset)
            seconds = time.perf_counter() - start
        return images / seconds

    rounds = [(rate(["--cache", "off"], 2), rate([], 2)) for _ in range(opt.pairs)]
    ratio = statistics.median(kept / again for again, kept in rounds)
    print(f"decoding every time, kept in memory (images/s): {rounds}; ratio {ratio:.2f}")
    return {"rounds": rounds, "ratio": ratio}


def compare(opt: Namespace, once) -> dict:
    """Run ours, and theirs if there is one, alternately; print the ratio pair by pair."""
    sides = ["ours", "peer"] if opt.peer else ["ours"]
    rounds = []
    for number in range(1, opt.pairs + 1):
        rounds.append({side: once(side) for side in sides})
        figures = {side: result["seconds"] for side, result in rounds[-1].items()}
        text = ", ".join(f"{side} {seconds:.3f} s" for side, seconds in figures.items())
        ratio = f", ratio {figures['peer'] / figures['ours']:.2f}" if opt.peer else ""
        print(f"{opt.what} {opt.size}: round {number}: {text} an image{ratio}", flush=True)
    seconds = [result["ours"]["seconds"] for result in rounds]
    summary = {"median": statistics.median(seconds), "spread": max(seconds) - min(seconds)}
    if opt.peer:
        ratios = [result["peer"]["seconds"] / result["ours"]["seconds"] for result in rounds]
        summary["ratio"] = statistics.median(ratios)
    print(f"{opt.what} {opt.size}: " + ", ".join(f"{k} {v:.3f}" for k, v in summary.items()))
    return {"rounds": rounds, **summary}


def run(opt: Namespace, side: str, words: list[str]) -> tuple[str, float]:
    """One command in the folder of ``side``; its output and its seconds."""
    command = [sys.executable, *words, "--checkpoints_dir", str(opt.scratch)]
    if side == "ours":
        command += opt.ours.split()
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT if side == "ours" else opt.peer, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"error: {side}: {' '.join(command)} failed:\n{done.stdout[-3000:]}")
    return done.stdout, time.perf_counter() - start


def machine() -> dict:
    """What was measured on."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text("utf-8"))
    return {
        "gpu": gpu, "cpu": model[1] if model else platform.processor(),
        "cores": len(os.sched_getaffinity(0)), "torch": torch.__version__,
        "python": platform.python_version(), "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if gpu else None,
    }  # fmt: skip


if __name__ == "__main__":
    main()
