"""What a tun and a tap refuse to send, in which words, and adopting descriptors."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from aiotun.endpoint import Port, Tap, Tun, kinds, set_adopt
from aiotun.endpoint.kinds import link_header
from aiotun.errors import AiotunError, DeviceError, PacketError, PacketTooBig, UnsupportedFamily
from aiotun.packet import SuperPacket

from .fakes import FakePort

MACS = bytes.fromhex("020000000001020000000002")
VLAN = bytes.fromhex("81000064")
SERVICE_VLAN = bytes.fromhex("88a80064")


def packet(version: int, size: int) -> bytes:
    return bytes([version << 4]).ljust(size, b"\0")


def frame(size: int, *tags: bytes) -> bytes:
    """A frame with *size* bytes of layer 3 behind its header and tags."""
    return MACS + b"".join(tags) + b"\x08\x00" + bytes(size)


async def refusal(kind: type[Tun | Tap], sent: bytes) -> AiotunError:
    """What sending raises; nothing reaches the device."""
    port = FakePort()
    async with kind(port) as endpoint:
        with pytest.raises(AiotunError) as caught:
            await endpoint.send(sent)
    assert port.offered == []
    return caught.value


TUN_REFUSES = [
    pytest.param(b"", PacketError, "fake0: packet is empty", id="empty"),
    pytest.param(
        packet(4, 1), PacketError, "fake0: packet is 1 byte, an IPv4 header alone is 20", id="one byte of IPv4"
    ),
    pytest.param(packet(4, 19), PacketError, "fake0: packet is 19 bytes, an IPv4 header alone is 20", id="short IPv4"),
    pytest.param(packet(6, 39), PacketError, "fake0: packet is 39 bytes, an IPv6 header alone is 40", id="short IPv6"),
    pytest.param(
        packet(5, 30),
        UnsupportedFamily,
        "fake0: packet begins with 0x50, neither IPv4 (0x4.) nor IPv6 (0x6.)",
        id="short and foreign",
    ),
    pytest.param(packet(4, 1501), PacketTooBig, "fake0: packet is 1501 bytes, mtu is 1500", id="over the mtu"),
]
TUN_TAKES = [packet(4, 20), packet(4, 40), packet(6, 40), packet(4, 1500), packet(6, 1500)]

TAP_REFUSES = [
    pytest.param(b"", PacketError, "fake0: frame is 0 bytes, an Ethernet header alone is 14", id="empty"),
    pytest.param(bytes(1), PacketError, "fake0: frame is 1 byte, an Ethernet header alone is 14", id="one byte"),
    pytest.param(MACS, PacketError, "fake0: frame is 12 bytes, an Ethernet header alone is 14", id="short"),
    pytest.param(frame(1501), PacketTooBig, "fake0: packet in the frame is 1501 bytes, mtu is 1500", id="over"),
    pytest.param(
        frame(1501, VLAN), PacketTooBig, "fake0: packet in the frame is 1501 bytes, mtu is 1500", id="tagged, over"
    ),
]
TAP_TAKES = [
    frame(0),
    frame(46),
    frame(1500),
    frame(1500, VLAN),
    frame(1500, SERVICE_VLAN, VLAN),
    MACS + b"\x81\x00",
]


@pytest.mark.parametrize(("sent", "error", "text"), TUN_REFUSES)
async def test_tun_refuses(sent: bytes, error: type[AiotunError], text: str) -> None:
    """A tun refuses what cannot be a packet, with a sentence, before the device sees it."""
    raised = await refusal(Tun, sent)
    assert (type(raised), str(raised)) == (error, text)


@pytest.mark.parametrize("unfinished", [{"gso_type": 1, "gso_size": 8}, {"needs_csum": True}])
async def test_an_unfinished_super_packet_is_refused(unfinished: dict[str, Any]) -> None:
    """A super-packet that is yet to be cut, or summed, is refused: the device would take it, and lose it."""
    raised = await refusal(Tun, SuperPacket(packet(4, 4000), **unfinished))
    text = "fake0: a super-packet is not taken here; send what offload.segment() makes of it"
    assert isinstance(raised, PacketError)
    assert (type(raised), str(raised), raised.reason) == (PacketError, text, "superpacket")


async def test_a_finished_super_packet_is_a_packet() -> None:
    """A super-packet that nothing is to be done to is sent like any packet."""
    port = FakePort()
    async with Tun(port) as tun:
        await tun.send(SuperPacket(TUN_TAKES[0]))
    assert port.written == [TUN_TAKES[0]]


@pytest.mark.parametrize(("sent", "error", "text"), TAP_REFUSES)
async def test_tap_refuses(sent: bytes, error: type[AiotunError], text: str) -> None:
    """A tap refuses what cannot be a frame, with a sentence, before the device sees it."""
    raised = await refusal(Tap, sent)
    assert (type(raised), str(raised)) == (error, text)


@pytest.mark.parametrize("sent", TUN_TAKES, ids=len)
async def test_tun_takes(sent: bytes) -> None:
    """A tun takes packets from a bare header to the mtu."""
    port = FakePort()
    async with Tun(port) as tun:
        await tun.send(sent)
    assert port.written == [sent]


@pytest.mark.parametrize("sent", TAP_TAKES, ids=len)
async def test_tap_takes(sent: bytes) -> None:
    """A tap takes frames from a bare header to the mtu, VLAN tags not counted."""
    port = FakePort()
    async with Tap(port) as tap:
        await tap.send(sent)
    assert port.written == [sent]


@pytest.mark.parametrize(("kind", "sent"), [(Tun, packet(4, 2000)), (Tap, frame(2000))])
async def test_a_raised_mtu_counts(kind: type[Tun | Tap], sent: bytes) -> None:
    """A packet over the mtu as last known is sent if the mtu was raised meanwhile."""
    port = FakePort()
    port.next_mtu = 2000
    async with kind(port) as endpoint:
        await endpoint.send(sent)
    assert port.written == [sent]


@pytest.mark.parametrize("sent", [[packet(4, 40), packet(4, 1501)], [packet(4, 40), b""]])
async def test_an_unfit_packet_keeps_its_batch_back(sent: list[bytes]) -> None:
    """A batch with an unfit packet anywhere is refused before anything is written."""
    port = FakePort()
    async with Tun(port) as tun:
        with pytest.raises(AiotunError):
            await tun.send_many(sent)
        with pytest.raises(AiotunError):
            tun.send_many_nowait(sent)
    assert port.offered == []


@pytest.mark.parametrize("kind", [Tun, Tap])
async def test_an_empty_batch_is_fit(kind: type[Tun | Tap]) -> None:
    """An empty batch has nothing to refuse."""
    async with kind(FakePort()) as endpoint:
        assert endpoint.send_many_nowait([]) == 0


async def test_a_kind_brings_its_rule() -> None:
    """What tun and tap share has no rule for a packet: each kind brings its own."""
    async with Tun(FakePort()) as tun:
        with pytest.raises(NotImplementedError):
            kinds._Interface._check_packet(tun, b"")


HEADERS = [
    (frame(46), 14),
    (frame(46, VLAN), 18),
    (frame(46, SERVICE_VLAN), 18),
    (frame(46, SERVICE_VLAN, VLAN), 22),
    (MACS + b"\x81\x00", 18),
    (MACS, 14),
    (b"", 14),
]


@pytest.mark.parametrize(("given", "size"), HEADERS)
def test_link_header(given: bytes, size: int) -> None:
    """The link header has 14 bytes, and 4 more for every VLAN tag."""
    assert link_header(given) == size


@pytest.mark.parametrize(("kind", "word"), [(Tun, "tun"), (Tap, "tap")])
async def test_from_fd(kind: type[Tun | Tap], word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """from_fd() gives the platform the descriptor and the kind, and stands on the port it gets."""
    monkeypatch.setattr(kinds, "_adopt", None)
    asked: list[tuple[int, str]] = []

    def adopt(fd: int, kind: Literal["tun", "tap"]) -> Port:
        asked.append((fd, kind))
        return FakePort(fd=fd)

    set_adopt(adopt)
    async with kind.from_fd(77) as endpoint:
        assert (type(endpoint), endpoint.fileno()) == (kind, 77)
    assert asked == [(77, word)]


async def test_from_fd_when_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """from_fd() takes when_down like opening does."""
    port = FakePort()
    port.up = False
    monkeypatch.setattr(kinds, "_adopt", lambda fd, kind: port)
    async with Tun.from_fd(77, when_down="raise") as tun:
        with pytest.raises(DeviceError, match="fake0: the interface is down"):
            await tun.recv()


def test_from_fd_where_there_is_nothing_to_adopt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no platform adopts descriptors, from_fd() says so."""
    monkeypatch.setattr(kinds, "_adopt", None)
    with pytest.raises(DeviceError, match="adopting a tap device is not supported on this platform"):
        Tap.from_fd(77)
