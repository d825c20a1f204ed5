"""Two machines, simulated by two network namespaces that are joined by a virtual cable."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid

import pytest
from helpers.commands import ROOT, folders, ok
from helpers.jobs import TRAIN, parts

pytestmark = pytest.mark.slow

ADDRESSES = ("10.77.0.1", "10.77.0.2")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def machines():
    """The names of two namespaces; each has one end of a cable, the interface ``wire``."""
    if not shutil.which("ip"):
        pytest.skip("the program ip is not installed")
    unique = uuid.uuid4().hex[:6]
    names = [f"machine{i}-{unique}" for i in range(2)]
    ends = [f"w{i}{unique}" for i in range(2)]
    try:
        ip("netns", "add", names[0])
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces are not allowed here: {error.stderr.decode().strip()}")
    try:
        ip("netns", "add", names[1])
        ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for name, end, address in zip(names, ends, ADDRESSES, strict=True):
            ip("link", "set", end, "netns", name)
            ip("-n", name, "link", "set", end, "name", "wire")
            ip("-n", name, "address", "add", f"{address}/24", "dev", "wire")
            ip("-n", name, "link", "set", "wire", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def start_on(machine: str, node_rank: int, tmp_path, *words) -> subprocess.Popen:
    """Start the documented torchrun command for several machines on one of them."""
    torchrun = [
        sys.executable, "-m", "torch.distributed.run", "--nnodes=2", f"--node_rank={node_rank}",
        "--nproc_per_node=1", f"--master_addr={ADDRESSES[0]}", "--master_port=29500",
    ]  # fmt: skip
    command = ["ip", "netns", "exec", machine, *torchrun, TRAIN, *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "wire"}
    return subprocess.Popen(
        list(map(str, [*command, *folders(tmp_path, "train.py")])), cwd=ROOT, env=environment,
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.slow
def test_two_machines_equal_two_processes_on_one(machines, uninterrupted, tmp_path):
    jobs = [start_on(name, i, tmp_path, *uninterrupted[2]) for i, name in enumerate(machines)]
    try:
        ends = [job.communicate(timeout=60) for job in jobs]
    finally:
        for job in jobs:
            job.kill()
    for job, (out, err) in zip(jobs, ends, strict=True):
        ok(subprocess.CompletedProcess(job.args, job.returncode, out, err))
    assert "2 processes, batch size 1 each, 2 in all" in ends[0][0]
    assert ends[1][0] == ""
    assert parts(tmp_path) == parts(uninterrupted[0])
