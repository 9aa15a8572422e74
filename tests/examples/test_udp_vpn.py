"""The VPN: what its seal lets through, two sides in process, and two namespaces joined by the real thing."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import udp_vpn

import aiotun
from aiotun.channel import UdpPeer, open_udp, open_udp_pair, serve_udp
from aiotun.packet import UDP, IPv4, Protocol

from .program import Program, finished, free_of_complaints, namespaces, ping, run

SECRET = bytes(range(32))
PACKET = IPv4("10.8.0.1", "10.8.0.2", Protocol.UDP, UDP(1, 2, b"inside").build("10.8.0.1", "10.8.0.2")).build()


class Clock:
    """A clock that goes on by a millisecond whenever somebody looks, unless it is told otherwise."""

    def __init__(self) -> None:
        self.now = 10**18
        self.step = 10**6

    def time_ns(self) -> int:
        self.now += self.step
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the VPN in this process a clock that nobody else sets."""
    clock = Clock()
    monkeypatch.setattr(udp_vpn, "time", clock)
    return clock


def seals() -> tuple[udp_vpn.Seal, udp_vpn.Seal]:
    """Return the two sides' seals."""
    return udp_vpn.Seal(SECRET), udp_vpn.Seal(SECRET)


def packets(count: int) -> list[bytes]:
    return [number.to_bytes(4, "big") for number in range(count)]


def test_what_one_side_closes_the_other_opens() -> None:
    """A batch comes out of the peer's seal as it went in."""
    left, right = seals()
    assert right.open(left.close([PACKET, b"", PACKET])) == [PACKET, b"", PACKET]


def test_a_datagram_does_not_show_the_packet() -> None:
    """Nothing of the packet is readable in the datagram."""
    left, _ = seals()
    assert b"inside" not in left.close([PACKET])[0]


def test_a_datagram_fits_a_path_of_1500_bytes() -> None:
    """A packet as long as the mtu, sealed, leaves room for the headers of UDP and IPv6."""
    left, _ = seals()
    assert len(left.close([bytes(udp_vpn.MTU)])[0]) == 1500 - 40 - 8


def test_a_datagram_sent_back_to_its_sender_is_refused() -> None:
    """What a side closed itself it does not open."""
    left, _ = seals()
    assert left.open(left.close([PACKET])) == []


@pytest.mark.parametrize("at", [0, 7, 8, 15, 16, 40, -1], ids="run run number number packet inside tag".split())
def test_a_datagram_changed_on_its_way_is_refused(at: int) -> None:
    """One bit flipped anywhere makes it a forgery."""
    left, right = seals()
    datagram = bytearray(left.close([PACKET])[0])
    datagram[at] ^= 1
    assert right.open([bytes(datagram)]) == []


def test_a_forgery_does_not_use_up_its_number() -> None:
    """A datagram that does not open leaves the peer's own, of the same number, to be opened."""
    left, right = seals()
    datagram = left.close([PACKET])[0]
    assert right.open([datagram[:-1] + bytes((datagram[-1] ^ 1,)), datagram]) == [PACKET]


@pytest.mark.parametrize("size", [0, 1, 7, 8, 15, 16, 31, 32, 1500])
def test_garbage_is_refused(size: int) -> None:
    """Bytes of any length that are no sealed packet open to nothing, without an error."""
    left, right = seals()
    right.open(left.close([PACKET]))
    assert right.open([secrets.token_bytes(size), b"\xff" * size]) == []


def test_a_datagram_opens_once() -> None:
    """What comes again is refused, in the same batch and in a later one."""
    left, right = seals()
    datagrams = left.close([PACKET])
    assert (right.open(datagrams * 2), right.open(datagrams)) == ([PACKET], [])


def test_datagrams_may_overtake_each_other() -> None:
    """As many as the window holds open in any order."""
    left, right = seals()
    datagrams = left.close(packets(udp_vpn.WINDOW))
    assert right.open(datagrams[::-1]) == packets(udp_vpn.WINDOW)[::-1]


def test_a_datagram_later_than_the_window_is_refused() -> None:
    """One that is overtaken by more than the window, and could be a replay, is dropped."""
    left, right = seals()
    late, *others = left.close(packets(udp_vpn.WINDOW + 2))
    assert (len(right.open(others)), right.open([late])) == (udp_vpn.WINDOW + 1, [])


def test_remembers_no_more_than_the_window() -> None:
    """Memory is bounded, and what was forgotten is refused as too old."""
    left, right = seals()
    datagrams = left.close(packets(udp_vpn.WINDOW * 3))
    right.open(datagrams)
    assert (len(right._seen), len(right._order), right.open(datagrams)) == (udp_vpn.WINDOW, udp_vpn.WINDOW, [])


def test_opens_nothing_from_before_it_began() -> None:
    """What was recorded before a side was started again is refused by it, though it never saw it."""
    left, _ = seals()
    recorded = left.close([PACKET])
    assert udp_vpn.Seal(SECRET).open(recorded) == []


def test_a_peer_that_is_started_again_is_opened_at_once() -> None:
    """A new run of the peer goes on where the old one was."""
    left, right = seals()
    right.open(left.close(packets(3)))
    assert right.open(udp_vpn.Seal(SECRET).close([PACKET])) == [PACKET]


def test_an_old_run_of_the_peer_cannot_be_replayed() -> None:
    """After the peer was started again, what its old run sent is refused still."""
    left, right = seals()
    recorded = left.close(packets(3))
    right.open(recorded)
    right.open(udp_vpn.Seal(SECRET).close([PACKET]))
    assert right.open(recorded) == []


@pytest.mark.parametrize("step", [0, -1, 1], ids=["stands", "goes back", "is slow"])
def test_numbers_never_repeat_within_a_run(clock: Clock, step: int) -> None:
    """A thousand packets have a thousand numbers, each greater than the one before, whatever the clock does."""
    left, _ = seals()
    clock.step = step
    numbers = [datagram[8:16] for _ in range(100) for datagram in left.close(packets(10))]
    assert numbers == sorted(set(numbers))


def test_every_run_has_a_key_of_its_own(clock: Clock) -> None:
    """Two runs that begin at the same time by their clocks seal a packet differently, under the same number."""
    clock.step = 0
    (one,), (other,) = (seal.close([PACKET]) for seal in seals())
    assert one[8:16] == other[8:16] and one[16:] != other[16:]


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_length_is_refused(size: int) -> None:
    """A key has 32 bytes; an empty file is none."""
    with pytest.raises(ValueError, match=f"a key has 32 bytes, not {size}: "):
        udp_vpn.Seal(bytes(size))


@asynccontextmanager
async def sides() -> AsyncIterator[tuple[aiotun.Endpoint, aiotun.Endpoint, aiotun.Endpoint]]:
    """Join two in-process tuns by the VPN; give their network sides, and the right side's channel."""
    (left, right), (one, other) = seals(), await open_udp_pair()
    async with (
        asyncio.timeout(10),
        one,
        other,
        aiotun.SoftHost() as host,
        host.open_tun("left") as tun_left,
        host.open_tun("right", mtu=576) as tun_right,
        aiotun.pump(tun_left, one, outbound=[left.close], inbound=[left.open]),
        aiotun.pump(tun_right, other, outbound=[right.close], inbound=[right.open]),
    ):
        yield host.network_side("left"), host.network_side("right"), other


async def test_carries_packets_both_ways() -> None:
    """A packet sent into one tun comes out of the other, in both directions."""
    async with sides() as (left, right, _):
        await left.send(PACKET)
        assert await right.recv() == PACKET
        await right.send(PACKET)
        assert await left.recv() == PACKET


async def test_goes_on_after_garbage_from_the_network() -> None:
    """Datagrams that are not the peer's are dropped, and the next packet gets through."""
    async with sides() as (left, right, channel):
        await channel.send_many([b"x", bytes(100)])
        await right.send(PACKET)
        assert await left.recv() == PACKET


async def test_goes_on_after_a_packet_the_tun_refuses() -> None:
    """A packet longer than the other side's mtu is lost alone."""
    async with sides() as (left, right, _):
        await left.send_many([PACKET + bytes(1000), PACKET])
        assert await right.recv() == PACKET


@asynccontextmanager
async def following() -> AsyncIterator[tuple[UdpPeer, aiotun.Endpoint, udp_vpn.Seal]]:
    """Run a side that follows its peer; give the peer as it knows it, a channel from elsewhere, and the peer's seal."""
    ours, theirs = seals()
    async with (
        asyncio.timeout(10),
        serve_udp(("127.0.0.1", 0)) as server,
        server.peer(("127.0.0.1", 9)) as peer,
        open_udp(("127.0.0.1", 0), server.address) as elsewhere,
        asyncio.TaskGroup() as tasks,
    ):
        task = tasks.create_task(udp_vpn.follow(server, peer, ours))
        yield peer, elsewhere, theirs
        task.cancel()


async def test_follows_a_peer_that_moved() -> None:
    """After a sealed datagram from another address, that is where the peer is sent to, and received from."""
    async with following() as (peer, elsewhere, theirs):
        await elsewhere.send_many(theirs.close([PACKET]))
        await elsewhere.send(b"next")
        assert await peer.recv() == b"next"
        await peer.send(b"answer")
        assert await elsewhere.recv() == b"answer"


async def test_follows_nobody_else() -> None:
    """Neither forged nor replayed datagrams draw to another address what goes to the peer."""
    async with following() as (peer, elsewhere, theirs):
        sealed = theirs.close([PACKET])
        async with open_udp(("127.0.0.1", 0), elsewhere.peer_address) as attacker:  # type: ignore[attr-defined]
            await elsewhere.send_many(sealed)
            await elsewhere.send(b"next")
            assert await peer.recv() == b"next"
            home = peer.address
            await attacker.send_many([*sealed, bytes(100)])
            await elsewhere.send(b"behind them")
            assert (await peer.recv(), peer.address) == (b"behind them", home)


@pytest.mark.parametrize("text, told", [("00", "a key has 32 bytes, not 1"), ("zz" * 32, "non-hexadecimal number")])
def test_a_file_without_a_key_ends_the_program(tmp_path: Path, text: str, told: str) -> None:
    """The program says what is wrong with the file, and exits with 1."""
    key = tmp_path / "vpn.key"
    key.write_text(text)
    done = finished("udp_vpn.py", str(key), "10.8.0.1/24", "5001", "127.0.0.1", "5002")
    assert (done.returncode, told in done.stderr) == (1, True), done.stderr


@pytest.mark.kernel
@pytest.mark.parametrize("inner, outer", [("10.8.0.2", "127.0.0.1"), ("fd00:8::2", "::1")])
@pytest.mark.parametrize("options", [(), ("--busy-poll=5",)])
def test_two_namespaces_ping_each_other_through_the_vpn(
    tmp_path: Path, inner: str, outer: str, options: tuple[str, ...]
) -> None:
    """
    Kernel pings between two namespaces go through two processes, and all come back.

        red --vpn0-- udp_vpn --(loopback, UDP)-- udp_vpn --vpn0-- blue
    """
    key = tmp_path / "vpn.key"
    key.write_text(SECRET.hex())
    with namespaces("red", "blue"):
        with vpn(key, "red", 1, 2, outer, *options) as red, vpn(key, "blue", 2, 1, outer, *options) as blue:
            for number, name in enumerate(("red", "blue"), 1):
                run("ip", "-n", name, "address", "add", f"fd00:8::{number}/64", "dev", "vpn0", "nodad")
            received = ping("red", inner, 300)
        assert (received, free_of_complaints(red), free_of_complaints(blue)) == (300, [], [])


@pytest.mark.kernel
def test_a_peer_at_another_port_is_found_again(tmp_path: Path) -> None:
    """A side that was started again elsewhere is answered there, as soon as something of it has arrived."""
    key = tmp_path / "vpn.key"
    key.write_text(SECRET.hex())
    with namespaces("red", "blue"), vpn(key, "red", 1, 2, "127.0.0.1"):
        with vpn(key, "blue", 2, 1, "127.0.0.1"):
            assert ping("blue", "10.8.0.1", 5) == 5
        with vpn(key, "blue", 2, 1, "127.0.0.1", port=6002):
            run("ip", "netns", "exec", "blue", "ping", "-c", "1", "-W", "0.1", "10.8.0.1")
            assert ping("blue", "10.8.0.1", 20) == 20


def vpn(key: Path, netns: str, local: int, remote: int, outer: str, *options: str, port: int = 0) -> Program:
    """Return one side of the VPN, with its tun in a namespace."""
    where = str(key), f"10.8.0.{local}/24", str(port or 5000 + local), outer, str(5000 + remote)
    return Program("udp_vpn.py", *where, f"--netns={netns}", *options)
