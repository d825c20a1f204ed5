"""Where in a run we are."""

from dataclasses import dataclass


@dataclass
class Progress:
    """Counts images: ``iters`` in the epoch, ``total_iters`` in the run."""

    epoch: int = 1
    iters: int = 0
    total_iters: int = 0
    last_step: int = 0  # images in it

    def end_epoch(self) -> None:
        """The next one begins."""
        self.epoch, self.iters = self.epoch + 1, 0

    def add(self, images: int) -> None:
        """A step on so many images has been taken."""
        self.iters += images
        self.total_iters += images
        self.last_step = images

    def passed(self, every: int) -> bool:
        """Whether the last step reached or went beyond a multiple of ``every`` images."""
        return self.total_iters // every > (self.total_iters - self.last_step) // every


@dataclass(frozen=True)
class Length:
    """How long a run is: its epochs, and the images of one."""

    epochs: int
    images: int
