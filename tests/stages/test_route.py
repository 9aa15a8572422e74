"""Sorting packets to outputs by destination."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from packet.oracle import inet

from aiotun.errors import DeviceDown, QueueFull, WouldBlock
from aiotun.pipeline.prefixes import Prefixes
from aiotun.stages import ICMPErrors, route

from .packets import HERE, Sink, superpacket, udp


def table() -> Prefixes[str]:
    """A table with a default, a prefix in it, and one that leads nowhere known."""
    prefixes: Prefixes[str] = Prefixes()
    for prefix, name in {"0.0.0.0/0": "on", "10.9.0.0/16": "lan", "2001:db8::/32": "lan", "10.9.9.0/24": "odd"}.items():
        prefixes[ip_network(prefix)] = name
    return prefixes


def test_the_longest_prefix() -> None:
    """Each packet goes to the output of its destination, in order; those of the path itself go on."""
    lan = Sink()
    stage = route(table().lookup, {"lan": lan, "on": None})
    packets = [udp(dst="10.9.1.1"), udp(), udp(6), udp(dst="10.9.1.2")]
    assert list(stage(packets)) == [packets[1]]
    assert lan.taken == [packets[0], packets[2], packets[3]]
    assert dict(stage.dropped) == {"forwarded": 3}


def test_without_a_route() -> None:
    """A packet that no prefix holds is dropped, and its sender told."""
    back = Sink()
    stage = route(lambda address: None, {}, ICMPErrors(back, HERE[4]))
    assert (list(stage([udp()])), dict(stage.dropped)) == ([], {"no_route": 1})
    assert inet.IP(back.taken[0]).payload.type == 3


def test_an_output_that_there_is_not() -> None:
    """A name that leads to no output is counted apart, and takes no other packet along."""
    stage = route(table().lookup, {"on": None})
    packets = [udp(), udp(dst="10.9.9.1")]
    assert (list(stage(packets)), dict(stage.dropped)) == ([packets[0]], {"no_output": 1})


def test_an_output_with_little_room() -> None:
    """What the output does not take is dropped as refused."""
    stage = route(lambda address: "lan", {"lan": Sink(room=1)})
    stage([udp()] * 3)
    assert dict(stage.dropped) == {"forwarded": 1, "refused": 2}


@pytest.mark.parametrize(("error", "sent"), [(WouldBlock(), 0), (DeviceDown("x: down"), 0), (QueueFull("x: full"), 2)])
def test_an_output_that_raises(error: Exception, sent: int) -> None:
    """A refusal is counted, less what went out before it, and not raised."""
    if isinstance(error, QueueFull):
        error.sent = sent

    def refuse(batch: object) -> int:
        raise error

    stage = route(lambda address: "lan", {"lan": refuse})
    stage([udp()] * 3)
    assert (stage.dropped["forwarded"], stage.dropped["refused"]) == (sent, 3 - sent)


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"", "short_header"),
        (b"\x45" * 19, "short_header"),
        (b"\x60" * 39, "short_header"),
        (bytes(40), "bad_version"),
    ],
)
def test_what_is_no_packet(packet: bytes, reason: str) -> None:
    """Bytes without a whole header have no destination."""
    stage = route(lambda address: "on", {"on": None})
    assert (list(stage([packet])), dict(stage.dropped)) == ([], {reason: 1})


def test_a_superpacket_goes_whole() -> None:
    """A super-packet is handed over as the same object."""
    lan, packet = Sink(), superpacket()
    route(lambda address: "lan", {"lan": lan})([packet])
    assert lan.taken[0] is packet


def test_lookup_gets_the_destination() -> None:
    """The lookup is asked for the packed destination address."""
    asked: list[bytes] = []
    route(asked.append, {})([udp(dst="192.0.2.9"), udp(6, dst="2001:db8::9")])
    assert list(map(ip_address, asked)) == [ip_address("192.0.2.9"), ip_address("2001:db8::9")]
