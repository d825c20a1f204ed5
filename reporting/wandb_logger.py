"""Losses and images for Weights & Biases."""

from reporting.history import Evaluation, Record
from reporting.logger import Logger, RunContext, Visuals
from util.files import write_text
from util.flags import switch
from util.images import to_pil, to_uint8

ID_FILE = "wandb_id.txt"


class WandbLogger(Logger):
    """Send to Weights & Biases, or write to the folder of the run with WANDB_MODE=offline.

    The W&B run whose ID is in the folder is resumed; without one a new W&B run is started.
    """

    flags = {"use_wandb": switch("log to Weights & Biases")}
    packages = ("wandb",)
    state_files = (ID_FILE,)

    def __init__(self, run: RunContext):
        import wandb

        self.wandb = wandb
        id_file = run.folder / ID_FILE
        self.run = wandb.init(
            project="cyclegan",
            name=run.opt.name,
            config=run.options,
            dir=str(run.folder),
            id=id_file.read_text("utf-8") if id_file.is_file() else None,
            resume="allow",
        )
        write_text(id_file, self.run.id)
        self.step = run.total_iters

    def scalars(self, record: Record) -> None:
        """Add a point to each curve."""
        self.step = record.total_iters
        self.run.log(record.curves(), step=self.step)

    def evaluation(self, evaluation: Evaluation) -> None:
        """Add a point to the curve of each metric."""
        self.step = max(self.step, evaluation.total_iters)
        metrics = {f"metric/{name}": value for name, value in evaluation.metrics.items()}
        self.run.log(metrics, step=self.step)

    def images(self, samples: list[Visuals]) -> None:
        """Add each image of the first sample under its label."""
        images = {
            label: self.wandb.Image(to_pil(to_uint8(batch[0])))
            for label, batch in samples[0].items()
        }
        self.run.log(images, step=self.step)

    def close(self) -> None:
        """Wait until everything is sent."""
        self.run.finish()
