"""Passes over a batch, in both forms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twins import both

from aiotun.batch import bounds, longest, nbytes
from aiotun.driver.tun_mode import all_ip

Measure = Callable[[Sequence[Any]], int]
batches = st.lists(st.binary(max_size=100) | st.binary(max_size=100).map(bytearray))


@both(nbytes)
@given(batch=batches)
def test_nbytes(form: Measure, batch: list[bytes]) -> None:
    """nbytes() is the length of all packets joined."""
    assert form(batch) == form(tuple(batch)) == len(b"".join(batch))


@both(longest)
@given(batch=batches)
def test_longest(form: Measure, batch: list[bytes]) -> None:
    """longest() is the length of the longest packet, 0 where there is none."""
    assert form(batch) == form(tuple(batch)) == max([0, *map(len, batch)])


@both(nbytes)
def test_nbytes_of_no_batch(form: Measure) -> None:
    """What is no sequence is a TypeError."""
    with pytest.raises(TypeError):
        form(5)  # type: ignore[arg-type]


@both(longest)
def test_longest_of_no_packets(form: Measure) -> None:
    """What has no length is a TypeError that says so."""
    with pytest.raises(TypeError, match="has no len"):
        form([b"1", 5, b"2"])


@pytest.mark.parametrize("form", [*both(nbytes).args[1], *both(longest).args[1]])
def test_a_batch_that_shrinks_under_the_count(form: Measure) -> None:
    """A packet whose length empties the batch it is in ends the count, without harm."""

    class Vanishing:
        def __len__(self) -> int:
            batch.clear()
            return 3

    batch: list[Any] = [Vanishing(), b"12345", b"1234567"]
    assert form(batch) == 3


@both(bounds)
@given(batch=st.lists(st.binary(max_size=100), min_size=1))
def test_bounds(form: Callable[[object], object], batch: list[bytes]) -> None:
    """bounds() is the lengths of the shortest and of the longest packet."""
    sizes = sorted(map(len, batch))
    assert form(batch) == form(tuple(batch)) == (sizes[0], sizes[-1])


class Bytes(bytes):
    pass


@both(bounds)
@pytest.mark.parametrize("batch", [[], (), b"packet", 5, [b"1", bytearray(b"2")], [b"1", 5], [Bytes(b"1")], {b"1"}])
def test_bounds_of_anything_else(form: Callable[[object], object], batch: object) -> None:
    """bounds() has nothing to say of what is not a list or tuple of bytes, or is empty."""
    assert form(batch) is None


@both(all_ip)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_all_ip(form: Callable[[Sequence[Any]], bool], kind: Any) -> None:
    """all_ip() holds as long as every first byte is of version 4 or 6."""
    for first in range(256):
        assert form([kind(b"\x45"), kind(bytes([first])), kind(b"\x60rest")]) == (first >> 4 in (4, 6))
    assert not form([kind(b"\x45"), kind(b"")])
    assert form([]) and form(())


@both(all_ip)
def test_all_ip_of_no_packets(form: Callable[[Sequence[Any]], bool]) -> None:
    """What has no first byte is a TypeError."""
    with pytest.raises(TypeError):
        form([5])
