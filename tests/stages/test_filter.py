"""Filtering by a predicate, and by an expression."""

from __future__ import annotations

import pytest

from aiotun.stages import filter

from .packets import fields_of, needs_libpcap, superpacket, tcp, udp


def test_a_predicate() -> None:
    """What the predicate is true of passes, in order; the rest is counted."""
    stage = filter(lambda packet: packet[9] == 6)
    assert (list(stage([tcp(), udp(), tcp()])), dict(stage.dropped)) == ([tcp(), tcp()], {"filtered": 1})


@needs_libpcap
def test_an_expression() -> None:
    """An expression of tcpdump's is a predicate."""
    stage = filter("udp and dst port 53")
    assert list(stage([tcp(), udp(), udp(ports=(1, 2)), udp(6)])) == [udp(), udp(6)]


@needs_libpcap
def test_superpackets_stay_whole() -> None:
    """A super-packet that passes is the same object, length and all."""
    packet = superpacket()
    (passed,) = filter("greater 2000")([packet])
    assert passed is packet and fields_of(passed)


def test_what_is_neither() -> None:
    """What cannot be called and is no text is refused."""
    with pytest.raises(TypeError, match="filter: a predicate or an expression, not 5"):
        filter(5)  # type: ignore[arg-type]
