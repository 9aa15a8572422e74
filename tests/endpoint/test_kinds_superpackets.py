"""Which super-packets a tun and a tap with offload take."""

from __future__ import annotations

from typing import Any

import pytest

from aiotun.endpoint import Tap, Tun
from aiotun.errors import AiotunError, PacketError, PacketTooBig
from aiotun.packet import SuperPacket

from .fakes import FakePort

ETHERNET = bytes.fromhex("0200000000010200000000020800")
TAGGED = bytes.fromhex("020000000001020000000002810000640800")


def tcp(payload: int, gso_size: int, link: bytes = b"", options: int = 0, **fields: Any) -> SuperPacket:
    """A TCP super-packet behind IPv4, to be cut into *gso_size* bytes each."""
    header = bytes(12) + bytes(((20 + options) // 4 << 4,)) + bytes(7 + options)
    octets = link + b"\x45" + bytes(19) + header + bytes(payload)
    start = len(link) + 20
    given = {"gso_type": 1, "gso_size": gso_size, "hdr_len": start + 20 + options, "csum_start": start}
    return SuperPacket(octets, **{**given, "csum_offset": 16, "needs_csum": True, **fields})


def udp(payload: int, gso_size: int) -> SuperPacket:
    return SuperPacket(b"\x45" + bytes(27 + payload), 5, gso_size, 28, 20, 6, True)


def port() -> FakePort:
    made = FakePort()
    made.superpackets = True
    return made


async def sent(kind: type[Tun | Tap], packet: bytes) -> list[bytes]:
    """What reaches the device."""
    made = port()
    async with kind(made) as endpoint:
        await endpoint.send(packet)
    return made.written


async def refusal(kind: type[Tun | Tap], packet: bytes) -> AiotunError:
    """What sending raises; nothing reaches the device."""
    made = port()
    async with kind(made) as endpoint:
        with pytest.raises(AiotunError) as caught:
            await endpoint.send(packet)
    assert made.offered == []
    return caught.value


@pytest.mark.parametrize(
    ("kind", "packet"),
    [
        (Tun, tcp(60000, 1460)),
        (Tun, tcp(60000, 1448, options=12)),
        (Tun, tcp(60000, 1460, hdr_len=1500)),
        (Tun, tcp(60000, 1460, gso_type=0x81)),
        (Tun, udp(10000, 1472)),
        (Tap, tcp(60000, 1460, ETHERNET)),
        (Tap, tcp(60000, 1460, TAGGED)),
    ],
)
async def test_whose_segments_fit(kind: type[Tun | Tap], packet: SuperPacket) -> None:
    """A super-packet of 60,000 bytes whose segments are as long as the mtu is sent in one piece."""
    assert await sent(kind, packet) == [packet]


@pytest.mark.parametrize(
    ("kind", "packet"),
    [
        (Tun, tcp(60000, 1461)),
        (Tun, tcp(60000, 1449, options=12)),
        (Tun, udp(10000, 1473)),
        (Tap, tcp(60000, 1461, ETHERNET)),
        (Tap, tcp(60000, 1461, TAGGED)),
    ],
)
async def test_whose_segments_are_too_long(kind: type[Tun | Tap], packet: SuperPacket) -> None:
    """Segments of one byte more than the mtu are refused with both numbers."""
    error = await refusal(kind, packet)
    assert isinstance(error, PacketTooBig)
    assert str(error) == "fake0: segment of the super-packet is 1501 bytes, mtu is 1500"


async def test_what_is_shorter_than_one_segment() -> None:
    """What a super-packet is cut into is no longer than itself, whatever its segment size."""
    packet = tcp(100, 60000)
    assert await sent(Tun, packet) == [packet]


async def test_what_the_kernel_would_refuse() -> None:
    """A super-packet whose fields cannot be is refused before the device sees it."""
    error = await refusal(Tun, tcp(1000, 0))
    assert isinstance(error, PacketError)
    assert error.reason == "bad_gso_size"


async def test_one_packet_without_its_checksum() -> None:
    """A packet that only lacks its checksum is sent, if it is no longer than the mtu."""
    packet = SuperPacket(b"\x45" + bytes(1499), csum_start=20, csum_offset=6, needs_csum=True)
    assert await sent(Tun, packet) == [packet]
    longer = SuperPacket(bytes(packet) + b"\0", csum_start=20, csum_offset=6, needs_csum=True)
    assert isinstance(await refusal(Tun, longer), PacketTooBig)


async def test_packets_beside_superpackets_are_checked() -> None:
    """In a batch with super-packets every plain packet is checked as in any batch."""
    made = port()
    async with Tun(made) as tun:
        with pytest.raises(PacketTooBig):
            await tun.send_many([tcp(60000, 1460), b"\x45" + bytes(1500)])
    assert made.offered == []
