"""A history of generated images for the discriminators (Shrivastava et al., 2017, section 2.3)."""

import random

import torch
from torch import Tensor

SWAP_PROBABILITY = 0.5


class ImagePool:
    """A buffer of up to ``size`` past fakes; `query` mixes them with the newest ones.

    While the pool is not full, every new image is stored and returned. Then, with probability ½,
    a new image replaces a random stored one, which is returned; otherwise the new image is returned
    and not stored. Size 0 returns all images unchanged.

    `plan` draws the random decisions on the host; `query` applies them with tensor operations that
    do not depend on the decisions, so that it can be part of a captured CUDA graph.
    """

    def __init__(self, size: int, seed: str = ""):
        self.size = size
        self.count = 0  # images stored
        self.random = random.Random(seed)
        # (size + 1, C, H, W), the last row is scratch; a list of (C, H, W) if shapes differ
        self.stored: Tensor | list[Tensor] | None = None
        self.plans: dict[int, Tensor] = {}  # batch size N → plan (4, N), see `plan`

    def plan(self, n: int, device: torch.device | str = "cpu") -> None:
        """Decide what happens to the next ``n`` images, one after the other.

        The plan has a column for each image and four rows: the row of the store it uses; whether
        the returned image comes from the store (1) or from the batch (0); the index within the
        batch of the image to return in the latter case; the index of the image to write there.
        """
        if self.size == 0:
            return

        rows: list[int] = []
        from_store: list[int] = []
        sources: list[int] = []
        written: dict[int, int] = {}  # row of the store → image of this batch written there
        for i in range(n):
            row, is_swap = self._draw_row()
            rows.append(row)
            from_store.append(int(is_swap and row not in written))
            sources.append(written.get(row, i) if is_swap else i)
            written[row] = i

        self._set_plan([rows, from_store, sources, [written[row] for row in rows]], device)

    def plan_passthrough(self, n: int, device: torch.device | str = "cpu") -> None:
        """Return the next ``n`` images unchanged; store none and draw no random numbers."""
        if self.size > 0:
            own = list(range(n))
            self._set_plan([[self.size] * n, [0] * n, own, own], device)

    def _set_plan(self, plan: list[list[int]], device: torch.device | str) -> None:
        columns = torch.tensor(plan)
        n = columns.shape[1]
        if n not in self.plans:
            self.plans[n] = columns.to(device)
        # In place: a captured graph reads the plan at a fixed address.
        self.plans[n].copy_(columns, non_blocking=True)

    def query(self, fakes: Tensor) -> Tensor:
        """Return the images for the discriminator in place of ``fakes`` (N, C, H, W)."""
        if self.size == 0:
            return fakes
        if self.stored is None:
            self.stored = fakes.new_zeros(self.size + 1, *fakes.shape[1:])
        if isinstance(self.stored, list) or self.stored.shape[1:] != fakes.shape[1:]:
            return self._query_list(fakes)

        row, from_store, source, write = self.plans[len(fakes)]
        is_old = from_store.bool().view(-1, 1, 1, 1)
        returned = torch.where(is_old, self.stored[row], fakes[source])
        # A stored NaN would be returned again for thousands of steps.
        self.stored.index_copy_(0, row, fakes[write].nan_to_num(0.0, 1.0, -1.0))
        return returned

    def _query_list(self, fakes: Tensor) -> Tensor:
        """`query` for images of several shapes, stored as a list.

        In a batch of several images, those whose stored counterpart has another shape are returned
        themselves.
        """
        assert self.stored is not None
        stored = list(self.stored)
        returned = []
        for i, (row, from_store, source, write) in enumerate(self.plans[len(fakes)].T.tolist()):
            image = stored[row] if from_store else fakes[source]
            fits = len(fakes) == 1 or image.shape == fakes[i].shape
            returned.append(image if fits else fakes[i])
            stored[row] = fakes[write].nan_to_num(0.0, 1.0, -1.0)

        self.stored = stored
        return torch.stack(returned)

    def state_dict(self) -> dict:
        """Return the stored images and the state of the random number generator."""
        stored = None if self.stored is None else self.stored[: self.count]
        if isinstance(stored, Tensor):
            stored = stored.clone()
        return {"count": self.count, "stored": stored, "random": self.random.getstate()}

    def load_state_dict(self, state: dict, device: torch.device | str = "cpu") -> None:
        """Restore what `state_dict` returned. A smaller pool keeps as many images as fit."""
        self.random.setstate(_as_tuples(state["random"]))
        self.count = min(state["count"], self.size)
        self.stored = None

        stored = state["stored"]
        if isinstance(stored, list):
            images = [image.to(device) for image in stored[: self.count]]
            self.stored = images + [torch.empty(0)] * (self.size + 1 - self.count)
        elif stored is not None and self.size > 0:
            images = stored[: self.count].to(device)
            self.stored = images.new_zeros(self.size + 1, *images.shape[1:])
            self.stored[: self.count] = images

    def _draw_row(self) -> tuple[int, bool]:
        """Draw the row for the next image, and whether it replaces a stored one."""
        if self.count < self.size:
            self.count += 1
            return self.count - 1, False
        if self.random.random() < SWAP_PROBABILITY:
            return self.random.randrange(self.size), True
        return self.size, False


def _as_tuples(state):
    """The state of `random.Random`, which files may return with lists for tuples."""
    return tuple(map(_as_tuples, state)) if isinstance(state, (list, tuple)) else state
