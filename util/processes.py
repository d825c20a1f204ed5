"""The processes of a job: one by default, or as many as ``torchrun`` has started.

What they say to each other goes through `torch.distributed`: over NCCL for what lies on GPUs, over
gloo for everything else. Whoever is alone talks to nobody and waits for nobody.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from util.errors import UserError
from util.signals import end_unhurried

PATIENCE = timedelta(minutes=30)  # with a process that is there and does not answer
FAREWELL = 0.2  # seconds
POLITENESS = 5.0  # seconds in which the first process is expected to say the same
LOST = ("closed by peer", "reset by peer", "broken pipe", "refused", "timed out", "remote process")


@dataclass(frozen=True)
class Processes:
    """This process among its kind: number ``rank`` of ``size``, ``local_rank`` on its machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    restarts: int = 0  # how often the job was started again after one of them had died
    joined: bool = False  # they know each other, though there may be only one

    @property
    def first(self) -> bool:
        """Whether this is the one that writes, prints and shows."""
        return self.rank == 0

    def agreed(self, decide: Callable[[], object]):
        """What the first process decides; its error ends the others without another word."""
        if self.size == 1:
            return decide()
        answer: list = [None, None]
        try:
            if self.first:
                answer[0] = decide()
        except BaseException as error:
            answer[1] = error.code if isinstance(error, SystemExit) else 2
            raise
        finally:
            dist.broadcast_object_list(answer, src=0)
            if not self.first and answer[1] is not None:
                sys.exit(answer[1])
        return answer[0]

    def gather(self, own: object) -> list:
        """What all of them have, by rank; only the first one gets it, the others an empty list."""
        if self.size == 1:
            return [own]
        all_of_them = [None] * self.size if self.first else None
        dist.gather_object(own, all_of_them, dst=0)
        return all_of_them or []

    def scatter(self, parts: list):
        """``parts[rank]`` of the first process; it must have one for each."""
        if self.size == 1:
            return parts[0]
        own: list = [None]
        dist.scatter_object_list(own, parts if self.first else None, src=0)
        return own[0]

    def most(self, numbers: list[int]) -> list[int]:
        """The largest of each number that any of them has."""
        if self.size == 1:
            return numbers
        tensor = torch.tensor(numbers)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return tensor.tolist()

    def total(self, numbers: list[float]) -> list[float]:
        """The sum of each number over all of them."""
        if self.size == 1:
            return numbers
        tensor = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(tensor)
        return tensor.tolist()


def here() -> Processes:
    """This process among those that have `joined`."""
    if not dist.is_initialized():
        return Processes()
    defaults = {"LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1, "TORCHELASTIC_RESTART_COUNT": 0}
    numbers = [int(os.environ.get(name, default)) for name, default in defaults.items()]
    return Processes(dist.get_rank(), dist.get_world_size(), *numbers, joined=True)


def job() -> str:
    """A name of the job, the same after a restart of its processes; empty for one without torchrun.

    It is the ``--rdzv_id`` of torchrun, or, without one, its process.
    """
    if not dist.is_torchelastic_launched():
        return ""
    name = os.environ["TORCHELASTIC_RUN_ID"]
    return name if name != "none" else f"{os.uname().nodename} {os.getppid()}"


def portions(pictures: int, size: int) -> list[int]:
    """How many of the pictures of a step each of ``size`` processes takes: as equal as it goes.

    The first ones take one more where it does not come out even.
    """
    return [pictures // size + (rank < pictures % size) for rank in range(size)]


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Inside, the processes that torchrun has started know each other.

    Only the first one is heard on stdout. What all of them find wrong the first one says.
    """
    if not dist.is_torchelastic_launched():
        yield
        return
    _meet()
    world = here()
    try:
        with _silenced(not world.first), _one_after_the_other(world), _told_when_lost(world):
            yield
            world.most([0])  # all leave together
    finally:
        # Threads of gloo need the interpreter to let go of the last tensors that were sent; one
        # that finds it ending aborts the process. While this one sleeps they have it.
        time.sleep(FAREWELL)
        dist.destroy_process_group()


def _meet() -> None:
    """Find the other processes at the address that torchrun says.

    Started again, they must not read what they wrote there before: torch itself does not see to it.
    """
    store, rank, size = next(rendezvous("env://", timeout=PATIENCE))
    store = dist.PrefixStore(f"start {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)


@contextlib.contextmanager
def _one_after_the_other(world: Processes) -> Iterator[None]:
    """An error of the first process makes torchrun end the others before these repeat it."""
    try:
        yield
    except UserError as error:
        if world.first:
            raise
        time.sleep(POLITENESS)
        raise UserError(f"process {world.rank}: {error}") from error


@contextlib.contextmanager
def _told_when_lost(world: Processes) -> Iterator[None]:
    """Turn what the network says when another process is gone into a `UserError`."""
    try:
        yield
    except RuntimeError as error:
        if not any(sign in str(error).lower() for sign in LOST):
            raise
        if world.first:  # the others have nothing to add
            end_unhurried()  # torchrun, which knows it too, is about to end all of them
        raise UserError(
            "another process of this job has ended, see its message; the last state that was "
            "saved is whole: the same command with --continue_train goes on from it"
        ) from error


@contextlib.contextmanager
def _silenced(silent: bool) -> Iterator[None]:
    if not silent:
        yield
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
        yield
