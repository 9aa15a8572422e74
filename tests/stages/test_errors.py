"""Who is told of a refused packet, who is not, how often, and what an error looks like."""

from __future__ import annotations

import pytest
from packet.oracle import inet, inet6

from aiotun.errors import DeviceDown, QueueFull, WouldBlock
from aiotun.packet import ICMP, ICMPv6, NeighborSolicitation
from aiotun.stages import ICMPErrors

from .packets import ENDS, HERE, Clock, Sink, echo, rebuilt, superpacket, tcp, udp, wrap

FRAGMENT6 = b"\x11\0\0\x08" + bytes(4) + bytes(16)


def quoting(version: int, kind: int) -> bytes:
    """An ICMP message that quotes a packet."""
    src, dst = ENDS[version]
    if version == 4:
        return wrap(4, 1, ICMP(kind, 0, 0, udp(4, src=dst, dst=src)).build())
    return wrap(6, 58, ICMPv6(kind, 0, 0, udp(6, src=dst, dst=src)).build(src, dst))


def answered(packet: bytes) -> list[bytes]:
    """What is said of a packet that ran out of hops."""
    back = Sink()
    errors = ICMPErrors(back, "10.8.0.1/24", "fd00::1/64")
    errors.time_exceeded([packet])
    assert errors.sent + errors.unsent["not_answered"] == 1
    return back.taken


@pytest.mark.parametrize("packet", [udp(), udp(6), tcp(), tcp(6), echo(), echo(6), superpacket()])
def test_an_error_is_well_formed(packet: bytes) -> None:
    """Scapy finds every checksum right."""
    (answer,) = answered(packet)
    assert rebuilt(answer) == answer


@pytest.mark.parametrize(
    "packet",
    [
        quoting(4, 3),
        quoting(4, 4),
        quoting(4, 11),
        quoting(4, 12),
        quoting(6, 1),
        quoting(6, 2),
        quoting(6, 3),
        quoting(6, 4),
        quoting(6, 127),
    ],
)
def test_not_about_an_error(packet: bytes) -> None:
    """An ICMP error is never answered by one: RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e.1)."""
    assert answered(packet) == []


@pytest.mark.parametrize("packet", [quoting(4, 5), quoting(6, 137)])
def test_not_about_a_redirect(packet: bytes) -> None:
    """A redirect is never answered: RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e.2)."""
    assert answered(packet) == []


@pytest.mark.parametrize("packet", [udp(fragment_offset=5), wrap(6, 44, FRAGMENT6)])
def test_not_about_a_later_fragment(packet: bytes) -> None:
    """Only the first fragment of a datagram is answered: RFC 1122 section 3.2.2."""
    assert answered(packet) == []


@pytest.mark.parametrize("packet", [udp(more_fragments=True), wrap(6, 44, b"\x11\0\0\x01" + bytes(4) + bytes(16))])
def test_about_a_first_fragment(packet: bytes) -> None:
    """A first fragment is answered as a packet is."""
    assert len(answered(packet)) == 1


@pytest.mark.parametrize("dst", ["224.0.0.1", "239.1.2.3", "255.255.255.255", "10.8.0.255"])
def test_not_to_many_hosts4(dst: str) -> None:
    """A packet to a group, or a broadcast, also of this network, is not answered: RFC 1122 section 3.2.2."""
    assert answered(udp(dst=dst)) == []


def test_not_to_many_hosts6() -> None:
    """A packet to a group is not answered: RFC 4443 section 2.4 (e.3)."""
    assert answered(udp(6, dst="ff02::1")) == []


def test_too_big_to_many_hosts() -> None:
    """That a packet is too big is told even if it was for a group: RFC 4443 section 2.4 (e.3)."""
    back = Sink()
    ICMPErrors(back, "fd00::1").packet_too_big([udp(6, dst="ff0e::1")], 1280)
    assert len(back.taken) == 1


@pytest.mark.parametrize("src", ["0.0.0.0", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"])
def test_not_from_no_host4(src: str) -> None:
    """A source that is no single host is not answered: RFC 1122 section 3.2.2."""
    assert answered(udp(src=src)) == []


@pytest.mark.parametrize("src", ["::", "::1", "ff02::1"])
def test_not_from_no_host6(src: str) -> None:
    """A source that is no single host is not answered: RFC 4443 section 2.4 (e.6)."""
    assert answered(udp(6, src=src)) == []


def test_not_about_neighbors_errors() -> None:
    """Neighbor discovery is information, not an error, and is answered if it is for a single host."""
    body = NeighborSolicitation("fd00::9").build("fd00::2", "fd00::9")
    assert len(answered(wrap(6, 58, body, src="fd00::2", dst="fd00::9"))) == 1


def test_no_error_exceeds_its_bound() -> None:
    """An error has at most 576 bytes, or 1280 of IPv6: RFC 1812 section 4.3.2.3, RFC 4443 section 2.4 (c)."""
    assert [len(answered(udp(version, bytes(1400)))[0]) for version in (4, 6)] == [576, 1280]


def test_without_a_source() -> None:
    """A packet of an IP version that there is no address of is not answered, and that is counted."""
    errors = ICMPErrors(Sink(), "10.8.0.1")
    errors.unreachable([udp(6), b"", b"\x10"])
    assert (errors.sent, dict(errors.unsent)) == (0, {"no_source": 3})


def test_the_rate() -> None:
    """After the burst errors go at the rate: RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 (f)."""
    clock, back = Clock(), Sink()
    errors = ICMPErrors(back, "10.8.0.1", rate=10, burst=3, clock=clock)
    errors.time_exceeded([udp()] * 5)
    assert (errors.sent, dict(errors.unsent)) == (3, {"rate_limited": 2})
    clock.now += 0.1
    errors.time_exceeded([udp()] * 5)
    assert (errors.sent, dict(errors.unsent)) == (4, {"rate_limited": 6})
    clock.now += 3600
    errors.time_exceeded([udp()] * 5)
    assert errors.sent == 7


def test_the_unanswerable_silence_nobody() -> None:
    """What is not answered takes nothing from the rate."""
    errors = ICMPErrors(Sink(), "10.8.0.1", burst=1, clock=Clock())
    errors.time_exceeded([udp(dst="224.0.0.1")] * 5 + [udp()])
    assert (errors.sent, dict(errors.unsent)) == (1, {"not_answered": 5})


def test_what_is_refused_is_counted() -> None:
    """An output with room for some takes these, and the others are counted."""
    errors = ICMPErrors(Sink(room=2), "10.8.0.1")
    errors.time_exceeded([udp()] * 5)
    assert (errors.sent, dict(errors.unsent)) == (2, {"refused": 3})


@pytest.mark.parametrize("error", [WouldBlock(), DeviceDown("tun0: down"), QueueFull("tun0: full")])
def test_a_refusal_raises_nothing(error: Exception) -> None:
    """An output that cannot send now stops no stage."""

    def refuse(batch: object) -> int:
        raise error

    errors = ICMPErrors(refuse, "10.8.0.1")
    errors.time_exceeded([udp()])
    assert (errors.sent, dict(errors.unsent)) == (0, {"refused": 1})


def test_an_output_that_returns_nothing_took_all() -> None:
    """A callable that says nothing is taken to have sent."""
    taken: list[bytes] = []
    errors = ICMPErrors(taken.extend, "10.8.0.1")
    errors.time_exceeded([udp()])
    assert (errors.sent, len(taken)) == (1, 1)


def test_unreachable() -> None:
    """Without a route the network is unreachable: type 3, code 0; type 1, code 0."""
    back = Sink()
    ICMPErrors(back, HERE[4], HERE[6]).unreachable([udp(), udp(6)])
    four, six = inet.IP(back.taken[0]).payload, inet6.IPv6(back.taken[1]).payload
    assert (four.type, four.code, six.type, six.code) == (3, 0, 1, 0)


@pytest.mark.parametrize("version", [4, 6])
def test_the_unused_word(version: int) -> None:
    """What an error has no use for is 0: RFC 792, RFC 4443 section 3."""
    back = Sink()
    errors = ICMPErrors(back, HERE[4], HERE[6])
    errors.time_exceeded([udp(version)])
    errors.unreachable([udp(version)])
    start = 20 if version == 4 else 40
    assert [answer[start + 4 : start + 8] for answer in back.taken] == [bytes(4)] * 2


@pytest.mark.parametrize("sources", [("10.8.0.1", "10.8.0.2"), ("fd00::1", "fd00::2/64")])
def test_two_sources_of_one_version(sources: tuple[str, str]) -> None:
    """One address of each IP version speaks."""
    with pytest.raises(ValueError, match="there is a source of IPv[46] already"):
        ICMPErrors(Sink(), *sources)


def test_a_source_that_is_no_address() -> None:
    """What is no address is refused when it is made, not when it is needed."""
    with pytest.raises(ValueError, match="nowhere"):
        ICMPErrors(Sink(), "nowhere")
