"""Pings: the request that leaves, and everything that may come back."""

from __future__ import annotations

import asyncio
import errno
from ipaddress import ip_address

import pytest

from aiotun.errors import DeviceClosed, DeviceDown, DeviceError, PacketTooBig, QueueFull
from aiotun.host.pings import WAITING, Pings
from aiotun.packet import (
    ICMP,
    Address,
    ICMPv6,
    IPv4,
    IPv6,
    Protocol,
    echo_reply,
    packet_too_big,
    time_exceeded,
    unreachable,
)
from aiotun.testing.expect import parked, turns

from .fakes import datagram

FAR = {4: "10.9.9.9", 6: "fd00:9::9"}
OURS = {4: ip_address("10.0.0.1"), 6: ip_address("fd00::1")}
ROUTER = {4: "10.0.0.254", 6: "fd00::fe"}
both_versions = pytest.mark.parametrize("version", [4, 6])


class Wire:
    """Keeps what is sent; answers it at once if told to."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.pings = Pings(self.send, lambda target: OURS[target.version])
        self.answering = False

    def send(self, packet: bytes) -> None:
        self.sent.append(packet)
        if self.answering:
            self.answer(packet)

    def answer(self, packet: bytes) -> bool:
        reply = echo_reply(packet)
        assert reply is not None
        return self.pings.take(reply)


@pytest.fixture
def wire() -> Wire:
    return Wire()


async def asked(wire: Wire, version: int, timeout: float = 60.0) -> asyncio.Task[float]:
    """A ping that waits for its answer."""
    return await parked(wire.pings.ping(FAR[version], timeout=timeout))


def broken(packet: bytes) -> bytes:
    """The packet with its last byte changed: no checksum fits any more."""
    return packet[:-1] + bytes((packet[-1] ^ 1,))


@pytest.mark.parametrize("size", [0, 56, 1000])
async def test_the_request(wire: Wire, size: int) -> None:
    """An echo request with as much payload as was asked for leaves, from our address to the target."""
    wire.answering = True
    for version in (4, 6):
        await wire.pings.ping(FAR[version], size=size)
    four, six = IPv4.parse(wire.sent[0]), IPv6.parse(wire.sent[1])
    assert (four.src, four.dst, four.protocol, four.dont_fragment) == (OURS[4], ip_address(FAR[4]), 1, True)
    assert (six.src, six.dst, six.next_header) == (OURS[6], ip_address(FAR[6]), 58)
    message, message6 = ICMP.parse(four.payload), ICMPv6.parse(six.payload, six.src, six.dst)
    assert (message.type, message.payload, message6.type, message6.payload) == (8, bytes(size), 128, bytes(size))
    assert (message.identifier, message6.sequence) == (message6.identifier, message.sequence + 1)


async def test_the_usual_size(wire: Wire) -> None:
    """Without a word 56 bytes of payload make an IPv4 packet of 84."""
    wire.answering = True
    await wire.pings.ping(FAR[4])
    assert len(wire.sent[0]) == 84


@both_versions
async def test_the_answer(wire: Wire, version: int) -> None:
    """The answer ends the ping, once, with the seconds it took."""
    task = await asked(wire, version)
    assert wire.answer(wire.sent[0])
    assert not wire.answer(wire.sent[0])
    assert 0 < await task < 10
    assert len(wire.pings) == 0
    assert not wire.answer(wire.sent[0])


async def test_an_answer_before_the_wait(wire: Wire) -> None:
    """An answer that comes while the request is being sent counts."""
    wire.answering = True
    assert await wire.pings.ping(ip_address(FAR[4])) > 0


async def test_the_seconds(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """The round trip is from sending to the arrival of the answer, not to when the task runs."""
    now = 100.0
    monkeypatch.setattr("aiotun.host.pings.time.perf_counter", lambda: now)
    task = await asked(wire, 4)
    now = 100.25
    wire.answer(wire.sent[0])
    now = 107.0
    assert await task == 0.25


async def test_many_at_once(wire: Wire) -> None:
    """Pings that wait together are told apart, whatever the order of the answers."""
    targets = [f"10.9.9.{number}" for number in range(1, 51)]
    tasks = [asyncio.create_task(wire.pings.ping(target, timeout=60.0)) for target in targets * 2]
    await turns()
    assert len(wire.pings) == 100
    wire.answer(wire.sent[70])
    await turns()
    assert [number for number, task in enumerate(tasks) if task.done()] == [70]
    for packet in reversed(wire.sent):
        wire.answer(packet)
    await asyncio.gather(*tasks)
    assert len(wire.pings) == 0


async def test_no_answer(wire: Wire) -> None:
    """Without an answer in time the ping says so."""
    with pytest.raises(TimeoutError, match=r"^10.9.9.9: no answer within 0.001 s$"):
        await wire.pings.ping(FAR[4], timeout=0.001)
    assert len(wire.pings) == 0


async def test_canceling(wire: Wire) -> None:
    """A cancelled ping leaves nothing behind, and its answer is nobody's."""
    task = await asked(wire, 4)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(wire.pings) == 0
    assert not wire.answer(wire.sent[0])


async def test_sending_fails(wire: Wire) -> None:
    """What sending raises comes out, and nothing is left behind."""

    def refuse(packet: bytes) -> None:
        raise DeviceDown("tun0: the interface is down")

    pings = Pings(refuse, lambda target: OURS[target.version])
    with pytest.raises(DeviceDown):
        await pings.ping(FAR[4])
    assert len(pings) == 0


async def test_a_size_that_cannot_be(wire: Wire) -> None:
    """A request that no packet can hold is refused, and nothing is left behind."""
    with pytest.raises(ValueError, match="at most 65535 fit"):
        await wire.pings.ping(FAR[4], size=65508)
    assert len(wire.pings) == 0


async def test_no_address(wire: Wire) -> None:
    """What is no address is not asked."""
    with pytest.raises(ValueError):
        await wire.pings.ping("nobody")


async def test_too_many(wire: Wire) -> None:
    """No more than 4096 pings wait; one more is refused, until there is room."""
    wire.pings._waiting.update({(b"", number): None for number in range(WAITING - 1)})  # type: ignore[misc]
    task = await asked(wire, 4)
    with pytest.raises(QueueFull, match=r"^10.9.9.9: 4096 pings are waiting already$"):
        await wire.pings.ping(FAR[4])
    wire.answer(wire.sent[0])
    await task
    wire.answering = True
    await wire.pings.ping(FAR[4])


async def test_sequence_numbers_come_round(wire: Wire) -> None:
    """After 65535 comes 0; a number that waits for the same target is passed over."""
    wire.pings._sequence = 65534
    tasks = [await asked(wire, 4) for _ in range(2)]
    wire.pings._sequence = 65534
    tasks.append(await asked(wire, 4))
    numbers = [ICMP.parse(IPv4.parse(packet).payload).sequence for packet in wire.sent]
    assert numbers == [65535, 0, 1]
    for packet in wire.sent:
        wire.answer(packet)
    await asyncio.gather(*tasks)


# --- what is not the answer ---------------------------------------------------------------------


def echo(version: int, wire: Wire, *, src: str | None = None, kind: int = 0, identifier: int = 0) -> bytes:
    """An echo for the ping that waits, with the source, the type or the identifier changed."""
    sent = wire.sent[0]
    target, source = src or FAR[version], OURS[version]
    if version == 4:
        was = ICMP.parse(IPv4.parse(sent).payload)
        message = ICMP.echo_reply(was.identifier ^ identifier, was.sequence)
        body = ICMP(kind or message.type, 0, message.rest).build()
        return IPv4(target, source, Protocol.ICMP, body).build()
    was6 = ICMPv6.parse(IPv6.parse(sent).payload)
    message6 = ICMPv6.echo_reply(was6.identifier ^ identifier, was6.sequence)
    body = ICMPv6(kind or message6.type, 0, message6.rest).build(target, source)
    return IPv6(target, source, Protocol.ICMPV6, body).build()


@both_versions
async def test_what_is_no_answer(wire: Wire, version: int) -> None:
    """From another source, with another identifier, of another type or with a wrong checksum it is no answer."""
    task = await asked(wire, version)
    request = {4: 8, 6: 128}[version]
    for packet in (
        echo(version, wire, src=ROUTER[version]),
        echo(version, wire, identifier=1),
        echo(version, wire, kind=request),
        echo(version, wire, kind=13 if version == 4 else 133),
        broken(echo(version, wire)),
        datagram(FAR[version], str(OURS[version])),
    ):
        assert not wire.pings.take(packet)
    assert wire.pings.take(echo(version, wire))
    await task


async def test_nobody_waits(wire: Wire) -> None:
    """Without a ping nothing is taken."""
    assert not wire.pings.take(datagram("10.9.9.9", "10.0.0.1"))


# --- errors -------------------------------------------------------------------------------------


@both_versions
@pytest.mark.parametrize(("error", "what"), [(unreachable, "unreachable"), (time_exceeded, "too many hops away")])
async def test_unreachable(wire: Wire, version: int, error: object, what: str) -> None:
    """A router that says why there is no answer ends the ping with that."""
    assert callable(error)
    task = await asked(wire, version)
    packet = error(wire.sent[0], ROUTER[version])
    assert wire.pings.take(packet)
    assert not wire.pings.take(packet)
    with pytest.raises(DeviceError, match=f"^{FAR[version]}: {what}, says {ROUTER[version]}$") as caught:
        await task
    assert caught.value.errno == errno.EHOSTUNREACH


@both_versions
async def test_too_big(wire: Wire, version: int) -> None:
    """A router that says which mtu to keep to ends the ping with that."""
    task = await asked(wire, version)
    error = packet_too_big(wire.sent[0], ROUTER[version], 1400)
    assert error is not None
    assert wire.pings.take(error)
    with pytest.raises(
        PacketTooBig, match=f"^{FAR[version]}: the packet is too long for the way there, mtu is 1400, says"
    ):
        await task


@both_versions
async def test_an_error_after_the_answer(wire: Wire, version: int) -> None:
    """A ping that was answered is not refused any more."""
    task = await asked(wire, version)
    wire.answer(wire.sent[0])
    error = unreachable(wire.sent[0], ROUTER[version])
    assert error is not None
    assert not wire.pings.take(error)
    assert await task > 0


def quoting(quoted: bytes, kind: int = 3) -> bytes:
    """An ICMP error about a packet, as a router may send it."""
    return IPv4(ROUTER[4], OURS[4], Protocol.ICMP, ICMP(kind, 1, 0, quoted).build()).build()


async def test_errors_about_something_else(wire: Wire) -> None:
    """An error that ends nothing, or quotes no request of ours, or too little of it, is nobody's."""
    task = await asked(wire, 4)
    sent = wire.sent[0]
    other = IPv4(OURS[4], "10.9.9.8", Protocol.ICMP, sent[20:]).build()
    as_udp = IPv4(OURS[4], FAR[4], Protocol.UDP, sent[20:]).build()
    for quoted, kind in ((other, 3), (as_udp, 3), (sent[:27], 3), (sent[:20], 3), (b"", 3), (sent, 4), (sent, 12)):
        assert not wire.pings.take(quoting(quoted, kind))
    assert not wire.pings.take(broken(quoting(sent)))
    reply = echo_reply(sent)
    assert reply is not None
    assert not wire.pings.take(quoting(reply))
    assert wire.pings.take(quoting(sent[:28]))
    with pytest.raises(DeviceError):
        await task


def test_the_source_is_asked() -> None:
    """The source address is chosen by destination."""
    asked_for: list[Address] = []

    def source(target: Address) -> Address:
        asked_for.append(target)
        raise DeviceError("no route")

    coroutine = Pings(lambda packet: None, source).ping("10.9.9.9")
    with pytest.raises(DeviceError):
        coroutine.send(None)
    assert asked_for == [ip_address("10.9.9.9")]


# --- the end ------------------------------------------------------------------------------------


@both_versions
async def test_closing(wire: Wire, version: int) -> None:
    """Closing ends at once whoever waits, and whoever comes later; an answer that was there counts."""
    waits, answered = await asked(wire, version), await asked(wire, version)
    assert wire.answer(wire.sent[1])
    wire.pings.close()
    wire.pings.close()
    assert not wire.answer(wire.sent[0])
    with pytest.raises(DeviceClosed, match="^the host is closed$"):
        await waits
    assert await answered > 0
    with pytest.raises(DeviceClosed, match="^the host is closed$"):
        await wire.pings.ping(FAR[version])
    assert (len(wire.sent), len(wire.pings)) == (2, 0)
