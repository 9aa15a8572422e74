"""The VPN: what its seal lets through, two sides in process, and two namespaces joined by the real thing."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest
import udp_vpn

import aiotun
from aiotun.channel import open_udp_pair
from aiotun.packet import UDP, IPv4, Protocol

from .program import Program, free_of_complaints, namespaces, ping, run

SECRET = bytes(range(32))
PACKET = IPv4("10.8.0.1", "10.8.0.2", Protocol.UDP, UDP(1, 2, b"inside").build("10.8.0.1", "10.8.0.2")).build()


def test_what_one_side_closes_the_other_opens() -> None:
    """A packet comes out of the peer's seal as it went in."""
    assert udp_vpn.Seal(SECRET, "left").open(udp_vpn.Seal(SECRET, "left").close(PACKET)) == PACKET


def test_a_datagram_does_not_show_the_packet() -> None:
    """Nothing of the packet is readable in the datagram."""
    assert b"inside" not in udp_vpn.Seal(SECRET, "left").close(PACKET)


def test_a_datagram_sent_back_to_its_sender_is_refused() -> None:
    """The two directions have different keys."""
    assert udp_vpn.Seal(SECRET, "right").open(udp_vpn.Seal(SECRET, "left").close(PACKET)) is None


@pytest.mark.parametrize("at", [0, 11, 12, 40, -1], ids=["nonce", "nonce end", "packet", "inside", "tag"])
def test_a_datagram_changed_on_its_way_is_refused(at: int) -> None:
    """One bit flipped anywhere makes it a forgery."""
    datagram = bytearray(udp_vpn.Seal(SECRET, "left").close(PACKET))
    datagram[at] ^= 1
    assert udp_vpn.Seal(SECRET, "left").open(bytes(datagram)) is None


@pytest.mark.parametrize("size", [0, 1, 11, 12, 27, 28, 1500])
def test_garbage_is_refused(size: int) -> None:
    """Bytes of any length that are no sealed packet open to nothing, without an error."""
    assert udp_vpn.Seal(SECRET, "left").open(secrets.token_bytes(size)) is None


def test_nonces_never_repeat_within_a_run() -> None:
    """A thousand packets have a thousand nonces, past the end of the counter too."""
    seal = udp_vpn.Seal(SECRET, "left")
    seal._nonces = count(2**96 - 500)
    assert len({seal.close(b"")[: udp_vpn.NONCE] for _ in range(1000)}) == 1000


def test_runs_begin_with_different_nonces() -> None:
    """A restarted side does not begin where the last run began."""
    assert len({udp_vpn.Seal(SECRET, "left").close(b"")[: udp_vpn.NONCE] for _ in range(100)}) == 100


@asynccontextmanager
async def sides() -> AsyncIterator[tuple[aiotun.Endpoint, aiotun.Endpoint, aiotun.Endpoint]]:
    """Join two in-process tuns by the VPN; give their network sides, and the right side's channel."""
    async with asyncio.timeout(10), aiotun.SoftHost() as host:
        left, right = udp_vpn.Seal(SECRET, "left"), udp_vpn.Seal(SECRET, "right")
        one, other = await open_udp_pair()
        async with one, other, host.open_tun("left") as tun_left, host.open_tun("right", mtu=576) as tun_right:
            joined = [
                asyncio.create_task(udp_vpn.join(tun_left, one, left, right)),
                asyncio.create_task(udp_vpn.join(tun_right, other, right, left)),
            ]
            yield host.network_side("left"), host.network_side("right"), other
            for task in joined:
                task.cancel()
            await asyncio.wait(joined)


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


@pytest.mark.parametrize("text", ["", "00", "zz" * 32, "00" * 33], ids=["empty", "short", "no digits", "long"])
def test_a_key_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    """Only 64 hexadecimal digits are a key."""
    file = tmp_path / "key"
    file.write_text(text)
    with pytest.raises(ValueError):
        udp_vpn.read_key(file)


def test_reads_the_key_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file the key is taken from VPN_KEY."""
    monkeypatch.setenv("VPN_KEY", SECRET.hex())
    assert udp_vpn.read_key(None) == SECRET


@pytest.mark.parametrize(
    "text, parsed", [("192.0.2.1:5555", ("192.0.2.1", 5555)), ("[2001:db8::1]:5555", ("2001:db8::1", 5555))]
)
def test_understands_an_address_of_either_family(text: str, parsed: tuple[str, int]) -> None:
    """HOST:PORT takes an IPv6 address in brackets."""
    assert udp_vpn.host_and_port(text) == parsed


@pytest.mark.kernel
@pytest.mark.parametrize("address", ["10.8.0.2", "fd00:8::2"])
def test_two_namespaces_ping_each_other_through_the_vpn(tmp_path: Path, address: str) -> None:
    """
    A thousand kernel pings between two namespaces go through two processes, and all come back.

        left --vpn0-- udp_vpn --(veth, UDP)-- udp_vpn --vpn0-- right
    """
    key = tmp_path / "vpn.key"
    key.write_text(SECRET.hex())
    with namespaces("left", "right"):
        join_by_a_cable()
        with vpn("left", 1, 2, key) as left, vpn("right", 2, 1, key) as right:
            for number, name in enumerate(("left", "right"), 1):
                run("ip", "-n", name, "address", "add", f"fd00:8::{number}/64", "dev", "vpn0", "nodad")
            received = ping("left", address, 1000)
        assert (received, free_of_complaints(left), free_of_complaints(right)) == (1000, [], [])


def join_by_a_cable() -> None:
    """Join the two namespaces by a veth pair: the network that the VPN crosses."""
    run("ip", "link", "add", "cable", "netns", "left", "type", "veth", "peer", "name", "cable", "netns", "right")
    for number, name in enumerate(("left", "right"), 1):
        run("ip", "-n", name, "address", "add", f"192.0.2.{number}/24", "dev", "cable")
        run("ip", "-n", name, "link", "set", "cable", "up")


def vpn(side: str, local: int, remote: int, key: Path) -> Program:
    """Return one side of the VPN, in the namespace of its name."""
    return Program(
        "udp_vpn.py",
        side,
        f"--key-file={key}",
        f"--address=10.8.0.{local}/24",
        f"--local=192.0.2.{local}:5555",
        f"--remote=192.0.2.{remote}:5555",
        netns=side,
    )
