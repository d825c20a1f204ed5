"""What a training run is made of: `Run`, whose story ``train.py`` tells."""

import sys
import time
from argparse import Namespace
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from data import create_dataset, create_samples
from models import create_model
from models.schedules import LR_POLICIES, Plan
from options.base_options import describe, public
from options.rules import check_pictures
from util.checkpoint import save_options
from util.errors import UserError, printable
from util.files import remove_leftovers
from util.history import Record
from util.keeper import Keeper, how_to_go_on
from util.lock import RunLock
from util.processes import here, job, portions
from util.progress import Length
from util.randomness import random_state, restore_random_state, seed_everything
from util.run_state import snapshot
from util.runner import Runner
from util.signals import StopRequest
from util.stopwatch import Stopwatch
from util.visualizer import Silence, Visualizer

FIRST_JUDGEMENT = 1000  # pictures; before, every training looks as if it went wrong
FAR = 1_000_003  # between the seeds of two processes
FIXED_PICTURES = 4  # shown again and again, so that epochs can be compared
NETWORKS_ONLY = (
    "note: from the networks alone; optimizers, image pools and random numbers start anew, "
    "--epoch_count says with which epoch"
)
ANOTHER_RUN = (
    "note: {folder} holds the state of a run, which does not go on now. {old} keeps that of the "
    "longest one before; under the name latest_state.pth it goes on, with --continue_train"
)


def locked(opt: Namespace) -> AbstractContextManager:
    """One job at a time trains a name; of its processes the first one sees to it."""
    return RunLock(Path(opt.checkpoints_dir) / opt.name) if here().first else nullcontext()


class Run:
    """What a run is made of; its methods are the sentences of the story above.

    Of several processes each has one; the first writes, prints and shows.
    """

    def __init__(self, opt: Namespace):
        self.opt, self.world = opt, here()
        self.folder = Path(opt.checkpoints_dir) / opt.name
        self.plan = Plan(opt.n_epochs, opt.n_epochs_decay, opt.lr_decay_iters)
        self.keeper = Keeper(self.folder, opt.keep_last, opt.save_minutes)
        state, self.progress = self.keeper.starting_point(opt, self.plan.last, self.world)
        self.announce(state)
        self.dataset = create_dataset(opt)
        check_pictures(opt, self.dataset.sides())
        self.fixed = list(create_samples(opt, FIXED_PICTURES)) if self.world.first else []
        print(describe(opt))
        print(f"The number of training images = {len(self.dataset)}")
        if self.dataset.cached_bytes:
            print(f"keeping scaled pictures in memory: {self.dataset.cached_bytes / 1e6:.0f} MB")
        seed_everything(opt.seed)
        # What files hold the others get from the first one.
        self.model = create_model(opt).setup(opt, load=state is None and self.world.first)
        if not self.world.first:
            seed_everything(opt.seed + self.world.rank * FAR)
        self.runner = Runner(self.model, opt)
        self.stop = StopRequest(patient=self.world.joined, quiet=not self.world.first)
        self.save_is_due = False
        self.begin(state)

    def announce(self, state: dict | None) -> None:
        """Where the run goes on, and what was typed otherwise than before."""
        at = self.progress
        if self.opt.continue_train:
            where = f"epoch {at.epoch}, iteration {at.iters}"
            print(f"resuming {self.opt.name} at {where}, learning rate {self.learning_rate():.7f}")
            if state is None:
                print(NETWORKS_ONLY)
        for note in self.opt.notes:
            print(note)

    def begin(self, state: dict | None) -> None:
        """Put everything into its place, and write the first files."""
        at = self.progress
        if state is not None:
            self.model.load_state_dict(state["model"])
            if state["random"]:
                restore_random_state(state["random"])
        if at.total_iters == 0:
            at.total_iters = (at.epoch - 1) * len(self.dataset)
        self.watch = Stopwatch(self.runner.synchronize)
        self.visualizer = self.open_files(state["logs"] if state else None)
        self.dataset.tell = self.say
        if state is None:
            self.save([])
            self.keeper.finish()  # a disk that is full is known now; and nobody forks meanwhile

    def open_files(self, sizes: dict[str, int] | None) -> Visualizer | Silence:
        """Put the folder of the run in order; the logs go on after so many bytes."""
        opt, at = self.opt, self.progress
        if not self.world.first:
            return Silence()
        remove_leftovers(self.folder)
        if sizes is None and (old := self.keeper.replaces_another_run()):
            print(ANOTHER_RUN.format(folder=self.folder, old=old))
        save_options(self.folder, public(opt), describe(opt))
        return Visualizer(
            opt, public(opt), length=Length(self.plan.last, len(self.dataset)),
            done=at.total_iters, epoch=at.epoch, sizes=sizes,
        )  # fmt: skip

    def __enter__(self) -> "Run":
        self.stop.__enter__()
        self.visualizer.__enter__()
        if not self.opt.no_html:
            self.update_page()
            self.say(f"look at {self.folder / 'web' / 'index.html'}")
        return self

    def __exit__(self, kind, *_) -> None:
        self.dataset.close()
        self.keeper.background.wait()
        self.visualizer.__exit__(kind, *_)
        self.stop.__exit__(kind, *_)
        if kind is None:
            self.keeper.finish()

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
        pictures = min(left, self.opt.batch_size * self.world.size)
        own = portions(pictures, self.world.size)[self.world.rank]
        self.runner.step(batch, share=own / pictures)
        self.progress.add(pictures)
        self.watch.add(pictures)
        self.visualizer.advance(pictures)
        if self.runner.answers_at_once:
            self.check_numbers()
        due = self.world.first and self.keeper.is_due()
        (self.save_is_due,) = self.stop.agree(self.world.most, due)

    def check_numbers(self) -> None:
        """Stop where more updates had to be left out than allowed; tell of every one."""
        problem = self.runner.problem()
        if problem is None:
            return
        at, allowed = self.progress, self.opt.skip_nonfinite
        text = f"{problem} at epoch {at.epoch}, iters {at.iters}, step {at.total_iters}"
        if self.runner.guard.total <= allowed:
            self.say(f"warning: {text}; the update was left out, "
                     f"{self.runner.guard.total} of {allowed}")  # fmt: skip
            return
        self.save([])
        self.keeper.finish()
        raise UserError(
            f"{text}; the update was left out, so the weights are good: {self.keeper.last_good}; "
            "go on with --continue_train and a lower --lr, or with --skip_nonfinite 10"
        )

    def show_losses(self) -> None:
        at, rates, losses = self.progress, self.watch.read(), self.runner.losses()
        at_rate = self.learning_rate()
        self.visualizer.show_losses(
            Record(at.epoch, at.iters, at.total_iters, at_rate, rates.time, rates.data, losses)
        )
        self.check_numbers()
        if (advice := self.watch.advice()) is not None:
            self.say(f"note: {advice}")

    def show_pictures(self) -> None:
        if self.visualizer.views:
            with self.watch.pause():
                self.visualizer.show_pictures(self.runner.preview(self.fixed))

    def update_page(self) -> None:
        with self.watch.pause():
            samples, pairs = self.runner.preview(self.fixed), self.model.translations()
            if self.progress.total_iters < FIRST_JUDGEMENT:
                pairs = {}
            self.visualizer.update_page(self.progress.epoch, samples, pairs)

    def save_latest(self) -> None:
        at = self.progress
        kept = self.opt.save_by_iter and at.passed(self.opt.save_latest_freq)  # not by the clock
        self.say(f"saving the latest model (epoch {at.epoch}, total_iters {at.total_iters})")
        self.save(["latest", *([f"iter_{at.total_iters}"] if kept else [])])

    def end_epoch(self) -> None:
        epoch, last, iters = self.progress.epoch, self.plan.last, self.progress.total_iters
        self.update_page()
        self.progress.end_epoch()
        if epoch % self.opt.save_epoch_freq == 0 or epoch == last:
            self.say(f"saving the model at the end of epoch {epoch}, iters {iters}")
            self.save(["latest", str(epoch)])
        seconds = time.monotonic() - self.epoch_started
        self.say(f"End of epoch {epoch} / {last} \t Time Taken: {seconds:.0f} sec")
        self.say(f"learning rate = {self.learning_rate():.7f}")

    def save(self, suffixes: list[str]) -> None:
        """Keep the whole state, and the networks under these names too."""
        with self.watch.pause():
            others = self.world.gather(self.own_state())[1:]
            if self.world.first:
                self.keeper.save({**self.state(), "others": others}, suffixes)
        if problem := self.keeper.problem():
            self.say(f"warning: {problem}")

    def state(self) -> dict:
        """Everything that the rest of the run depends on."""
        return {
            "options": public(self.opt), "progress": asdict(self.progress),
            "model": self.model.state_dict(), "random": random_state(),
            "logs": self.visualizer.log_sizes(), "job": job(),
        }  # fmt: skip

    def own_state(self) -> dict:
        """What is not the same in all processes."""
        if self.world.first:
            return {}
        return snapshot({"pools": self.model.state_dict()["pools"], "random": random_state()})

    def tell_of_broken_pictures(self) -> None:
        everywhere = chain.from_iterable(self.world.gather(list(self.dataset.broken)))
        broken = sorted(map(printable, set(everywhere)))
        if broken:
            names = ", ".join(broken[:10]) + (", …" if len(broken) > 10 else "")
            self.say(f"files that could not be read and were left out: {len(broken)} ({names})")

    def leave(self) -> None:
        """Save, say how to go on, and end as the signal asks."""
        at = self.progress
        self.save(["latest"])
        self.keeper.finish()
        self.say(f"stopped by {self.stop.received} at epoch {at.epoch}, iters {at.iters}; "
                 f"go on with: {how_to_go_on(self.opt)}")  # fmt: skip
        sys.exit(self.stop.exit_code)

    def say(self, text: str) -> None:
        self.visualizer.say(text)
