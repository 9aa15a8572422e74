"""The control of a kernel device: what each order does, as the kernel itself tells it."""

from __future__ import annotations

import errno
import os
import socket
import struct
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from rights import machine_root_needed, programs_needed

import aiotun
from aiotun.linux import constants
from aiotun.linux.rtnetlink import Link

pytestmark = pytest.mark.kernel

PEER = "10.18.0.2"
ADDRESS = "10.18.0.1/24"

MAC = "02:00:00:00:00:05"
GROUP = "01:00:5e:00:00:01"
BROADCAST = "ff:ff:ff:ff:ff:ff"


def returning(number: int) -> bytes:
    """A program that returns *number*."""
    return struct.pack("<BBhi", 0xB7, 0, 0, number) + struct.pack("<BBhi", 0x95, 0, 0, 0)


def ip(*arguments: str) -> str:
    """Use the administrator's tool, and return what it says."""
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


def send(count: int = 1, size: int = 4) -> None:
    """Send datagrams to the peer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(count):
            sock.sendto(bytes(size), (PEER, 9))


def sizes(endpoint: aiotun.Tun | aiotun.Tap) -> list[int]:
    """Take what is queued, as sizes."""
    try:
        return [len(one) for one in endpoint.recv_many_nowait()]
    except aiotun.WouldBlock:
        return []


def dropped(endpoint: aiotun.Tun | aiotun.Tap) -> int:
    interface = endpoint.statistics().interface
    assert interface is not None
    return interface.dropped.get("kernel_queue_full", 0)


async def test_the_carrier_follows() -> None:
    """Without carrier the interface stays up, the kernel sends nothing, and sending into it works (B14)."""
    async with aiotun.open_tun("dev0", address=ADDRESS) as tun:
        assert tun.device.carrier
        tun.device.carrier = False
        assert not tun.device.carrier
        assert "NO-CARRIER" in ip("link", "show", "dev0")
        assert "UP" in ip("link", "show", "dev0")
        await tun.send(b"\x45" + bytes(39))
        tun.device.carrier = True
        assert tun.device.carrier
        assert "NO-CARRIER" not in ip("link", "show", "dev0")


async def test_there_is_no_carrier_without_a_queue() -> None:
    """With every queue detached a carrier is refused, and it is said why: the kernel says EPERM."""
    async with aiotun.open_tun("dev1", queues=1) as queues:
        queues[0].device.detach_queue()
        with pytest.raises(aiotun.DeviceError, match="dev1: no queue is attached, so there is no carrier"):
            queues[0].device.carrier = True


async def test_the_send_buffer_is_the_interfaces() -> None:
    """A send buffer is set for every queue; a new device has no limit."""
    async with aiotun.open_tun("dev2", queues=2) as queues:
        assert queues[1].device.send_buffer == 2**31 - 1
        queues[0].device.send_buffer = 100_000
        assert [queue.device.send_buffer for queue in queues] == [100_000, 100_000]


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("send_buffer", 0, ValueError),
        ("send_buffer", 2**31, ValueError),
        ("send_buffer", "1", TypeError),
        ("link_type", 65536, ValueError),
        ("link_type", -1, ValueError),
        ("owner", -1, ValueError),
        ("owner", 2**32 - 1, ValueError),
        ("owner_group", 2**32 - 1, ValueError),
    ],
)
async def test_a_value_that_cannot_be_is_refused(name: str, value: Any, error: type[Exception]) -> None:
    """What the kernel would refuse, or cut short without a word, is refused before it is asked."""
    async with aiotun.open_tun("dev3", up=False) as tun:
        with pytest.raises(error, match="dev3: "):
            setattr(tun.device, name, value)


async def test_the_link_type_changes_while_it_is_down() -> None:
    """A link type is what the kernel tells others the link is; while it is up that is refused, and it is said why."""
    async with aiotun.open_tun("dev4", up=False) as tun:
        assert tun.device.link_type == 65534
        tun.device.link_type = 512  # ARPHRD_PPP
        assert tun.device.link_type == 512
        assert "link/ppp" in ip("link", "show", "dev4")
        ip("link", "set", "dev4", "up")
        with pytest.raises(aiotun.DeviceError, match="dev4: cannot set link type 1: the interface is up") as caught:
            tun.device.link_type = 1
        assert caught.value.errno == errno.EBUSY


@machine_root_needed
async def test_the_owner_and_the_group_are_the_kernels() -> None:
    """Owner and group are read from the kernel, None at first, and what it was told afterwards."""
    async with aiotun.open_tap("dev5") as tap:
        assert (tap.device.owner, tap.device.owner_group) == (None, None)
        tap.device.owner = 4242
        tap.device.owner_group = 2**32 - 2
        assert (tap.device.owner, tap.device.owner_group) == (4242, 2**32 - 2)
        assert "user 4242" in ip("-d", "link", "show", "dev5")


async def test_persistence_is_switched() -> None:
    """A device made persistent outlives its endpoint, and one made transient again does not."""
    async with aiotun.open_tun("dev6") as tun:
        assert not tun.device.persistent
        tun.device.persistent = True
        assert tun.device.persistent
        tun.device.owner = os.getuid()
    assert socket.if_nametoindex("dev6")
    async with aiotun.open_tun("dev6") as tun:
        tun.device.persistent = False
    with pytest.raises(OSError):
        socket.if_nametoindex("dev6")


async def test_there_is_no_vnet_header() -> None:
    """Without IFF_VNET_HDR nothing stands in front of a packet, whatever size the kernel has in store."""
    async with aiotun.open_tun("dev7") as tun:
        assert tun.device.vnet_header_size == 0


async def test_the_size_of_a_vnet_header_cannot_be_set() -> None:
    """What every packet is framed by is not to be changed under an endpoint."""
    async with aiotun.open_tun("dev8") as tun:
        with pytest.raises(AttributeError):
            tun.device.vnet_header_size = 12  # type: ignore[misc]


async def test_the_features_are_named() -> None:
    """The driver's features have the kernel's names."""
    async with aiotun.open_tun("dev9") as tun:
        assert {"IFF_TUN", "IFF_TAP", "IFF_NO_PI", "IFF_MULTI_QUEUE", "IFF_NAPI"} <= tun.device.features


async def test_the_namespace_is_the_devices() -> None:
    """The descriptor is of the namespace the device is in, after a move as well."""
    ip("netns", "add", "devs")
    try:
        async with aiotun.open_tun("dev10") as tun:
            check_namespace(tun.device, "/proc/self/ns/net")
            ip("link", "set", "dev10", "netns", "devs")
            check_namespace(tun.device, "/run/netns/devs")
    finally:
        ip("netns", "del", "devs")


def check_namespace(device: aiotun.Device, place: str) -> None:
    fd = device.open_namespace()
    try:
        assert os.path.samestat(os.fstat(fd), os.stat(place))
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)


# --- filters --------------------------------------------------------------------------------------


def send_frames(name: str, *to: str) -> None:
    """Send a frame to each of these addresses."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((name, 0x0800))
        for address in to:
            sock.send(bytes.fromhex(address.replace(":", "")) + bytes(6) + b"\x08\x00" + bytes(50))


def destinations(tap: aiotun.Tap) -> list[str]:
    try:
        return [one[:6].hex(":") for one in tap.recv_many_nowait()]
    except aiotun.WouldBlock:
        return []


EVERYWHERE = [MAC, "02:00:00:00:00:06", GROUP, "01:00:5e:00:00:02", BROADCAST]


@pytest.mark.parametrize(
    ("addresses", "options", "passing"),
    [
        ([MAC], {}, [MAC]),
        ([GROUP, MAC], {}, [MAC, GROUP]),
        ([bytes.fromhex(MAC.replace(":", "")), BROADCAST], {}, [MAC, BROADCAST]),
        ([MAC], {"all_multicast": True}, [MAC, GROUP, "01:00:5e:00:00:02", BROADCAST]),
        ([], {}, EVERYWHERE),
    ],
)
async def test_only_frames_to_these_addresses_come_out(
    addresses: list[str | bytes], options: dict[str, bool], passing: list[str]
) -> None:
    """A tap's address filter lets through what it names, and the kernel counts the others as dropped."""
    async with aiotun.open_tap("dev11", ipv6_linklocal=False) as tap:
        before = dropped(tap)
        tap.device.filter_addresses(addresses, **options)
        send_frames("dev11", *EVERYWHERE)
        assert destinations(tap) == passing
        assert dropped(tap) - before == len(EVERYWHERE) - len(passing)


async def test_a_filter_of_many_groups_fits() -> None:
    """300 groups are more than an ioctl() of Python takes as bytes, and the unicast address still passes first."""
    groups = [f"01:00:5e:00:{number >> 8:02x}:{number & 255:02x}" for number in range(300)]
    async with aiotun.open_tap("dev12", ipv6_linklocal=False) as tap:
        tap.device.filter_addresses([*groups, MAC])
        send_frames("dev12", MAC, "02:00:00:00:00:06", groups[299])
        assert destinations(tap) == [MAC, groups[299]]


async def test_a_ninth_unicast_address_is_refused() -> None:
    """With nine the kernel would lift the filter and say nothing."""
    async with aiotun.open_tap("dev13") as tap:
        with pytest.raises(ValueError, match="dev13: 9 addresses are no groups', the kernel's filter holds 8"):
            tap.device.filter_addresses([f"02:00:00:00:00:{number:02x}" for number in range(9)])


async def test_a_tun_has_no_addresses() -> None:
    """On a tun an address filter is refused in words."""
    async with aiotun.open_tun("dev14") as tun:
        with pytest.raises(aiotun.DeviceError, match="dev14: a tun has no addresses of hardware to filter by"):
            tun.device.filter_addresses([MAC])


@programs_needed
async def test_a_filter_program_drops() -> None:
    """A program that returns 0 lets nothing come out, counted by the kernel; None lifts it."""
    async with aiotun.open_tun("dev15", address=ADDRESS) as tun:
        tun.device.filter(returning(0))
        send(3)
        assert sizes(tun) == []
        assert dropped(tun) == 3
        tun.device.filter(None)
        send(3)
        assert sizes(tun) == [32, 32, 32]


@programs_needed
async def test_a_filter_program_cuts_short() -> None:
    """A result below the packet's size is how much of it comes out."""
    async with aiotun.open_tun("dev16", address=ADDRESS) as tun:
        tun.device.filter(returning(30))
        send(1, size=100)
        assert sizes(tun) == [30]


@programs_needed
async def test_a_loaded_program_is_taken_by_its_descriptor() -> None:
    """A descriptor of a program is accepted, and stays the caller's."""
    from aiotun.linux.program import load_program

    fd = load_program("x", returning(0))
    try:
        async with aiotun.open_tun("dev17", address=ADDRESS) as tun:
            tun.device.filter(fd)
            os.fstat(fd)
            send()
            assert dropped(tun) == 1
    finally:
        os.close(fd)


@pytest.mark.parametrize("program", [0, 999_999])
async def test_another_descriptor_is_not_a_program(program: int) -> None:
    """A descriptor of something else, or of nothing, is refused in words."""
    async with aiotun.open_tun("dev18") as tun:
        with pytest.raises(aiotun.DeviceError, match=f"dev18: .* descriptor {program} is not a BPF program"):
            tun.device.steer(program)


@pytest.mark.parametrize("program", [-1, -5, 2**31, 2**70])
async def test_a_number_that_is_no_descriptor_is_refused(program: int) -> None:
    """A number that no descriptor has is a ValueError; -1, which lifts a program in the kernel, too."""
    async with aiotun.open_tun("dev23") as tun:
        with pytest.raises(ValueError, match=f"dev23: descriptor is 0 to 2147483647, not {program}"):
            tun.device.filter(program)


@programs_needed
async def test_a_program_the_verifier_refuses_comes_with_its_log() -> None:
    """A program that returns nothing is refused, with the verifier's own words, and nothing is left open."""
    async with aiotun.open_tun("dev19") as tun:
        with pytest.raises(aiotun.DeviceError, match="dev19: the kernel refused the BPF program: (.|\n)*R0 !read_ok"):
            tun.device.steer(struct.pack("<BBhi", 0x95, 0, 0, 0))


async def test_text_is_no_program() -> None:
    """What is neither bytecode nor a descriptor is refused."""
    async with aiotun.open_tun("dev21") as tun:
        with pytest.raises(TypeError, match="dev21: a program is bytes or a descriptor, not str"):
            tun.device.filter("ret 0")  # type: ignore[arg-type]


@pytest.mark.parametrize("program", [b"", b"\x95", bytes(12)])
async def test_half_an_instruction_is_refused(program: bytes) -> None:
    """Bytes that are no whole number of instructions are refused before the kernel is asked."""
    async with aiotun.open_tun("dev20") as tun:
        with pytest.raises(ValueError, match=f"8 bytes an instruction, not {len(program)} bytes"):
            tun.device.filter(program)


# --- opened with NAPI -----------------------------------------------------------------------------


async def test_napi_is_asked_for() -> None:
    """``napi=True`` opens with IFF_NAPI, and packets get in."""
    async with aiotun.open_tun("napi0", napi=True, address=ADDRESS) as tun:
        assert "IFF_NAPI" in tun.capabilities.granted
        await check_gets_in(tun)


@machine_root_needed
async def test_napi_frags_is_asked_for() -> None:
    """``napi_frags=True`` opens a tap with IFF_NAPI_FRAGS, which takes IFF_NAPI, and frames get in."""
    async with aiotun.open_tap("napi1", napi_frags=True) as tap:
        assert {"IFF_NAPI", "IFF_NAPI_FRAGS"} <= tap.capabilities.granted
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
            sock.bind(("napi1", 0x88B5))
            sock.settimeout(5)
            await tap.send(bytes.fromhex("ffffffffffff" + MAC.replace(":", "")) + b"\x88\xb5" + bytes(46))
            assert len(sock.recv(100)) == 60


async def check_gets_in(tun: aiotun.Tun) -> None:
    from aiotun import packet

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((ADDRESS[:-3], 0))
        sock.settimeout(5)
        udp = packet.UDP(9, sock.getsockname()[1], b"in").build(PEER, ADDRESS[:-3])
        await tun.send(packet.IPv4(PEER, ADDRESS[:-3], 17, payload=udp).build())
        assert sock.recv(10) == b"in"


async def test_a_tun_has_no_frags() -> None:
    """``napi_frags`` is a tap's option: open_tun() does not know it."""
    with pytest.raises(TypeError, match="no option 'napi_frags'"):
        aiotun.open_tun("napi2", napi_frags=True)  # type: ignore[call-overload]


# --- after the end --------------------------------------------------------------------------------

QUESTIONS: dict[str, Callable[[aiotun.Device], object]] = {
    "attached": lambda device: device.attached,
    "queues": lambda device: device.queues,
    "send_buffer": lambda device: device.send_buffer,
    "carrier": lambda device: device.carrier,
    "persistent": lambda device: device.persistent,
    "owner": lambda device: device.owner,
    "owner_group": lambda device: device.owner_group,
    "link_type": lambda device: device.link_type,
    "vnet_header_size": lambda device: device.vnet_header_size,
    "detach_queue": lambda device: device.detach_queue(),
    "attach_queue": lambda device: device.attach_queue(),
    "set send_buffer": lambda device: setattr(device, "send_buffer", 1),
    "set carrier": lambda device: setattr(device, "carrier", True),
    "set persistent": lambda device: setattr(device, "persistent", True),
    "set owner": lambda device: setattr(device, "owner", 0),
    "set owner_group": lambda device: setattr(device, "owner_group", 0),
    "set link_type": lambda device: setattr(device, "link_type", 1),
    "filter_addresses": lambda device: device.filter_addresses([MAC]),
    "steer": lambda device: device.steer(None),
    "filter": lambda device: device.filter(None),
    "open_namespace": lambda device: device.open_namespace(),
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
async def test_a_deleted_device_says_gone(question: Callable[[aiotun.Device], object]) -> None:
    """Whatever is asked of a deleted device, the answer is DeviceGone."""
    async with aiotun.open_tap("gone9", queues=1) as queues:
        ip("link", "del", "gone9")
        with pytest.raises(aiotun.DeviceGone, match="gone9: the interface was deleted"):
            question(queues[0].device)


@pytest.mark.parametrize(
    "question", [*QUESTIONS.values(), lambda device: device.features], ids=[*QUESTIONS, "features"]
)
async def test_a_closed_endpoint_says_closed(question: Callable[[aiotun.Device], object]) -> None:
    """Whatever is asked of a device whose endpoint is closed, the answer is DeviceClosed."""
    async with aiotun.open_tap("closed9", queues=1) as queues:
        device = queues[0].device
    with pytest.raises(aiotun.DeviceClosed, match="closed9: the endpoint is closed"):
        question(device)
    with pytest.raises(aiotun.DeviceClosed, match="closed9: the endpoint is closed"):
        _ = queues[0].device


@machine_root_needed
async def test_without_netlink_some_questions_have_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What only netlink tells is refused in words where there is none; orders are given all the same."""
    async with aiotun.open_tun("blind0") as tun:
        with monkeypatch.context() as patch:
            patch.setattr("aiotun.linux.tunfile.TunFile.query", lambda file: Link(index=1, name="", mtu=1, flags=0))
            with pytest.raises(aiotun.DeviceError, match="blind0: cannot be asked: there is no netlink"):
                _ = tun.device.owner
            tun.device.owner = 5
        assert tun.device.owner == 5
        assert repr(tun.device) == "<KernelDevice blind0>"


async def test_a_renamed_device_is_the_same() -> None:
    """After a rename the device goes on."""
    async with aiotun.open_tun("was0", up=False) as tun:
        ip("link", "set", "was0", "name", "is0")
        tun.device.carrier = False
        assert (tun.name, tun.device.carrier) == ("is0", False)


def test_the_numbers_are_the_kernels() -> None:
    """The ioctl numbers are those that the header's macros make."""
    write, read, size = 1 << 30, 2 << 30, 4 << 16
    letter = ord("T") << 8
    assert constants.TUNSETCARRIER == write | size | letter | 226
    assert constants.TUNSETSTEERINGEBPF == read | size | letter | 224
    assert constants.TUNSETFILTEREBPF == read | size | letter | 225
    assert constants.TUNSETQUEUE == write | size | letter | 217
    assert constants.TUNSETTXFILTER == write | size | letter | 209
