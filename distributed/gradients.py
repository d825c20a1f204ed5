"""The gradients of all processes become one: once for every step of an optimizer."""

import torch
import torch.distributed as dist
from torch import Tensor

BUCKET = 25 * 2**20  # bytes that go over the network together


class _Bucket:
    """Some weights, whose gradients travel together."""

    def __init__(self, weights: list[Tensor]):
        self.weights = weights
        self.missing = 0  # gradients that `backward` will still add to
        self.sent: tuple | None = None  # the gradients, a copy in one piece, the request

    def send(self) -> None:
        """Ask for the sum over all processes; the answer comes while others are computed."""
        grads = [flat_view(weight.grad) for weight in self.weights if weight.grad is not None]
        if grads:
            together = torch.cat(grads)
            self.sent = grads, together, dist.all_reduce(together, async_op=True)

    def receive(self) -> None:
        """Put the sums where the gradients were."""
        if self.sent:
            grads, together, request = self.sent
            request.wait()
            sizes = [grad.numel() for grad in grads]
            torch._foreach_copy_(grads, list(together.split(sizes)))
            self.sent = None


class Reducer:
    """Sums the gradients of ``optimizer`` over all processes before each of its steps.

    Each process weights its losses by its share in the images of the step, so that the sum is the
    gradient of the mean over all of them. Gradients are float32, and travel as such.

    A weight gets its gradient in several parts, one for each loss. How many, and in which order
    the buckets are complete, is learned in the first step; from then on a bucket is sent as soon
    as it is complete, while `backward` goes on (with ``overlap``), in an order that is the same
    everywhere. What travels together never changes: sums depend on it in their last bits.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, overlap: bool = True, size: int = BUCKET):
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        self.buckets = [_Bucket(some) for some in _in_pieces(weights[::-1], size)]
        self.home = {weight: bucket for bucket in self.buckets for weight in bucket.weights}
        self.overlap = overlap
        self.parts = dict.fromkeys(weights, 0)  # of each gradient, so far in this step
        self.expected: dict[Tensor, int] | None = None
        self.order: list[_Bucket] = []  # those that were complete last, last
        self.next = 0  # which one of the order is to be sent
        for weight in weights:
            weight.register_post_accumulate_grad_hook(self._count)
        optimizer.register_step_pre_hook(lambda *_: self._finish())

    def _count(self, weight: Tensor) -> None:
        self.parts[weight] += 1
        bucket = self.home[weight]
        if self.expected is None:
            self.order = [other for other in self.order if other is not bucket] + [bucket]
        elif self.parts[weight] == self.expected[weight]:
            bucket.missing -= 1
            self._send_complete()
        elif self.parts[weight] > self.expected[weight]:
            raise RuntimeError("a gradient changed after it was sent to the other processes")

    def _send_complete(self) -> None:
        while self.overlap and self.next < len(self.order) and not self.order[self.next].missing:
            self._send_next()

    def _send_next(self) -> None:
        self.order[self.next].send()
        self.next += 1

    def _finish(self) -> None:
        if self.expected is None:
            self.expected = dict(self.parts)
            self.order = self._first_ones_order()
        while self.next < len(self.order):
            self._send_next()
        for bucket in self.order:
            bucket.receive()
            bucket.missing = sum(self.expected[weight] > 0 for weight in bucket.weights)
        self.parts = dict.fromkeys(self.parts, 0)
        self.next = 0

    def _first_ones_order(self) -> list[_Bucket]:
        """The order that the first process has seen."""
        numbers = [[self.buckets.index(bucket) for bucket in self.order]]
        dist.broadcast_object_list(numbers, src=0)
        return [self.buckets[number] for number in numbers[0]]


def _in_pieces(weights: list[Tensor], size: int) -> list[list[Tensor]]:
    """Consecutive weights, about ``size`` bytes of them together."""
    pieces: list[list[Tensor]] = [[]]
    filled = 0
    for weight in weights:
        if pieces[-1] and filled + weight.nbytes > size:
            pieces.append([])
            filled = 0
        pieces[-1].append(weight)
        filled += weight.nbytes
    return pieces


def flat_view(tensor: Tensor) -> Tensor:
    """The numbers of a dense ``tensor`` as they lie in the memory, in all processes alike.

    They are shared, not copied.
    """
    return tensor.as_strided((tensor.numel(),), (1,))
