"""Losses and images for TensorBoard."""

from reporting.history import Evaluation, Record
from reporting.logger import Logger, RunContext, Visuals
from util.flags import switch
from util.images import to_uint8


class TensorBoardLogger(Logger):
    """Write event files to ``tensorboard/`` in the folder of the run."""

    flags = {"tensorboard": switch("log to TensorBoard, in the folder of the run")}
    packages = ("tensorboard",)

    def __init__(self, run: RunContext):
        from torch.utils.tensorboard import SummaryWriter

        # A resumed run discards the points after the state it continues from.
        folder = str(run.folder / "tensorboard")
        self.writer = SummaryWriter(folder, purge_step=run.total_iters + 1)
        self.step = run.total_iters

    def scalars(self, record: Record) -> None:
        """Add a point to each curve."""
        self.step = record.total_iters
        for name, value in record.curves().items():
            self.writer.add_scalar(name, value, self.step)

    def evaluation(self, evaluation: Evaluation) -> None:
        """Add a point to the curve of each metric."""
        for name, value in evaluation.metrics.items():
            self.writer.add_scalar(f"metric/{name}", value, evaluation.total_iters)

    def images(self, samples: list[Visuals]) -> None:
        """Add each image of the first sample under its label."""
        for label, batch in samples[0].items():
            self.writer.add_image(label, to_uint8(batch[0]), self.step)

    def close(self) -> None:
        """Write all pending events."""
        self.writer.close()
