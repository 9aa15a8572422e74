"""The vnet header: bytes to packets and back."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.errors import PacketError
from aiotun.packet import (
    GSO_UDP_TUNNEL,
    VNET_HEADER_SIZE,
    VNET_MRG_HEADER_SIZE,
    VNET_TUNNEL_HEADER_SIZE,
    SuperPacket,
    pack_vnet,
    parse_vnet,
)

from .strategies import uint

super_packets = st.builds(
    SuperPacket,
    st.binary(max_size=50),
    gso_type=uint(8).filter(lambda kind: not kind & GSO_UDP_TUNNEL),
    gso_size=uint(16),
    hdr_len=uint(16),
    csum_start=uint(16),
    csum_offset=uint(16),
    needs_csum=st.booleans(),
).filter(lambda packet: packet.gso_type or packet.needs_csum)

EXAMPLE = SuperPacket(b"abc", 0x81, 0x0203, 0x0405, 0x0607, 0x0809, True)
EXAMPLE_HEADER = bytes.fromhex("0181050403020706 0908")


def test_the_sizes() -> None:
    """The header takes 10 bytes, 12 with num_buffers, and 24 with the offsets of a tunnel."""
    assert (VNET_HEADER_SIZE, VNET_MRG_HEADER_SIZE, VNET_TUNNEL_HEADER_SIZE) == (10, 12, 24)


TUNNEL = SuperPacket(b"abc", 0x21, 0x0203, 0x0405, 0x0607, 0x0809, True, False, 0x0A0B, 0x0C0D, True)
TUNNEL_HEADER = bytes.fromhex("0921050403020706 0908 00000000000000000000 0b0a 0d0c")


@pytest.mark.parametrize("size", [24, 26])
def test_the_offsets_of_a_tunnel(size: int) -> None:
    """The outer transport's and the inner network's offset stand 20 bytes into the header, the low byte first."""
    assert pack_vnet(TUNNEL, size) == TUNNEL_HEADER.ljust(size, b"\0")
    assert vars(parse_vnet(TUNNEL_HEADER.ljust(size, b"\xff") + b"abc", size)) == vars(TUNNEL)


@pytest.mark.parametrize("size", [10, 12, 23])
def test_a_header_without_room_for_a_tunnel(size: int) -> None:
    """A tunnel's offsets are not left out silently: the packet is refused, and read without them."""
    with pytest.raises(PacketError, match=f"size is {size}, in a tunnel it must be at least 24") as caught:
        pack_vnet(TUNNEL, size)
    assert caught.value.reason == "bad_value"
    parsed = parse_vnet(TUNNEL_HEADER[:size] + b"abc", size)
    assert isinstance(parsed, SuperPacket)
    assert (parsed.gso_type, parsed.outer_th_offset, parsed.inner_nh_offset) == (0x21, 0, 0)


@pytest.mark.parametrize("field", ["outer_th_offset", "inner_nh_offset"])
def test_an_offset_of_more_than_16_bits(field: str) -> None:
    """An offset that does not fit is refused like any field."""
    wrong = SuperPacket(b"abc", 0x21)
    setattr(wrong, field, 0x10000)
    with pytest.raises(PacketError) as caught:
        pack_vnet(wrong, 24)
    assert caught.value.reason == "bad_value"


def test_the_hash_is_not_read() -> None:
    """What a tun leaves zero between num_buffers and the offsets is of no use."""
    header = TUNNEL_HEADER[:10] + b"\xff" * 10 + TUNNEL_HEADER[20:]
    assert vars(parse_vnet(header + b"abc", 24)) == vars(TUNNEL)


def test_C25_the_numbers_are_little_endian() -> None:
    """C25: flags, type, hdr_len, gso_size, csum_start, csum_offset, in this order, the low byte first."""
    assert pack_vnet(EXAMPLE) == EXAMPLE_HEADER
    assert vars(parse_vnet(EXAMPLE_HEADER + b"abc")) == vars(EXAMPLE)


@pytest.mark.parametrize("size", [10, 12, 20, 24])
def test_a_plain_packet_has_a_header_of_zeros(size: int) -> None:
    """A plain packet is written behind zeros, and read as plain bytes."""
    assert pack_vnet(b"abc", size) == bytes(size)
    assert type(parse_vnet(bytes(size) + b"abc", size)) is bytes


@pytest.mark.parametrize("size", [12, 20, 24])
def test_what_follows_the_ten_bytes_is_zero(size: int) -> None:
    """num_buffers and all later fields are written as zero, and not read."""
    assert pack_vnet(EXAMPLE, size) == EXAMPLE_HEADER + bytes(size - 10)
    parsed = parse_vnet(EXAMPLE_HEADER + b"\xff" * (size - 10) + b"abc", size)
    assert (parsed, vars(parsed)) == (b"abc", vars(EXAMPLE))


@given(super_packets, st.sampled_from([10, 12, 24]))
def test_there_and_back(packet: SuperPacket, size: int) -> None:
    """What was packed is parsed as it was."""
    back = parse_vnet(pack_vnet(packet, size) + packet, size)
    assert (type(back), bytes(back), vars(back)) == (SuperPacket, bytes(packet), vars(packet))


def test_fixed_id_has_no_place() -> None:
    """The header does not say that an identification is fixed."""
    packet = SuperPacket(b"abc", 1, 1, fixed_id=True)
    assert pack_vnet(packet) == pack_vnet(SuperPacket(b"abc", 1, 1))
    assert vars(parse_vnet(pack_vnet(packet) + packet))["fixed_id"] is False


@pytest.mark.parametrize("flags", [0x02, 0x04, 0xF8, 0xFE])
def test_C24_other_flags_say_nothing(flags: int) -> None:
    """C24: DATA_VALID, RSC_INFO and unknown flags are read as none, alone and beside NEEDS_CSUM."""
    assert type(parse_vnet(bytes((flags, *bytes(9))) + b"abc")) is bytes
    assert vars(parse_vnet(bytes((flags | 1, *bytes(9))) + b"abc"))["needs_csum"] is True


def test_a_type_alone_makes_a_super_packet() -> None:
    """A packet to be cut is a SuperPacket even if its checksum is finished."""
    parsed = parse_vnet(struct.pack("<BBHHHH", 0, 1, 0, 9, 0, 0) + b"abc")
    assert isinstance(parsed, SuperPacket) and parsed.gso_size == 9 and not parsed.needs_csum


@pytest.mark.parametrize(("length", "size"), [(0, 10), (9, 10), (10, 12), (11, 12)])
def test_C18_a_short_header(length: int, size: int) -> None:
    """C18: fewer bytes than the header takes are no packet."""
    with pytest.raises(PacketError) as caught:
        parse_vnet(bytes(length), size)
    assert caught.value.reason == "short_vnet"
    assert str(caught.value) == f"vnet header: there are {length} bytes, the header takes {size}"


@pytest.mark.parametrize("size", [10, 12])
def test_a_header_without_a_packet(size: int) -> None:
    """Exactly a header is an empty packet."""
    assert parse_vnet(bytes(size), size) == b""


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("header", [bytes(10), EXAMPLE_HEADER])
def test_the_packet_is_a_copy(kind: Any, header: bytes) -> None:
    """The buffer may be used again at once."""
    source = bytearray(header + b"abc")
    parsed = parse_vnet(kind(source))
    source[:] = bytes(len(source))
    assert parsed == b"abc"


@pytest.mark.parametrize("size", [-1, 0, 9])
def test_a_size_that_cannot_be(size: int) -> None:
    """No header is shorter than 10 bytes."""
    for attempt in (pack_vnet, parse_vnet):
        with pytest.raises(PacketError) as caught:
            attempt(bytes(50), size)
        assert caught.value.reason == "bad_value"
        assert str(caught.value) == f"vnet header: size is {size}, it must be at least 10"


@pytest.mark.parametrize("field", ["gso_type", "gso_size", "hdr_len", "csum_start", "csum_offset"])
@pytest.mark.parametrize("number", [-1, 65536])
def test_a_number_that_does_not_fit(field: str, number: int) -> None:
    """A field out of range is a PacketError."""
    fields: dict[str, Any] = {field: number}
    with pytest.raises(PacketError, match="^vnet header: ") as caught:
        pack_vnet(SuperPacket(b"abc", **fields))
    assert caught.value.reason == "bad_value"


def test_X3_a_header_is_never_inherited() -> None:
    """X3: after a super-packet, the next plain packet's header is all zero."""
    headers = [pack_vnet(packet) for packet in (EXAMPLE, b"abc", EXAMPLE, EXAMPLE[:])]
    assert headers == [EXAMPLE_HEADER, bytes(10), EXAMPLE_HEADER, bytes(10)]
