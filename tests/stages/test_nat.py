"""A NAT from outside: what leaves, what comes back, what does not."""

from __future__ import annotations

from typing import Any

import pytest

from aiotun.offload import complete, segment
from aiotun.stages import Nat

from .nats import OUTSIDE, answer_ends, back, identifier, inner_ends, made, ports, through
from .packets import Clock, Sink, echo, fields_of, partial, rebuilt, superpacket, tcp, udp, wrap

MAKERS = {"tcp": tcp, "udp": udp}
both = pytest.mark.parametrize("version", [4, 6])
either = pytest.mark.parametrize("kind", MAKERS)


@both
@either
def test_out_and_back(version: int, kind: str) -> None:
    """A packet leaves from the address outside, its port kept; the answer arrives inside; every sum is right."""
    nat, make = made(), MAKERS[kind]
    sent = through(nat, make(version, ports=(4000, 443)))
    assert sent == make(version, ports=(4000, 443), src=OUTSIDE[version]) == rebuilt(sent)
    received = back(nat, make(version, ports=(443, 4000), **answer_ends(version)))
    assert received == make(version, ports=(443, 4000), **inner_ends(version)) == rebuilt(received)


@both
@either
def test_the_second_packet_as_the_first(version: int, kind: str) -> None:
    """What goes on in a session is translated as what began it, both ways."""
    nat, make = made(), MAKERS[kind]
    first = [
        through(nat, make(version)),
        back(nat, make(version, ports=(443 if kind == "tcp" else 53, 4000), **answer_ends(version))),
    ]
    again = [
        through(nat, make(version)),
        back(nat, make(version, ports=(443 if kind == "tcp" else 53, 4000), **answer_ends(version))),
    ]
    assert (first, len(nat), nat.mappings) == (again, 1, 1)


@both
def test_echo(version: int) -> None:
    """A ping leaves with an identifier of its own, and its answer comes back with the first."""
    nat, reply = made(), 0 if version == 4 else 129
    through(nat, echo(version, identifier=7, src="10.8.0.9" if version == 4 else "fd00::9"))
    sent = through(nat, echo(version, identifier=7))
    outside = identifier(sent)
    assert outside != 7
    assert sent == echo(version, identifier=outside, src=OUTSIDE[version]) == rebuilt(sent)
    answer = echo_reply(version, outside, reply, **answer_ends(version))
    assert back(nat, answer) == echo_reply(version, 7, reply, **inner_ends(version))


def echo_reply(version: int, identifier: int, kind: int, **ends: Any) -> bytes:
    """An answer to a ping."""
    if kind:
        return echo(version, identifier=identifier, kind=kind, **ends)
    request = bytearray(echo(version, identifier=identifier, **ends))
    request[20] = 0
    return rebuilt(bytes(request))


@either
def test_one_port_towards_everybody(kind: str) -> None:
    """The mapping does not depend on whom it speaks to: RFC 4787 REQ-1, RFC 5382 REQ-1."""
    nat, make = made(), MAKERS[kind]
    make_other: dict[str, Any] = {"src": "10.8.0.9"}
    through(nat, make(ports=(4000, 1), **make_other))
    found = {ports(through(nat, make(ports=(4000, 443), dst=dst)))[0] for dst in ("192.0.2.1", "192.0.2.2")}
    found |= {ports(through(nat, make(ports=(4000, 80))))[0]}
    assert len(found) == 1 and found != {4000}
    assert (len(nat), nat.mappings) == (4, 2)


@either
def test_two_hosts_never_share_a_port(kind: str) -> None:
    """No port outside stands for two ends inside, whoever they speak to: RFC 4787 REQ-3."""
    nat, make = made(ports=range(5000, 5100)), MAKERS[kind]
    found = [ports(through(nat, make(src=f"10.8.0.{n}", dst=f"192.0.2.{n}")))[0] for n in range(1, 101)]
    assert sorted(found) == list(range(5000, 5100))
    assert (list(nat.outbound([make(src="10.8.0.101")])), dict(nat.outbound.dropped)) == ([], {"no_port": 1})


@pytest.mark.parametrize("port", [4000, 4001])
def test_parity(port: int) -> None:
    """A port that is taken is replaced by one of its parity, as long as there is one: RFC 4787 REQ-4."""
    nat = made(ports=range(4000, 4008))
    found = [ports(through(nat, udp(ports=(port, 53), src=f"10.8.0.{n}")))[0] for n in range(1, 6)]
    assert [number % 2 for number in found] == [port % 2] * 4 + [1 - port % 2]


def test_a_port_outside_the_range() -> None:
    """A port that is not among those to use is replaced."""
    assert ports(through(made(ports=range(5000, 5001)), udp()))[0] == 5000


def test_protocols_have_ports_of_their_own() -> None:
    """TCP and UDP of one port keep it both."""
    nat = made()
    assert (ports(through(nat, tcp()))[0], ports(through(nat, udp()))[0]) == (4000, 4000)


# --- who may come in ------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    ("filtering", "passed"),
    [
        ("endpoint_independent", [True, True, True]),
        ("address", [True, True, False]),
        ("address_and_port", [True, False, False]),
    ],
)
def test_filtering(version: int, filtering: str, passed: list[bool]) -> None:
    """The same end, another port of it, and a stranger come in, as RFC 4787 section 5 calls it."""
    nat = made(filtering=filtering)
    through(nat, udp(version))
    stranger = "198.51.100.1" if version == 4 else "2001:db8:9::9"
    answers = [
        udp(version, ports=(53, 4000), **answer_ends(version)),
        udp(version, ports=(54, 4000), **answer_ends(version)),
        udp(version, ports=(53, 4000), src=stranger, dst=OUTSIDE[version]),
    ]
    assert [len(nat.inbound([answer])) == 1 for answer in answers] == passed
    assert nat.inbound.dropped["no_session"] == passed.count(False)


@pytest.mark.parametrize(
    "packet",
    [tcp(dst=OUTSIDE[4]), udp(6, dst=OUTSIDE[6]), echo(dst=OUTSIDE[4]), echo(6, dst=OUTSIDE[6], kind=129)],
)
def test_nobody_asked(packet: bytes) -> None:
    """What comes for the address outside without a mapping is dropped."""
    nat = made()
    assert (list(nat.inbound([packet])), dict(nat.inbound.dropped)) == ([], {"no_session": 1})


@pytest.mark.parametrize("packet", [tcp(), udp(6), echo(), wrap(4, 47, bytes(8)), superpacket()])
def test_not_for_the_nat(packet: bytes) -> None:
    """What comes for another address passes as the same object."""
    assert made().inbound([packet])[0] is packet


def test_inbound_begins_a_session() -> None:
    """A packet that a mapping lets in makes a session, whose answer leaves by it."""
    nat = made(filtering="endpoint_independent")
    through(nat, udp())
    back(nat, udp(ports=(9, 4000), src="198.51.100.1", dst=OUTSIDE[4]))
    assert len(nat) == 2
    assert ports(through(nat, udp(ports=(4000, 9), dst="198.51.100.1"))) == (4000, 9)
    assert len(nat) == 2


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (wrap(4, 47, bytes(8)), "unsupported"),
        (wrap(4, 58, echo(6)[40:]), "unsupported"),
        (wrap(4, 58, echo(6)[40:], more_fragments=True), "unsupported"),
        (wrap(6, 1, echo()[20:]), "unsupported"),
        (wrap(6, 59, bytes(8)), "unsupported"),
        (wrap(6, 132, bytes(20)), "unsupported"),
        (echo(kind=13), "unsupported"),
        (echo(6, kind=135), "unsupported"),
        (wrap(4, 17, bytes(7)), "short_transport"),
        (wrap(4, 6, bytes(17)), "short_transport"),
        (wrap(6, 17, bytes(7)), "short_transport"),
        (tcp()[:-1], "bad_length"),
        (tcp(6)[:-1], "bad_length"),
        (b"", "short_header"),
        (b"\x45" * 8, "short_header"),
        (b"\x20" * 40, "bad_version"),
        (wrap(6, 43, b"\x06\0\0\x01" + bytes(4) + tcp(6)[40:]), "routing"),
    ],
)
def test_what_cannot_be_translated(packet: bytes, reason: str) -> None:
    """What has no port to translate is dropped on its way out, under what it is."""
    nat = made()
    assert (list(nat.outbound([packet])), dict(nat.outbound.dropped), len(nat)) == ([], {reason: 1}, 0)


def test_without_an_address_of_its_version() -> None:
    """A packet of an IP version without an address outside is dropped."""
    nat = Nat(OUTSIDE[4], clock=Clock())
    assert (list(nat.outbound([udp(6)])), dict(nat.outbound.dropped)) == ([], {"no_address": 1})


# --- checksums ------------------------------------------------------------------------------------


def test_no_udp_checksum_stays_none() -> None:
    """A UDP checksum of 0 says that there is none, and still does behind the NAT, in the first packet and later."""
    packet = bytearray(udp())
    packet[26:28] = b"\0\0"
    nat = made()
    for _ in range(2):
        assert through(nat, bytes(packet))[26:28] == b"\0\0"
    answer = bytearray(udp(ports=(53, 4000), **answer_ends(4)))
    answer[26:28] = b"\0\0"
    assert back(nat, bytes(answer))[26:28] == b"\0\0"


@both
def test_a_udp_checksum_of_zero_is_all_ones(version: int) -> None:
    """A checksum that comes to 0 is written as 0xffff, which is the only one that says so: RFC 768."""
    place = 26 if version == 4 else 46
    filler = udp(version, b"\0\0", src=OUTSIDE[version])[place : place + 2]  # brings the sum to 0xffff
    packet = udp(version, filler, src=OUTSIDE[version])
    assert packet[place : place + 2] == b"\xff\xff"
    nat = made()
    for _ in range(2):
        assert through(nat, udp(version, filler)) == packet


@both
@either
def test_a_wrong_checksum_stays_wrong(version: int, kind: str) -> None:
    """What was damaged on the way is not given a right checksum."""
    packet = bytearray(MAKERS[kind](version))
    packet[-1] ^= 1
    nat = made()
    for _ in range(2):
        sent = through(nat, bytes(packet))
        assert rebuilt(sent) != sent


@both
@either
def test_partial_checksums(version: int, kind: str) -> None:
    """An unfinished checksum is that of the pseudo-header: finished behind the NAT it is right."""
    nat, whole = made(ports=range(5000, 6000)), MAKERS[kind](version)
    sent = through(nat, partial(whole))
    assert fields_of(sent) == fields_of(partial(whole))
    assert complete(sent) == through(nat, whole) == rebuilt(complete(sent))


@both
@pytest.mark.parametrize("protocol", [6, 17])
def test_superpackets(version: int, protocol: int) -> None:
    """A super-packet passes whole, and its segments are those that would have passed singly, both ways."""
    nat, again = made(ports=range(5000, 6000)), made(ports=range(5000, 6000), seed=1)
    packet = superpacket(version, protocol=protocol)
    sent = through(nat, packet)
    assert fields_of(sent) == fields_of(packet)
    assert segment(sent) == list(again.outbound(segment(packet)))
    port = ports(sent)[0]
    answer = superpacket(version, protocol=protocol, ports=(443 if protocol == 6 else 53, port), **answer_ends(version))
    received = back(nat, answer)
    assert fields_of(received) == fields_of(answer)
    assert segment(received) == list(again.inbound(segment(answer)))


@both
def test_headers_between(version: int) -> None:
    """Options of IPv4, and extension headers of IPv6, are stepped over and stay."""
    nat = made()
    if version == 4:
        body = udp()[20:]
        assert through(nat, wrap(4, 17, body, options=b"\1" * 4))[24:28] == udp()[20:24]
    else:
        packet = wrap(6, 60, b"\x11\0" + bytes(6) + udp(6)[40:])
        sent = through(nat, packet)
        assert sent[48:] == udp(6, src=OUTSIDE[6])[40:]
        assert sent[40:48] == packet[40:48]


# --- how long and how many ------------------------------------------------------------------------


def alive(nat: Nat, version: int = 4) -> bool:
    """Whether an answer still comes in."""
    return len(nat.inbound([udp(version, ports=(53, 4000), **answer_ends(version))])) == 1


@both
def test_udp_is_forgotten(version: int) -> None:
    """A session of UDP lasts five minutes after its last packet, not longer: RFC 4787 REQ-5."""
    clock = Clock()
    nat = made(clock)
    through(nat, udp(version))
    clock.now += 299.9
    through(nat, udp(version))
    clock.now += 299.9
    assert alive(nat, version)
    clock.now += 300
    assert (alive(nat, version), len(nat), nat.mappings) == (False, 0, 0)


def test_answers_keep_a_session() -> None:
    """A packet that comes in keeps the session as one that leaves does: RFC 4787 REQ-6."""
    clock = Clock()
    nat = made(clock)
    through(nat, udp())
    for _ in range(3):
        clock.now += 299
        assert alive(nat)


def test_icmp_is_forgotten() -> None:
    """A session of echo lasts a minute: RFC 5508 REQ-2."""
    clock = Clock()
    nat = made(clock)
    through(nat, echo())
    clock.now += 59
    nat.outbound([])
    assert len(nat) == 1
    clock.now += 1
    nat.outbound([])
    assert len(nat) == 0


SYN, ACK, FIN, RST = 0x02, 0x10, 0x11, 0x04


@pytest.mark.parametrize(
    ("segments", "lasts"),
    [
        ([(">", SYN)], 240),
        ([(">", SYN), ("<", SYN | ACK)], 240),
        ([(">", SYN), ("<", SYN | ACK), (">", ACK)], 7440),
        ([(">", SYN), ("<", RST | ACK)], 240),
        ([(">", ACK)], 240),
        ([(">", ACK), ("<", ACK)], 7440),
        ([(">", SYN), ("<", SYN | ACK), (">", ACK), (">", FIN)], 7440),
        ([(">", SYN), ("<", SYN | ACK), (">", ACK), (">", FIN), ("<", FIN)], 240),
        ([(">", SYN), ("<", SYN | ACK), (">", ACK), ("<", RST)], 240),
        ([(">", SYN), ("<", SYN | ACK), (">", ACK), (">", RST), (">", ACK)], 240),
        ([(">", ACK), ("<", ACK), (">", FIN), ("<", FIN), (">", SYN), ("<", SYN | ACK), (">", ACK)], 7440),
    ],
)
def test_tcp_is_forgotten(segments: list[tuple[str, int]], lasts: int) -> None:
    """An established connection lasts 2 hours and 4 minutes, any other 4 minutes: RFC 5382 REQ-5."""
    clock = Clock()
    nat = made(clock)
    for direction, flags in segments:
        clock.now += 1
        if direction == ">":
            through(nat, tcp(flags=flags))
        else:
            back(nat, tcp(flags=flags, ports=(443, 4000), **answer_ends(4)))
    clock.now += lasts - 0.5
    nat.inbound([])
    assert len(nat) == 1
    clock.now += 1
    nat.inbound([])
    assert len(nat) == 0


def test_a_full_table() -> None:
    """A full table takes no new session, and ends none for it; when one is forgotten there is room."""
    clock = Clock()
    nat = made(clock, limit=2)
    through(nat, udp(ports=(1, 53)))
    clock.now += 100
    through(nat, udp(ports=(2, 53)))
    assert (list(nat.outbound([udp(ports=(3, 53))])), dict(nat.outbound.dropped)) == ([], {"table_full": 1})
    clock.now += 200
    assert len(nat.outbound([udp(ports=(3, 53)), udp(ports=(2, 53))])) == 2


def test_a_host_with_too_many() -> None:
    """A host inside that has its share gets no more, and the others do: RFC 6888 REQ-4."""
    nat = made(per_host=2)
    assert len(nat.outbound([udp(ports=(n, 53)) for n in range(1, 5)])) == 2
    assert len(nat.outbound([udp(src="10.8.0.9")])) == 1
    assert dict(nat.outbound.dropped) == {"host_limit": 2}


@pytest.mark.parametrize("limits", [{"limit": 1}, {"per_host": 1}])
def test_limits_hold_for_what_comes_in(limits: dict[str, Any]) -> None:
    """A session that begins outside is one too many as well."""
    nat = made(filtering="endpoint_independent", **limits)
    through(nat, udp())
    assert list(nat.inbound([udp(ports=(54, 4000), **answer_ends(4))])) == []
    assert nat.inbound.dropped in ({"table_full": 1}, {"host_limit": 1})


def test_clear() -> None:
    """clear() forgets everything, and what was mapped can be again."""
    nat = made()
    sent = through(nat, udp())
    nat.clear()
    assert (len(nat), nat.mappings, alive(nat)) == (0, 0, False)
    assert through(nat, udp()) == sent


# --- hairpin --------------------------------------------------------------------------------------


@both
@either
def test_hairpin(version: int, kind: str) -> None:
    """A packet from inside to a mapping goes back inside, translated at both ends: RFC 4787 REQ-9, RFC 5382 REQ-8."""
    inside, make = Sink(), MAKERS[kind]
    nat = made(hairpin=inside, filtering="endpoint_independent")
    other = "10.8.0.9" if version == 4 else "fd00::9"
    through(nat, make(version, ports=(7000, 1), src=other))
    for number in (1, 2):
        assert list(nat.outbound([make(version, ports=(4000, 7000), dst=OUTSIDE[version])])) == []
        expected = make(version, ports=(4000, 7000), src=OUTSIDE[version], dst=other)
        assert inside.taken == [expected] * number
    assert dict(nat.outbound.dropped) == {"hairpinned": 2}


def test_a_hairpin_that_is_refused() -> None:
    """What cannot be handed back inside is counted."""
    nat = made(hairpin=Sink(room=1), filtering="endpoint_independent")
    through(nat, udp(ports=(7000, 1), src="10.8.0.9"))
    nat.outbound([udp(ports=(4000, 7000), dst=OUTSIDE[4])] * 3)
    assert dict(nat.outbound.dropped) == {"hairpinned": 1, "refused": 2}


def test_a_hairpin_to_nobody() -> None:
    """A packet to an address outside without a mapping is dropped by the way in."""
    nat = made(hairpin=Sink())
    nat.outbound([udp(ports=(4000, 7000), dst=OUTSIDE[4])])
    assert (dict(nat.outbound.dropped), dict(nat.inbound.dropped)) == ({"hairpinned": 1}, {"no_session": 1})


def test_without_hairpin() -> None:
    """Without a way back inside such a packet leaves."""
    assert len(made().outbound([udp(dst=OUTSIDE[4])])) == 1


# --- what makes no sense --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        ((), {}, "nat: one address outside of each IP version"),
        (("10.0.0.1", "10.0.0.2"), {}, "nat: one address outside of each IP version"),
        (("nowhere",), {}, "is not an IPv4 address"),
        (("10.0.0.1",), {"ports": range(0, 9)}, "nat: ports are of 1 to 65535"),
        (("10.0.0.1",), {"ports": range(9, 0x10001)}, "nat: ports are of 1 to 65535"),
        (("10.0.0.1",), {"ports": range(9, 9)}, "nat: ports are of 1 to 65535"),
        (("10.0.0.1",), {"limit": 0}, "nat: there is at least 1 session"),
        (("10.0.0.1",), {"per_host": 0}, "nat: there is at least 1 session"),
        (("10.0.0.1",), {"filtering": "none"}, "nat: no filtering 'none'; there are endpoint_independent, address"),
    ],
)
def test_without_sense(arguments: tuple[str, ...], options: dict[str, object], text: str) -> None:
    """A NAT that could not work is refused."""
    with pytest.raises(ValueError, match=text):
        Nat(*arguments, **options)  # type: ignore[arg-type]


def test_it_says_how_much_it_holds() -> None:
    """The number of sessions and mappings is there to read, and an empty one is true."""
    nat = made()
    assert nat and repr(nat) == "<Nat of 0 sessions, 0 mappings>"


def test_ports_by_chance() -> None:
    """Without a seed the replaced port is not the same every time."""
    found = set()
    for _ in range(8):
        nat = Nat(OUTSIDE[4], clock=Clock())
        through(nat, udp(src="10.8.0.9"))
        found.add(ports(through(nat, udp()))[0])
    assert len(found) > 1
