"""Compare the quality of two training configurations over several seeds.

    python scripts/compare_training.py --dataroot datasets/emoji --work /tmp/compare \\
        --label precision_cpu --a "--precision fp32" --b "--precision bf16" \\
        -- --n_epochs 4 --n_epochs_decay 0

For each seed and side, ``train.py`` trains and ``test.py`` translates, the latter always in
float32. The figures are the mean absolute error between translations and the true images of the
same name (gray levels, both directions), and the mean of each loss over the last quarter of the
run. A figure is *within the spread* if the means of the two sides differ by no more than the seeds
of one side do (maximum minus minimum); ``t`` is the same difference in standard errors.
``--jobs 2`` runs two trainings at a time with one thread each. The report goes to ``benchmarks/``.
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
from benchmark import NO_DISPLAY, OUTPUT_TAIL, ROOT, machine, split_args, write_report
from PIL import Image

TRAIN_ARGS = [*NO_DISPLAY, "--print_freq", "5", "--num_threads", "0"]
NUM_BINS = 20  # points of a loss curve in the report


def main() -> None:
    opt, extra = parse_args()
    jobs = [(side, seed) for seed in opt.seeds for side in "ab"]
    with ThreadPoolExecutor(opt.jobs) as pool:
        results = list(pool.map(lambda job: train_and_test(opt, *job, extra), jobs))

    runs: dict[str, list[dict]] = {"a": [], "b": []}
    for (side, _), result in zip(jobs, results, strict=True):
        runs[side].append(result)
    report = {
        "machine": machine(),
        "seeds": opt.seeds,
        "flags": extra,
        "a": opt.a,
        "b": opt.b,
        "dataroot": str(opt.dataroot),
        "summary": summarize(runs),
        "runs": runs,
    }
    write_report(f"compare_{opt.label}", report)


def parse_args() -> tuple[Namespace, list[str]]:
    args, extra = split_args()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataroot", type=Path, required=True, help="with paired test folders")
    parser.add_argument("--a", default="--precision fp32", help="options of the reference side")
    parser.add_argument("--b", default="--precision bf16", help="options of the other side")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--label", required=True, help="name of the report")
    return parser.parse_args(args), extra


def train_and_test(opt: Namespace, side: str, seed: int, extra: list[str]) -> dict:
    """Return the figures and loss curves of one run."""
    name = f"{opt.label}_{side}{seed}"
    common = ["--name", name, "--checkpoints_dir", str(opt.work), "--dataroot", str(opt.dataroot)]
    side_args = shlex.split(getattr(opt, side))
    run(opt, "train.py", *common, "--seed", str(seed), *extra, *side_args, *TRAIN_ARGS)
    results = ["--results_dir", str(opt.work / "results"), "--precision", "fp32"]
    run(opt, "test.py", *common, "--model", "cycle_gan", *results)

    images = opt.work / "results" / name / "test_latest" / "images"
    figures = {f"error_{domain}": mean_error(opt, images, domain) for domain in "AB"}
    records = (opt.work / name / "losses.jsonl").read_text("utf-8").splitlines()
    losses = [json.loads(record)["losses"] for record in records]
    last_quarter = losses[-len(losses) // 4 :]
    for key in losses[0]:
        figures[key] = statistics.fmean(record[key] for record in last_quarter)

    text = ", ".join(f"{key} {value:.3f}" for key, value in figures.items())
    print(f"{side} seed {seed}: {text}", flush=True)
    return {"seed": seed, "figures": figures, "curves": loss_curves(losses)}


def run(opt: Namespace, *args: str) -> None:
    """Run a command of this program. Exits with its output if it fails."""
    threads = {"OMP_NUM_THREADS": "1"} if opt.jobs > 1 else {}
    done = subprocess.run(
        [sys.executable, *args],
        cwd=ROOT,
        env={**os.environ, **threads},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f"error: {' '.join(args)} failed:\n{done.stdout[-OUTPUT_TAIL:]}")


def mean_error(opt: Namespace, images: Path, domain: str) -> float:
    """Return mean |fake − true| over the test images of ``domain``, in gray levels."""
    errors = []
    for path in sorted((opt.dataroot / f"test{domain}").iterdir()):
        fake = read_pixels(images / f"{path.stem}_fake_{domain}.png")
        errors.append(float(np.abs(fake - read_pixels(path)).mean()))
    return statistics.fmean(errors)


def read_pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), dtype=np.float64)


def loss_curves(losses: list[dict]) -> dict[str, list[float]]:
    """Return each loss, averaged over `NUM_BINS` equal parts of the run."""
    bins = np.array_split(np.arange(len(losses)), NUM_BINS)
    return {
        key: [round(float(np.mean([losses[i][key] for i in part])), 4) for part in bins]
        for key in losses[0]
    }


def summarize(runs: dict[str, list[dict]]) -> dict[str, dict]:
    """Return, by figure, the means of both sides, their difference, and the spread of the seeds."""
    rows = {}
    for key in runs["a"][0]["figures"]:
        a, b = ([run["figures"][key] for run in runs[side]] for side in "ab")
        difference = statistics.fmean(b) - statistics.fmean(a)
        spread = max(max(a) - min(a), max(b) - min(b))
        standard_error = sum(statistics.variance(x) / len(x) for x in (a, b)) ** 0.5
        rows[key] = {
            "a": statistics.fmean(a),
            "b": statistics.fmean(b),
            "difference": difference,
            "spread": spread,
            "t": difference / standard_error,
            "within": abs(difference) <= spread,
        }
        print(f"{key}: " + ", ".join(f"{name} {value:.3f}" for name, value in rows[key].items()))
    return rows


if __name__ == "__main__":
    main()
