"""A memory of past fakes for the discriminators (Shrivastava et al., 2017, 2.3)."""

import random

import torch
from torch import Tensor


class ImagePool:
    """Up to ``size`` past fakes; `query` mixes them with the newest ones.

    While the pool is not full every new image is stored and returned. Then, with probability ½,
    it takes the place of a random stored one, which is returned; otherwise it is returned itself
    and forgotten. Size 0 returns every image as it is.

    *What* happens is draw_image by `get_params` on the host; `query` only applies it, with the same few tensor
    operations whatever was draw_image. So it can be replayed as part of a captured CUDA graph.
    """

    def __init__(self, size: int, seed: str = ""):
        self.size = size
        self.count = 0  # how many images are stored
        self.random = random.Random(seed)
        # (size + 1, C, H, W), the last row is a waste bin; where sizes differ a list of (C, H, W)
        self.stored: Tensor | list[Tensor] | None = None
        self.plans: dict[int, Tensor] = {}  # by N: (4, N), see plan

    def plan(self, n: int, device: torch.device | str = "cpu") -> None:
        """Decide what happens to the next ``n`` images, one after the other.

        The plan has four rows, a column per image: the row of the store concerned; whether the
        image returned comes from there (1) or from the batch (0); which image of the batch
        that is, or would be; which one is written into that row.
        """
        if self.size == 0:
            return
        row, old, source = [], [], []
        written: dict[int, int] = {}  # row of the store → image of this batch that went there
        for i in range(n):
            slot, is_swap = self._slot()
            row.append(slot)
            old.append(is_swap and slot not in written)
            source.append(written.get(slot, i) if is_swap else i)
            written[slot] = i
        self._follow([row, old, source, [written[slot] for slot in row]], device)

    def plan_passthrough(self, n: int, device: torch.device | str = "cpu") -> None:
        """The next ``n`` images are returned, none is stored, no random number is draw_image."""
        if self.size > 0:
            own = list(range(n))
            self._follow([[self.size] * n, [0] * n, own, own], device)

    def _follow(self, plan: list[list[int]], device: torch.device | str) -> None:
        rows = torch.tensor(plan)
        n = rows.shape[1]
        if n not in self.plans:
            self.plans[n] = rows.to(device)
        # In place: a captured graph reads the plan at a fixed address.
        self.plans[n].copy_(rows, non_blocking=True)

    def query(self, fakes: Tensor) -> Tensor:
        """The discriminator's fakes for the newest ones (N, C, H, W), as `get_params` decided."""
        if self.size == 0:
            return fakes
        if self.stored is None:
            self.stored = fakes.new_zeros(self.size + 1, *fakes.shape[1:])
        if isinstance(self.stored, list) or self.stored.shape[1:] != fakes.shape[1:]:
            return self._query_list(fakes)
        row, old, source, write = self.plans[len(fakes)]
        returned = torch.where(old.bool().view(-1, 1, 1, 1), self.stored[row], fakes[source])
        # Numbers that went bad would come back for thousands of steps.
        self.stored.index_copy_(0, row, fakes[write].nan_to_num(0.0, 1.0, -1.0))
        return returned

    def _query_list(self, fakes: Tensor) -> Tensor:
        """`query` where not all stored images have one size: a list instead.

        Of several new images those are returned themselves whose place holds another size.
        """
        self.stored = list(self.stored) if isinstance(self.stored, Tensor) else self.stored
        returned = []
        for i, (row, old, source, write) in enumerate(self.plans[len(fakes)].T.tolist()):
            stored = self.stored[row] if old else fakes[source]
            fits = len(fakes) == 1 or stored.shape == fakes[i].shape
            returned.append(stored if fits else fakes[i])
            self.stored[row] = fakes[write].nan_to_num(0.0, 1.0, -1.0)
        return torch.stack(returned)

    def state_dict(self) -> dict:
        """What `load_state_dict` needs to go on exactly here."""
        kept = None if self.stored is None else self.stored[: self.count]
        if isinstance(kept, Tensor):
            kept = kept.clone()
        return {"count": self.count, "stored": kept, "random": self.random.getstate()}

    def load_state_dict(self, state: dict, device: torch.device | str = "cpu") -> None:
        """Go on where the pool that gave ``state`` was. A smaller one keeps what finds a place."""
        self.random.setstate(_as_tuples(state["random"]))
        self.count, self.stored = min(state["count"], self.size), None
        if isinstance(state["stored"], list):
            kept = [image.to(device) for image in state["stored"][: self.count]]
            self.stored = kept + [torch.empty(0)] * (self.size + 1 - self.count)
        elif state["stored"] is not None and self.size > 0:
            kept = state["stored"][: self.count].to(device)
            self.stored = kept.new_zeros(self.size + 1, *kept.shape[1:])
            self.stored[: self.count] = kept

    def _slot(self) -> tuple[int, bool]:
        """Where the next image goes, and whether it pushes out the one that is there."""
        if self.count < self.size:
            self.count += 1
            return self.count - 1, False
        if self.random.random() < 0.5:
            return self.random.randrange(self.size), True
        return self.size, False


def _as_tuples(state):
    """The state of `random.Random`, which files may give back as lists."""
    return tuple(map(_as_tuples, state)) if isinstance(state, (list, tuple)) else state
