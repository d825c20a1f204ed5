"""Position in a training run."""

from dataclasses import dataclass


@dataclass
class Progress:
    """Count images: ``iters`` in the current epoch, ``total_iters`` in the run."""

    epoch: int = 1
    iters: int = 0
    total_iters: int = 0
    last_step: int = 0  # images of the last step

    def end_epoch(self) -> None:
        """Start the next epoch."""
        self.epoch += 1
        self.iters = 0

    def add(self, images: int) -> None:
        """Count the images of a step."""
        self.iters += images
        self.total_iters += images
        self.last_step = images

    def every(self, images: int) -> bool:
        """Whether the last step reached or passed a multiple of ``images``."""
        return self.total_iters // images > (self.total_iters - self.last_step) // images


@dataclass(frozen=True)
class Length:
    """Length of a run."""

    epochs: int
    images: int  # per epoch
