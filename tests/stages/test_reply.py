"""Answering pings for some addresses, and nothing else."""

from __future__ import annotations

import pytest

from aiotun.packet import SuperPacket, echo_reply
from aiotun.stages import reply

from .packets import ENDS, Sink, echo, rebuilt, tcp, udp


@pytest.mark.parametrize("version", [4, 6])
def test_a_ping_is_answered(version: int) -> None:
    """An echo request for an address of its own is answered and goes no further."""
    back = Sink()
    stage = reply(back, ENDS[4][1], ENDS[6][1])
    assert (list(stage([echo(version)])), dict(stage.dropped)) == ([], {"answered": 1})
    assert back.taken == [echo_reply(echo(version))]
    assert rebuilt(back.taken[0]) == back.taken[0]


@pytest.mark.parametrize("version", [4, 6])
def test_an_empty_ping(version: int) -> None:
    """A ping without payload is answered as well."""
    back = Sink()
    reply(back, ENDS[version][1])([echo(version, b"")])
    assert len(back.taken) == 1


@pytest.mark.parametrize(
    "packet",
    [
        tcp(),
        udp(6),
        echo(dst="192.0.2.8"),
        echo(6, dst="2001:db8::8"),
        echo(kind=11),
        echo(more_fragments=True),
        echo(src="224.0.0.1"),
        echo()[:27],
        b"",
        b"\x60" * 50,
    ],
)
def test_everything_else_passes(packet: bytes) -> None:
    """What is no echo request for an address of its own passes as it is."""
    back = Sink()
    assert (list(reply(back, ENDS[4][1], ENDS[6][1])([packet])), back.taken) == ([packet], [])


def test_a_wrong_checksum_is_not_answered() -> None:
    """A request that does not sum up passes, for whoever wants it."""
    packet = echo()[:-1] + b"\0"
    assert list(reply(Sink(), ENDS[4][1])([packet])) == [packet]


def test_an_unfinished_request_is_finished_first() -> None:
    """A request whose checksum was left to be made is answered as the finished one."""
    request = echo()
    octets = bytearray(request)
    octets[22:24] = b"\0\0"
    back = Sink()
    reply(back, ENDS[4][1])([SuperPacket(octets, csum_start=20, csum_offset=2, needs_csum=True)])
    assert back.taken == [echo_reply(request)]


def test_an_unfinished_request_without_sense_passes() -> None:
    """A checksum that would lie beyond the packet cannot be made: the packet passes."""
    packet = SuperPacket(echo(), csum_start=900, csum_offset=2, needs_csum=True)
    assert list(reply(Sink(), ENDS[4][1])([packet])) == [packet]


def test_what_the_output_refuses_is_counted() -> None:
    """A request whose answer was not taken is dropped as refused."""
    stage = reply(Sink(room=1), ENDS[4][1])
    assert (list(stage([echo(), echo()])), dict(stage.dropped)) == ([], {"answered": 1, "refused": 1})
