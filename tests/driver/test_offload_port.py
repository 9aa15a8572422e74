"""The port of a device with offload."""

from __future__ import annotations

import errno

import pytest
from offload import packets as p

from aiotun.driver import Device, OffloadPort
from aiotun.endpoint import OFFLOAD, Tap, Tun
from aiotun.errors import DeviceDown, DeviceError
from aiotun.offload import segment
from aiotun.packet import SuperPacket
from aiotun.testing import leave_checksum

from .fakes import Make, both, open_tun


class Opened:
    """A port of a device whose stack keeps what enters."""

    def __init__(self, make: Make, features: bool | str = True) -> None:
        self.entered: list[bytes] = []
        device = make()
        device.close()
        self.device: Device = device
        self.port = OffloadPort(device, lambda device: None, features)
        device.set_up(True)
        device._stack = lambda interface, batch: self.entered.extend(batch)

    def big(self, size: int = 1000, gso_size: int = 300) -> SuperPacket:
        return p.big(4, size, gso_size, link=self.device.header)

    def cut(self, packet: bytes) -> list[bytes]:
        return segment(packet, self.device.header > 0)


@both
def test_what_it_says_of_itself(make: Make) -> None:
    """It takes and gives super-packets, of every feature, under the kernel's names."""
    port = Opened(make).port
    assert (port.superpackets, port.offload) == (True, OFFLOAD)
    assert port.capabilities.granted == {
        "IFF_VNET_HDR", "TUN_F_CSUM", "TUN_F_TSO4", "TUN_F_TSO6", "TUN_F_USO4", "TUN_F_USO6",
        "TUN_F_UDP_TUNNEL_GSO", "TUN_F_UDP_TUNNEL_GSO_CSUM",
    }  # fmt: skip


def test_what_was_not_asked_for_is_not_granted() -> None:
    """With TCP alone no UDP flag is granted; where the stack only takes, none is."""
    assert Opened(open_tun, "tso").port.capabilities.granted == {
        "IFF_VNET_HDR", "TUN_F_CSUM", "TUN_F_TSO4", "TUN_F_TSO6",
    }  # fmt: skip
    assert Opened(open_tun, "tcp_gro").port.capabilities.granted == {"IFF_VNET_HDR"}


@both
def test_reading(make: Make) -> None:
    """read_whole() gives the super-packet, read_many() what it stands for, and ``more`` says that there is more."""
    opened = Opened(make)
    packet = opened.big()
    opened.device.output([packet, packet])
    assert opened.port.read_whole(1)[0] is packet
    assert (opened.port.read_many(3), opened.port.more) == (opened.cut(packet)[:3], True)
    assert (opened.port.read_many(3), opened.port.more) == (opened.cut(packet)[3:], False)


@both
def test_writing(make: Make) -> None:
    """What is written enters the stack as the same objects."""
    opened = Opened(make)
    batch = [opened.big(), opened.big(2000)]
    assert opened.port.write_many(batch) == 2
    assert [id(packet) for packet in opened.entered] == [id(packet) for packet in batch]


@both
def test_a_kind_that_is_off_is_cut_before_it_is_written(make: Make) -> None:
    """Where the stack takes no merged TCP it gets the segments; a lone checksum it always takes."""
    opened = Opened(make, "tso")
    link = opened.device.header
    lacking = leave_checksum(p.framed(p.tcp(4), link) if link else p.tcp(4), link > 0)
    packet = opened.big()
    assert opened.port.write_many([packet, lacking]) == 2
    assert opened.entered == [*opened.cut(packet), lacking]
    assert opened.entered[-1] is lacking


@both
def test_one_that_cannot_be_cut_is_refused(make: Make) -> None:
    """Like the kernel's EINVAL, with how many were written before it."""
    opened = Opened(make, "tso")
    with pytest.raises(DeviceError, match="^dev0: SuperPacket: gso_size is 0") as caught:
        opened.port.write_many([opened.big(), p.with_fields(opened.big(), gso_size=0)])
    assert (caught.value.errno, caught.value.sent) == (errno.EINVAL, 1)
    assert opened.entered == opened.cut(opened.big())


@both
def test_what_the_device_refuses_says_its_place(make: Make) -> None:
    """An error of the device in the middle has the number of packets written before, not of segments."""
    opened = Opened(make, "tso")
    packet = opened.big()
    seen: list[bytes] = []

    def take(interface: object, batch: list[bytes]) -> None:
        seen.extend(batch)
        if len(seen) == 8:
            opened.device.set_up(False)

    opened.device._stack = take
    with pytest.raises(DeviceDown) as caught:
        opened.port.write_many([packet, packet, packet])
    assert (caught.value.sent, len(seen)) == (2, 8)


@both
async def test_under_an_endpoint(make: Make) -> None:
    """An endpoint sends and receives super-packets, and without asking for them receives finished packets."""
    opened = Opened(make)
    packet = opened.big()
    async with (Tap if opened.device.header else Tun)(opened.port) as endpoint:
        await endpoint.send(packet)
        opened.device.output([packet, packet])
        assert endpoint.superpackets
        assert (await endpoint.recv_many(1, superpackets=True))[0] is packet
        assert [await endpoint.recv() for _ in range(4)] == opened.cut(packet)
    assert opened.entered[0] is packet


@both
def test_closing_switches_it_off(make: Make) -> None:
    """The next one to open the device without offload gets packets."""
    opened = Opened(make)
    opened.port.close_now()
    assert opened.device.offload == frozenset()
