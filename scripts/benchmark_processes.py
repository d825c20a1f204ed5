"""Time the training step of one process, and of several that train together.

    python scripts/benchmark_processes.py --size 128 --processes 1 2 --rounds 3

Each round runs them one after the other: one process without torchrun, and then as many as named
under torchrun, with gradients that travel while the others are computed, and afterwards. On CPUs
every process has one thread. Raw figures are written as JSON to ``benchmarks/``.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from benchmark import machine, split_words, write_report  # noqa: E402

EMA_SUFFIX = "figures: "


def main() -> None:
    words, extra = split_words()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=128, help="pixels of a side")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="under torchrun")
    parser.add_argument("--rounds", type=int, default=3, help="how often each of them runs")
    parser.add_argument("--steps", type=int, default=6, help="timed steps, each way")
    parser.add_argument("--label", default="processes", help="name of the file with raw figures")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    opt = parser.parse_args(words)
    if opt.work:
        work(opt, extra)
        return
    rounds = []
    for number in range(1, opt.rounds + 1):
        rounds.append({str(count): start(opt, count, extra) for count in [0, *opt.processes]})
        print(f"round {number}: {json.dumps(rounds[-1])}", flush=True)
    report = {"machine": machine(), "flags": extra, "size": opt.size, "rounds": rounds}
    write_report(f"{opt.label}_{opt.size}", report)
    summarize(rounds)


def start(opt: argparse.Namespace, count: int, extra: list[str]) -> dict:
    """The figures of ``count`` processes under torchrun; 0 is one without it."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"]
    words = [__file__, "--work", "--size", opt.size, "--steps", opt.steps, "--", *extra]
    command = [sys.executable, *(torchrun if count else []), *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith(EMA_SUFFIX))
    return json.loads(line.removeprefix(EMA_SUFFIX))


def work(opt: argparse.Namespace, extra: list[str]) -> None:
    """One of the processes: seconds a step, with and without overlap, and of the sums alone."""
    import torch
    import torch.distributed as dist

    from distributed.context import distributed_session, get_world
    from engine.device import configure_process
    from engine.executor import StepExecutor
    from models import create_model
    from options import TrainOptions

    with distributed_session():
        configure_process()
        size = ["--crop_size", str(opt.size), "--load_size", str(opt.size)]
        options = TrainOptions().parse(["--dataroot", ".", *size, *extra])
        model = create_model(options)
        executor = StepExecutor(model, options)
        shape = (options.batch_size, 3, opt.size, opt.size)
        batch = {"A": torch.rand(shape) * 2 - 1, "B": torch.rand(shape) * 2 - 1}
        share = 1 / get_world().size
        figures: dict[str, list[float]] = {"overlapped": [], "afterwards": [], "sums alone": []}
        for number in range(2 * opt.steps + 4):  # the first ones warm up
            way = ("overlapped", "afterwards")[number % 2]
            for reducer in executor.reducers:
                reducer.overlap = way == "overlapped"
            began = time.perf_counter()
            executor.step(batch, share)
            executor.synchronize()
            if number >= 4:
                figures[way].append(time.perf_counter() - began)
        if get_world().is_distributed:
            count = sum(w.numel() for net in model.networks.values() for w in net.parameters())
            numbers = torch.zeros(count, device=executor.device)
            for _ in range(opt.steps):
                began = time.perf_counter()
                dist.all_reduce(numbers)
                executor.synchronize()
                figures["sums alone"].append(time.perf_counter() - began)
        print(EMA_SUFFIX + json.dumps(figures))


def summarize(rounds: list[dict]) -> None:
    """Medians, and images a second against one process, round by round."""
    for count in rounds[0]:
        medians = {
            way: statistics.median(x for each in rounds for x in each[count][way])
            for way in rounds[0][count]
            if rounds[0][count][way]
        }
        speedups = [
            max(1, int(count)) * statistics.median(each["0"]["overlapped"])
            / statistics.median(each[count]["overlapped"])
            for each in rounds
        ]  # fmt: skip
        text = ", ".join(f"{way} {seconds:.4f} s" for way, seconds in medians.items())
        name = f"{count} under torchrun" if int(count) else "one alone"
        print(f"{name}: {text}; images/s against one alone: {statistics.median(speedups):.2f}")


if __name__ == "__main__":
    main()
