"""Fragments in any order through a NAT, and ICMP errors with what they quote."""

from __future__ import annotations

from typing import Any

import pytest
from packet.oracle import inet, inet6

from aiotun.packet import ICMP, ICMPv6, IPv4View, IPv6View, SuperPacket, find_transport
from aiotun.stages import Nat, fragment

from .nats import OUTSIDE, answer_ends, back, inner_ends, made, ports, through
from .packets import ENDS, Clock, echo, rebuilt, tcp, udp, wrap

both = pytest.mark.parametrize("version", [4, 6])


def pieces(version: int, identification: int = 9, ports: tuple[int, int] = (4000, 53), **ends: Any) -> list[bytes]:
    """A datagram of UDP in fragments."""
    fields: dict[str, Any] = {"identification": identification} if version == 4 else {}
    whole = udp(version, bytes(range(200)), ports=ports, **fields, **ends)
    if version == 4:
        return list(fragment(100)([whole]))
    body, out = whole[40:], []
    src, dst = ends.get("src", ENDS[6][0]), ends.get("dst", ENDS[6][1])
    for at in range(0, len(body), 80):
        place = at | (at + 80 < len(body))
        header = b"\x11\0" + place.to_bytes(2, "big") + identification.to_bytes(4, "big")
        out.append(wrap(6, 44, header + body[at : at + 80], src=src, dst=dst))
    return out


@both
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
@pytest.mark.parametrize("batched", [True, False])
def test_fragments_in_any_order(version: int, order: tuple[int, ...], batched: bool) -> None:
    """All fragments leave translated, whichever comes first: RFC 4787 REQ-14."""
    nat = made(ports=range(5000, 6000))
    given = [pieces(version)[n] for n in order]
    out = list(nat.outbound(given)) if batched else [packet for piece in given for packet in nat.outbound([piece])]
    port = ports(through(nat, udp(version)))[0]
    whole = udp(version, bytes(range(200)), ports=(port, 53), src=OUTSIDE[version])
    if version == 4:
        (together,) = inet.defragment(sorted(map(inet.IP, out), key=lambda packet: packet.frag))
    else:
        together = inet6.defragment6([inet6.IPv6(packet) for packet in out])
    assert bytes(together)[20 if version == 4 else 40 :] == whole[20 if version == 4 else 40 :]
    assert (len(out), len(nat.outbound), dict(nat.outbound.dropped)) == (3, 0, {})


@both
def test_fragments_come_in(version: int) -> None:
    """Fragments of an answer arrive inside."""
    nat = made()
    through(nat, udp(version))
    answer = pieces(version, ports=(53, 4000), **answer_ends(version))
    out = list(nat.inbound([answer[1], answer[0], answer[2]]))
    view = IPv4View if version == 4 else IPv6View
    assert {str(view(packet).dst) for packet in out} == {ENDS[version][0]}
    assert len(out) == 3


def test_an_atomic_fragment() -> None:
    """A fragment header over a whole datagram waits for nothing: RFC 6946."""
    packet = wrap(6, 44, b"\x11\0\0\0\0\0\0\x09" + udp(6)[40:])
    assert through(made(), packet)[48:] == udp(6, src=OUTSIDE[6])[40:]


@both
def test_fragments_that_wait_are_held(version: int) -> None:
    """A later fragment waits, visibly, until the first comes, and is dropped when that takes too long."""
    clock = Clock()
    nat = made(clock)
    assert (list(nat.outbound([pieces(version)[1]])), len(nat.outbound), dict(nat.outbound.dropped)) == ([], 1, {})
    clock.now += 30
    assert (list(nat.outbound([])), len(nat.outbound)) == ([], 0)
    assert dict(nat.outbound.dropped) == {"fragment_timeout": 1}


def test_fragments_that_wait_are_bounded() -> None:
    """More fragments than may wait are dropped."""
    nat = made()
    nat.outbound([pieces(4, identification=n)[1] for n in range(70)])
    assert (len(nat.outbound), dict(nat.outbound.dropped)) == (64, {"fragments_full": 6})


def test_clear() -> None:
    """clear() drops the fragments that wait, and forgets whose others were."""
    nat = made()
    nat.outbound([pieces(4, 8)[0], pieces(4)[1]])
    nat.clear()
    assert (len(nat.outbound), dict(nat.outbound.dropped)) == (0, {"cleared": 1})
    assert (list(nat.outbound([pieces(4, 8)[1]])), len(nat.outbound)) == ([], 1)


def test_a_first_fragment_without_its_checksum() -> None:
    """A first fragment of TCP that ends in front of the checksum is dropped: RFC 1858."""
    nat = made()
    packet = wrap(4, 6, tcp()[20:36], more_fragments=True)
    assert (list(nat.outbound([packet])), dict(nat.outbound.dropped)) == ([], {"short_transport": 1})


def test_fragments_of_other_protocols() -> None:
    """A fragment of what cannot be translated does not wait."""
    nat = made()
    assert list(nat.outbound([wrap(4, 47, bytes(16), fragment_offset=4)])) == []
    assert dict(nat.outbound.dropped) == {"unsupported": 1}


# --- ICMP errors ----------------------------------------------------------------------------------


def error(version: int, about: bytes, kind: int | None = None, quote: int = 600, **ends: Any) -> bytes:
    """An ICMP error that quotes a packet."""
    if version == 4:
        return wrap(4, 1, ICMP(3 if kind is None else kind, 4, 1400, about[:quote]).build(), **ends)
    body = ICMPv6(2 if kind is None else kind, 0, 1400, about[:quote]).build(ends["src"], ends["dst"])
    return wrap(6, 58, body, **ends)


ROUTER = {4: "198.51.100.1", 6: "2001:db8:1::1"}
MAKERS = {"tcp": tcp, "udp": udp, "echo": echo}


@both
@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("quote", [600, 28])
def test_an_error_comes_in(version: int, kind: str, quote: int) -> None:
    """An error of any router about a packet that left arrives inside, about the packet as it was: RFC 5508 REQ-4."""
    quote = quote + 20 * (version == 6 and quote == 28)
    nat, packet = made(ports=range(5000, 6000)), MAKERS[kind](version)
    through(nat, MAKERS[kind](version, src="10.8.0.9" if version == 4 else "fd00::9"))
    sent = through(nat, packet)
    assert sent[-30:] != packet[-30:] or kind != "echo"
    answer = error(version, sent, quote=quote, src=ROUTER[version], dst=OUTSIDE[version])
    received = back(nat, answer)
    assert received == error(version, packet, quote=quote, src=ROUTER[version], dst=ENDS[version][0])
    if quote == 600:
        assert rebuilt(received) == received


@both
@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize("router", [True, False])
def test_an_error_goes_out(version: int, kind: str, router: bool) -> None:
    """An error about a packet that came in leaves from the address outside, whoever inside sends it."""
    nat, make = made(ports=range(5000, 6000)), MAKERS[kind]
    remote = 443 if kind == "tcp" else 53
    port = ports(through(nat, make(version)))[0]
    came = make(version, ports=(remote, port), **answer_ends(version))
    received = back(nat, came)
    speaker = {4: "10.8.0.254", 6: "fd00::254"}[version] if router else ENDS[version][0]
    sent = through(nat, error(version, received, kind=3, src=speaker, dst=ENDS[version][1]))
    assert sent == error(version, came, kind=3, src=OUTSIDE[version], dst=ENDS[version][1])


def test_an_error_about_an_answered_ping() -> None:
    """An error about an echo reply leaves too, with the identifier outside."""
    nat = made()
    through(nat, echo(src="10.8.0.9"))
    sent = through(nat, echo())
    reply = bytearray(sent)
    reply[12:16], reply[16:20], reply[20] = sent[16:20], sent[12:16], 0
    came = rebuilt(bytes(reply))
    out = through(nat, error(4, back(nat, came), kind=3, src=ENDS[4][0], dst=ENDS[4][1]))
    assert out == error(4, came, kind=3, src=OUTSIDE[4], dst=ENDS[4][1])


@both
def test_an_error_keeps_no_session(version: int) -> None:
    """Errors do not keep a session from being forgotten."""
    clock = Clock()
    nat = made(clock)
    answer = error(version, through(nat, udp(version)), src=ROUTER[version], dst=OUTSIDE[version])
    clock.now += 299
    back(nat, answer)
    clock.now += 1
    assert list(nat.inbound([answer])) == []


def test_an_unfinished_error() -> None:
    """An error whose checksum was left to be made is finished first."""
    nat = made()
    answer = error(4, through(nat, udp()), src=ROUTER[4], dst=OUTSIDE[4])
    octets = bytearray(answer)
    octets[22:24] = b"\0\0"
    assert back(nat, SuperPacket(octets, csum_start=20, csum_offset=2, needs_csum=True)) == back(nat, answer)


def damaged(packet: bytes) -> bytes:
    """The packet with its last bit flipped."""
    return packet[:-1] + bytes((packet[-1] ^ 1,))


def quotes(nat: Nat) -> dict[str, tuple[bytes, str]]:
    """Errors that do not come in, and why."""
    ends: dict[str, Any] = {"src": ROUTER[4], "dst": OUTSIDE[4]}
    sent = through(nat, udp())
    pinged = through(nat, echo())
    later = bytearray(sent)
    later[7] = 1
    answered = bytearray(pinged)
    answered[20] = 0
    return {
        "wrong checksum": (damaged(error(4, sent, **ends)), "bad_checksum"),
        "about nobody's packet": (error(4, udp(src=OUTSIDE[4], ports=(9, 9)), **ends), "no_session"),
        "about an echo reply": (error(4, bytes(answered), **ends), "no_session"),
        "quote cut in the ports": (error(4, sent, quote=23, **ends), "bad_quote"),
        "quote of garbage": (error(4, b"\x99" * 40, **ends), "bad_quote"),
        "quote of a later fragment": (error(4, bytes(later), **ends), "bad_quote"),
        "redirect": (error(4, sent, kind=5, **ends), "no_session"),
        "fragment": (wrap(4, 1, error(4, sent, **ends)[20:], more_fragments=True, **ends), "unsupported"),
        "checksum beyond the packet": (
            SuperPacket(error(4, sent, **ends), csum_start=900, csum_offset=2, needs_csum=True),
            "bad_csum_off",
        ),
    }


@pytest.mark.parametrize("name", quotes(made()))
def test_errors_that_do_not_come_in(name: str) -> None:
    """An error that is damaged, or about nothing that left, is dropped: RFC 5508 REQ-3."""
    nat = made()
    packet, reason = quotes(nat)[name]
    assert (list(nat.inbound([packet])), dict(nat.inbound.dropped)) == ([], {reason: 1})


def test_an_error_about_nothing_that_came() -> None:
    """An error from inside about a packet that never came in is dropped."""
    nat = made()
    ends: dict[str, Any] = {"src": ENDS[4][0], "dst": ENDS[4][1]}
    for packet in (udp(**inner_ends(4)), echo(**inner_ends(4))):
        assert list(nat.outbound([error(4, packet, **ends)])) == []
    assert dict(nat.outbound.dropped) == {"no_session": 2}


def test_the_mtu_arrives() -> None:
    """Path MTU discovery works through a NAT: the mtu of the error is what the router said."""
    nat = made()
    received = back(nat, error(4, through(nat, udp()), src=ROUTER[4], dst=OUTSIDE[4]))
    message = inet.IP(received).payload
    assert (message.nexthopmtu, message.payload.src, message.payload.payload.sport) == (1400, ENDS[4][0], 4000)
    assert find_transport(received).protocol == 1
