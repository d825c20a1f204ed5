"""The parts of a training run: `Trainer`, whose loop is in ``train.py``."""

import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, replace
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
from models.schedules import EpochPlan, learning_rate_factor
from options.base_options import format_options, user_options
from options.rules import check_image_sizes
from reporting.history import Evaluation, Record
from reporting.visualizer import NullVisualizer, Visualizer
from training.evaluator import (
    Evaluator,
    best_epochs,
    evaluations_since_best,
    has_metric,
    mean_metric,
    score,
    watched_metric,
)
from training.step_timer import StepTimer
from util.errors import UserError, printable
from util.files import remove_leftovers
from util.progress import Length
from util.signals import EXIT_CODES, SIGNALS, StopRequest

MIN_ITERS_FOR_DIAGNOSTICS = 1000  # images; before this, every run looks like a failure
RANK_SEED_STRIDE = 1_000_003  # between the seeds of two ranks
NUM_SAMPLES = 4  # fixed images, displayed in every epoch so that epochs can be compared
MAX_BROKEN_LISTED = 10  # names of unreadable files in the closing line

NETWORKS_ONLY_NOTE = (
    "note: only the networks are loaded; optimizers, image pools and random states start from "
    "scratch, and --epoch_count sets the first epoch"
)
REPLACED_RUN_NOTE = (
    "note: this starts a new run. The state of the longest earlier run in {folder} is kept as "
    "{old}; to resume that run instead, rename the file to latest_state.pth and run: {command}"
)


def run_lock(opt: Namespace) -> AbstractContextManager:
    """Lock the folder of the run, so that two jobs cannot train into it; for rank 0 only."""
    folder = Path(opt.checkpoints_dir) / opt.name
    return RunLock(folder) if get_world().is_main else nullcontext()


class Trainer:
    """One training run: data, model, executor, saving and reporting.

    Use it as a context manager. Under torchrun every rank has one; rank 0 writes and prints.
    """

    def __init__(self, opt: Namespace):
        self.opt = opt
        self.world = get_world()
        self.folder = Path(opt.checkpoints_dir) / opt.name
        self.plan = EpochPlan(opt.n_epochs, opt.n_epochs_decay, opt.lr_decay_iters, opt.lr_warmup)

        # Where to start
        self.checkpoints = CheckpointManager(self.folder, opt.keep_last, opt.save_minutes)
        state, self.progress = self.checkpoints.resume_state(opt, self.plan.last, self.world)
        saved_evaluations = state.get("evaluations", []) if state else []
        self.evaluations = [Evaluation(**values) for values in saved_evaluations]
        if self._stops_early():
            raise UserError(
                f"run {opt.name} has stopped early; pass --early_stop 0, or a higher number, to "
                "continue"
            )
        self._print_start(state)

        # Data
        self.dataset = create_dataset(opt)
        check_image_sizes(opt, self.dataset.side_lengths())
        self.samples = list(create_samples(opt, NUM_SAMPLES)) if self.world.is_main else []
        print(format_options(opt))
        print(f"The number of training images = {len(self.dataset)}")
        if self.dataset.cached_bytes:
            print(f"keeping scaled images in memory: {self.dataset.cached_bytes / 1e6:.0f} MB")

        # Model: rank 0 reads the files and sends the weights to the others
        seed_everything(opt.seed)
        self.model = create_model(opt).setup(opt, load=state is None and self.world.is_main)
        if not self.world.is_main:
            seed_everything(opt.seed + self.world.rank * RANK_SEED_STRIDE)
        self.executor = StepExecutor(self.model, opt)
        self.evaluator = Evaluator(opt, self.executor) if opt.eval_freq else None

        self.stop = StopRequest(patient=self.world.is_distributed, quiet=not self.world.is_main)
        self.save_is_due = False
        self.stop_signal: str | None = None  # agreed by all ranks; self.stop is local
        self._restore(state)
        self.timer = StepTimer(self.executor.synchronize)
        self.visualizer = self._open_logs(state["logs"] if state else None)
        self.dataset.log = self.log
        if state is None:
            self.save()
            self.checkpoints.finish()  # reports a full disk now, before hours of training

    def _print_start(self, state: dict | None) -> None:
        """Print where the run resumes, and which explicit options differ from before."""
        at = self.progress
        if self.opt.continue_train:
            where = f"epoch {at.epoch}, iteration {at.iters}"
            print(f"resuming {self.opt.name} at {where}, learning rate {self.learning_rate():.7f}")
            if state is None:
                print(NETWORKS_ONLY_NOTE)
        for note in self.opt.notes:
            print(note)

    def _restore(self, state: dict | None) -> None:
        """Restore model and random number generators; derive the image count of older runs."""
        if state is not None:
            self.model.load_state_dict(state["model"])
            if state["random"]:
                set_rng_state(state["random"])
        if self.progress.total_iters == 0:
            self.progress.total_iters = (self.progress.epoch - 1) * len(self.dataset)

    def _open_logs(self, log_sizes: dict[str, int] | None) -> Visualizer | NullVisualizer:
        """Prepare the folder of the run; logs continue after ``log_sizes`` bytes."""
        opt, progress = self.opt, self.progress
        if not self.world.is_main:
            return NullVisualizer()

        remove_leftovers(self.folder)
        if log_sizes is None and (old := self.checkpoints.set_aside_earlier_run()):
            command = resume_command(opt)
            print(REPLACED_RUN_NOTE.format(folder=self.folder, old=old, command=command))
        save_options(self.folder, user_options(opt), format_options(opt))
        return Visualizer(
            opt,
            user_options(opt),
            length=Length(self.plan.last, len(self.dataset)),
            done=progress.total_iters,
            epoch=progress.epoch,
            sizes=log_sizes,
        )

    def __enter__(self) -> "Trainer":
        with ExitStack() as stack:
            stack.enter_context(self.stop)
            stack.enter_context(self.visualizer)
            stack.callback(self.checkpoints.background.wait)
            stack.callback(self.dataset.close)
            if not self.opt.no_html:
                self.update_page()
                self.log(f"look at {self.folder / 'web' / 'index.html'}")
            self.resources = stack.pop_all()
        return self

    def __exit__(self, exception_type: type | None, *details) -> None:
        self.resources.__exit__(exception_type, *details)
        if exception_type is None:
            self.checkpoints.finish()

    # --- epochs, batches, steps ---------------------------------------------------------------

    def learning_rate(self) -> float:
        """Return the learning rate of the generators in the current epoch."""
        return self.opt.lr * self._learning_rate_factor()

    def _learning_rate_factor(self) -> float:
        plan = replace(self.plan, scores=self._scores())
        return learning_rate_factor(self.opt.lr_policy, self.progress.epoch, plan)

    def epochs(self) -> Iterator[int]:
        """Yield the remaining epochs, each with its learning rate set and its data shuffled."""
        while self.progress.epoch <= self.plan.last and not self._stops_early():
            self.epoch_start = time.monotonic()
            self.model.scale_learning_rates(self._learning_rate_factor())
            self.dataset.set_epoch(self.progress.epoch, start=self.progress.iters)
            yield self.progress.epoch

    def batches(self) -> Iterator[dict]:
        """Yield the remaining batches of the epoch, and time the wait for each."""
        return self.timer.time_data(self.dataset)

    def step(self, batch: dict) -> None:
        """Take one training step, count its images, and note requests to stop or save."""
        remaining = len(self.dataset) - self.progress.iters
        images = min(remaining, self.opt.batch_size * self.world.size)
        own_images = split_evenly(images, self.world.size)[self.world.rank]
        self.executor.step(batch, loss_weight=own_images / images)

        self.progress.add(images)
        self.timer.add(images)
        self.visualizer.advance(images)
        if self.executor.check_every_step:
            self.check_finite()

        self._synchronize_requests()

    def _synchronize_requests(self) -> None:
        """Let all ranks stop if one received a signal, and save if rank 0's clock says so."""
        due = self.world.is_main and self.checkpoints.is_due()
        own = [SIGNALS.index(self.stop.received), int(due)]
        signal, any_due = self.world.all_reduce_max(own)
        self.stop_signal = SIGNALS[signal]
        self.save_is_due = bool(any_due)

    def end_epoch(self) -> None:
        """Evaluate, update the page, and save every ``--save_epoch_freq`` epochs."""
        epoch = self.progress.epoch
        last = self.plan.last
        prefixes = []
        if self.evaluator and (epoch % self.opt.eval_freq == 0 or epoch == last):
            with self._save_on_failure():
                prefixes += self.evaluate()
        self.update_page()
        self.progress.end_epoch()  # before saving: a resumed run starts with the next epoch

        if epoch % self.opt.save_epoch_freq == 0 or epoch == last or self._stops_early():
            iters = self.progress.total_iters
            self.log(f"saving the model at the end of epoch {epoch}, iters {iters}")
            prefixes += ["latest", str(epoch)]
        if prefixes:
            self.save(prefixes)

        seconds = time.monotonic() - self.epoch_start
        self.log(f"End of epoch {epoch} / {last} \t Time Taken: {seconds:.0f} sec")
        self.log(f"learning rate = {self.learning_rate():.7f}")  # of the next epoch

    # --- evaluation ---------------------------------------------------------------------------

    @contextmanager
    def _save_on_failure(self) -> Iterator[None]:
        """Save the run before an error, such as a test image that has become unreadable."""
        try:
            yield
        except UserError:
            if self.world.size == 1:  # of several ranks only one may have met the error
                self.save(["latest"])
                self.checkpoints.finish()
            raise

    def evaluate(self) -> list[str]:
        """Measure the translated test images; return ["best"] if these networks are the best."""
        assert self.evaluator is not None
        with self.timer.pause(is_display=False):
            metrics = self.evaluator.measure()
        at = self.progress
        evaluation = Evaluation(at.epoch, at.total_iters, metrics, best={})
        evaluation = replace(evaluation, best=best_epochs([*self.evaluations, evaluation]))
        self.evaluations.append(evaluation)
        self.visualizer.show_evaluation(evaluation)

        since_best = evaluations_since_best(self._scores())
        name = watched_metric(self.opt)
        if self._stops_early():
            self.log(f"stopping early: {name} has not improved for {since_best} evaluations")
        if not self.opt.save_best or since_best:
            return []
        self.log(f"saving the best model so far ({name} {mean_metric(metrics, name):.4f})")
        return ["best"]

    def _scores(self) -> tuple[float, ...]:
        """The watched metric of all evaluations; lower is better."""
        name = watched_metric(self.opt)
        measured = [evaluation.metrics for evaluation in self.evaluations]
        return tuple(score(metrics, name) for metrics in measured if has_metric(metrics, name))

    def _stops_early(self) -> bool:
        """Whether ``--early_stop`` ends the run before its last epoch."""
        limit = self.opt.early_stop
        return limit > 0 and evaluations_since_best(self._scores()) >= limit

    def check_finite(self) -> None:
        """Warn of skipped updates; stop the run if they exceed ``--skip_nonfinite``."""
        problem = self.executor.pop_problem()
        if problem is None:
            return

        at = self.progress
        skipped, allowed = self.executor.guard.total, self.opt.skip_nonfinite
        text = f"{problem} at epoch {at.epoch}, iters {at.iters}, total_iters {at.total_iters}"
        if skipped <= allowed:
            self.log(f"warning: {text}; the update was skipped, {skipped} of {allowed}")
            return

        self.save()
        self.checkpoints.finish()
        raise UserError(
            f"{text}; the update was skipped, so the weights are intact: "
            f"{self.checkpoints.last_good}; resume with --continue_train and a lower --lr, or with "
            "--skip_nonfinite 10"
        )

    # --- reports ------------------------------------------------------------------------------

    def log(self, text: str) -> None:
        """Print a line above the progress bar."""
        self.visualizer.log(text)

    def show_losses(self) -> None:
        """Print, log and plot the losses of the last step."""
        at = self.progress
        times = self.timer.read()
        losses = self.executor.losses()
        rate = self.learning_rate()
        record = Record(at.epoch, at.iters, at.total_iters, rate, times.time, times.data, losses)
        self.visualizer.show_losses(record)

        self.check_finite()
        advice = self.timer.pop_advice()
        if advice is not None:
            self.log(f"note: {advice}")

    def show_images(self) -> None:
        """Send the translations of the fixed images to visdom, TensorBoard or W&B."""
        if self.visualizer.shows_images:
            with self.timer.pause():
                self.visualizer.show_images(self.executor.preview(self.samples))

    def update_page(self) -> None:
        """Translate the fixed images and update the HTML page; warn of common failures."""
        with self.timer.pause():
            samples = self.executor.preview(self.samples)
            enough = self.progress.total_iters >= MIN_ITERS_FOR_DIAGNOSTICS
            pairs = self.model.translations() if enough else {}
            self.visualizer.update_page(self.progress.epoch, samples, pairs)

    def report_broken_images(self) -> None:
        """Log the files that could not be read, on any rank."""
        found = chain.from_iterable(self.world.gather(list(self.dataset.broken)))
        broken = sorted(map(printable, set(found)))
        if broken:
            names = ", ".join(broken[:MAX_BROKEN_LISTED])
            more = ", …" if len(broken) > MAX_BROKEN_LISTED else ""
            self.log(
                f"files that could not be read and were skipped: {len(broken)} ({names}{more})"
            )

    # --- saving -------------------------------------------------------------------------------

    def save_latest(self) -> None:
        """Save the run and its latest networks; with ``--save_by_iter`` numbered ones too."""
        at = self.progress
        self.log(f"saving the latest model (epoch {at.epoch}, total_iters {at.total_iters})")

        prefixes = ["latest"]
        if self.opt.save_by_iter and at.every(self.opt.save_latest_freq):  # not by the clock
            prefixes.append(f"iter_{at.total_iters}")
        self.save(prefixes)

    def save(self, weight_prefixes: Sequence[str] = ()) -> None:
        """Save the state of the run in the background, and its networks under each prefix."""
        with self.timer.pause():
            others = self.world.gather(self._rank_state())[1:]
            if self.world.is_main:
                self.checkpoints.save({**self._state(), "others": others}, list(weight_prefixes))
        problem = self.checkpoints.pop_problem()
        if problem:
            self.log(f"warning: {problem}")

    def save_and_exit(self) -> None:
        """Save, print the command that resumes the run, and exit as the signal demands."""
        at = self.progress
        self.save(["latest"])
        self.checkpoints.finish()
        self.log(
            f"stopped by {self.stop_signal} at epoch {at.epoch}, iters {at.iters}; "
            f"resume with: {resume_command(self.opt)}"
        )
        sys.exit(EXIT_CODES[self.stop_signal] if self.stop_signal else 0)

    def _state(self) -> dict:
        """Everything the rest of the run depends on."""
        return {
            "options": user_options(self.opt),
            "progress": asdict(self.progress),
            "model": self.model.state_dict(),
            "random": get_rng_state(),
            "evaluations": [asdict(evaluation) for evaluation in self.evaluations],
            "logs": self.visualizer.log_sizes(),
            "job": job_id(),
        }

    def _rank_state(self) -> dict:
        """What differs between ranks: image pools and random number generators."""
        if self.world.is_main:
            return {}
        return snapshot({"pools": self.model.state_dict()["pools"], "random": get_rng_state()})
