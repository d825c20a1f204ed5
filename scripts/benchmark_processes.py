"""Time the training step of one process, and of several that train together.

    python scripts/benchmark_processes.py --size 128 --processes 1 2 --rounds 3

Each round times one process without torchrun, then the given numbers under torchrun. There, steps
alternate between overlapping the all-reduce of the gradients with other work and waiting for it at
once. On CPUs each process has one thread. Raw measurements are written as JSON to ``benchmarks/``.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from argparse import Namespace

from benchmark import NO_DISPLAY, machine, split_args, write_report

FIGURES_PREFIX = "figures: "  # of the line with the measurements of a worker
WARMUP_STEPS = 4


def main() -> None:
    args, extra = split_args()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=128, help="side length in pixels")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="under torchrun")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions")
    parser.add_argument("--steps", type=int, default=6, help="timed steps of each kind")
    parser.add_argument("--label", default="processes", help="start of the name of the report")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    opt = parser.parse_args(args)
    if opt.worker:
        run_worker(opt, extra)
        return

    rounds = []
    for number in range(1, opt.rounds + 1):
        rounds.append({str(count): launch(opt, count, extra) for count in [0, *opt.processes]})
        print(f"round {number}: {json.dumps(rounds[-1])}", flush=True)
    report = {"machine": machine(), "flags": extra, "size": opt.size, "rounds": rounds}
    write_report(f"{opt.label}_{opt.size}", report)
    print_summary(rounds)


def launch(opt: Namespace, count: int, extra: list[str]) -> dict:
    """Return the measurements of ``count`` processes under torchrun; 0: one without it."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"]
    worker = [__file__, "--worker", "--size", opt.size, "--steps", opt.steps, "--", *extra]
    command = [sys.executable, *(torchrun if count else []), *map(str, worker)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith(FIGURES_PREFIX))
    return json.loads(line.removeprefix(FIGURES_PREFIX))


def run_worker(opt: Namespace, extra: list[str]) -> None:
    """Measure seconds per step in this process, and print them as JSON."""
    import torch

    from distributed.context import distributed_session, get_world
    from engine.device import configure_process
    from engine.executor import StepExecutor
    from models import create_model
    from options import TrainOptions

    with distributed_session():
        configure_process()
        size = ["--crop_size", str(opt.size), "--load_size", str(opt.size)]
        options = TrainOptions().parse(["--dataroot", ".", *size, *NO_DISPLAY, *extra])
        model = create_model(options)
        executor = StepExecutor(model, options)
        shape = (options.batch_size, 3, opt.size, opt.size)
        batch = {"A": torch.rand(shape) * 2 - 1, "B": torch.rand(shape) * 2 - 1}

        figures: dict[str, list[float]] = {"overlapped": [], "waiting": []}
        for number in range(WARMUP_STEPS + 2 * opt.steps):
            kind = ("overlapped", "waiting")[number % 2]
            for gradient_sync in model.gradient_sync.values():
                set_overlap(gradient_sync, kind == "overlapped")
            start = time.perf_counter()
            executor.step(batch, 1 / get_world().size)
            executor.synchronize()
            if number >= WARMUP_STEPS:
                figures[kind].append(time.perf_counter() - start)

        if get_world().is_distributed:
            figures["all-reduce alone"] = time_all_reduce(executor, opt.steps)
        print(FIGURES_PREFIX + json.dumps(figures))


def set_overlap(gradient_sync, overlap: bool) -> None:
    """Make `start` of a gradient all-reduce return at once, or wait for the result."""
    vars(gradient_sync).pop("start", None)
    if not overlap:
        start = gradient_sync.start

        def start_and_wait() -> None:
            start()
            gradient_sync.work.wait()

        gradient_sync.start = start_and_wait


def time_all_reduce(executor, steps: int) -> list[float]:
    """Return the seconds that an all-reduce of as many values as there are weights takes."""
    import torch
    import torch.distributed as dist

    networks = executor.model.networks.values()
    num_weights = sum(weight.numel() for net in networks for weight in net.parameters())
    values = torch.zeros(num_weights, device=executor.device)

    times = []
    for _ in range(steps):
        start = time.perf_counter()
        dist.all_reduce(values)
        executor.synchronize()
        times.append(time.perf_counter() - start)
    return times


def print_summary(rounds: list[dict]) -> None:
    """Print medians, and the throughput relative to one process, compared within each round."""
    for count, figures in rounds[0].items():
        medians = {
            kind: statistics.median(x for each in rounds for x in each[count][kind])
            for kind in figures
        }
        speedups = [
            max(1, int(count))
            * statistics.median(each["0"]["overlapped"])
            / statistics.median(each[count]["overlapped"])
            for each in rounds
        ]
        text = ", ".join(f"{kind} {seconds:.4f} s" for kind, seconds in medians.items())
        name = f"{count} under torchrun" if int(count) else "one process"
        print(f"{name}: {text}; throughput / one process: {statistics.median(speedups):.2f}")


if __name__ == "__main__":
    main()
