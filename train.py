"""Train a model on two folders of pictures.

    python train.py --dataroot ./datasets/selfie2anime --name selfie2anime --model cycle_gan

`--help` lists every option. While it runs, look at checkpoints/<name>/web/index.html.
"""

import time
from argparse import Namespace

from data import create_dataset, create_samples
from models import create_model
from models.schedules import LR_POLICIES, Plan
from options import TrainOptions
from options.base_options import describe, public
from options.rules import check_pictures
from util.checkpoint import save_options
from util.device import prepare_process
from util.errors import polite_errors
from util.history import Record
from util.memory import report, told_when_full
from util.progress import Progress
from util.runner import Runner
from util.stopwatch import Stopwatch
from util.visualizer import Visualizer

FIXED_PICTURES = 4  # shown again and again, so that epochs can be compared


def train(opt: Namespace) -> None:
    """The story of a run: for every epoch, for every batch, one step; and now and then a look."""
    prepare_process()
    run = Run(opt)
    with told_when_full(opt), run.visualizer:
        for epoch in range(opt.epoch_count, run.plan.last + 1):
            run.start_epoch(epoch)
            for batch in run.batches():
                run.step(batch)
                if run.progress.passed(opt.print_freq):
                    run.show_losses()
                if run.progress.passed(opt.display_freq):
                    run.show_pictures()
                if run.progress.passed(opt.update_html_freq):
                    run.update_page()
                if run.progress.passed(opt.save_latest_freq):
                    run.save_latest()
            run.end_epoch()
    if opt.report_memory:
        print(report(run.model, run.runner.device))


class Run:
    """What a run is made of; its methods are the sentences of the story above."""

    def __init__(self, opt: Namespace):
        self.opt = opt
        self.dataset = create_dataset(opt)
        check_pictures(opt, self.dataset.sides())
        self.fixed = list(create_samples(opt, FIXED_PICTURES))
        print(describe(opt))
        print(f"The number of training images = {len(self.dataset)}")
        if self.dataset.cached_bytes:
            print(f"keeping scaled pictures in memory: {self.dataset.cached_bytes / 1e6:.0f} MB")
        self.model = create_model(opt).setup(opt)
        self.runner = Runner(self.model, opt)
        self.plan = Plan(opt.n_epochs, opt.n_epochs_decay, opt.lr_decay_iters)
        self.progress = Progress(total_iters=(opt.epoch_count - 1) * len(self.dataset))
        self.watch = Stopwatch(self.runner.synchronize)
        save_options(self.model.folder, public(opt), describe(opt))
        self.visualizer = Visualizer(
            opt, public(opt),
            pictures=self.plan.last * len(self.dataset), done=self.progress.total_iters,
        )  # fmt: skip

    def learning_rate(self, epoch: int) -> float:
        """The rate at which ``epoch`` runs."""
        return self.opt.lr * LR_POLICIES[self.opt.lr_policy](epoch, self.plan)

    def start_epoch(self, epoch: int) -> None:
        self.epoch_started = time.monotonic()
        self.model.set_learning_rate(self.learning_rate(epoch))
        self.dataset.set_epoch(epoch)
        self.progress.start_epoch(epoch)

    def batches(self):
        """The batches of the epoch; the time spent waiting for them is noted."""
        return self.watch.waits(self.dataset)

    def step(self, batch: dict) -> None:
        self.runner.step(batch)
        pictures = len(batch["A"])
        self.progress.add(pictures)
        self.watch.add(pictures)
        self.visualizer.advance(pictures)

    def show_losses(self) -> None:
        at, rates, losses = self.progress, self.watch.read(), self.model.get_current_losses()
        rate = self.learning_rate(at.epoch)
        self.visualizer.show_losses(
            Record(at.epoch, at.iters, at.total_iters, rate, rates.time, rates.data, losses)
        )
        if (advice := self.watch.advice()) is not None:
            self.say(f"note: {advice}")

    def show_pictures(self) -> None:
        with self.watch.pause():
            self.visualizer.show_pictures(self.runner.preview(self.fixed))

    def update_page(self) -> None:
        with self.watch.pause():
            self.visualizer.update_page(self.progress.epoch, self.runner.preview(self.fixed))

    def save_latest(self) -> None:
        at = self.progress
        self.say(f"saving the latest model (epoch {at.epoch}, total_iters {at.total_iters})")
        with self.watch.pause():
            self.model.save_networks("latest")
            if self.opt.save_by_iter:
                self.model.save_networks(f"iter_{at.total_iters}")

    def end_epoch(self) -> None:
        epoch, last = self.progress.epoch, self.plan.last
        self.update_page()
        if epoch % self.opt.save_epoch_freq == 0 or epoch == last:
            iters = self.progress.total_iters
            self.say(f"saving the model at the end of epoch {epoch}, iters {iters}")
            with self.watch.pause():
                self.model.save_networks("latest")
                self.model.save_networks(epoch)
        seconds = time.monotonic() - self.epoch_started
        self.say(f"End of epoch {epoch} / {last} \t Time Taken: {seconds:.0f} sec")
        self.say(f"learning rate = {self.learning_rate(epoch + 1):.7f}")

    def say(self, text: str) -> None:
        self.visualizer.say(text)


if __name__ == "__main__":
    with polite_errors():
        train(TrainOptions().parse())
