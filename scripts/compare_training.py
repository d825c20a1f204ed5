"""Does a faster way train as well? The same runs, several seeds, two sets of flags.

    python scripts/compare_training/trainer.py --dataroot datasets/emoji --work /tmp/compare \\
        --label precision_cpu --a "--precision fp32" --b "--precision bf16" \\
        -- --n_epochs 4 --n_epochs_decay 0

Trains with ``train.py`` and translates with ``test.py``, in float32 whatever the training did, once
for every seed and side. A figure is *within the spread* when the means of the two sides differ by
no more than the seeds of one side do among themselves (largest minus smallest); ``t`` is the same
difference in standard errors. The figures are the mean difference between translations and their
true counterparts of the same name (0…255), both ways, and the mean of every loss over the last
quarter of the run. ``--jobs 2`` runs two trainings at a time, one thread each. Raw figures go to
``benchmarks/``.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from benchmark import machine, split_words, write_report  # noqa: E402

SHOW = ["--display_id", "0", "--no_html", "--print_freq", "5", "--num_threads", "0"]
BINS = 20  # points of a loss curve in the report


def main() -> None:
    opt, flags = parse()
    jobs = [(side, seed) for seed in opt.seeds for side in ("a", "b")]
    with ThreadPoolExecutor(opt.jobs) as pool:
        found = list(pool.map(lambda job: one_run(opt, *job, flags), jobs))
    runs = {
        side: [run for (s, _), run in zip(jobs, found, strict=True) if s == side] for side in "ab"
    }
    report = {
        "machine": machine(), "seeds": opt.seeds, "flags": flags, "a": opt.a, "b": opt.b,
        "dataroot": str(opt.dataroot), "summary": summary(runs), "runs": runs,
    }  # fmt: skip
    write_report(f"compare_{opt.label}", report)


def parse() -> tuple[Namespace, list[str]]:
    words, flags = split_words()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataroot", type=Path, required=True, help="with paired test folders")
    parser.add_argument("--a", default="--precision fp32", help="flags of the side to trust")
    parser.add_argument("--b", default="--precision bf16", help="flags of the side to judge")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--label", required=True, help="name of the report")
    return parser.parse_args(words), flags


def one_run(opt: Namespace, side: str, seed: int, flags: list[str]) -> dict:
    """Train, translate, measure."""
    name = f"{opt.label}_{side}{seed}"
    common = ["--name", name, "--checkpoints_dir", str(opt.work), "--dataroot", str(opt.dataroot)]
    own = shlex.split(getattr(opt, side))
    call(opt, "train.py", *common, "--seed", str(seed), *flags, *own, *SHOW)
    results = ["--results_dir", str(opt.work / "results"), "--precision", "fp32"]
    call(opt, "test.py", *common, "--model", "cycle_gan", *results)
    images = opt.work / "results" / name / "test_latest" / "images"
    lines = (opt.work / name / "losses.jsonl").read_text("utf-8").splitlines()
    losses = [json.loads(line)["losses"] for line in lines]
    late = losses[-len(losses) // 4 :]
    figures = {f"error_{way}": error(opt, images, way) for way in "AB"}
    figures |= {key: statistics.fmean(record[key] for record in late) for key in losses[0]}
    print(
        f"{side} seed {seed}: " + ", ".join(f"{k} {v:.3f}" for k, v in figures.items()), flush=True
    )
    return {"seed": seed, "figures": figures, "curves": curves(losses)}


def call(opt: Namespace, *words: str) -> None:
    threads = {"OMP_NUM_THREADS": "1"} if opt.jobs > 1 else {}
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env={**os.environ, **threads},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"error: {' '.join(words)} failed:\n{done.stdout[-3000:]}")


def error(opt: Namespace, images: Path, way: str) -> float:
    """Mean |fake − true| over the test images of domain ``way``, in gray levels."""
    pairs = [
        (images / f"{path.stem}_fake_{way}.png", path)
        for path in sorted((opt.dataroot / f"test{way}").iterdir())
    ]
    return statistics.fmean(
        float(np.abs(pixels(fake) - pixels(true)).mean()) for fake, true in pairs
    )


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), dtype=np.float64)


def curves(losses: list[dict]) -> dict[str, list[float]]:
    """Every loss, averaged over ``BINS`` equal parts of the run."""
    parts = np.array_split(np.arange(len(losses)), BINS)
    return {
        key: [round(float(np.mean([losses[i][key] for i in part])), 4) for part in parts]
        for key in losses[0]
    }


def summary(runs: dict[str, list[dict]]) -> dict[str, dict]:
    """By figure: the means of both sides, their difference, and the spread of the seeds."""
    rows = {}
    for key in runs["a"][0]["figures"]:
        a, b = ([run["figures"][key] for run in runs[side]] for side in "ab")
        difference, spread = statistics.fmean(b) - statistics.fmean(a), max(map(extent, (a, b)))
        error_of_means = sum(statistics.variance(x) / len(x) for x in (a, b)) ** 0.5
        rows[key] = {
            "a": statistics.fmean(a), "b": statistics.fmean(b), "difference": difference,
            "spread": spread, "t": difference / error_of_means, "within": abs(difference) <= spread,
        }  # fmt: skip
        print(f"{key}: " + ", ".join(f"{name} {value:.3f}" for name, value in rows[key].items()))
    return rows


def extent(values: list[float]) -> float:
    return max(values) - min(values)


if __name__ == "__main__":
    main()
