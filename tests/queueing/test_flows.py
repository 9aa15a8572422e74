"""Flow keys, and the hash that spreads them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.packet import Flow, Protocol
from aiotun.queueing.flows import flow_key, hashed

from .packets import datagram

A, B = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
FLOW = Flow(Protocol.UDP, A, B, 7, 53)


def test_the_key_of_a_datagram() -> None:
    """A packet with ports has its 5-tuple for a key."""
    assert flow_key(datagram(7)) == FLOW


@pytest.mark.parametrize(
    ("packet", "key"), [(b"", 0), (bytes(28), 0), (b"\x45", 4), (b"\x60" + bytes(9), 6), (b"\xf0", 15)]
)
def test_the_key_of_anything_else(packet: bytes, key: int) -> None:
    """A packet that cannot be parsed belongs to the flow of its first four bits."""
    assert flow_key(packet) == key


@given(st.binary(max_size=80))
def test_any_bytes_have_a_flow(packet: bytes) -> None:
    """Any bytes have a key, and any key a hash of 32 bits."""
    assert 0 <= hashed(flow_key(packet), b"seed") < 1 << 32


def test_a_hash_repeats() -> None:
    """A seed gives the same hash on every run and every machine."""
    assert [hashed(FLOW, b"seed"), hashed(4, b"seed")] == [1027642986, 3923843155]


def test_a_hash_depends_on_the_seed() -> None:
    """Another seed gives another hash."""
    assert hashed(FLOW, b"one") != hashed(FLOW, b"two")


@pytest.mark.parametrize(
    "changed", [{"protocol": 6}, {"src": B}, {"dst": A}, {"src_port": 8}, {"dst_port": 54}], ids=lambda each: str(each)
)
def test_a_hash_covers_the_flow(changed: dict[str, int]) -> None:
    """Each part of a 5-tuple changes the hash."""
    assert hashed(FLOW._replace(**changed), b"seed") != hashed(FLOW, b"seed")  # type: ignore[arg-type]


def test_a_hash_spreads() -> None:
    """4096 flows meet in 64 queues about evenly: none gets twice its share."""
    found = Counter(hashed(FLOW._replace(src_port=port), b"seed") % 64 for port in range(4096))
    assert len(found) == 64 and max(found.values()) < 128
