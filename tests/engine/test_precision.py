"""Names of precisions in the log."""

from __future__ import annotations

import pytest
import torch

from engine.precision import precision_name


@pytest.mark.parametrize(
    ("device", "capability", "allowed", "name"),
    [
        ("cuda", (8, 0), True, "fp32, but TF32 in convolutions"),
        ("cuda", (8, 0), False, "fp32"),
        ("cuda", (7, 5), True, "fp32"),
        ("cpu", None, True, "fp32"),
    ],
)
def test_tf32_is_named(device, capability, allowed, name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", allowed)
    assert precision_name("fp32", torch.device(device)) == name
    assert precision_name("bf16", torch.device(device)) == "bf16"
