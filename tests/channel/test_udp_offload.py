"""Trains: whether a socket has them, and the switches."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Iterator

import pytest

from aiotun.channel import open_udp_pair
from aiotun.channel.udp_datagrams import TRAIN, UDP_GRO
from aiotun.channel.udp_offload import UdpOffload

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="trains are Linux's")


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        yield made


def test_what_is_asked_for_is_on(sock: socket.socket) -> None:
    """Where the kernel has both, both are on; and the kernel says so of UDP_GRO."""
    offload = UdpOffload(sock, gso=True, gro=True)
    assert (offload.segment, offload.gro, offload.off) == (TRAIN, True, {})
    assert sock.getsockopt(socket.IPPROTO_UDP, UDP_GRO) == 1
    assert offload.capabilities().granted == {"UDP_SEGMENT", "UDP_GRO"}


def test_what_is_not_asked_for_is_off(sock: socket.socket) -> None:
    """What was not asked for is off, and it is said why."""
    offload = UdpOffload(sock, gso=False, gro=False)
    assert (offload.segment, offload.gro) == (0, False)
    assert offload.capabilities().off == {
        "UDP_SEGMENT": "the channel was opened with gso=False",
        "UDP_GRO": "the channel was opened with gro=False",
    }


@pytest.mark.parametrize("form", ["option", "switch"])
def test_the_environment_has_the_last_word(sock: socket.socket, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """Whoever runs the program can switch both off, whatever it asks for and when (X6, X7)."""
    if form == "option":
        monkeypatch.setenv("AIOTUN_UDP_GSO", "0")
        monkeypatch.setenv("AIOTUN_UDP_GRO", "0")
    offload = UdpOffload(sock, gso=True, gro=True)
    monkeypatch.setenv("AIOTUN_UDP_GSO", "0")
    monkeypatch.setenv("AIOTUN_UDP_GRO", "0")
    offload.set_gso(True, "")
    offload.set_gro(True, "")
    assert (offload.segment, offload.gro) == (0, False)
    assert offload.off == {"UDP_SEGMENT": "AIOTUN_UDP_GSO is 0", "UDP_GRO": "AIOTUN_UDP_GRO is 0"}
    assert sock.getsockopt(socket.IPPROTO_UDP, UDP_GRO) == 0


@pytest.mark.parametrize("code", [errno.EIO, errno.EINVAL])
def test_a_refusal_switches_off(sock: socket.socket, code: int) -> None:
    """EIO and EINVAL switch trains off until somebody switches them on (X12)."""
    offload = UdpOffload(sock, gso=True, gro=False)
    offload.refuse(1420, code)
    assert offload.segment == 0
    assert "refused a train of datagrams of 1420 bytes" in offload.off["UDP_SEGMENT"]
    offload.set_gso(True, "")
    assert (offload.segment, "UDP_SEGMENT" in offload.off) == (TRAIN, False)


def test_a_refusal_by_the_path_does_not(sock: socket.socket) -> None:
    """EMSGSIZE is no reason to switch off."""
    offload = UdpOffload(sock, gso=True, gro=False)
    offload.refuse(1420, errno.EMSGSIZE)
    assert offload.segment == TRAIN


class Refusing:
    """A socket of an older kernel: it has none of it, or says yes and does nothing."""

    def __init__(self, lies: bool) -> None:
        self.lies = lies

    def setsockopt(self, *asked: int) -> None:
        if not self.lies:
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")

    def getsockopt(self, *asked: int) -> int:
        if not self.lies:
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")
        return 0


@pytest.mark.parametrize(
    ("lies", "why"),
    [
        (False, "the kernel does not have it: Protocol not available"),
        (True, "the kernel did not do as it was told"),
    ],
)
def test_an_older_kernel(lies: bool, why: str) -> None:
    """A kernel without them, or one whose word cannot be taken for it, leaves them off (X10, X11)."""
    offload = UdpOffload(Refusing(lies), gso=True, gro=True)  # type: ignore[arg-type]
    assert (offload.gro, offload.off["UDP_GRO"]) == (False, why)
    assert (offload.segment == 0, offload.off.get("UDP_SEGMENT")) == ((not lies), None if lies else why)


async def test_a_channel_is_switched_while_it_runs() -> None:
    """Whatever is switched in between, every packet arrives, and capabilities say what is on."""
    one, other = await open_udp_pair(gro=True)
    async with one, other:
        batch = [bytes([number]) * 100 for number in range(64)]
        for gso, gro in ((True, True), (False, True), (True, False), (False, False), (True, True)):
            one.gso, other.gro = gso, gro
            assert (one.gso, other.gro) == (gso, gro)
            await one.send_many(batch)
            received: list[bytes] = []
            while len(received) < len(batch):
                received += await other.recv_many()
            assert received == batch
            assert one.capabilities.off == ({} if gso else {"UDP_SEGMENT": "it was switched off"})
