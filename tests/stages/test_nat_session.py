"""One conversation: how much its packets' sums change, and when TCP is established."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.packet import ones_sum
from aiotun.stages.nat_session import Mapping, Rewriting, Session

SYN, ACK, FIN, RST = 0x02, 0x10, 0x11, 0x14


@given(st.sampled_from([4, 16]), st.data())
def test_the_change_is_that_of_the_sums(size: int, data: st.DataObject) -> None:
    """The changes are those of the sums over the replaced words, modulo 0xffff."""
    words = st.binary(min_size=2, max_size=2)
    old, new = (data.draw(st.binary(min_size=size, max_size=size)) for _ in range(2))
    port, other = data.draw(words), data.draw(words)
    found = Rewriting.of(old, port, new, other)
    assert (found.address, found.port) == (new, other)
    assert (ones_sum(new) - ones_sum(old) - found.address_change) % 0xFFFF == 0
    assert (ones_sum(other) - ones_sum(port) - found.port_change) % 0xFFFF == 0
    assert (found.address_change + found.port_change - found.change) % 0xFFFF == 0


def session() -> Session:
    return Session(Mapping(6, b"in..", b"\0\1", b"out.", b"\0\2"), b"far.", b"\0\3", 5.0)


def test_the_keys_are_as_packets_have_them() -> None:
    """The keys are the addresses and ports as they lie in a packet, source first."""
    found = session()
    assert (found.key_out, found.key_in) == (b"in..far.\0\1\0\3", b"far.out.\0\3\0\2")


def test_there_and_back() -> None:
    """What one direction adds to a sum the other takes away."""
    found = session()
    assert (found.forth.change + found.back.change) % 0xFFFF == 0


@pytest.mark.parametrize(
    ("seen", "established"),
    [
        ("", False),
        (">S", False),
        (">S <SA", False),
        (">S <SA >A", True),
        ("<S >SA <A", True),
        (">S <S >A", True),
        (">A", False),
        (">A >A", False),
        (">A <A", True),
        (">S <SA >A >F", True),
        (">S <SA >A >F >F", True),
        (">S <SA >A >F <F", False),
        (">S <SA >A <F >F", False),
        (">S <SA >A <R", False),
        (">S <SA >A >R >A", False),
        (">S <SA >A >R >S", False),
        (">S <SA >A >R >S <SA >A", True),
        (">S <SA >A >F <F >S <SA >A", True),
        (">S <SA >A >S", True),
    ],
)
def test_established(seen: str, established: bool) -> None:
    """A connection is established from its last opening segment to its second FIN, or an RST."""
    flags = {"S": SYN, "SA": SYN | ACK, "A": ACK, "F": FIN, "R": RST}
    found = session()
    for word in seen.split():
        found.track(flags[word[1:]], word[0] == ">")
    assert found.established is found.quick is established
