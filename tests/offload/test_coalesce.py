"""Many packets to few super-packets: flows side by side, nothing overtaken, nothing touched that is not merged."""

from __future__ import annotations

from typing import Any

import pytest

from aiotun.offload import coalesce
from aiotun.packet import SuperPacket

from . import packets as p

VERSIONS = pytest.mark.parametrize("version", [4, 6])


def test_an_empty_batch() -> None:
    """Nothing gives nothing."""
    assert coalesce([]) == []


@VERSIONS
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_any_iterable(version: int, protocol: str) -> None:
    """The batch may be any iterable, and is left alone."""
    batch = p.train(version, protocol, 10, 10)
    before = list(batch)
    assert coalesce(iter(batch)) == coalesce(batch)
    assert batch == before


@VERSIONS
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_X6_X7_D18_a_switch_is_off(version: int, protocol: str) -> None:
    """X6, X7, D18: with its switch off a protocol comes through untouched, the same objects, the other still merged."""
    off, on = p.train(version, protocol, 10, 10), p.train(version, "udp" if protocol == "tcp" else "tcp", 10, 10)
    mixed = [off[0], on[0], off[1], on[1]]
    merged = coalesce(mixed, False, protocol != "tcp", protocol != "udp")
    assert len(merged) == 3 and merged[0] is off[0] and merged[2] is off[1]
    assert p.cut(merged[1:2]) == on
    assert all(packet is other for packet, other in zip(coalesce(mixed, False, False, False), mixed, strict=True))


@VERSIONS
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_D7_interleaved_flows(version: int, protocol: str) -> None:
    """D7: flows between the same hosts are merged side by side, each where its first packet stood."""
    a, b = p.train(version, protocol, 10, 10, 10), p.train(version, protocol, 20, 20, 20, src_port=1501)
    c = p.train(version, "udp" if protocol == "tcp" else "tcp", 30, 30, 30)
    merged = coalesce([x for three in zip(a, b, c, strict=True) for x in three])
    assert p.cut(merged) == a + b + c


@VERSIONS
def test_flows_differ_in_any_end(version: int) -> None:
    """A packet between other hosts or ports neither joins a train nor ends it."""
    a, b = p.ENDS[version]
    others = [
        p.tcp(version, b"y" * 10, seq=110, src_port=1501),
        p.tcp(version, b"y" * 10, seq=110, dst_port=8001),
        p.tcp(version, b"y" * 10, seq=110, ip={"src": a[:-1] + "3"}),
        p.tcp(version, b"y" * 10, seq=110, ip={"dst": b[:-1] + "3"}),
        p.tcp(version, b"y" * 10, seq=110, ip={"src": b, "dst": a}),
        p.tcp(version, b"", seq=110, ip={"src": b, "dst": a}),
    ]
    one, other = p.stream(version, [10, 10])
    for stranger in others:
        merged = coalesce([one, stranger, other])
        assert len(merged) == 2 and merged[1] is stranger
        assert p.cut(merged) == [one, other, stranger]


@VERSIONS
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("bypass", ["fragment", "options", "super", "padded"])
def test_D10_nothing_is_overtaken(version: int, protocol: str, bypass: str) -> None:
    """D10: what cannot be merged ends the trains between its ends, and keeps its place among them."""
    one, two, three = p.train(version, protocol, 10, 10, 10)
    ip: dict[str, Any] = {"more_fragments": True} if version == 4 else {"extensions": b"\x2c\0\0\x01\0\0\0\0"}
    options: dict[str, Any] = (
        {"options": b"\x01" * 4} if version == 4 else {"extensions": p.destination() * 8 + b"\x33" + bytes(7)}
    )
    make = p.tcp if protocol == "tcp" else p.udp
    middle: dict[str, bytes] = {
        "fragment": make(version, b"x" * (12 if protocol == "tcp" else 8), ip=ip),
        "options": make(version, b"", ip=options),
        "super": p.super_packet(two, 5),
        "padded": two + b"\0",
    }
    merged = coalesce([one, middle[bypass], two])
    assert len(merged) == 3 and merged[1] is middle[bypass]
    assert len(coalesce([one, two, middle[bypass]])) == 2
    link = p.link_header(version, 18)
    framed: bytes = link + middle[bypass]
    if bypass == "super":
        framed = p.super_packet(two, 5, link=link)
    assert len(coalesce([link + one, framed, link + two], True)) == 3


@VERSIONS
def test_super_packets_come_through(version: int) -> None:
    """A super-packet is not merged with anything, not even one that is like a plain packet; it is the same object."""
    one, two, three = p.stream(version, [10, 10, 10])
    middle = SuperPacket(two)
    merged = coalesce([one, middle, three])
    assert len(merged) == 3 and merged[1] is middle
    first = SuperPacket(one)
    assert coalesce([first, two])[0] is first


def hidden(version: int) -> dict[str, Any]:
    """Return what makes a packet one whose ports cannot be read."""
    return {"fragment_offset": 1} if version == 4 else {"extensions": b"\x2c\0\0\x08\0\0\0\0"}


@VERSIONS
def test_what_hides_its_ports_ends_every_train_between_its_ends(version: int) -> None:
    """A fragment may be of any flow between its addresses, of either protocol, and of none elsewhere."""
    far = {"dst": p.ENDS[version][1][:-1] + "9"}
    flows = [p.stream(version, [10, 10]), p.stream(version, [10, 10], src_port=1501), p.datagrams(version, [10, 10])]
    other = [p.tcp(version, b"x" * 10, seq=100 + n * 10, ip=far | p.ident(version, n)) for n in (0, 1)]
    fragment = p.wrap(version, 17, b"x" * 8, **hidden(version))
    firsts, seconds = [one for one, _ in flows], [two for _, two in flows]
    assert len(coalesce([*firsts, other[0], *seconds, other[1]])) == 4
    merged = coalesce([*firsts, other[0], fragment, *seconds, other[1]])
    assert len(merged) == 8
    assert merged[:3] + merged[4:] == [*firsts, fragment, *seconds]


def test_what_hides_its_ports_ends_no_train_of_the_other_version() -> None:
    """A fragment between IPv4 addresses that look like the front of an IPv6 address is of no flow over IPv6."""
    one, two = p.stream(6, [10, 10])
    src, dst = (".".join(map(str, one[at : at + 4])) for at in (8, 12))
    fragment = p.wrap(4, 17, b"x" * 8, src=src, dst=dst, fragment_offset=1)
    assert p.sizes(coalesce([one, fragment, two])[:1]) == [20]
    batch = [p.tcp(4, b"x" * 10, seq=n * 10, ip={"src": src, "dst": dst, "identification": n}) for n in (0, 1)]
    fragment = p.wrap(6, 17, b"x" * 8, **hidden(6))
    assert p.sizes(coalesce([batch[0], fragment, batch[1]])[:1]) == [20]


def test_other_protocols_over_ipv4_end_nothing() -> None:
    """IPv4 says what it carries, also in a fragment: neither GRE nor ESP ends a train."""
    one, two = p.stream(4, [10, 10])
    for number in (1, 47, 50, 89):
        assert len(coalesce([one, p.wrap(4, number, bytes(8)), two])) == 2
        assert len(coalesce([one, p.wrap(4, number, bytes(8), fragment_offset=1), two])) == 2


def test_unknown_headers_of_ipv6_end_trains() -> None:
    """An IPv6 header that cannot be stepped over may hide any transport; ICMPv6 hides none."""
    one, two = p.stream(6, [10, 10])
    for number, count in ((58, 2), (59, 3), (44, 3), (51, 3), (253, 3)):
        assert len(coalesce([one, p.wrap(6, number, bytes(8)), two])) == count, number
    assert len(coalesce([one, p.wrap(6, 58, bytes(8), extensions=p.destination()), two])) == 2


@VERSIONS
def test_strangers_end_nothing(version: int) -> None:
    """Packets of no flow, of other ends, or of no protocol known here leave the trains open."""
    one, two = p.stream(version, [10, 10])
    a, b = p.ENDS[10 - version]
    strangers = [
        p.tcp(version, b"", src_port=1501),
        p.tcp(version, b"", dst_port=8001),
        p.tcp(version, b"", src_port=0),
        p.tcp(version, b"", dst_port=0),
        p.udp(version, b""),
        p.wrap(version, 132, b"\x05\xdc\x1f\x40"),
        p.tcp(version, b"x", ip={"src": p.ENDS[version][0][:-1] + "7", **hidden(version)}),
        two[: 20 if version == 4 else 40],
        b"",
        b"\x45",
        one[:19],
        b"\x55" + one[1:],
        p.tcp(10 - version, b""),
        p.wrap(version, 1 if version == 4 else 58, b"\x08\0\0\0\0\0\0\0"),
        p.tcp(version, b"", ip={"src": p.ENDS[version][0][:-1] + "7"}),
    ]
    for stranger in strangers:
        merged = coalesce([one, stranger, two])
        assert len(merged) == 2 and merged[1] is stranger
    link = p.link_header(version, 14)
    for frame in (b"", b"\xff" * 14 + one, link[:12] + b"\x08\x06" + one, (link + one)[:33]):
        assert len(coalesce([link + one, frame, link + two], True)) == 2


@VERSIONS
def test_frames_of_other_links_keep_apart(version: int) -> None:
    """Frames are merged only under the same Ethernet header: addresses and tags."""
    one, two = p.stream(version, [10, 10])
    for first, second in ((14, 18), (18, 22), (14, 22)):
        batch = [p.link_header(version, first) + one, p.link_header(version, second) + two]
        assert coalesce(batch, True) == batch
    link = p.link_header(version, 18)
    for at in (0, 5, 6, 11, 14, 15):
        other = p.patched(link, at, bytes((link[at] ^ 1,)))
        assert len(coalesce([link + one, other + two], True)) == 2
    assert len(coalesce([link + one, link + two], True)) == 1
