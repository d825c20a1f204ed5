"""Compare training settings over several seeds, by metrics of the translated test images.

    python scripts/study.py --dataroot datasets/fluent --work /tmp/study --label fluent_cpu \\
        --settings classic resize better --peer ../other-checkout --jobs 2 \\
        -- --load_size 64 --crop_size 64 --ngf 16 --ndf 16 --netG resnet_6blocks \\
        --n_epochs 4 --n_epochs_decay 4

Each setting of `SETTINGS`, or one given as ``--add "name=--flag value"``, is trained with each seed
on the same images for the same number of steps; options after ``--`` apply to all. ``--peer`` adds
the row "reference": another checkout with the same commands. ``test.py`` of each program translates
the test images, and ``evaluate.py`` measures both directions of all of them.

A study can be interrupted: started again with the same arguments, it continues. It writes

- ``benchmarks/study_<label>.json``: raw values of every run,
- ``benchmarks/study_<label>.md``: a table of means ± standard deviations over the seeds,
- ``docs/results/study_<label>.png``: the same images by every setting, of the first seed.

With ``--rounds``, the steps of all settings are timed afterwards, alternately, while nothing else
runs. ``--jobs 2`` trains two runs at a time with one thread each.
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

from benchmark import CONSOLE_LINE, NO_DISPLAY, OUTPUT_TAIL, ROOT, machine, split_args, write_report
from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(ROOT))

from data.image_io import list_images
from reporting.html.contact_sheet import contact_sheet

BENCHMARKS = ROOT / "benchmarks"
SHEETS = ROOT / "docs" / "results"
# name → options of train.py
SETTINGS = {
    "classic": "",
    "resize": "--upsample resize",
    "spectral_norm": "--spectral_norm",
    "gp0": "--lambda_gp0 1",
    "relativistic": "--gan_mode relativistic --lambda_gp0 1",
    "diffaug": "--diffaug color,translation,cutout",
    "ema": "--ema 0.999",
    "better": "--preset better",
}
PEER = "reference"
#: Seeds all generators of random numbers, then runs a script: the reference has no such option.
RUN_SEEDED = """
import random, runpy, sys
import numpy, torch
seed = int(sys.argv[1])
random.seed(seed), numpy.random.seed(seed), torch.manual_seed(seed)
sys.argv = sys.argv[2:]
sys.path.insert(0, ".")
runpy.run_path(sys.argv[0], run_name="__main__")
"""
DIRECTIONS = {"fake_B": ("A", "B"), "fake_A": ("B", "A")}  # translation → its source, its target
METRICS = ("kid", "l1", "ssim")
SHOWN = {"kid": "KID×1000 ↓", "l1": "L1 ↓", "ssim": "SSIM ↑"}
DIGITS = {"kid": 1, "l1": 4, "ssim": 3}
NUM_SHOWN = 10  # images on the sheet
SIDE = 64  # pixels of an image on the sheet
TIMED_IMAGES = 60


def main() -> None:
    opt, common = parse_args()
    settings = dict(item.split("=", 1) for item in opt.add)
    settings |= {name: SETTINGS[name] for name in opt.settings}
    names = [*([PEER] if opt.peer else []), *settings]
    jobs = [(name, seed) for seed in opt.seeds for name in names]

    def run_job(job: tuple[str, int]) -> dict:
        name, seed = job
        return measure_run(opt, name, seed, settings.get(name, ""), common)

    with ThreadPoolExecutor(opt.jobs) as pool:
        runs = list(pool.map(run_job, jobs))

    report = {
        "machine": machine(),
        "dataroot": str(opt.dataroot),
        "features": opt.features,
        "common": common,
        "settings": settings,
        "seeds": opt.seeds,
        "runs": runs,
        "step_seconds": time_steps(opt, names, settings, common) if opt.rounds else {},
    }
    write_report(f"study_{opt.label}", report)
    write_table(f"study_{opt.label}", names, report)
    sheet = draw_sheet(opt, names)
    path = SHEETS / f"study_{opt.label}.png"
    sheet.quantize(256).save(path, optimize=True)
    print(f"images: {path}")


def parse_args() -> tuple[Namespace, list[str]]:
    args, common = split_args()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataroot", type=Path, required=True, help="with paired test folders")
    parser.add_argument("--work", type=Path, required=True, help="folder for all runs")
    parser.add_argument("--label", required=True, help="name of the study")
    parser.add_argument("--settings", nargs="*", default=list(SETTINGS), choices=SETTINGS)
    parser.add_argument("--add", nargs="*", default=[], help='more settings: "name=--flag value"')
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--peer", type=Path, help="checkout of the reference implementation")
    parser.add_argument("--features", default="mobilenet", help="network of kid")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--rounds", type=int, default=3, help="timings of a step; 0: none")
    opt = parser.parse_args(args)
    opt.dataroot, opt.work = opt.dataroot.resolve(), opt.work.resolve()
    return opt, common


# --- one run -------------------------------------------------------------------------------------


def measure_run(opt: Namespace, name: str, seed: int, flags: str, common: list[str]) -> dict:
    """Train, translate and measure, unless an earlier call has done so; return the entry."""
    folder = opt.work / f"{name}_{seed}"
    result = folder / "study.json"
    inputs = {"setting": name, "seed": seed, "flags": flags, "common": common}
    if result.is_file():
        entry = json.loads(result.read_text("utf-8"))
        if {key: entry[key] for key in inputs} == inputs:
            return entry
        sys.exit(f"error: {folder} has a run with other options; use another --work or --add name")

    train(opt, name, seed, flags, common)
    images = translate(opt, name, seed, flags, common)
    entry = {
        **inputs,
        "metrics": {fake: evaluate(opt, folder, images, fake) for fake in DIRECTIONS},
        "losses": last_losses(folder / "losses.jsonl"),
    }
    result.write_text(json.dumps(entry, indent=1) + "\n", "utf-8")
    translated = entry["metrics"]["fake_B"]["translated"]
    print(
        f"{name}, seed {seed}: " + ", ".join(f"{m} {translated[m]:.4g}" for m in METRICS),
        flush=True,
    )
    return entry


def train(opt: Namespace, name: str, seed: int, flags: str, common: list[str]) -> None:
    """Run ``train.py``; ours continues an interrupted run."""
    folder = opt.work / f"{name}_{seed}"
    args = train_args(opt, folder, common)
    if name == PEER:
        args += ["--save_epoch_freq", "1"]  # it saves nothing at the end otherwise
    else:
        args += ["--seed", str(seed), *shlex.split(flags)]
        if (folder / "latest_state.pth").is_file():
            args.append("--continue_train")
    run(opt, name, seed, *args)


def translate(opt: Namespace, name: str, seed: int, flags: str, common: list[str]) -> Path:
    """Run ``test.py`` and return the folder of its images."""
    folder = opt.work / f"{name}_{seed}"
    args = ["test.py", *run_args(opt, folder), "--num_test", str(len(test_images(opt, "A")))]
    args += ["--results_dir", str(folder / "results"), "--num_threads", "0"]
    args += network_args(common) if name == PEER else []
    if "--ema" in shlex.split(flags):
        args.append("--ema")
    run(opt, name, seed, *args)
    return folder / "results" / folder.name / "test_latest" / "images"


def network_args(common: list[str]) -> list[str]:
    """Return the common options that describe networks and images: the reference forgets them."""
    kept = {
        "--gpu_ids",
        "--ngf",
        "--ndf",
        "--netG",
        "--netD",
        "--norm",
        "--load_size",
        "--crop_size",
    }
    pairs = zip(common, [*common[1:], ""], strict=True)
    return [word for flag, value in pairs if flag in kept for word in (flag, value)]


def train_args(opt: Namespace, folder: Path, common: list[str]) -> list[str]:
    """Return the words of a training, common to both programs."""
    return ["train.py", *run_args(opt, folder), "--num_threads", "0", *NO_DISPLAY, *common]


def run_args(opt: Namespace, folder: Path) -> list[str]:
    run_folder = ["--name", folder.name, "--checkpoints_dir", str(opt.work)]
    return ["--dataroot", str(opt.dataroot), *run_folder, "--model", "cycle_gan"]


def evaluate(opt: Namespace, folder: Path, images: Path, fake: str) -> dict:
    """Return the values of ``evaluate.py`` for one direction, by row and metric."""
    source, target = DIRECTIONS[fake]
    output = folder / f"metrics_{fake}.json"
    args = ["evaluate.py", "--real", str(opt.dataroot / f"test{target}")]
    args += ["--source", str(opt.dataroot / f"test{source}"), "--fake", f"{images}/*_{fake}.png"]
    args += ["--features", opt.features, "--metrics", ",".join(METRICS)]
    args += ["--output", str(output), "--results_dir", str(folder)]
    run(opt, "evaluate", 0, *args)
    (values,) = json.loads(output.read_text("utf-8"))["translations"].values()
    return values


def last_losses(log: Path) -> dict[str, float]:
    """Return the mean of each loss over the last quarter of a run; nothing for the reference."""
    if not log.is_file():
        return {}
    records = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    losses = [record["losses"] for record in records if "losses" in record]
    last = losses[-max(1, len(losses) // 4) :]
    return {key: statistics.fmean(values[key] for values in last) for key in last[0]}


def run(opt: Namespace, name: str, seed: int, *args: str) -> str:
    """Run a command, that of the reference with a seed. Exits with its output if it fails."""
    start = ["-c", RUN_SEEDED, str(seed)] if name == PEER else []
    threads = {"OMP_NUM_THREADS": "1"} if opt.jobs > 1 else {}
    done = subprocess.run(
        [sys.executable, *start, *args],
        cwd=opt.peer if name == PEER else ROOT,
        env={**os.environ, **threads},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f"error: {name}: {' '.join(args)} failed:\n{done.stdout[-OUTPUT_TAIL:]}")
    return done.stdout


# --- time of a step ------------------------------------------------------------------------------


def time_steps(
    opt: Namespace, names: list[str], settings: dict[str, str], common: list[str]
) -> dict[str, list[float]]:
    """Return the seconds of a step for each round, by setting; all alternate."""
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(opt.rounds):
        for name in names:
            folder = opt.work / f"timing_{name}_{number}"
            args = train_args(opt, folder, common)
            args += ["--n_epochs", "1", "--n_epochs_decay", "0", "--print_freq", "5"]
            args += ["--max_dataset_size", str(TIMED_IMAGES), *shlex.split(settings.get(name, ""))]
            lines = CONSOLE_LINE.finditer(run(opt, name, 0, *args))
            times = [float(line[2]) for line in lines if int(line[1]) > TIMED_IMAGES // 4]
            seconds[name].append(statistics.median(times))
    return seconds


# --- results -------------------------------------------------------------------------------------


def write_table(name: str, names: list[str], report: dict) -> None:
    """Write and print the table."""
    columns = [(fake, metric) for fake in DIRECTIONS for metric in METRICS]
    titles = [f"{'→'.join(DIRECTIONS[fake])} {SHOWN[metric]}" for fake, metric in columns]
    lines = ["| " + " | ".join(["setting", *titles, "time of a step"]) + " |"]
    lines.append("| --- |" + " ---: |" * (len(columns) + 1))

    for row in ("untranslated", "half_of_the_target"):  # equal for all runs
        values = {fake: report["runs"][0]["metrics"][fake][row] for fake in DIRECTIONS}
        cells = [
            f"{values[fake][metric]:.{DIGITS[metric]}f}" if metric in values[fake] else "–"
            for fake, metric in columns
        ]
        lines.append("| " + " | ".join([row.replace("_", " "), *cells, ""]) + " |")
    for setting in names:
        runs = [run for run in report["runs"] if run["setting"] == setting]
        cells = [format_cell(runs, fake, metric) for fake, metric in columns]
        cells.append(format_time(report["step_seconds"], setting))
        lines.append("| " + " | ".join([setting, *cells]) + " |")

    text = "\n".join(lines) + "\n"
    (BENCHMARKS / f"{name}.md").write_text(text, "utf-8")
    print(text)


def format_cell(runs: list[dict], fake: str, metric: str) -> str:
    """Return mean ± standard deviation over the seeds."""
    values = [run["metrics"][fake]["translated"][metric] for run in runs]
    digits = DIGITS[metric]
    mean = f"{statistics.fmean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def format_time(seconds: dict[str, list[float]], setting: str) -> str:
    """Return the median, and its ratio to the first setting of this program."""
    if not seconds:
        return ""
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    first = next(name for name in medians if name != PEER)
    return f"{medians[setting]:.3f} s ({medians[setting] / medians[first]:.2f}×)"


def draw_sheet(opt: Namespace, names: list[str]) -> Image.Image:
    """Draw test images, their counterparts, and their translations by every setting, in rows."""
    files = test_images(opt, "A")
    chosen = [files[i * len(files) // NUM_SHOWN] for i in range(NUM_SHOWN)]
    rows = {"A": chosen, "counterpart": [opt.dataroot / "testB" / file.name for file in chosen]}
    for name in names:
        run_name = f"{name}_{opt.seeds[0]}"
        images = opt.work / run_name / "results" / run_name / "test_latest" / "images"
        rows[name] = [images / f"{file.stem}_fake_B.png" for file in chosen]

    grid = contact_sheet(rows.values(), side=SIDE, columns=1)
    font = ImageFont.load_default(14)
    left = 8 + max(round(font.getlength(title)) for title in rows)
    sheet = Image.new("RGB", (left + grid.width, grid.height), "white")
    sheet.paste(grid, (left, 0))
    draw = ImageDraw.Draw(sheet)
    for i, title in enumerate(rows):
        y = round((i + 0.5) * grid.height / len(rows))
        draw.text((4, y), title, fill="black", font=font, anchor="lm")
    return sheet


def test_images(opt: Namespace, domain: str) -> list[Path]:
    return list_images(opt.dataroot / f"test{domain}")


if __name__ == "__main__":
    main()
