"""How the benchmark scripts read times and kernels."""

from __future__ import annotations

import importlib
import json
import sys
from types import SimpleNamespace

import pytest
import torch
from helpers.commands import ROOT
from torch.autograd import DeviceType

SIZES = ["--size", "32", "--images", "12", "--warm_up", "8", "--pairs", "1"]
NETWORKS = ["--gpu_ids", "-1", "--netG", "resnet_6blocks", "--ngf", "2", "--ndf", "2"]


@pytest.fixture
def script(monkeypatch):
    """Import a module from scripts/, as Python does for a script in that folder."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    yield importlib.import_module
    for name in ("benchmark", "stages_gpu"):
        sys.modules.pop(name, None)


def test_warm_up_counts_images(script, tmp_path):
    """A record counts only if it covers no image of the warm-up, at any batch size."""
    log = tmp_path / "losses.jsonl"
    records = [{"total_iters": 8 * i, "time": float(i)} for i in range(1, 6)]
    log.write_text("".join(json.dumps(record) + "\n" for record in records))
    logged_times = script("benchmark").logged_times
    assert logged_times(log, 0) == [1, 2, 3, 4, 5]
    assert logged_times(log, 16) == [3, 4, 5]
    assert logged_times(log, 17) == [4, 5]


@pytest.mark.slow
def test_batches_of_several_images_are_timed(script, monkeypatch):
    benchmark = script("benchmark")
    monkeypatch.setattr(benchmark, "write_report", lambda name, report: reports.update(report))
    monkeypatch.setattr(
        sys, "argv", ["benchmark.py", "train", *SIZES, "--", *NETWORKS, "--batch_size", "4"]
    )
    reports: dict = {}
    benchmark.main()
    (result,) = reports["rounds"]
    assert len(result["ours"]["steps"]) == 3  # 20 images in 5 batches, the first two not timed
    assert reports["median"] > 0


def test_only_kernels_are_counted(script, monkeypatch):
    def event(name: str, device: DeviceType, is_user_annotation: bool = False):
        return SimpleNamespace(name=name, device_type=device, is_user_annotation=is_user_annotation)

    class Profile:
        def __init__(self, activities):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def events(self):
            return [
                event("cudaLaunchKernel", DeviceType.CPU),
                event("Optimizer.step#Adam.step", DeviceType.CUDA, True),
                event("implicit_gemm", DeviceType.CUDA),
                event("Memcpy HtoD (Pinned -> Device)", DeviceType.CUDA),
                event("Memset (Device)", DeviceType.CUDA),
                event("nchwToNhwcKernel", DeviceType.CUDA),
            ]

    monkeypatch.setattr(torch.profiler, "profile", Profile)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    kernels = script("stages_gpu").kernel_names(lambda: None)
    assert kernels == ["implicit_gemm", "nchwToNhwcKernel"]
