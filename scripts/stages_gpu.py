"""What each measure of the executor is worth on this GPU: one table, stage by stage.

    python scripts/stages_gpu.py --size 256 --batch 1 8

Eager float32, TF32, bf16, channels-last, compiled, captured: each on top of the one before, on the
default networks. For every stage: milliseconds a step (median of blocks), kernels a step and how
many of them only change the memory layout, and the peak memory.
"""

import argparse
import re
import statistics
import sys
import time
from functools import partial
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from benchmark import write_report  # noqa: E402

from engine.compile import compile_network  # noqa: E402
from engine.cuda_graph import WARMUP_STEPS, CapturedStep  # noqa: E402
from models import create_model  # noqa: E402
from options import TrainOptions  # noqa: E402

LAYOUT_COPY = re.compile(r"nchwToNhwc|nhwcToNchw|convertTensor", re.IGNORECASE)
STAGES = ("fp32", "tf32", "bf16", "channels_last", "compiled", "captured")


def build(stage: str, batch: int, size: int):
    """A model with all measures up to ``stage``, and a function that takes one step."""
    level = STAGES.index(stage)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = level >= STAGES.index("tf32")
    words = ["--dataroot", ".", "--batch_size", str(batch), "--crop_size", str(size)]
    opt = TrainOptions().parse([*words, "--load_size", str(size)])
    model = create_model(opt).to("cuda")
    if level >= STAGES.index("bf16"):
        model.precision = partial(torch.autocast, "cuda", dtype=torch.bfloat16)
    layout = torch.contiguous_format
    if level >= STAGES.index("channels_last"):
        layout = torch.channels_last
        model.to(memory_format=layout)
    if level >= STAGES.index("compiled"):
        for net in model.networks.values():
            compile_network(net)
    images = [torch.rand(batch, 3, size, size, device="cuda") * 2 - 1 for _ in "AB"]
    A, B = (image.to(memory_format=layout) for image in images)
    model.set_input({"A": A, "B": B})
    for optimizer in model.optimizers.values():
        for group in optimizer.param_groups:
            group.update(fused=True, capturable=True, lr=torch.tensor(group["lr"], device="cuda"))
    return CapturedStep(model) if stage == "captured" else model.optimize_parameters


def measure(stage: str, batch: int, size: int, blocks: int = 5, steps: int = 10) -> dict:
    """The figures of one stage."""
    torch._dynamo.reset()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    step = build(stage, batch, size)
    for _ in range(WARMUP_STEPS + 2):
        step()
    torch.cuda.synchronize()
    seconds_to_start = time.perf_counter() - start
    blocks_ms = [block_ms(step, steps) for _ in range(blocks)]
    kernels = kernel_names(step)
    return {
        "stage": stage, "batch": batch, "ms": statistics.median(blocks_ms), "blocks": blocks_ms,
        "kernels": len(kernels), "layout_copies": sum(bool(LAYOUT_COPY.search(k)) for k in kernels),
        "peak_GiB": torch.cuda.max_memory_allocated() / 2**30, "start_s": seconds_to_start,
    }  # fmt: skip


def block_ms(step, steps: int) -> float:
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / steps * 1000


def kernel_names(step) -> list[str]:
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        step()
        torch.cuda.synchronize()
    return [event.name for event in profile.events() if "Memcpy" not in event.name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, nargs="+", default=[1])
    opt = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("error: PyTorch sees no GPU here; this table is about one")
    rows = []
    for batch in opt.batch:
        for stage in STAGES:
            rows.append(measure(stage, batch, opt.size))
            row = {k: round(v, 3) if isinstance(v, float) else v for k, v in rows[-1].items()}
            print({k: v for k, v in row.items() if k != "blocks"}, flush=True)
    report = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__, "rows": rows}
    write_report(f"gpu_stages_{opt.size}", report)


if __name__ == "__main__":
    main()
