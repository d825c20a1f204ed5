"""The same records for TensorBoard and Weights & Biases, where these are installed."""

from pathlib import Path

from torch import Tensor

from reporting.history import Record
from util.files import write_text
from util.images import to_pil, to_uint8

WANDB_ID = "wandb_id.txt"  # in the folder of a run: under which id W&B has it


class TensorBoardLogger:
    """Writes to ``tensorboard/`` in the folder of the run."""

    def __init__(self, folder: Path, total_iters: int):
        from torch.utils.tensorboard import SummaryWriter

        # What a run did after the point at which it goes on did not happen.
        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=total_iters + 1)
        self.at = total_iters

    def scalars(self, record: Record) -> None:
        """A point for every curve."""
        self.at = record.total_iters
        for name, value in record.losses.items():
            self.writer.add_scalar(f"loss/{name}", value, self.at)
        self.writer.add_scalar("learning rate", record.learning_rate, self.at)
        self.writer.add_scalar("seconds an image", record.time, self.at)

    def images(self, visuals: dict[str, Tensor]) -> None:
        """The first image of each label, (N, C, H, W) in [-1, 1]."""
        for label, batch in visuals.items():
            self.writer.add_image(label, to_uint8(batch[0]), self.at)

    def close(self) -> None:
        """Everything is on the disk afterwards."""
        self.writer.close()


class WandbLogger:
    """Sends to Weights & Biases, or keeps it in the folder of the run with WANDB_MODE=offline.

    A run whose folder knows its id goes on there; any other gets a new one.
    """

    def __init__(self, folder: Path, options: dict):
        import wandb

        self.wandb, kept = wandb, folder / WANDB_ID
        self.run = wandb.init(
            project="cyclegan", name=options["name"], config=options, dir=str(folder),
            id=kept.read_text("utf-8") if kept.is_file() else None, resume="allow",
        )  # fmt: skip
        write_text(kept, self.run.id)
        self.at = 0

    def scalars(self, record: Record) -> None:
        """A point for every curve."""
        self.at = record.total_iters
        rates = {"learning rate": record.learning_rate, "seconds an image": record.time}
        losses = {f"loss/{name}": value for name, value in record.losses.items()}
        self.run.log({**losses, **rates}, step=self.at)

    def images(self, visuals: dict[str, Tensor]) -> None:
        """The first image of each label, (N, C, H, W) in [-1, 1]."""
        images = {
            label: self.wandb.Image(to_pil(to_uint8(batch[0]))) for label, batch in visuals.items()
        }
        self.run.log(images, step=self.at)

    def close(self) -> None:
        """Wait until all has been sent."""
        self.run.finish()
