"""ARP and neighbor discovery, frame by frame, with scapy asking and judging."""

from __future__ import annotations

from typing import Any

import pytest
from packet.oracle import inet6, l2

from aiotun.errors import PacketError
from aiotun.host.discovery import Claim, group_mac, hear, question
from aiotun.packet import format_mac

from .fakes import EVERYBODY, OTHER_MAC, OUR_MAC, PEER_MAC, FakeLink, fake_tap

OUR4, PEER4 = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
OURS, PEER, GROUP = "fd00::1", "fd00::2", "ff02::1:ff00:1"
OUR6, PEER6 = bytes.fromhex("fd" + "00" * 14 + "01"), bytes.fromhex("fd" + "00" * 14 + "02")


@pytest.fixture
def tap() -> FakeLink:
    return fake_tap("tap0", "10.0.0.1/24", "fd00::1/64")


def arp(**fields: Any) -> bytes:
    """An ARP request of the peer for our address, with some fields changed."""
    usual = {"op": 1, "hwsrc": format_mac(PEER_MAC), "psrc": "10.0.0.2", "pdst": "10.0.0.1"}
    return bytes(l2.Ether(src=format_mac(PEER_MAC), dst="ff:ff:ff:ff:ff:ff") / l2.ARP(**{**usual, **fields}))


def solicitation(
    *, src: str = PEER, dst: str = GROUP, target: str = OURS, mac: bytes | None = PEER_MAC, hops: int = 255
) -> bytes:
    message = inet6.ICMPv6ND_NS(tgt=target)
    if mac is not None:
        message /= inet6.ICMPv6NDOptSrcLLAddr(lladdr=format_mac(mac))
    return in_ether(inet6.IPv6(src=src, dst=dst, hlim=hops) / message)


def advertisement(
    *, dst: str = OURS, target: str = PEER, mac: bytes | None = PEER_MAC, solicited: int = 1, override: int = 1
) -> bytes:
    message = inet6.ICMPv6ND_NA(tgt=target, R=0, S=solicited, O=override)
    if mac is not None:
        message /= inet6.ICMPv6NDOptDstLLAddr(lladdr=format_mac(mac))
    return in_ether(inet6.IPv6(src=PEER, dst=dst, hlim=255) / message)


def in_ether(packet: Any) -> bytes:
    return bytes(l2.Ether(src=format_mac(PEER_MAC), dst=format_mac(OUR_MAC), type=0x86DD) / packet)


def refused(tap: FakeLink, frame: bytes) -> str:
    with pytest.raises(PacketError) as caught:
        hear(tap, frame)
    return caught.value.reason


# --- ARP ----------------------------------------------------------------------------------------


def test_an_arp_request_is_answered(tap: FakeLink) -> None:
    """A request for our address says where its sender is, and gets the answer that scapy expects."""
    claim = hear(tap, arp())
    assert claim[:2] == (PEER4, PEER_MAC)
    assert not claim.confirms
    answer = l2.Ether(claim.answer)
    assert (answer.src, answer.dst) == (format_mac(OUR_MAC), format_mac(PEER_MAC))
    reply = answer[l2.ARP]
    assert (reply.op, reply.hwsrc, reply.psrc) == (2, format_mac(OUR_MAC), "10.0.0.1")
    assert (reply.hwdst, reply.pdst) == (format_mac(PEER_MAC), "10.0.0.2")


def test_a_probe_is_answered(tap: FakeLink) -> None:
    """A probe, whose sender has no address yet, is answered, and says nothing of its sender."""
    claim = hear(tap, arp(psrc="0.0.0.0"))
    assert claim.address is None
    assert l2.Ether(claim.answer)[l2.ARP].psrc == "10.0.0.1"


def test_an_arp_request_for_another(tap: FakeLink) -> None:
    """A request for somebody else is not answered; it is not for us unless we know the sender."""
    assert hear(tap, arp(pdst="10.0.0.9")) == Claim(PEER4, PEER_MAC, unknown="not_for_us")


def test_an_arp_reply(tap: FakeLink) -> None:
    """A reply to us confirms where its sender is."""
    assert hear(tap, arp(op=2)) == Claim(PEER4, PEER_MAC, confirms=True)


def test_an_arp_reply_to_another(tap: FakeLink) -> None:
    """A reply to somebody else confirms nothing."""
    assert hear(tap, arp(op=2, pdst="10.0.0.9")) == Claim(PEER4, PEER_MAC, unknown="not_for_us")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"op": 0}, "bad_arp"),
        ({"op": 3}, "bad_arp"),
        ({"hwtype": 6}, "bad_arp"),
        ({"hwsrc": "ff:ff:ff:ff:ff:ff"}, "bad_arp"),
        ({"hwsrc": "03:00:00:00:00:01"}, "bad_arp"),
        ({"hwsrc": "00:00:00:00:00:00"}, "bad_arp"),
        ({"hwsrc": format_mac(OUR_MAC)}, "spoofed"),
        ({"psrc": "10.0.0.1"}, "spoofed"),
        ({"psrc": "10.0.0.1", "op": 2}, "spoofed"),
        ({"psrc": "10.0.0.255"}, "spoofed"),
        ({"psrc": "255.255.255.255"}, "spoofed"),
        ({"psrc": "224.0.0.1"}, "spoofed"),
    ],
)
def test_arp_that_is_no_good(tap: FakeLink, fields: dict[str, Any], reason: str) -> None:
    """ARP that is malformed, or speaks for us or for nobody, is refused with a reason."""
    assert refused(tap, arp(**fields)) == reason


def test_arp_cut_short(tap: FakeLink) -> None:
    """ARP that is not all there is refused."""
    assert refused(tap, arp()[:41]) == "short_header"


# --- neighbor discovery -------------------------------------------------------------------------


def test_a_solicitation_is_answered(tap: FakeLink) -> None:
    """A solicitation for our address says where its sender is, and gets the answer that scapy expects."""
    claim = hear(tap, solicitation())
    assert claim[:2] == (PEER6, PEER_MAC)
    assert not claim.confirms
    answer = l2.Ether(claim.answer)
    assert (answer.src, answer.dst) == (format_mac(OUR_MAC), format_mac(PEER_MAC))
    packet = answer[inet6.IPv6]
    assert (packet.src, packet.dst, packet.hlim) == (OURS, PEER, 255)
    reply = answer[inet6.ICMPv6ND_NA]
    assert (reply.tgt, reply.R, reply.S, reply.O) == (OURS, 0, 1, 1)
    assert answer[inet6.ICMPv6NDOptDstLLAddr].lladdr == format_mac(OUR_MAC)
    sum_was = reply.cksum
    del reply.cksum
    assert l2.Ether(bytes(answer))[inet6.ICMPv6ND_NA].cksum == sum_was


def test_a_solicitation_without_an_address(tap: FakeLink) -> None:
    """One that does not say where its sender is gets its answer where the frame came from."""
    claim = hear(tap, solicitation(dst=OURS, mac=None))
    assert claim[:2] == (PEER6, None)
    assert l2.Ether(claim.answer).dst == format_mac(PEER_MAC)


def test_the_option_is_answered_not_the_frame(tap: FakeLink) -> None:
    """The answer goes where the solicitation says its sender is."""
    assert l2.Ether(hear(tap, solicitation(mac=OTHER_MAC)).answer).dst == format_mac(OTHER_MAC)


def test_duplicate_address_detection(tap: FakeLink) -> None:
    """Somebody about to take our address is told so before all nodes."""
    claim = hear(tap, solicitation(src="::", mac=None))
    assert claim[:2] == (None, None)
    answer = l2.Ether(claim.answer)
    assert (answer.dst, answer[inet6.IPv6].dst) == ("33:33:00:00:00:01", "ff02::1")
    assert (answer[inet6.ICMPv6ND_NA].S, answer[inet6.ICMPv6ND_NA].tgt) == (0, OURS)


@pytest.mark.parametrize(("solicited", "override"), [(1, 1), (0, 1), (1, 0)])
def test_an_advertisement(tap: FakeLink, solicited: int, override: int) -> None:
    """An advertisement confirms if it was solicited, and says whether it overrides."""
    claim = hear(tap, advertisement(solicited=solicited, override=override))
    assert claim == Claim(PEER6, PEER_MAC, None, bool(solicited), bool(override), "unsolicited")


def test_an_unsolicited_advertisement_to_all(tap: FakeLink) -> None:
    """An advertisement to everybody is heard if it does not claim to be solicited."""
    assert hear(tap, advertisement(dst="ff02::1", solicited=0)).mac == PEER_MAC
    assert refused(tap, advertisement(dst="ff02::1")) == "bad_neighbor"


def test_an_advertisement_without_an_address(tap: FakeLink) -> None:
    """An advertisement need not say where."""
    assert hear(tap, advertisement(mac=None)).mac is None


@pytest.mark.parametrize("hops", [0, 64, 254])
def test_discovery_through_a_router(tap: FakeLink, hops: int) -> None:
    """Anything but hop limit 255 came from somewhere else."""
    assert refused(tap, solicitation(hops=hops)) == "bad_hop_limit"


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (solicitation(target="fd00::9"), "not_for_us"),
        (solicitation(src=OURS), "spoofed"),
        (solicitation(mac=OUR_MAC), "spoofed"),
        (solicitation(mac=EVERYBODY), "bad_neighbor"),
        (solicitation(mac=bytes(6)), "bad_neighbor"),
        (solicitation(src="ff02::1"), "bad_neighbor"),
        (solicitation(src="::"), "bad_neighbor"),
        (solicitation(src="::", dst=OURS, mac=None), "bad_neighbor"),
        (solicitation(target="ff02::1"), "bad_neighbor"),
        (solicitation()[:-1], "bad_length"),
        (advertisement(target=OURS), "spoofed"),
        (advertisement(mac=OUR_MAC), "spoofed"),
        (advertisement(mac=EVERYBODY), "bad_neighbor"),
    ],
)
def test_discovery_that_is_no_good(tap: FakeLink, frame: bytes, reason: str) -> None:
    """A message that is malformed, or speaks for us or for nobody, is refused with a reason."""
    assert refused(tap, frame) == reason


def test_a_wrong_checksum(tap: FakeLink) -> None:
    """A message whose checksum is wrong is refused."""
    frame = bytearray(solicitation())
    frame[-1] ^= 1
    assert refused(tap, bytes(frame)) == "bad_checksum"


def test_padding_is_no_option(tap: FakeLink) -> None:
    """Bytes behind the packet are not looked at."""
    assert hear(tap, solicitation(dst=OURS, mac=None) + bytes(10)).mac is None


# --- questions ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("mac", "dst"), [(None, EVERYBODY), (PEER_MAC, PEER_MAC)])
def test_asking_by_arp(tap: FakeLink, mac: bytes | None, dst: bytes) -> None:
    """Everybody is asked for a neighbor, or the neighbor where it was."""
    frame = l2.Ether(question(tap, PEER4, mac))
    assert (frame.src, frame.dst, frame.type) == (format_mac(OUR_MAC), format_mac(dst), 0x0806)
    request = frame[l2.ARP]
    assert (request.op, request.hwsrc, request.psrc) == (1, format_mac(OUR_MAC), "10.0.0.1")
    assert (request.hwdst, request.pdst) == ("00:00:00:00:00:00", "10.0.0.2")


@pytest.mark.parametrize(
    ("mac", "ether", "dst"), [(None, "33:33:ff:00:00:02", "ff02::1:ff00:2"), (PEER_MAC, format_mac(PEER_MAC), PEER)]
)
def test_asking_by_solicitation(tap: FakeLink, mac: bytes | None, ether: str, dst: str) -> None:
    """The solicited-node group is asked for a neighbor, or the neighbor where it was."""
    frame = l2.Ether(question(tap, PEER6, mac))
    packet = frame[inet6.IPv6]
    assert (frame.src, frame.dst, packet.src, packet.dst, packet.hlim) == (format_mac(OUR_MAC), ether, OURS, dst, 255)
    assert frame[inet6.ICMPv6ND_NS].tgt == PEER
    assert frame[inet6.ICMPv6NDOptSrcLLAddr].lladdr == format_mac(OUR_MAC)


@pytest.mark.parametrize(("address", "own"), [(PEER4, "fd00::1/64"), (PEER6, "10.0.0.1/24")])
def test_nobody_to_ask_from(address: bytes, own: str) -> None:
    """Without an address of the same IP version there is no question."""
    assert question(fake_tap("tap0", own), address, None) is None


# --- groups -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "mac"),
    [
        ((255, 255, 255, 255), "ff:ff:ff:ff:ff:ff"),
        ((10, 0, 0, 255), "ff:ff:ff:ff:ff:ff"),
        ((10, 0, 0, 254), None),
        ((10, 0, 1, 255), None),
        ((224, 0, 0, 1), "01:00:5e:00:00:01"),
        ((239, 255, 2, 3), "01:00:5e:7f:02:03"),
        ((223, 255, 255, 255), None),
        ((240, 0, 0, 1), None),
        ((10, 1, 0, 3), "ff:ff:ff:ff:ff:ff"),
        ((10, 2, 0, 1), None),
    ],
)
def test_ipv4_groups(address: tuple[int, ...], mac: str | None) -> None:
    """Broadcast and multicast addresses have Ethernet addresses of their own; a network of two has no broadcast."""
    tap = fake_tap("tap0", "fd00::1/64", "10.0.0.1/24", "10.1.0.1/30", "10.2.0.0/31")
    found = group_mac(tap, bytes(address))
    assert (found and format_mac(found)) == mac


@pytest.mark.parametrize(("address", "mac"), [("ff" + "00" * 11 + "01020304", "33:33:01:02:03:04"), ("fe" * 16, None)])
def test_ipv6_groups(tap: FakeLink, address: str, mac: str | None) -> None:
    """An IPv6 group keeps its last four bytes."""
    found = group_mac(tap, bytes.fromhex(address))
    assert (found and format_mac(found)) == mac
