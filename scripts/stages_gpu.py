"""Measure what each optimization of the training step gains on a GPU.

    python scripts/stages_gpu.py --size 256 --batch 1 8

The stages are eager float32, TF32, bf16, channels-last, compiled, captured, each on top of the
previous one, with the default networks. For each: milliseconds per step (median of blocks), kernels
per step and how many of these only change the memory layout, and the peak memory. The report is
rewritten after each stage.
"""

import argparse
import re
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import torch
from benchmark import NO_DISPLAY, write_report
from torch.autograd import DeviceType

from engine.compile import compile_network
from engine.cuda_graph import WARMUP_STEPS, CapturedStep
from models import create_model
from options import TrainOptions

STAGES = ("fp32", "tf32", "bf16", "channels_last", "compiled", "captured")
LAYOUT_COPY = re.compile(r"nchwToNhwc|nhwcToNchw|convertTensor", re.IGNORECASE)
COPIES = ("Memcpy", "Memset")
GIB = 2**30


def build_step(stage: str, batch: int, size: int) -> Callable[[], None]:
    """Return a function that takes one training step with all optimizations up to ``stage``."""
    level = STAGES.index(stage)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = level >= STAGES.index("tf32")

    args = ["--dataroot", ".", "--batch_size", str(batch), *NO_DISPLAY]
    args += ["--crop_size", str(size), "--load_size", str(size)]
    model = create_model(TrainOptions().parse(args)).to("cuda")
    if level >= STAGES.index("bf16"):
        model.autocast = partial(torch.autocast, "cuda", dtype=torch.bfloat16)
    layout = torch.contiguous_format
    if level >= STAGES.index("channels_last"):
        layout = torch.channels_last
        model.to(memory_format=layout)
    if level >= STAGES.index("compiled"):
        for net in model.networks.values():
            compile_network(net)

    images = {side: torch.rand(batch, 3, size, size, device="cuda") * 2 - 1 for side in "AB"}
    model.set_input({side: image.to(memory_format=layout) for side, image in images.items()})
    for optimizer in model.optimizers.values():
        for group in optimizer.param_groups:
            group.update(fused=True, capturable=True, lr=torch.tensor(group["lr"], device="cuda"))
    run_step = CapturedStep(model) if stage == "captured" else model.step

    def step() -> None:
        model.plan_pools()
        run_step()

    return step


def measure(stage: str, batch: int, size: int, blocks: int = 5, steps: int = 10) -> dict:
    """Return the measurements of one stage."""
    torch._dynamo.reset()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()

    start = time.perf_counter()
    step = build_step(stage, batch, size)
    for _ in range(WARMUP_STEPS + 2):
        step()
    torch.cuda.synchronize()
    startup_s = time.perf_counter() - start

    blocks_ms = [time_block(step, steps) for _ in range(blocks)]
    kernels = kernel_names(step)
    return {
        "stage": stage,
        "batch": batch,
        "ms": statistics.median(blocks_ms),
        "blocks": blocks_ms,
        "kernels": len(kernels),
        "layout_copies": sum(bool(LAYOUT_COPY.search(name)) for name in kernels),
        "peak_GiB": torch.cuda.max_memory_allocated() / GIB,
        "start_s": startup_s,
    }


def time_block(step: Callable[[], None], steps: int) -> float:
    """Return milliseconds per step."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / steps * 1000


def kernel_names(step: Callable[[], None]) -> list[str]:
    """Return the name of each kernel that a step runs on the GPU."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        step()
        torch.cuda.synchronize()

    # Launches and other calls of the CUDA runtime are events of the CPU; annotations, such as
    # those of optimizers, appear on both.
    names = (
        event.name
        for event in profile.events()
        if event.device_type == DeviceType.CUDA and not event.is_user_annotation
    )
    return [name for name in names if not name.startswith(COPIES)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256, help="side length in pixels")
    parser.add_argument("--batch", type=int, nargs="+", default=[1], help="batch sizes")
    parser.add_argument("--label", default="gpu_stages", help="start of the name of the report")
    opt = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("error: PyTorch sees no GPU here, which this script measures")

    rows: list[dict] = []
    report = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__, "rows": rows}
    for batch in opt.batch:
        for stage in STAGES:
            rows.append(measure(stage, batch, opt.size))
            row = {k: round(v, 3) if isinstance(v, float) else v for k, v in rows[-1].items()}
            print({k: v for k, v in row.items() if k != "blocks"}, flush=True)
            write_report(f"{opt.label}_{opt.size}", report)


if __name__ == "__main__":
    main()
