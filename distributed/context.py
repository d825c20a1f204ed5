"""The processes of a job: a single one by default, or as many as ``torchrun`` has started.

They communicate through `torch.distributed`: NCCL for tensors on GPUs, gloo for everything else. A
single process without torchrun never communicates.
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
from util.signals import delay_sigterm, ignore_sigterm

COLLECTIVE_TIMEOUT = timedelta(minutes=30)  # for a process that is alive but does not answer
SHUTDOWN_DELAY_S = 0.2  # lets threads of gloo release their tensors before the interpreter exits
SIGTERM_DELAY_S = 5.0  # in which rank 0 can report that another process has died
MAIN_RANK_HEAD_START_S = 5.0  # in which the main process is expected to report the same error
CONNECTION_LOST = (  # parts of error messages after another process has ended
    "closed by peer",
    "reset by peer",
    "broken pipe",
    "refused",
    "timed out",
    "remote process",
)


@dataclass(frozen=True)
class World:
    """This process among all processes: ``rank`` of ``size``, ``local_rank`` on its machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    restarts: int = 0  # how often torchrun has restarted the job after a process died
    is_distributed: bool = False  # started by torchrun, possibly as a single process

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, which writes, prints and displays."""
        return self.rank == 0

    def decide_on_main(self, decide: Callable[[], object]):
        """Call ``decide`` on rank 0 and return its result on all ranks.

        An exception on rank 0 ends the other processes silently, with its exit status.
        """
        if self.size == 1:
            return decide()
        answer: list = [None, None]  # result, exit status
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
        """Return the objects of all ranks on rank 0, and an empty list on the others."""
        if self.size == 1:
            return [own]
        gathered: list | None = [None] * self.size if self.is_main else None
        dist.gather_object(own, gathered, dst=0)
        return gathered or []

    def scatter(self, parts: list):
        """Return ``parts[rank]`` of rank 0, which must have one part per rank."""
        if self.size == 1:
            return parts[0]
        own: list = [None]
        dist.scatter_object_list(own, parts if self.is_main else None, src=0)
        return own[0]

    def all_reduce_max(self, numbers: list[int]) -> list[int]:
        """Elementwise maximum over all ranks."""
        if self.size == 1:
            return numbers
        tensor = torch.tensor(numbers)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return tensor.tolist()

    def all_reduce_sum(self, numbers: list[float]) -> list[float]:
        """Elementwise sum over all ranks, in float64."""
        if self.size == 1:
            return numbers
        tensor = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(tensor)
        return tensor.tolist()


def get_world() -> World:
    """This process within the current `distributed_session`; a single process outside of one."""
    if not dist.is_initialized():
        return World()
    return World(
        rank=dist.get_rank(),
        size=dist.get_world_size(),
        local_rank=int(os.environ.get("LOCAL_RANK", 0)),
        local_size=int(os.environ.get("LOCAL_WORLD_SIZE", 1)),
        restarts=int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)),
        is_distributed=True,
    )


def job_id() -> str:
    """Identify the job, the same after a restart of its processes; empty without torchrun.

    The ``--rdzv_id`` of torchrun, or, without one, its host and process ID.
    """
    if not dist.is_torchelastic_launched():
        return ""
    name = os.environ["TORCHELASTIC_RUN_ID"]
    return name if name != "none" else f"{os.uname().nodename} {os.getppid()}"


def split_evenly(images: int, size: int) -> list[int]:
    """The number of images of a step for each of ``size`` processes.

    They differ by at most one; the first ranks take the remainder.
    """
    return [images // size + (rank < images % size) for rank in range(size)]


@contextlib.contextmanager
def distributed_session() -> Iterator[None]:
    """Connect the processes that torchrun has started; does nothing without torchrun.

    Only rank 0 prints to stdout. An error that occurs on all ranks is reported by rank 0 alone.
    """
    if not dist.is_torchelastic_launched():
        yield
        return
    is_main = os.environ["RANK"] == "0"
    with contextlib.ExitStack() as stack:
        if is_main:
            stack.enter_context(delay_sigterm(SIGTERM_DELAY_S))
        stack.enter_context(_explain_lost_process(is_main))
        _init_process_group()
        stack.callback(_close_process_group)

        world = get_world()
        stack.enter_context(_report_once(world))
        stack.enter_context(_mute_stdout(not is_main))
        yield
        world.all_reduce_max([0])  # a barrier: all processes leave together


def _close_process_group() -> None:
    # Threads of gloo need the interpreter to release the last tensors sent; a thread that
    # finds it shutting down aborts the process. They get the interpreter during this sleep.
    time.sleep(SHUTDOWN_DELAY_S)
    dist.destroy_process_group()


def _init_process_group() -> None:
    """Connect to the other processes at the address given by torchrun.

    Restarted processes meet at the same address and would read each other's keys of the previous
    start (torch does not prevent it), so each start has its own prefix.
    """
    store, rank, size = next(rendezvous("env://", timeout=COLLECTIVE_TIMEOUT))
    store = dist.PrefixStore(f"start {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(
        backend, store=store, rank=rank, world_size=size, timeout=COLLECTIVE_TIMEOUT
    )


@contextlib.contextmanager
def _report_once(world: World) -> Iterator[None]:
    """Delay an error on other ranks: rank 0 reports the same one, and torchrun ends the job."""
    try:
        yield
    except UserError as error:
        if world.is_main:
            raise
        time.sleep(MAIN_RANK_HEAD_START_S)
        raise UserError(f"process {world.rank}: {error}") from error


@contextlib.contextmanager
def _explain_lost_process(is_main: bool) -> Iterator[None]:
    """Turn the connection error after another process has ended into a `UserError`."""
    try:
        yield
    except RuntimeError as error:
        if not any(part in str(error).lower() for part in CONNECTION_LOST):
            raise
        if is_main:  # the other ranks have nothing to add
            ignore_sigterm()  # torchrun, which knows it too, is about to end all processes
        raise UserError(
            "another process of this job has ended, see its message; the last saved state is "
            "intact: run the same command with --continue_train to resume from it"
        ) from error


@contextlib.contextmanager
def _mute_stdout(mute: bool) -> Iterator[None]:
    if not mute:
        yield
        return
    with open(os.devnull, "w") as devnull, contextlib.redirect_stdout(devnull):  # noqa: PTH123
        yield
