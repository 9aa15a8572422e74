"""SuperPacket: bytes with the kernel's fields, and what the kernel refuses of them."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from aiotun.errors import PacketError
from aiotun.packet import GSO_ECN, GSO_UDP_TUNNEL, GSO_UDP_TUNNEL_IPV4, GSO_UDP_TUNNEL_IPV6, GSOType, SuperPacket

FIELDS: dict[str, Any] = {
    "gso_type": 1,
    "gso_size": 100,
    "hdr_len": 40,
    "csum_start": 20,
    "csum_offset": 16,
    "needs_csum": True,
    "fixed_id": True,
}

TCP4: dict[str, Any] = {"gso_type": 1, "gso_size": 100, "csum_start": 20, "csum_offset": 16, "needs_csum": True}
TCP6: dict[str, Any] = TCP4 | {"gso_type": 4, "csum_start": 40}
UDP4: dict[str, Any] = TCP4 | {"gso_type": 5, "csum_offset": 6}
UDP6: dict[str, Any] = UDP4 | {"csum_start": 40}
UFO: dict[str, Any] = UDP4 | {"gso_type": 3}
TUNNEL: dict[str, Any] = TCP4 | {
    "gso_type": 0x21,
    "csum_start": 84,
    "outer_th_offset": 34,
    "inner_nh_offset": 64,
    "tunnel_csum": True,
}
TUNNEL_FIELDS: dict[str, Any] = FIELDS | TUNNEL
CHECKSUM: dict[str, Any] = {"csum_start": 20, "csum_offset": 6, "needs_csum": True}


def verdict(size: int, ethernet: bool = False, **fields: Any) -> str:
    """Return the reason of the refusal; empty if there is none."""
    try:
        SuperPacket(bytes(size), **fields).check(ethernet)
    except PacketError as error:
        assert str(error).startswith("SuperPacket: ")
        return error.reason
    return ""


def test_it_is_bytes() -> None:
    """A SuperPacket is equal to its bytes, as long, and hashes like them."""
    packet = SuperPacket(b"abc", gso_type=1)
    assert packet == b"abc" and len(packet) == 3 and hash(packet) == hash(b"abc")
    assert isinstance(packet, bytes)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_copied(kind: Any) -> None:
    """Its bytes are its own, whatever buffer they came in."""
    source = bytearray(b"abc")
    packet = SuperPacket(kind(source))
    source[:] = b"xyz"
    assert packet == b"abc"


def test_fields_are_kept() -> None:
    """Each field is what was given, by name or in the order of the header's use."""
    assert vars(SuperPacket(b"abc", **FIELDS)) == FIELDS
    assert vars(SuperPacket(b"abc", *FIELDS.values())) == FIELDS


def test_no_fields_say_nothing() -> None:
    """Without fields it is a finished packet."""
    assert vars(SuperPacket(b"abc")) == dict.fromkeys(FIELDS, 0)


@pytest.mark.parametrize("cut", [lambda p: p[:], lambda p: p[1:], lambda p: p + b"", lambda p: bytes(p)])
def test_what_is_cut_from_it_is_plain(cut: Any) -> None:
    """No operation of bytes takes the fields along to other bytes, which they would not fit."""
    assert type(cut(SuperPacket(b"abc", **FIELDS))) is bytes


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_a_copy_is_whole(again: Any) -> None:
    """Copies and pickles keep bytes and fields."""
    for fields in (FIELDS, TUNNEL_FIELDS):
        packet = again(SuperPacket(b"abc", **fields))
        assert (type(packet), bytes(packet), vars(packet)) == (SuperPacket, b"abc", fields)


def test_outside_of_tunnels_there_is_nothing_to_say() -> None:
    """The fields of a tunnel are there to be read of every super-packet."""
    packet = SuperPacket(b"abc", **FIELDS)
    assert (packet.outer_th_offset, packet.inner_nh_offset, packet.tunnel_csum) == (0, 0, False)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "<SuperPacket of 3 bytes>"),
        ({"needs_csum": True}, "<SuperPacket of 3 bytes, needs its checksum>"),
        (FIELDS, "<SuperPacket of 3 bytes, TCPV4 in segments of 100, needs its checksum>"),
        ({"gso_type": 0x84, "gso_size": 7}, "<SuperPacket of 3 bytes, TCPV6 in segments of 7>"),
        ({"gso_type": 0x8F, "gso_size": 7}, "<SuperPacket of 3 bytes, 143 in segments of 7>"),
        ({"gso_type": 0xC4, "gso_size": 7}, "<SuperPacket of 3 bytes, TCPV6 in a tunnel in segments of 7>"),
    ],
)
def test_repr(fields: dict[str, Any], text: str) -> None:
    """It shows its size and what is left to do, not its bytes, in any way of printing it."""
    packet = SuperPacket(b"abc", **fields)
    assert [repr(packet), str(packet), f"{packet}"] == [text] * 3


def test_the_kernels_numbers() -> None:
    """The types have the numbers of linux/virtio_net.h."""
    assert {kind.name: int(kind) for kind in GSOType} == {"NONE": 0, "TCPV4": 1, "UFO": 3, "TCPV6": 4, "UDP_L4": 5}
    assert (GSO_ECN, GSO_UDP_TUNNEL_IPV4, GSO_UDP_TUNNEL_IPV6, GSO_UDP_TUNNEL) == (0x80, 0x20, 0x40, 0x60)


@pytest.mark.parametrize("fields", [TCP4, TCP6, UDP4, UDP6, UFO, CHECKSUM, {}])
def test_what_the_kernel_sends_passes(fields: dict[str, Any]) -> None:
    """Each kind passes as the kernel would make it, with CWR or without, and a hint of any length within."""
    assert verdict(500, **fields) == ""
    assert verdict(500, **(fields | {"hdr_len": 500})) == ""


def test_a_packet_is_no_frame() -> None:
    """Unless told so, check() takes no packet for a frame, so a short one passes."""
    SuperPacket(b"abc").check()


@pytest.mark.parametrize("kind", [1, 4])
def test_ecn_is_for_tcp(kind: int) -> None:
    """C21: GSO_ECN passes beside TCP, and not beside UDP or nothing."""
    assert verdict(500, **(TCP6 | {"gso_type": kind | GSO_ECN})) == ""
    assert verdict(500, **(UDP4 | {"gso_type": 5 | GSO_ECN})) == "bad_gso_type"
    assert verdict(500, gso_type=GSO_ECN, gso_size=1) == "bad_gso_type"


# One field at a time, by the row of the catalogue it is in; each number is the last that passes and the next.
@pytest.mark.parametrize(
    ("size", "fields", "reason"),
    [
        (40, CHECKSUM | {"csum_start": 30, "csum_offset": 8}, ""),
        (40, CHECKSUM | {"csum_start": 30, "csum_offset": 9}, "bad_csum_off"),
        (40, CHECKSUM | {"csum_start": 0xFFFF, "csum_offset": 0xFFFF}, "bad_csum_off"),
        (40, CHECKSUM | {"csum_start": 19}, "bad_csum_off"),
        (40, CHECKSUM | {"csum_offset": 0}, ""),
        (500, TCP4 | {"csum_offset": 17}, "bad_csum_off"),
        (500, TCP6 | {"csum_offset": 6}, "bad_csum_off"),
        (500, UDP4 | {"csum_offset": 16}, "bad_csum_off"),
        (500, UFO | {"csum_offset": 16}, ""),
        (500, TCP6 | {"csum_start": 39}, "bad_csum_off"),
        (500, {"csum_start": 499, "csum_offset": 499}, ""),
        (500, {"hdr_len": 500}, ""),
        (500, {"hdr_len": 501}, "bad_hdr_len"),
        (500, TCP4 | {"hdr_len": 501}, "bad_hdr_len"),
        *((500, TCP4 | {"gso_type": kind}, "bad_gso_type") for kind in (2, 6, 7, 0x10, 0x20, 0x40, 0x7F, 0x82, 0xFF)),
        (500, TCP4 | {"gso_size": 0}, "bad_gso_size"),
        (500, TCP4 | {"gso_size": 0xFFFF}, "bad_gso_size"),
        (500, TCP4 | {"gso_size": 0xFFFE}, ""),
        (500, TCP4 | {"gso_size": 1}, ""),
        (500, {"gso_size": 0xFFFF}, ""),
        (500, UDP4 | {"needs_csum": False}, "bad_gso_type"),
        (28 + 128, UDP4 | {"gso_size": 1}, ""),
        (28 + 129, UDP4 | {"gso_size": 1}, "bad_gso_size"),
        (48 + 128 * 3, UDP6 | {"gso_size": 3}, ""),
        (49 + 128 * 3, UDP6 | {"gso_size": 3}, "bad_gso_size"),
        (40 + 60000, TCP4 | {"gso_size": 1}, ""),
        (40, TCP4, ""),
        (39, TCP4, "short_header"),
        (40, TCP4 | {"needs_csum": False}, ""),
        (39, TCP4 | {"needs_csum": False}, "short_header"),
        (60, TCP6 | {"needs_csum": False}, ""),
        (59, TCP6 | {"needs_csum": False}, "short_header"),
        (28, UFO | {"needs_csum": False}, ""),
        (27, UFO | {"needs_csum": False}, "short_header"),
        (28, UDP4, ""),
        (0, {}, ""),
    ],
)
def test_what_the_kernel_refuses(size: int, fields: dict[str, Any], reason: str) -> None:
    """C19 to C24: a refusal has its reason, and begins where the kernel's EINVAL begins."""
    assert verdict(size, **fields) == reason


@pytest.mark.parametrize(
    ("size", "fields", "reason"),
    [
        (14, {}, ""),
        (13, {}, "short_header"),
        (60, {"hdr_len": 13}, "bad_hdr_len"),
        (60, {"hdr_len": 1}, "bad_hdr_len"),
        (60, {"hdr_len": 14}, ""),
        (60, CHECKSUM | {"hdr_len": 1}, ""),
        (60, TCP4 | {"csum_start": 34}, ""),
    ],
)
def test_a_frame_has_an_ethernet_header(size: int, fields: dict[str, Any], reason: str) -> None:
    """On a tap neither the frame nor its hdr_len may end within the Ethernet header; 0 is no hint."""
    assert verdict(size, ethernet=True, **fields) == reason
    assert verdict(size, **fields) == ""


@pytest.mark.parametrize(
    ("size", "fields", "text"),
    [
        (10, CHECKSUM, "checksum ends at 28, the packet has 10 bytes"),
        (10, {"hdr_len": 11}, "hdr_len is 11, the packet has 10 bytes"),
        (500, TCP4 | {"gso_type": 2}, "gso_type is 2, it must be 1, 3, 4 or 5"),
        (500, TCP4 | {"gso_size": 0}, "gso_size is 0, it must be 1 to 65534"),
        (500, UDP4 | {"needs_csum": False}, "gso_type is 5, that needs needs_csum"),
        (500, UDP4 | {"gso_type": 0x85}, "gso_type is 5, GSO_ECN is for TCP"),
        (500, TCP6 | {"csum_start": 20}, "csum_start is 20, it must be at least 40"),
        (500, TCP6 | {"csum_offset": 6}, "csum_offset is 6, it must be 16"),
        (500, UDP4 | {"csum_offset": 16}, "csum_offset is 16, it must be 6"),
        (39, TCP4, "headers end at 40, the packet has 39 bytes"),
        (500, UDP4 | {"gso_size": 1}, "472 bytes in segments of 1 are more than 128"),
    ],
)
def test_a_refusal_is_a_sentence(size: int, fields: dict[str, Any], text: str) -> None:
    """It names both numbers."""
    with pytest.raises(PacketError) as caught:
        SuperPacket(bytes(size), **fields).check()
    assert str(caught.value) == f"SuperPacket: {text}"


@pytest.mark.parametrize(
    ("size", "fields", "text"),
    [
        (13, {}, "there are 13 bytes, an Ethernet header takes 14"),
        (60, {"hdr_len": 13}, "hdr_len is 13, an Ethernet header takes 14"),
    ],
)
def test_a_refusal_of_a_frame_is_a_sentence(size: int, fields: dict[str, Any], text: str) -> None:
    """It names both numbers as well."""
    with pytest.raises(PacketError) as caught:
        SuperPacket(bytes(size), **fields).check(ethernet=True)
    assert str(caught.value) == f"SuperPacket: {text}"


def test_moved() -> None:
    """Of other bytes, and with all its places counted from somewhere else, it is the same in everything else."""
    packet = SuperPacket(bytes(300), **FIELDS)
    moved = packet.moved(bytes(14) + packet, 14)
    assert vars(moved) == vars(packet) | {"hdr_len": packet.hdr_len + 14, "csum_start": packet.csum_start + 14}
    assert moved == bytes(314)
    assert vars(moved.moved(moved[14:], -14)) == vars(packet)


def test_moved_in_a_tunnel() -> None:
    """The offsets of a tunnel are moved like the others."""
    packet = SuperPacket(bytes(500), **TUNNEL).moved(bytes(514), 14)
    assert vars(packet) == vars(
        SuperPacket(bytes(514), **(TUNNEL | {"csum_start": 98, "outer_th_offset": 48, "inner_nh_offset": 78}))
    )


TUNNEL6: dict[str, Any] = TUNNEL | {"gso_type": 0x44, "csum_start": 104}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (TUNNEL, ""),
        (TUNNEL | {"gso_type": 0xA1, "tunnel_csum": False}, ""),
        (TUNNEL | {"gso_type": 0x25, "csum_offset": 6}, ""),
        (TUNNEL | {"gso_type": 0x61}, "bad_gso_type"),
        (TUNNEL | {"gso_type": 0x20}, "bad_gso_type"),
        (TUNNEL | {"gso_type": 0x23, "csum_offset": 6}, "bad_gso_type"),
        (TUNNEL | {"gso_type": 0x22}, "bad_gso_type"),
        (TUNNEL | {"gso_type": 0xA5, "csum_offset": 6}, "bad_gso_type"),
        (TUNNEL | {"needs_csum": False}, "bad_gso_type"),
        (TUNNEL | {"outer_th_offset": 33}, "bad_tunnel"),
        (TUNNEL | {"outer_th_offset": 56}, ""),
        (TUNNEL | {"outer_th_offset": 57}, "bad_tunnel"),
        (TUNNEL | {"csum_start": 83}, "bad_csum_off"),
        (TUNNEL | {"csum_offset": 6}, "bad_csum_off"),
        (TUNNEL | {"gso_size": 0}, "bad_gso_size"),
        (TUNNEL6, "bad_tunnel"),
        (TUNNEL6 | {"outer_th_offset": 54}, ""),
        (TUNNEL6 | {"outer_th_offset": 53}, "bad_tunnel"),
        (TUNNEL6 | {"outer_th_offset": 54, "csum_start": 103}, "bad_csum_off"),
    ],
)
def test_what_the_kernel_refuses_in_tunnels(fields: dict[str, Any], reason: str) -> None:
    """The offsets of a tunnel leave room for the headers between them, and what is inside is to be cut."""
    assert verdict(500, ethernet=True, **fields) == reason


def test_udp_in_ipv6_in_a_tunnel() -> None:
    """Of UDP the inner IP header says how long it must be."""
    fields = TUNNEL | {"gso_type": 0x25, "csum_offset": 6, "csum_start": 103}
    octets = bytearray(500)
    SuperPacket(octets, **fields).check(ethernet=True)
    octets[64] = 0x60
    with pytest.raises(PacketError) as caught:
        SuperPacket(octets, **fields).check(ethernet=True)
    assert caught.value.reason == "bad_csum_off"


def test_a_packet_in_a_tunnel_is_no_frame() -> None:
    """A tun's packet has no Ethernet header for which its offsets would have to leave room."""
    fields = TUNNEL | {"outer_th_offset": 20}
    assert [verdict(500, ethernet, **fields) for ethernet in (False, True)] == ["", "bad_tunnel"]


def test_moved_what_says_nothing() -> None:
    """Fields that are 0 for "none" stay 0."""
    assert vars(SuperPacket(bytes(60)).moved(bytes(74), 14)) == vars(SuperPacket(bytes(60)))
