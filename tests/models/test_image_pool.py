"""The pool of past fakes, against a plain list that does what the paper says."""

from __future__ import annotations

import math
import random
from collections import Counter

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.image_pool import ImagePool


class ListPool:
    """The same in plain words: one image after the other, a list, one random stream."""

    def __init__(self, size: int, seed: str):
        self.size, self.stored, self.random = size, [], random.Random(seed)

    def query(self, images: list[float]) -> list[float]:
        return [self.one(image) for image in images]

    def one(self, new: float) -> float:
        if self.size == 0:
            return new
        if len(self.stored) < self.size:
            self.stored.append(new)
            return new
        if self.random.random() < 0.5:
            place = self.random.randrange(self.size)
            old, self.stored[place] = self.stored[place], new
            return old
        return new


def as_batch(numbers: list[int]) -> Tensor:
    """Images that are known by their only value."""
    return torch.tensor(numbers, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 2, 3, 4)


def ask(pool: ImagePool, numbers: list[int]) -> list[float]:
    pool.plan(len(numbers))
    returned = pool.query(as_batch(numbers))
    assert returned.shape == (len(numbers), 2, 3, 4)
    assert torch.equal(returned, returned[:, :1, :1, :1].expand_as(returned))
    return returned[:, 0, 0, 0].tolist()


def numbered(sizes: list[int]) -> list[list[int]]:
    """ImageLoader of these sizes of images 1, 2, 3, …"""
    counter = iter(range(1, sum(sizes) + 1))
    return [[next(counter) for _ in range(n)] for n in sizes]


@given(st.integers(0, 6), st.lists(st.integers(1, 9), max_size=30), st.integers(0, 1000))
def test_does_what_the_list_does(size, sizes, seed):
    """Small pools and large batches: several images of a batch hit the same place."""
    pool, plain = ImagePool(size, str(seed)), ListPool(size, str(seed))
    for batch in numbered(sizes):
        assert ask(pool, batch) == plain.query(batch)


@given(st.integers(1, 6), st.lists(st.integers(1, 9), max_size=20), st.integers(0, 1000))
def test_batches_after_one_of_another_size_do_the_same(size, sizes, seed):
    """A run that goes on with another --crop_size: old images find no place in a batch."""
    pool, plain = ImagePool(size, str(seed)), ListPool(size, str(seed))
    pool.plan(1)
    pool.query(torch.zeros(1, 2, 5, 5))
    plain.query([0])
    for batch in numbered(sizes):
        expected = plain.query(batch)
        if len(batch) > 1:  # the old one goes, unseen
            expected = [found or new for found, new in zip(expected, batch, strict=True)]
            assert ask(pool, batch) == expected
        else:
            pool.plan(1)
            returned = pool.query(as_batch(batch))
            assert returned.shape[2:] == ((3, 4) if expected[0] else (5, 5))
            assert returned[0, 0, 0, 0] == expected[0]


@given(st.integers(1, 5), st.integers(0, 20), st.integers(1, 6), st.integers(0, 99))
def test_goes_on_exactly_from_its_state(size, before, n, seed):
    pool = ImagePool(size, str(seed))
    for batch in numbered([n] * before):
        ask(pool, batch)
    other = ImagePool(size, "another stream")
    other.load_state_dict(pool.state_dict())
    for batch in numbered([n] * 12):
        assert ask(pool, batch) == ask(other, batch)


def test_the_state_is_a_copy():
    pool, plain = ImagePool(2, "x"), ListPool(2, "x")
    for batch in numbered([1] * 5):
        assert ask(pool, batch) == plain.query(batch)
    state = pool.state_dict()
    for batch in numbered([1] * 50):
        ask(pool, batch)
    pool.load_state_dict(state)
    for batch in numbered([1] * 50):
        assert ask(pool, batch) == plain.query(batch)


def test_a_state_survives_torch_save(tmp_path):
    pool = ImagePool(3, "x")
    for batch in numbered([2] * 5):
        ask(pool, batch)
    torch.save(pool.state_dict(), tmp_path / "pool.pt")
    other = ImagePool(3)
    other.load_state_dict(torch.load(tmp_path / "pool.pt", weights_only=True))
    assert [ask(pool, [i]) for i in range(20)] == [ask(other, [i]) for i in range(20)]


def test_size_0_returns_the_images_themselves():
    pool, fakes = ImagePool(0), torch.randn(3, 1, 2, 2)
    pool.plan(3)
    assert pool.query(fakes) is fakes


def test_stored_images_do_not_change_with_their_source():
    pool, first = ImagePool(1, "x"), torch.zeros(1, 1, 1, 1)
    pool.plan(1)
    pool.query(first)
    first.fill_(7)
    old = [ask_one(pool, 5.0) for _ in range(40)]
    assert old.count(0.0) == 1
    assert 7.0 not in old


def ask_one(pool: ImagePool, value: float) -> float:
    pool.plan(1)
    return pool.query(torch.full((1, 1, 1, 1), value)).item()


def test_half_of_the_images_come_from_the_pool_once_it_is_full():
    size, n = 50, 4000
    pool = ImagePool(size, "statistics")
    returned = [value for batch in numbered([10] * (n // 10)) for value in ask(pool, batch)]
    assert returned[:size] == list(range(1, size + 1))
    new = sum(value == i for i, value in enumerate(returned, 1) if i > size)
    total = n - size
    assert abs(new - total / 2) < 5 * math.sqrt(total) / 2


def test_places_are_hit_equally_often():
    """What was stored in place k after filling, comes out with equal chances for all k."""
    size, runs = 5, 2000
    first_out = Counter()
    for seed in range(runs):
        pool = ImagePool(size, str(seed))
        ask(pool, list(range(size)))
        first_out[next(old for i in range(10, 90) if (old := ask(pool, [i])[0]) != i)] += 1
    assert set(first_out) == set(range(size))
    for count in first_out.values():
        assert abs(count - runs / size) < 5 * math.sqrt(runs * 0.2 * 0.8)


def test_images_stay_where_the_fakes_are():
    pool = ImagePool(2)
    pool.plan(1)
    assert pool.query(torch.zeros(1, 3, 4, 4, dtype=torch.float64)).dtype == torch.float64


def test_images_that_pass_leave_no_trace():
    one, other = ImagePool(2, "seed"), ImagePool(2, "seed")
    for i in range(12):
        one.plan_passthrough(3)
        assert one.query(as_batch([90, 91, 92]))[:, 0, 0, 0].tolist() == [90, 91, 92]
        assert ask(one, [i, i + 50]) == ask(other, [i, i + 50])
    assert one.count == other.count == 2
    assert torch.equal(one.stored[:2], other.stored[:2])
