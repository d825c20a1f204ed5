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
from util.signals import ignore_sigterm

COLLECTIVE_TIMEOUT = timedelta(minutes=30)  # with a process that is there and does not answer
SHUTDOWN_DELAY_S = 0.2  # seconds
MAIN_RANK_HEAD_START_S = 5.0  # seconds in which the first process is expected to say the same
LOST = ("closed by peer", "reset by peer", "broken pipe", "refused", "timed out", "remote process")


@dataclass(frozen=True)
class World:
    """This process among its kind: number ``rank`` of ``size``, ``local_rank`` on its machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    restarts: int = 0  # how often the job was started again after one of them had died
    is_distributed: bool = False  # they know each other, though there may be only one

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes, prints and shows."""
        return self.rank == 0

    def decide_on_main(self, decide: Callable[[], object]):
        """What the first process decides; its error ends the others without another word."""
        if self.size == 1:
            return decide()
        answer: list = [None, None]
        try:
            if self.is_main:
                answer[0] = decide()
        except BaseException as error:
            answer[1] = error.code if isinstance(error, SystemExit) else 2
            raise
        finally:
            dist.broadcast_object_list(answer, src=0)
            if not self.is_main and answer[1] is not None:
                sys.exit(answer[1])
        return answer[0]

    def gather(self, own: object) -> list:
        """What all of them have, by rank; only the first one gets it, the others an empty list."""
        if self.size == 1:
            return [own]
        all_of_them = [None] * self.size if self.is_main else None
        dist.gather_object(own, all_of_them, dst=0)
        return all_of_them or []

    def scatter(self, parts: list):
        """``parts[rank]`` of the first process; it must have one for each."""
        if self.size == 1:
            return parts[0]
        own: list = [None]
        dist.scatter_object_list(own, parts if self.is_main else None, src=0)
        return own[0]

    def all_reduce_max(self, numbers: list[int]) -> list[int]:
        """The largest of each number that any of them has."""
        if self.size == 1:
            return numbers
        tensor = torch.tensor(numbers)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return tensor.tolist()

    def all_reduce_sum(self, numbers: list[float]) -> list[float]:
        """The sum of each number over all of them."""
        if self.size == 1:
            return numbers
        tensor = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(tensor)
        return tensor.tolist()


def get_world() -> World:
    """This process among those that have `joined`."""
    if not dist.is_initialized():
        return World()
    defaults = {"LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1, "TORCHELASTIC_RESTART_COUNT": 0}
    numbers = [int(os.environ.get(name, default)) for name, default in defaults.items()]
    return World(dist.get_rank(), dist.get_world_size(), *numbers, is_distributed=True)


def job_id() -> str:
    """A name of the job, the same after a restart of its processes; empty for one without torchrun.

    It is the ``--rdzv_id`` of torchrun, or, without one, its process.
    """
    if not dist.is_torchelastic_launched():
        return ""
    name = os.environ["TORCHELASTIC_RUN_ID"]
    return name if name != "none" else f"{os.uname().nodename} {os.getppid()}"


def split_evenly(images: int, size: int) -> list[int]:
    """How many of the images of a step each of ``size`` processes takes: as equal as it goes.

    The first ones take one more where it does not come out even.
    """
    return [images // size + (rank < images % size) for rank in range(size)]


@contextlib.contextmanager
def distributed_session() -> Iterator[None]:
    """Inside, the processes that torchrun has started know each other.

    Only the first one is heard on stdout. What all of them find wrong the first one says.
    """
    if not dist.is_torchelastic_launched():
        yield
        return
    _meet()
    world = get_world()
    try:
        with _silenced(not world.is_main), _one_after_the_other(world), _told_when_lost(world):
            yield
            world.all_reduce_max([0])  # all leave together
    finally:
        # Threads of gloo need the interpreter to let go of the last tensors that were sent; one
        # that finds it ending aborts the process. While this one sleeps they have it.
        time.sleep(SHUTDOWN_DELAY_S)
        dist.destroy_process_group()


def _meet() -> None:
    """Find the other processes at the address that torchrun says.

    Started again, they must not read what they wrote there before: torch itself does not see to it.
    """
    store, rank, size = next(rendezvous("env://", timeout=COLLECTIVE_TIMEOUT))
    store = dist.PrefixStore(f"start {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(
        backend, store=store, rank=rank, world_size=size, timeout=COLLECTIVE_TIMEOUT
    )


@contextlib.contextmanager
def _one_after_the_other(world: World) -> Iterator[None]:
    """An error of the first process makes torchrun end the others before these repeat it."""
    try:
        yield
    except UserError as error:
        if world.is_main:
            raise
        time.sleep(MAIN_RANK_HEAD_START_S)
        raise UserError(f"process {world.rank}: {error}") from error


@contextlib.contextmanager
def _told_when_lost(world: World) -> Iterator[None]:
    """Turn what the network says when another process is gone into a `UserError`."""
    try:
        yield
    except RuntimeError as error:
        if not any(sign in str(error).lower() for sign in LOST):
            raise
        if world.is_main:  # the others have nothing to add
            ignore_sigterm()  # torchrun, which knows it too, is about to end all of them
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
