"""What a training run is made of: `Run`, whose story ``train.py`` tells."""

import sys
import time
from argparse import Namespace
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from checkpoint.lock import RunLock
from checkpoint.manager import CheckpointManager, resume_command
from checkpoint.run_options import save_options
from checkpoint.state import snapshot
from data import create_dataset, create_samples
from distributed.context import get_world, job_id, split_evenly
from engine.executor import StepExecutor
from engine.seeding import get_rng_state, seed_everything, set_rng_state
from models import create_model
from models.schedules import LR_POLICIES, EpochPlan
from options.base_options import describe, public
from options.rules import check_image_sizes
from reporting.history import Record
from reporting.visualizer import NullVisualizer, Visualizer
from training.step_timer import StepTimer
from util.errors import UserError, printable
from util.files import remove_leftovers
from util.progress import Length
from util.signals import StopRequest

MIN_IMAGES_FOR_DIAGNOSTICS = 1000  # images; before, every training looks as if it went wrong
RANK_SEED_STRIDE = 1_000_003  # between the seeds of two processes
NUM_SAMPLES = 4  # shown again and again, so that epochs can be compared
NETWORKS_ONLY_NOTE = (
    "note: from the networks alone; optimizers, image pools and random numbers start anew, "
    "--epoch_count says with which epoch"
)
REPLACED_RUN_NOTE = (
    "note: {folder} holds the state of a run, which does not go on now. {old} keeps that of the "
    "longest one before; under the name latest_state.pth it goes on, with --continue_train"
)


def locked(opt: Namespace) -> AbstractContextManager:
    """One job at a time trains a name; of its processes the first one sees to it."""
    return RunLock(Path(opt.checkpoints_dir) / opt.name) if get_world().is_main else nullcontext()


class Trainer:
    """What a run is made of; its methods are the sentences of the story above.

    Of several processes each has one; the first writes, prints and shows.
    """

    def __init__(self, opt: Namespace):
        self.opt, self.world = opt, get_world()
        self.folder = Path(opt.checkpoints_dir) / opt.name
        self.plan = EpochPlan(opt.n_epochs, opt.n_epochs_decay, opt.lr_decay_iters)
        self.checkpoints = CheckpointManager(self.folder, opt.keep_last, opt.save_minutes)
        state, self.progress = self.checkpoints.resume_state(opt, self.plan.last, self.world)
        self.announce(state)
        self.dataset = create_dataset(opt)
        check_image_sizes(opt, self.dataset.side_lengths())
        self.fixed = list(create_samples(opt, NUM_SAMPLES)) if self.world.is_main else []
        print(describe(opt))
        print(f"The number of training images = {len(self.dataset)}")
        if self.dataset.cached_bytes:
            print(f"keeping scaled images in memory: {self.dataset.cached_bytes / 1e6:.0f} MB")
        seed_everything(opt.seed)
        # What files hold the others get from the first one.
        self.model = create_model(opt).setup(opt, load=state is None and self.world.is_main)
        if not self.world.is_main:
            seed_everything(opt.seed + self.world.rank * RANK_SEED_STRIDE)
        self.executor = StepExecutor(self.model, opt)
        self.stop = StopRequest(patient=self.world.is_distributed, quiet=not self.world.is_main)
        self.save_is_due = False
        self.begin(state)

    def announce(self, state: dict | None) -> None:
        """Where the run goes on, and what was typed otherwise than before."""
        at = self.progress
        if self.opt.continue_train:
            where = f"epoch {at.epoch}, iteration {at.iters}"
            print(f"resuming {self.opt.name} at {where}, learning rate {self.learning_rate():.7f}")
            if state is None:
                print(NETWORKS_ONLY_NOTE)
        for note in self.opt.notes:
            print(note)

    def begin(self, state: dict | None) -> None:
        """Put everything into its place, and write the first files."""
        at = self.progress
        if state is not None:
            self.model.load_state_dict(state["model"])
            if state["random"]:
                set_rng_state(state["random"])
        if at.total_iters == 0:
            at.total_iters = (at.epoch - 1) * len(self.dataset)
        self.watch = StepTimer(self.executor.synchronize)
        self.visualizer = self.open_files(state["logs"] if state else None)
        self.dataset.log = self.log
        if state is None:
            self.save([])
            self.checkpoints.finish()  # a disk that is full is known now; and nobody forks meanwhile

    def open_files(self, sizes: dict[str, int] | None) -> Visualizer | NullVisualizer:
        """Put the folder of the run in order; the logs go on after so many bytes."""
        opt, at = self.opt, self.progress
        if not self.world.is_main:
            return NullVisualizer()
        remove_leftovers(self.folder)
        if sizes is None and (old := self.checkpoints.replaces_another_run()):
            print(REPLACED_RUN_NOTE.format(folder=self.folder, old=old))
        save_options(self.folder, public(opt), describe(opt))
        return Visualizer(
            opt, public(opt), length=Length(self.plan.last, len(self.dataset)),
            done=at.total_iters, epoch=at.epoch, sizes=sizes,
        )  # fmt: skip

    def __enter__(self) -> "Trainer":
        self.stop.__enter__()
        self.visualizer.__enter__()
        if not self.opt.no_html:
            self.update_page()
            self.log(f"look at {self.folder / 'web' / 'index.html'}")
        return self

    def __exit__(self, kind, *_) -> None:
        self.dataset.close()
        self.checkpoints.background.wait()
        self.visualizer.__exit__(kind, *_)
        self.stop.__exit__(kind, *_)
        if kind is None:
            self.checkpoints.finish()

    def learning_rate(self) -> float:
        """The rate at which the epoch runs."""
        return self.opt.lr * LR_POLICIES[self.opt.lr_policy](self.progress.epoch, self.plan)

    def epochs(self):
        """The epochs that are left, one after the other, each made ready."""
        while self.progress.epoch <= self.plan.last:
            self.epoch_started = time.monotonic()
            self.model.set_learning_rate(self.learning_rate())
            self.dataset.set_epoch(self.progress.epoch, start=self.progress.iters)
            yield self.progress.epoch

    def batches(self):
        """The batches that are left of the epoch; the time spent waiting for them is noted."""
        return self.watch.waits(self.dataset)

    def step(self, batch: dict) -> None:
        left = len(self.dataset) - self.progress.iters
        images = min(left, self.opt.batch_size * self.world.size)
        own = split_evenly(images, self.world.size)[self.world.rank]
        self.executor.step(batch, loss_weight=own / images)
        self.progress.add(images)
        self.watch.add(images)
        self.visualizer.advance(images)
        if self.executor.check_every_step:
            self.check_numbers()
        due = self.world.is_main and self.checkpoints.is_due()
        (self.save_is_due,) = self.stop.agree(self.world.all_reduce_max, due)

    def check_numbers(self) -> None:
        """Stop where more updates had to be left out than allowed; tell of every one."""
        problem = self.executor.problem()
        if problem is None:
            return
        at, allowed = self.progress, self.opt.skip_nonfinite
        text = f"{problem} at epoch {at.epoch}, iters {at.iters}, step {at.total_iters}"
        if self.executor.guard.total <= allowed:
            self.log(f"warning: {text}; the update was left out, "
                     f"{self.executor.guard.total} of {allowed}")  # fmt: skip
            return
        self.save([])
        self.checkpoints.finish()
        raise UserError(
            f"{text}; the update was left out, so the weights are good: {self.checkpoints.last_good}; "
            "go on with --continue_train and a lower --lr, or with --skip_nonfinite 10"
        )

    def show_losses(self) -> None:
        at, rates, losses = self.progress, self.watch.read(), self.executor.losses()
        at_rate = self.learning_rate()
        self.visualizer.show_losses(
            Record(at.epoch, at.iters, at.total_iters, at_rate, rates.time, rates.data, losses)
        )
        self.check_numbers()
        if (advice := self.watch.advice()) is not None:
            self.log(f"note: {advice}")

    def show_images(self) -> None:
        if self.visualizer.views:
            with self.watch.pause():
                self.visualizer.show_images(self.executor.preview(self.fixed))

    def update_page(self) -> None:
        with self.watch.pause():
            samples, pairs = self.executor.preview(self.fixed), self.model.translations()
            if self.progress.total_iters < MIN_IMAGES_FOR_DIAGNOSTICS:
                pairs = {}
            self.visualizer.update_page(self.progress.epoch, samples, pairs)

    def save_latest(self) -> None:
        at = self.progress
        kept = self.opt.save_by_iter and at.passed(self.opt.save_latest_freq)  # not by the clock
        self.log(f"saving the latest model (epoch {at.epoch}, total_iters {at.total_iters})")
        self.save(["latest", *([f"iter_{at.total_iters}"] if kept else [])])

    def end_epoch(self) -> None:
        epoch, last, iters = self.progress.epoch, self.plan.last, self.progress.total_iters
        self.update_page()
        self.progress.end_epoch()
        if epoch % self.opt.save_epoch_freq == 0 or epoch == last:
            self.log(f"saving the model at the end of epoch {epoch}, iters {iters}")
            self.save(["latest", str(epoch)])
        seconds = time.monotonic() - self.epoch_started
        self.log(f"End of epoch {epoch} / {last} \t Time Taken: {seconds:.0f} sec")
        self.log(f"learning rate = {self.learning_rate():.7f}")

    def save(self, suffixes: list[str]) -> None:
        """Keep the whole state, and the networks under these names too."""
        with self.watch.pause():
            others = self.world.gather(self.own_state())[1:]
            if self.world.is_main:
                self.checkpoints.save({**self.state(), "others": others}, suffixes)
        if problem := self.checkpoints.problem():
            self.log(f"warning: {problem}")

    def state(self) -> dict:
        """Everything that the rest of the run depends on."""
        return {
            "options": public(self.opt), "progress": asdict(self.progress),
            "model": self.model.state_dict(), "random": get_rng_state(),
            "logs": self.visualizer.log_sizes(), "job": job_id(),
        }  # fmt: skip

    def own_state(self) -> dict:
        """What is not the same in all processes."""
        if self.world.is_main:
            return {}
        return snapshot({"pools": self.model.state_dict()["pools"], "random": get_rng_state()})

    def report_broken_images(self) -> None:
        everywhere = chain.from_iterable(self.world.gather(list(self.dataset.broken)))
        broken = sorted(map(printable, set(everywhere)))
        if broken:
            names = ", ".join(broken[:10]) + (", …" if len(broken) > 10 else "")
            self.log(f"files that could not be read and were left out: {len(broken)} ({names})")

    def save_and_exit(self) -> None:
        """Save, say how to go on, and end as the signal asks."""
        at = self.progress
        self.save(["latest"])
        self.checkpoints.finish()
        self.log(f"stopped by {self.stop.received} at epoch {at.epoch}, iters {at.iters}; "
                 f"go on with: {resume_command(self.opt)}")  # fmt: skip
        sys.exit(self.stop.exit_code)

    def log(self, text: str) -> None:
        self.visualizer.log(text)
