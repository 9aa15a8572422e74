"""The rows T1 to T14: DragonFly if_tun.c, function by function."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from ipaddress import ip_address, ip_interface
from typing import Any

import pytest
from driver.fakes import FOREIGN, IPV4, IPV6, advance, simulated

from aiotun.driver import (
    DLT,
    Band,
    Credentials,
    DeviceNode,
    Direction,
    Family,
    Filter,
    Flags,
    Interface,
    Request,
    SockAddr,
    TunDevice,
    TunInfo,
)
from aiotun.endpoint import Event, EventKind
from aiotun.errors import (
    DeviceBusy,
    DeviceClosed,
    DeviceDown,
    DeviceError,
    DeviceGone,
    QueueFull,
    UnsupportedFamily,
    WouldBlock,
)
from aiotun.host import SoftHost
from aiotun.queueing import TokenBucket
from aiotun.testing.expect import parked, turns

from .scene import ROOT, UUCP, Tracing, captured, group_signalled, open_tun, packed, sigio

INET = (2).to_bytes(4, sys.byteorder)
INET6 = (28).to_bytes(4, sys.byteorder)
HEAD_INET = bytes((0, 0, 0, 2))
HEAD_INET6 = bytes((0, 0, 0, 28))
ADDRESS = SockAddr.of("10.0.0.1")
UP_FLAGS = Flags.UP | Flags.RUNNING | Flags.POINTOPOINT | Flags.MULTICAST

typed_and_packed = pytest.mark.parametrize("form", ["typed", "packed"])


@pytest.fixture
def host() -> SoftHost:
    return SoftHost()


@pytest.fixture
def tun(host: SoftHost) -> TunDevice:
    return open_tun(host)


def ask(tun: TunDevice, request: Request, value: Any, form: str) -> Any:
    """Perform a request with a value, or with the structure a C program gives."""
    return tun.ioctl(request, packed(request, value) if form == "packed" else value)


def entered(tun: TunDevice) -> list[bytes]:
    """Keep what enters the stack from now on."""
    kept: list[bytes] = []

    def stack(interface: Interface, batch: list[bytes]) -> None:
        kept.extend(batch)

    tun._stack = stack
    return kept


# --- T1 tunattach ---------------------------------------------------------------------------------


def test_T1_there_is_a_cloning_node_and_four_units(host: SoftHost) -> None:
    """A new host has the cloning node and the nodes of four units, no fifth, and no interface yet."""
    assert [name for name in host.dev if name.startswith("tun")] == ["tun", "tun0", "tun1", "tun2", "tun3"]
    assert "tun4" not in host.dev
    assert not host.interfaces


@pytest.mark.parametrize("name", ["tun", "tun0", "tun3"])
def test_T1_the_nodes_are_uucp_dialer_0600(host: SoftHost, name: str) -> None:
    """Each node has owner uucp (66), group dialer (68) and mode 0600."""
    node: DeviceNode[Any] = host.dev[name]
    assert (node.owner, node.uid, node.group, node.gid, node.mode) == ("uucp", 66, "dialer", 68, 0o600)


def test_T1_the_minors_are_the_units(host: SoftHost) -> None:
    """The minor number of a unit's node is the unit."""
    assert [host.dev[f"tun{unit}"].minor for unit in range(4)] == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["tun", "tun0"])
def test_T1_the_mode_keeps_others_out(host: SoftHost, name: str) -> None:
    """Who is neither root nor uucp is kept out by the mode, EACCES, also a member of dialer."""
    with pytest.raises(PermissionError) as caught:
        host.dev[name].open(Credentials(uid=1000, gid=68))
    assert caught.value.errno == errno.EACCES
    assert "tun4" not in host.dev


# --- T2 tunclone ----------------------------------------------------------------------------------


def test_T2_the_cloning_node_gives_the_next_free_unit(host: SoftHost) -> None:
    """Each opening of the cloning node is the next unit behind the four, open and with a node of its own."""
    opened = [open_tun(host, "tun", up=False) for _ in range(3)]
    assert [tun.name for tun in opened] == ["tun4", "tun5", "tun6"]
    assert all(tun.is_open for tun in opened)
    assert (host.dev["tun6"].minor, "tun7" in host.dev) == (6, False)


def test_T2_a_cloned_unit_stays_taken(host: SoftHost) -> None:
    """A cloned unit is not given again after its close, and is opened by its own node."""
    first = open_tun(host, "tun")
    first.close()
    assert open_tun(host, "tun").name == "tun5"
    assert open_tun(host, "tun4") is first


# --- T3 tuncreate ---------------------------------------------------------------------------------


def test_T3_the_interface_is_made_at_the_first_open(host: SoftHost) -> None:
    """Opening a unit makes its interface, and only that one; a later open finds the same."""
    tun = open_tun(host, "tun2")
    assert dict(host.interfaces) == {"tun2": tun}
    tun.close()
    assert open_tun(host, "tun2") is tun


def test_T3_as_it_is_made(host: SoftHost) -> None:
    """A new interface has mtu 1500, POINTOPOINT and MULTICAST, type PPP, and a send queue of 50."""
    tun = open_tun(host, up=False)
    assert (tun.mtu, tun.flags, tun.snd.max_packets) == (1500, Flags.POINTOPOINT | Flags.MULTICAST, 50)
    assert tun.ioctl(Request.TUNGIFINFO) == TunInfo(baudrate=0, mtu=1500, type=23)


def test_T3_bpf_has_the_family_in_front(tun: TunDevice) -> None:
    """A packet filter sees DLT_NULL: the family in 4 bytes of host order, then the packet."""
    capture = tun.bpf.attach()
    tun.output([IPV4])
    assert (tun.bpf.dlt, captured(capture)) == (DLT.NULL, [INET + IPV4])


# --- T4 tunopen -----------------------------------------------------------------------------------


def test_T4_an_unprivileged_caller_is_refused(host: SoftHost) -> None:
    """Who is not root is refused with EPERM though the mode lets in, and no interface is made."""
    with pytest.raises(PermissionError, match="tun0: a tun is opened by root, not by user 66") as caught:
        host.dev["tun0"].open(UUCP)
    assert caught.value.errno == errno.EPERM
    assert not host.interfaces


def test_T4_privilege_is_checked_first(tun: TunDevice) -> None:
    """Who is not root gets EPERM of an open device too, not EBUSY."""
    with pytest.raises(PermissionError) as caught:
        tun.open(UUCP)
    assert caught.value.errno == errno.EPERM


def test_T4_a_second_open_is_busy(host: SoftHost, tun: TunDevice) -> None:
    """A second open is EBUSY, and the first has the device still."""
    with pytest.raises(DeviceBusy, match=f"tun0: held by process {os.getpid()}") as caught:
        host.dev["tun0"].open(ROOT)
    assert (caught.value.errno, tun.pid) == (errno.EBUSY, os.getpid())


def test_T4_the_openers_pid_is_recorded(host: SoftHost) -> None:
    """The process that opened is recorded."""
    assert host.dev["tun0"].open(Credentials(pid=4242)).pid == 4242


def test_T4_a_closed_device_is_opened_again(host: SoftHost, tun: TunDevice) -> None:
    """After a close the device can be opened, by another process."""
    tun.close()
    assert host.dev["tun0"].open(Credentials(pid=4242)).pid == 4242


# --- T5 tunclose ----------------------------------------------------------------------------------


def test_T5_pending_output_is_junked(tun: TunDevice) -> None:
    """What waits to be read is dropped and counted; it was output, and packet filters do not see it again."""
    tun.output([IPV4] * 3)
    capture = tun.bpf.attach()
    tun.close()
    counters = tun.counters()
    assert (len(tun.snd), counters.dropped, counters.opackets) == (0, {"closed": 3}, 3)
    assert captured(capture) == []


def test_T5_the_interface_goes_down(tun: TunDevice) -> None:
    """UP and RUNNING go off, and only these."""
    tun.close()
    assert tun.flags == Flags.POINTOPOINT | Flags.MULTICAST


def test_T5_the_addresses_are_purged(tun: TunDevice) -> None:
    """Every address is taken away, after the interface went down."""
    tun.ioctl(Request.SIOCSIFADDR, ADDRESS)
    tun.add_address(ip_interface("fd00::1/64"))
    told: list[Event] = []
    tun.listen(told.append)
    tun.close()
    assert tun.addresses == []
    assert [event.kind for event in told] == [EventKind.DOWN, EventKind.ADDRESS, EventKind.ADDRESS]


def test_T5_the_sigio_owner_is_cleared(host: SoftHost, tun: TunDevice) -> None:
    """Whoever opens next does not find the last one's SIGIO owner."""
    tun.ioctl(Request.FIOSETOWN, os.getpid())
    tun.close()
    assert open_tun(host).ioctl(Request.FIOGETOWN) == 0


def test_T5_filters_are_notified(tun: TunDevice) -> None:
    """An armed filter is notified, and ends: it was of this opening."""
    notified: list[bool] = []
    knote = tun.kqfilter(Filter.READ, lambda knote: notified.append(knote.ready))
    tun.output([IPV4])
    tun.close()
    assert notified == [True, False]
    assert isinstance(knote.error, DeviceClosed)


async def test_T5_a_sleeper_is_released(tun: TunDevice) -> None:
    """Whoever sleeps in a read is released with EHOSTDOWN."""
    task = await parked(tun.read_wait())
    tun.close()
    with pytest.raises(DeviceDown) as caught:
        await task
    assert caught.value.errno == errno.EHOSTDOWN


def test_T5_the_pid_is_forgotten(tun: TunDevice) -> None:
    """A closed device has no process, and its status says nothing."""
    tun.close()
    assert (tun.pid, tun.ioctl(Request.SIOCGIFSTATUS)) == (None, "")


def test_T5_the_interface_stays(host: SoftHost, tun: TunDevice) -> None:
    """The interface outlives the close, with its mtu and its mode."""
    tun.ioctl(Request.SIOCSIFMTU, 1400)
    tun.ioctl(Request.TUNSIFHEAD, 1)
    tun.close()
    again = open_tun(host)
    assert (again, again.mtu, again.ioctl(Request.TUNGIFHEAD)) == (tun, 1400, 1)


# --- T6 tuninit -----------------------------------------------------------------------------------


@typed_and_packed
@pytest.mark.parametrize("request_", [Request.SIOCSIFADDR, Request.SIOCSIFDSTADDR])
def test_T6_an_address_brings_up(host: SoftHost, request_: Request, form: str) -> None:
    """Setting an address, or a destination, brings UP and RUNNING."""
    tun = open_tun(host, up=False)
    ask(tun, request_, ADDRESS, form)
    assert tun.flags == UP_FLAGS


@pytest.mark.parametrize("request_", [Request.SIOCSIFADDR, Request.SIOCSIFDSTADDR])
def test_T6_lastchange_is_stamped(tun: TunDevice, monkeypatch: pytest.MonkeyPatch, request_: Request) -> None:
    """Setting an address, or a destination, stamps lastchange, also of an interface that is up already."""
    monkeypatch.setattr(time, "time", lambda: 12345.5)
    tun.ioctl(request_, ADDRESS)
    assert tun.lastchange == 12345.5


@pytest.mark.parametrize(
    ("address", "iaset"), [("10.0.0.1", True), ("0.0.0.1", True), ("0.0.0.0", False), ("fd00::1", False)]
)
def test_T6_a_non_zero_ipv4_address_sets_iaset(tun: TunDevice, address: str, iaset: bool) -> None:
    """IASET is set by an IPv4 address that is not all zeros, by nothing else."""
    tun.ioctl(Request.SIOCSIFADDR, SockAddr.of(address))
    assert tun.iaset is iaset


def test_T6_every_address_is_looked_at(tun: TunDevice) -> None:
    """A destination sets IASET if one of the interface's own addresses does; the destination does not."""
    tun.ioctl(Request.SIOCSIFDSTADDR, SockAddr.of("10.0.0.2"))
    before = tun.iaset
    tun.add_address(ip_interface("10.0.0.1/24"))
    tun.add_address(ip_interface("fd00::1/64"))
    tun.ioctl(Request.SIOCSIFDSTADDR, SockAddr.of("10.0.0.2"))
    assert (before, tun.iaset) == (False, True)


@typed_and_packed
def test_T6_an_empty_address_is_efault(host: SoftHost, form: str) -> None:
    """An empty address is EFAULT, and the interface is up all the same, without one."""
    tun = open_tun(host, up=False)
    with pytest.raises(DeviceError, match="tun0: the address is empty") as caught:
        ask(tun, Request.SIOCSIFADDR, SockAddr(Family.UNSPEC), form)
    assert caught.value.errno == errno.EFAULT
    assert (tun.up, tun.addresses) == (True, [])


# --- T7 tunifioctl --------------------------------------------------------------------------------


def test_T7_the_status_names_the_opener(host: SoftHost) -> None:
    """SIOCGIFSTATUS is the line "Opened by PID n"."""
    tun = host.dev["tun0"].open(Credentials(pid=4242))
    assert isinstance(tun, TunDevice)
    assert tun.ioctl(Request.SIOCGIFSTATUS) == tun.status() == "\tOpened by PID 4242\n"


def test_T7_the_status_packed(tun: TunDevice) -> None:
    """SIOCGIFSTATUS fills its structure: the name, then the line."""
    structure = tun.ioctl(Request.SIOCGIFSTATUS, bytes(817))
    assert isinstance(structure, bytes) and len(structure) == 817
    line = f"\tOpened by PID {os.getpid()}\n".encode()
    assert structure == b"tun0".ljust(16, b"\0") + line.ljust(801, b"\0")


@typed_and_packed
def test_T7_an_address_is_set(tun: TunDevice, form: str) -> None:
    """SIOCSIFADDR gives the interface the address."""
    ask(tun, Request.SIOCSIFADDR, ADDRESS, form)
    assert tun.addresses == [ip_interface("10.0.0.1/32")]


@typed_and_packed
def test_T7_a_destination_is_set(tun: TunDevice, form: str) -> None:
    """SIOCSIFDSTADDR sets the other end's address, and none of the interface's own."""
    ask(tun, Request.SIOCSIFDSTADDR, ADDRESS, form)
    assert (tun.destination, tun.addresses) == (ADDRESS, [])


@typed_and_packed
@pytest.mark.parametrize("mtu", [72, 1400, 9000])
def test_T7_the_mtu_is_set(tun: TunDevice, form: str, mtu: int) -> None:
    """SIOCSIFMTU sets the mtu, from 72 bytes on; SIOCGIFMTU tells it."""
    ask(tun, Request.SIOCSIFMTU, mtu, form)
    assert (tun.mtu, tun.ioctl(Request.SIOCGIFMTU)) == (mtu, mtu)


@typed_and_packed
def test_T7_an_mtu_below_the_least(tun: TunDevice, form: str) -> None:
    """SIOCSIFMTU below 72 bytes is EINVAL, and the mtu stays."""
    with pytest.raises(DeviceError, match="tun0: mtu 71 is below 72") as caught:
        ask(tun, Request.SIOCSIFMTU, 71, form)
    assert (caught.value.errno, tun.mtu) == (errno.EINVAL, 1500)


@typed_and_packed
@pytest.mark.parametrize(
    ("request_", "value"),
    [
        (Request.SIOCSIFFLAGS, int(Flags.UP)),
        (Request.SIOCADDMULTI, SockAddr.of("224.0.0.9")),
        (Request.SIOCDELMULTI, SockAddr.of("224.0.0.9")),
    ],
)
def test_T7_accepted(tun: TunDevice, request_: Request, value: Any, form: str) -> None:
    """SIOCSIFFLAGS, SIOCADDMULTI and SIOCDELMULTI are accepted, a group that was never joined too."""
    before = tun.flags
    result = ask(tun, request_, value, form)
    assert result == (packed(request_, value) if form == "packed" else None)
    assert tun.flags == before


@pytest.mark.parametrize("request_", [Request.SIOCGIFMEDIA, Request.SIOCSIFMEDIA, Request.SIOCSIFPHYADDR, 0x80206901])
def test_T7_anything_else_is_einval(tun: TunDevice, request_: int) -> None:
    """A request of the interface that the driver does not have is EINVAL."""
    with pytest.raises(DeviceError, match="tun0: no request") as caught:
        tun.ioctl(request_)
    assert caught.value.errno == errno.EINVAL


# --- T8 tunoutput ---------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["closed", "down"])
def test_T8_not_ready_is_the_first_question(host: SoftHost, state: str) -> None:
    """Output of a device that is not ready is EHOSTDOWN; nothing is classified or shown, and all is counted."""
    tun = open_tun(host, up=state == "closed")
    if state == "closed":
        tun.close()
    snd = tun.snd = Tracing()
    capture = tun.bpf.attach()
    with pytest.raises(DeviceDown, match="tun0: the interface is down") as caught:
        tun.output([IPV4, IPV6])
    assert (caught.value.errno, tun.counters().dropped) == (errno.EHOSTDOWN, {"down": 2})
    assert (snd.trace, captured(capture), tun.counts.opackets) == ([], [], 0)


def test_T8_a_packet_is_classified_before_link_headers(tun: TunDevice) -> None:
    """The queue classifies the plain packet, and then queues it with its header, its class still on it."""
    tun.ioctl(Request.TUNSIFHEAD, 1)
    snd = tun.snd = Tracing()
    tun.output([IPV4])
    assert snd.trace == [("classify", IPV4), ("enqueue", HEAD_INET + IPV4)]
    assert getattr(snd.trace[1][1], "key", None) == "class"


def test_T8_a_packet_is_classified_before_its_family_is_taken_off(tun: TunDevice) -> None:
    """Classification comes before AF_UNSPEC's family is taken off."""
    snd = tun.snd = Tracing()
    tun.output_to(SockAddr(Family.UNSPEC), [INET + IPV4])
    assert snd.trace == [("classify", INET + IPV4), ("enqueue", IPV4)]


def test_T8_unspec_carries_its_family(tun: TunDevice) -> None:
    """A packet for AF_UNSPEC begins with its family in host order, which is taken off."""
    tun.ioctl(Request.TUNSIFHEAD, 1)
    assert tun.output_to(SockAddr(Family.UNSPEC), [INET6 + IPV4, INET + IPV4]) == 2
    assert tun.read_many(2) == [HEAD_INET6 + IPV4, HEAD_INET + IPV4]


def test_T8_a_packet_filter_writes_for_unspec(tun: TunDevice) -> None:
    """What a packet filter writes is output by the family in front of it, and shown to filters the same way."""
    capture = tun.bpf.attach()
    capture.write(INET + IPV4)
    assert (tun.read(), captured(capture)) == (IPV4, [INET + IPV4])


def test_T8_a_packet_filter_hears_what_is_refused(tun: TunDevice) -> None:
    """A packet filter that writes another family than IPv4 gets EAFNOSUPPORT."""
    with pytest.raises(UnsupportedFamily) as caught:
        tun.bpf.attach().write(INET6 + IPV6)
    assert caught.value.errno == errno.EAFNOSUPPORT


@pytest.mark.parametrize(("size", "queued"), [(3, 0), (4, 1)])
def test_T8_unspec_without_a_family(tun: TunDevice, size: int, queued: int) -> None:
    """A packet for AF_UNSPEC with less than the 4 bytes of a family is dropped and counted."""
    assert tun.output_to(SockAddr(Family.UNSPEC), [INET[:size]]) == queued
    assert tun.counters().dropped == ({} if queued else {"short_header": 1})


def test_T8_bpf_comes_before_the_family_check(tun: TunDevice) -> None:
    """A packet filter sees the packet that is then refused for its family."""
    capture = tun.bpf.attach()
    tun.output([IPV6])
    assert (captured(capture), tun.counters().dropped) == ([INET6 + IPV6], {"unsupported_family": 1})


@pytest.mark.parametrize("request_", [Request.TUNSLMODE, Request.TUNSIFHEAD])
def test_T8_bpf_comes_before_link_headers(tun: TunDevice, request_: Request) -> None:
    """A packet filter sees family and packet, not what is prepended for the reader."""
    tun.ioctl(request_, 1)
    capture = tun.bpf.attach()
    tun.output([IPV4])
    one = capture.recv_nowait()
    assert (one.packet, one.direction, one.length) == (INET + IPV4, Direction.OUT, 44)


def test_T8_lmode_prepends_the_sockaddr(tun: TunDevice) -> None:
    """In LMODE the destination's sockaddr_in stands in front: length, family, port, address, zeros."""
    tun.ioctl(Request.TUNSLMODE, 1)
    tun.output([IPV4])
    assert tun.read() == bytes((16, 2, 0, 0, 127, 0, 0, 1)) + bytes(8) + IPV4


def test_T8_lmode_prepends_the_destination_given(tun: TunDevice) -> None:
    """In LMODE the sockaddr is that of the route, if the sender said one."""
    tun.ioctl(Request.TUNSLMODE, 1)
    tun.output_to(SockAddr.of("10.0.0.9", 53), [IPV4])
    assert tun.read() == bytes((16, 2, 0, 53, 10, 0, 0, 9)) + bytes(8) + IPV4


def test_T8_lmode_carries_ipv4_only(tun: TunDevice) -> None:
    """LMODE without IFHEAD refuses another family than IPv4, after its sockaddr would have been put on."""
    tun.ioctl(Request.TUNSLMODE, 1)
    assert tun.output_to(SockAddr.of("fd00::9"), [IPV6]) == 0
    assert tun.counters().dropped == {"unsupported_family": 1}


def test_T8_ifhead_prepends_the_family_in_network_order(tun: TunDevice) -> None:
    """With IFHEAD the family stands in front, in network order, and every family is carried."""
    tun.ioctl(Request.TUNSIFHEAD, 1)
    tun.output([IPV4, IPV6])
    tun.output_to(SockAddr(Family.IPX), [FOREIGN])
    assert tun.read_many(3) == [HEAD_INET + IPV4, HEAD_INET6 + IPV6, bytes((0, 0, 0, 23)) + FOREIGN]


def test_T8_otherwise_only_ipv4(tun: TunDevice) -> None:
    """With nothing in front only IPv4 is carried: another family is EAFNOSUPPORT, and no output."""
    with pytest.raises(UnsupportedFamily, match="tun0: a packet is of a family") as caught:
        tun.output_packet(IPV6)
    assert caught.value.errno == errno.EAFNOSUPPORT
    tun.output_packet(IPV4)
    assert (tun.read_many(2), tun.counts.opackets, tun.counts.collisions) == ([IPV4], 1, 0)


def test_T8_a_full_queue_is_a_collision(tun: TunDevice) -> None:
    """The fiftieth packet is queued; the next is ENOBUFS, a collision and no opacket."""
    for _ in range(50):
        tun.output_packet(IPV4)
    with pytest.raises(QueueFull, match="tun0: the send queue is full, 50 packets wait") as caught:
        tun.output_packet(IPV4)
    assert caught.value.errno == errno.ENOBUFS
    assert (tun.counts.collisions, tun.counts.opackets, tun.counts.obytes) == (1, 50, 2000)
    assert tun.counters().dropped == {"queue_full": 1}


def test_T8_a_refused_packet_wakes_nobody(tun: TunDevice) -> None:
    """A packet that finds the queue full sends no signal."""
    tun.output([IPV4] * 50)
    bands: list[Band] = []
    tun.sigio.listen(bands.append)
    tun.ioctl(Request.FIOASYNC, 1)
    tun.output([IPV4])
    assert bands == []


def test_T8_what_is_queued_is_counted_with_its_header(tun: TunDevice) -> None:
    """opackets and obytes count what was queued, the header in front of it included."""
    tun.ioctl(Request.TUNSIFHEAD, 1)
    tun.output([IPV4, IPV6])
    assert (tun.counters().opackets, tun.counters().obytes) == (2, 88)


def test_T8_counted_before_sleepers_wake(tun: TunDevice) -> None:
    """The packet is counted before anybody is woken for it."""
    counted: list[int] = []

    def look(batch: Any) -> Any:
        counted.append(tun.counts.opackets)
        return batch

    tun.start.insert_before("wakeup", look, name="look")
    tun.output([IPV4])
    assert counted == [1]


def test_T8_sleepers_then_sigio_then_filters(tun: TunDevice) -> None:
    """At the signal, the sleeper is awake already and the filter does not know yet."""
    seen: list[tuple[bool, int]] = []
    fd = tun.fileno()
    knote = tun.kqfilter(Filter.READ)
    tun.ioctl(Request.FIOASYNC, 1)
    tun.sigio.listen(lambda band: seen.append((bool(select.select([fd], [], [], 0)[0]), knote.count)))
    tun.output([IPV4])
    assert (seen, knote.count) == ([(True, 0)], 40)
    tun.close()


async def test_T8_a_sleeper_is_woken(tun: TunDevice) -> None:
    """Whoever sleeps in a read gets the packet."""
    task = await parked(tun.read_wait())
    tun.output([IPV4])
    assert await task == IPV4


def test_T8_sigio(tun: TunDevice) -> None:
    """A real SIGIO comes once for an output, if it is wanted and somebody owns it."""
    with sigio() as caught:
        tun.ioctl(Request.FIOSETOWN, os.getpid())
        tun.output([IPV4])
        before = list(caught)
        tun.ioctl(Request.FIOASYNC, 1)
        tun.output([IPV4, IPV4])
    assert (before, caught) == ([], [signal.SIGIO])


async def test_T8_sigio_to_a_program_of_the_loop(tun: TunDevice) -> None:
    """A listener of the loop hears POLL_IN, without an owner too."""
    bands: list[Band] = []
    tun.sigio.listen(bands.append)
    tun.ioctl(Request.FIOASYNC, 1)
    tun.output([IPV4])
    assert bands == [Band.POLL_IN]


def test_T8_sigio_to_nobody(tun: TunDevice) -> None:
    """Without an owner no signal is sent."""
    with sigio() as caught:
        tun.ioctl(Request.FIOASYNC, 1)
        tun.output([IPV4])
    assert caught == []


async def test_T8_sigio_to_a_handler_of_the_loop(tun: TunDevice) -> None:
    """The signal reaches a handler that the event loop has."""
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()
    loop.add_signal_handler(signal.SIGIO, arrived.set)
    try:
        tun.ioctl(Request.FIOSETOWN, os.getpid())
        tun.ioctl(Request.FIOASYNC, 1)
        tun.output([IPV4])
        await asyncio.wait_for(arrived.wait(), 10)
    finally:
        loop.remove_signal_handler(signal.SIGIO)


# --- T9 tunioctl ----------------------------------------------------------------------------------


@typed_and_packed
def test_T9_ifinfo(tun: TunDevice, form: str) -> None:
    """TUNSIFINFO sets mtu, type and speed, and TUNGIFINFO tells them."""
    info = TunInfo(baudrate=115200, mtu=1400, type=6)
    ask(tun, Request.TUNSIFINFO, info, form)
    assert (tun.mtu, tun.type, tun.baudrate) == (1400, 6, 115200)
    assert tun.ioctl(Request.TUNGIFINFO) == tun.info() == info
    assert tun.ioctl(Request.TUNGIFINFO, bytes(8)) == packed(Request.TUNGIFINFO, info)


@typed_and_packed
def test_T9_ifinfo_below_the_least_mtu(tun: TunDevice, form: str) -> None:
    """TUNSIFINFO with an mtu of 71 is EINVAL and changes nothing; 72 is accepted."""
    with pytest.raises(DeviceError) as caught:
        ask(tun, Request.TUNSIFINFO, TunInfo(baudrate=9600, mtu=71, type=6), form)
    assert (caught.value.errno, tun.info()) == (errno.EINVAL, TunInfo(0, 1500, 23))
    ask(tun, Request.TUNSIFINFO, TunInfo(mtu=72), form)
    assert tun.mtu == 72


@typed_and_packed
def test_T9_debug(host: SoftHost, tun: TunDevice, form: str) -> None:
    """TUNSDEBUG sets the level of every tun, TUNGDEBUG and the sysctl tell it."""
    other = open_tun(host, "tun1")
    ask(tun, Request.TUNSDEBUG, 7, form)
    assert (other.ioctl(Request.TUNGDEBUG), host.sysctl["debug.if_tun_debug"]) == (7, 7)
    assert other.ioctl(Request.TUNGDEBUG, bytes(4)) == packed(Request.TUNGDEBUG, 7)


@typed_and_packed
def test_T9_lmode_and_ifhead_exclude_each_other(tun: TunDevice, form: str) -> None:
    """Setting LMODE ends IFHEAD and the other way round; clearing one leaves the other."""
    states = []
    for request, on in [
        (Request.TUNSIFHEAD, 1),
        (Request.TUNSLMODE, 0),
        (Request.TUNSLMODE, 2),
        (Request.TUNSIFHEAD, 0),
        (Request.TUNSIFHEAD, -1),
        (Request.TUNSIFHEAD, 0),
    ]:
        ask(tun, request, on, form)
        states.append((tun.lmode, tun.ifhead))
    assert states == [(False, True), (False, True), (True, False), (True, False), (False, True), (False, False)]


def test_T9_lmode_ends(tun: TunDevice) -> None:
    """Clearing LMODE ends it."""
    tun.ioctl(Request.TUNSLMODE, 1)
    tun.ioctl(Request.TUNSLMODE, 0)
    assert tun.lmode is False


@pytest.mark.parametrize("on", [0, 1])
def test_T9_ifhead_is_told(tun: TunDevice, on: int) -> None:
    """TUNGIFHEAD is 1 with IFHEAD on, 0 without."""
    tun.ioctl(Request.TUNSIFHEAD, on)
    assert tun.ioctl(Request.TUNGIFHEAD) == on
    assert tun.ioctl(Request.TUNGIFHEAD, bytes(4)) == packed(Request.TUNGIFHEAD, on)


@typed_and_packed
@pytest.mark.parametrize("mode", [Flags.BROADCAST, Flags.POINTOPOINT])
@pytest.mark.parametrize("multicast", [Flags(0), Flags.MULTICAST])
def test_T9_ifmode(host: SoftHost, mode: Flags, multicast: Flags, form: str) -> None:
    """TUNSIFMODE takes POINTOPOINT or BROADCAST in place of the other; MULTICAST, once on, stays."""
    tun = open_tun(host, up=False)
    ask(tun, Request.TUNSIFMODE, int(mode | multicast), form)
    assert tun.flags == mode | Flags.MULTICAST


def test_T9_ifmode_while_up(tun: TunDevice) -> None:
    """TUNSIFMODE of an interface that is up is EBUSY, before the mode is looked at."""
    with pytest.raises(DeviceBusy) as caught:
        tun.ioctl(Request.TUNSIFMODE, 0)
    assert (caught.value.errno, tun.flags) == (errno.EBUSY, UP_FLAGS)


@pytest.mark.parametrize("mode", [0, Flags.MULTICAST, Flags.BROADCAST | Flags.POINTOPOINT, Flags.SIMPLEX | 2, 0x11])
def test_T9_ifmode_of_another_kind(host: SoftHost, mode: int) -> None:
    """TUNSIFMODE with neither or both, or with other flags, is EINVAL."""
    tun = open_tun(host, up=False)
    with pytest.raises(DeviceError) as caught:
        tun.ioctl(Request.TUNSIFMODE, int(mode))
    assert (caught.value.errno, tun.flags) == (errno.EINVAL, Flags.POINTOPOINT | Flags.MULTICAST)


@pytest.mark.parametrize("argument", [None, b""])
def test_T9_ifpid(host: SoftHost, argument: bytes | None) -> None:
    """TUNSIFPID makes this process the one that has the device open."""
    tun = host.dev["tun0"].open(Credentials(pid=4242))
    assert isinstance(tun, TunDevice)
    tun.ioctl(Request.TUNSIFPID, argument)
    assert tun.pid == os.getpid()


def test_T9_ifpid_of_a_closed_device(tun: TunDevice) -> None:
    """TUNSIFPID opens nothing."""
    tun.close()
    tun.ioctl(Request.TUNSIFPID)
    assert not tun.is_open


@typed_and_packed
def test_T9_async(tun: TunDevice, form: str) -> None:
    """FIOASYNC switches the signal on and off."""
    bands: list[Band] = []
    tun.sigio.listen(bands.append)
    for on in (1, 0):
        ask(tun, Request.FIOASYNC, on, form)
        tun.output([IPV4])
    assert bands == [Band.POLL_IN]


@pytest.mark.parametrize("argument", [None, bytes(4)])
def test_T9_nread(tun: TunDevice, argument: bytes | None) -> None:
    """FIONREAD is the bytes of the packet at the head, 0 of an empty queue."""
    tun.ioctl(Request.TUNSIFHEAD, 1)
    answers = [tun.ioctl(Request.FIONREAD, argument)]
    tun.output([IPV4, IPV6[:20]])
    answers.append(tun.ioctl(Request.FIONREAD, argument))
    tun.read()
    answers.append(tun.ioctl(Request.FIONREAD, argument))
    sizes = [0, 44, 24]
    assert answers == ([packed(Request.FIONREAD, size) for size in sizes] if argument else sizes)


@typed_and_packed
def test_T9_owner(tun: TunDevice, form: str) -> None:
    """FIOSETOWN names a process, FIOGETOWN tells it, TIOCGPGRP tells it negated."""
    pid = os.getpid()
    before = tun.ioctl(Request.FIOGETOWN)
    ask(tun, Request.FIOSETOWN, pid, form)
    assert (before, tun.ioctl(Request.FIOGETOWN), tun.ioctl(Request.TIOCGPGRP)) == (0, pid, -pid)
    assert tun.ioctl(Request.FIOGETOWN, bytes(4)) == packed(Request.FIOGETOWN, pid)


@typed_and_packed
def test_T9_process_group(tun: TunDevice, form: str) -> None:
    """TIOCSPGRP names a process group, TIOCGPGRP tells it, FIOGETOWN tells it negated."""
    group = os.getpgrp()
    ask(tun, Request.TIOCSPGRP, group, form)
    assert (tun.ioctl(Request.TIOCGPGRP), tun.ioctl(Request.FIOGETOWN)) == (group, -group)
    assert tun.ioctl(Request.TIOCGPGRP, bytes(4)) == packed(Request.TIOCGPGRP, group)


def test_T9_no_such_owner(tun: TunDevice) -> None:
    """FIOSETOWN of a process that there is not is ESRCH, and the owner stays."""
    tun.ioctl(Request.FIOSETOWN, os.getpid())
    with pytest.raises(ProcessLookupError) as caught:
        tun.ioctl(Request.FIOSETOWN, 2**31 - 1)
    assert (caught.value.errno, tun.owner()) == (errno.ESRCH, os.getpid())


@pytest.mark.parametrize(
    ("request_", "group"), [(Request.TIOCSPGRP, "os.getpgrp()"), (Request.FIOSETOWN, "-os.getpgrp()")]
)
def test_T9_a_process_group_is_signalled(request_: Request, group: str) -> None:
    """A real SIGIO goes to the process group that owns it."""
    assert group_signalled("tun0", request_, group, IPV4) == "True True"


@pytest.mark.parametrize("request_", [Request.FIONBIO, Request.TAPGIFNAME, 0x80047462])
def test_T9_anything_else_is_enotty(tun: TunDevice, request_: int) -> None:
    """A request of the device that the driver does not have is ENOTTY, packed or not."""
    for argument in (None, bytes(4)):
        with pytest.raises(DeviceError, match="tun0: no request") as caught:
            tun.ioctl(request_, argument)
        assert caught.value.errno == errno.ENOTTY


# --- T10 tunread ----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["closed", "down"])
async def test_T10_not_ready(host: SoftHost, state: str) -> None:
    """A read of a device that is not ready is EHOSTDOWN, whether it would sleep or not."""
    tun = open_tun(host, up=state == "closed")
    if state == "closed":
        tun.close()
    with pytest.raises(DeviceDown) as at_once:
        tun.read()
    with pytest.raises(DeviceDown) as sleeping:
        await tun.read_wait()
    assert (at_once.value.errno, sleeping.value.errno) == (errno.EHOSTDOWN, errno.EHOSTDOWN)


def test_T10_empty_and_non_blocking(tun: TunDevice) -> None:
    """A read of an empty queue that may not sleep is EWOULDBLOCK."""
    with pytest.raises(WouldBlock, match="tun0: no packet is queued") as caught:
        tun.read()
    assert caught.value.errno == errno.EWOULDBLOCK


async def test_T10_a_sleep_can_be_interrupted(tun: TunDevice) -> None:
    """A sleeping read can be cancelled; the packet that comes then is the next reader's."""
    task = await parked(tun.read_wait())
    tun.output([IPV4])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tun.read() == IPV4


def test_T10_one_read_is_one_packet(tun: TunDevice) -> None:
    """Each read brings one packet, the oldest, however large the buffer."""
    second = IPV4[:-1] + b"\1"
    tun.output([IPV4, second])
    assert [tun.read(), tun.read()] == [IPV4, second]


@pytest.mark.parametrize(("size", "truncated"), [(39, 1), (40, 0), (1, 1), (41, 0)])
def test_T10_what_does_not_fit_is_dropped_and_counted(tun: TunDevice, size: int, truncated: int) -> None:
    """What does not fit the buffer is lost, counted, and not what the next read brings."""
    tun.output([IPV4])
    assert (tun.read(size), tun.counts.truncated) == (IPV4[:size], truncated)
    assert tun.ioctl(Request.FIONREAD) == 0


# --- T11 tunwrite ---------------------------------------------------------------------------------


def test_T11_nothing_is_nothing(tun: TunDevice) -> None:
    """A write of 0 bytes succeeds; nothing is counted, shown or input, with IFHEAD too."""
    kept = entered(tun)
    capture = tun.bpf.attach()
    for on in (0, 1):
        tun.ioctl(Request.TUNSIFHEAD, on)
        assert tun.write(b"") == 0
    assert (kept, captured(capture), tun.counts.ipackets, tun.counts.ierrors) == ([], [], 0, 0)


def test_T11_the_longest_write(tun: TunDevice) -> None:
    """A write of 16384 bytes is input; one byte more is EIO, neither shown nor counted as input."""
    kept = entered(tun)
    longest = IPV4.ljust(16384, b"\0")
    assert tun.write(longest) == 16384
    capture = tun.bpf.attach()
    with pytest.raises(DeviceError, match="tun0: packet is 16385 bytes, the driver takes 16384") as caught:
        tun.write(longest + b"\0")
    assert (caught.value.errno, type(caught.value)) == (errno.EIO, DeviceError)
    assert (kept, captured(capture), tun.counts.ipackets) == ([longest], [], 1)
    assert tun.counters().dropped == {"bad_size": 1}


def test_T11_the_longest_write_has_the_family_in_it(tun: TunDevice) -> None:
    """With IFHEAD the 16384 bytes are those of the write, the family among them."""
    tun.ioctl(Request.TUNSIFHEAD, 1)
    kept = entered(tun)
    tun.write(HEAD_INET + IPV4.ljust(16380, b"\0"))
    with pytest.raises(DeviceError) as caught:
        tun.write(HEAD_INET + IPV4.ljust(16381, b"\0"))
    assert (caught.value.errno, len(kept)) == (errno.EIO, 1)


def test_T11_one_write_is_one_packet(tun: TunDevice) -> None:
    """Each write is a packet of its own, and counts its bytes."""
    kept = entered(tun)
    assert [tun.write(IPV4), tun.write(IPV4 + b"x")] == [40, 41]
    assert kept == [IPV4, IPV4 + b"x"]
    assert (tun.counters().ipackets, tun.counters().ibytes) == (2, 81)


def test_T11_bpf_sees_ipv4(tun: TunDevice) -> None:
    """With nothing in front a packet filter sees every packet as IPv4."""
    capture = tun.bpf.attach()
    tun.write(IPV6)
    one = capture.recv_nowait()
    assert (one.packet, one.direction) == (INET + IPV6, Direction.IN)


def test_T11_bpf_sees_the_family_in_host_order(tun: TunDevice) -> None:
    """With IFHEAD a packet filter sees the family that was written, in host order."""
    tun.ioctl(Request.TUNSIFHEAD, 1)
    capture = tun.bpf.attach()
    tun.write(HEAD_INET6 + IPV6)
    assert captured(capture) == [INET6 + IPV6]


def test_T11_bpf_sees_before_the_count(tun: TunDevice) -> None:
    """Packet filters are shown the packet before it counts."""
    counted: list[int] = []

    def look(packet: bytes) -> bool:
        counted.append(tun.counts.ipackets)
        return True

    tun.bpf.attach(accept=look)
    tun.write(IPV4)
    assert (counted, tun.counts.ipackets) == ([0], 1)


def test_T11_ifhead_is_stripped(tun: TunDevice) -> None:
    """With IFHEAD the family is taken off; the bytes that count are the packet's."""
    tun.ioctl(Request.TUNSIFHEAD, 1)
    kept = entered(tun)
    assert tun.write(HEAD_INET + IPV4) == 44
    assert (kept, tun.counters().ibytes) == ([IPV4], 40)


async def test_T11_ipv4_and_ipv6_go_to_their_queues(host: SoftHost, tun: TunDevice) -> None:
    """A packet goes to the protocol queue of its family."""
    tun.ioctl(Request.TUNSIFHEAD, 1)
    with host.protocol(Family.INET) as inet, host.protocol(Family.INET6) as inet6:
        tun.write(HEAD_INET + IPV4)
        tun.write(HEAD_INET6 + IPV6)
        assert [inet.recv_nowait(), inet6.recv_nowait()] == [IPV4, IPV6]


def test_T11_ipx_by_registration(host: SoftHost, tun: TunDevice) -> None:
    """IPX goes to its protocol queue while there is one; otherwise it is EAFNOSUPPORT."""
    tun.ioctl(Request.TUNSIFHEAD, 1)
    written = bytes((0, 0, 0, 23)) + FOREIGN
    with host.protocol(Family.IPX) as ipx:
        tun.write(written)
        assert ipx.recv_nowait() == FOREIGN
    with pytest.raises(UnsupportedFamily):
        tun.write(written)


def test_T11_another_family(tun: TunDevice) -> None:
    """Another family is EAFNOSUPPORT; the packet was shown and counted as input before, and is dropped."""
    tun.ioctl(Request.TUNSIFHEAD, 1)
    kept = entered(tun)
    capture = tun.bpf.attach()
    with pytest.raises(UnsupportedFamily, match="tun0: a packet is of a family") as caught:
        tun.write(bytes((0, 0, 0, 99)) + IPV4)
    assert caught.value.errno == errno.EAFNOSUPPORT
    assert (kept, len(captured(capture)), tun.counts.ipackets) == ([], 1, 1)
    assert tun.counters().dropped == {"unsupported_family": 1}


@pytest.mark.parametrize("size", [1, 3])
def test_T11_shorter_than_its_header(tun: TunDevice, size: int) -> None:
    """With IFHEAD a write shorter than the family is ENOBUFS, neither shown nor counted as input."""
    tun.ioctl(Request.TUNSIFHEAD, 1)
    capture = tun.bpf.attach()
    with pytest.raises(DeviceError, match=f"tun0: {size} bytes, the family alone is 4") as caught:
        tun.write(HEAD_INET[:size])
    assert (caught.value.errno, captured(capture), tun.counts.ipackets) == (errno.ENOBUFS, [], 0)


def test_T11_as_short_as_its_header(tun: TunDevice) -> None:
    """With IFHEAD a write of the family alone is an empty packet."""
    tun.ioctl(Request.TUNSIFHEAD, 1)
    kept = entered(tun)
    tun.write(HEAD_INET)
    assert kept == [b""]


def test_T11_a_failed_copy_is_an_input_error(tun: TunDevice) -> None:
    """A write that fails on the way counts one ierror."""

    def fail(batch: Any) -> Any:
        raise OSError(errno.EFAULT, "no such memory")

    tun.input.insert_before("size", fail, name="uiomove")
    with pytest.raises(OSError, match="no such memory"):
        tun.write(IPV4)
    assert (tun.counts.ierrors, tun.counts.ipackets) == (1, 0)


# --- T12 tunkqfilter ------------------------------------------------------------------------------


def test_T12_the_read_filter_follows_the_queue(tun: TunDevice) -> None:
    """A read filter is ready while something is queued."""
    knote = tun.kqfilter(Filter.READ)
    states = [knote.poll()]
    tun.output([IPV4] * 2)
    states.append(knote.ready)
    tun.read()
    states.append(knote.poll())
    tun.read()
    states.append(knote.poll())
    assert states == [False, True, True, False]


def test_T12_a_read_filter_armed_late(tun: TunDevice) -> None:
    """A read filter armed while something is queued is ready at once."""
    tun.output([IPV4])
    assert tun.kqfilter(Filter.READ).ready


def test_T12_the_write_filter_is_always_ready(tun: TunDevice) -> None:
    """A write filter is ready with the queue empty, full, and down."""
    knote = tun.kqfilter(Filter.WRITE)
    states = [knote.ready]
    tun.output([IPV4] * 51)
    states.append(knote.poll())
    tun.ioctl(Request.SIOCSIFFLAGS, 0)
    states.append(knote.poll())
    assert states == [True, True, True]


@pytest.mark.parametrize("filter", [Filter.AIO, Filter.VNODE, Filter.TIMER, 0, 7])
def test_T12_another_filter(tun: TunDevice, filter: int) -> None:
    """Another filter is EOPNOTSUPP."""
    with pytest.raises(DeviceError, match="tun0: event filter") as caught:
        tun.kqfilter(filter)
    assert caught.value.errno == errno.EOPNOTSUPP


async def test_T12_detached_while_armed(tun: TunDevice) -> None:
    """A filter detached while another waits leaves that one armed."""
    leaving, staying = tun.kqfilter(Filter.READ), tun.kqfilter(Filter.READ)
    task = await parked(staying.wait())
    leaving.detach()
    tun.output([IPV4])
    assert (await task, leaving.ready) == (40, False)


# --- T13 tunstart ---------------------------------------------------------------------------------


def limited(host: SoftHost) -> TunDevice:
    """A tun whose queue lets one packet a second go, the first of which has been read."""
    tun = open_tun(host)
    tun.snd = TokenBucket(320, 40)
    tun.output([IPV4] * 3)
    assert tun.read() == IPV4
    return tun


@simulated
async def test_T13_a_release_wakes_sleepers(host: SoftHost) -> None:
    """A sleeping reader is woken when the queue releases the packet, not before."""
    tun = limited(host)
    task = await parked(tun.read_wait())
    advance(0.99)
    await turns()
    early = task.done()
    advance(0.01)
    assert (early, await task) == (False, IPV4)


@simulated
async def test_T13_a_release_is_signalled_and_notified(host: SoftHost) -> None:
    """At the release SIGIO is sent, and then filters are notified."""
    tun = limited(host)
    knote = tun.kqfilter(Filter.READ)
    seen: list[tuple[Band, int]] = []
    tun.ioctl(Request.FIOASYNC, 1)
    tun.sigio.listen(lambda band: seen.append((band, knote.count)))
    advance(1)
    await turns()
    assert (seen, knote.count) == ([(Band.POLL_IN, 0)], 40)


@simulated
async def test_T13_nothing_to_read_until_the_release(host: SoftHost) -> None:
    """A packet held back is not read, not polled, and not in FIONREAD."""
    tun = limited(host)
    with pytest.raises(WouldBlock):
        tun.read()
    before = tun.ioctl(Request.FIONREAD), tun.poll(select.POLLIN)
    advance(1)
    assert (before, tun.ioctl(Request.FIONREAD), tun.poll(select.POLLIN)) == ((0, 0), 40, select.POLLIN)


@simulated
async def test_T13_a_disabled_queue_does_nothing(host: SoftHost) -> None:
    """A disabled queue releases in silence: nobody is woken, signalled or notified."""
    tun = limited(host)
    task = await parked(tun.read_wait())
    knote = tun.kqfilter(Filter.READ)
    bands: list[Band] = []
    tun.ioctl(Request.FIOASYNC, 1)
    tun.sigio.listen(bands.append)
    tun.enabled = False
    advance(1)
    await turns()
    assert (task.done(), knote.ready, bands) == (False, False, [])
    task.cancel()


def test_T13_an_empty_queue_starts_nothing(tun: TunDevice) -> None:
    """Without a packet nothing is started."""
    bands: list[Band] = []
    tun.ioctl(Request.FIOASYNC, 1)
    tun.sigio.listen(bands.append)
    tun.output([])
    assert bands == []


# --- T14 the life of an interface -----------------------------------------------------------------


async def test_T14_an_application_comes_and_goes(host: SoftHost) -> None:
    """An endpoint brings an interface with address and route; its close undoes all of it."""
    async with host.open_tun("tun0", address="10.0.0.1/24") as tun:
        interface = host.interface("tun0")
        assert (interface.up, interface.addresses) == (True, [ip_interface("10.0.0.1/24")])
        assert [route.interface for route in host.routes] == ["tun0"]
        await tun.send(IPV4)
    assert (dict(host.interfaces), list(host.routes)) == ({}, [])
    assert (interface.up, interface.addresses, interface.pid) == (False, [], None)
    async with host.open_tun("tun0") as again:
        assert again.name == "tun0"
    await host.aclose()


async def test_T14_a_program_dies(host: SoftHost) -> None:
    """The interface of a node stays when its program dies, down, without address, route and owner."""
    tun = open_tun(host, up=False)
    tun.ioctl(Request.SIOCSIFADDR, ADDRESS)
    tun.ioctl(Request.FIOSETOWN, os.getpid())
    assert [str(route.prefix) for route in host.routes] == ["10.0.0.1/32"]
    tun.close()
    assert host.interfaces["tun0"] is tun
    assert (tun.up, tun.addresses, list(host.routes), tun.owner()) == (False, [], [], 0)
    with pytest.raises(DeviceError):
        host.send(IPV4[:16] + ip_address("10.0.0.1").packed + bytes(20))
    await host.aclose()


async def test_T14_destroyed_under_its_program(host: SoftHost, tun: TunDevice) -> None:
    """When the interface is deleted, the sleeper and whatever comes later get ENXIO; the close still works."""
    task = await parked(tun.read_wait())
    host.destroy("tun0")
    later = asyncio.create_task(tun.read_wait())
    for sleeper in (task, later):
        with pytest.raises(DeviceGone) as caught:
            await sleeper
        assert caught.value.errno == errno.ENXIO
    calls: list[Callable[[], object]] = [lambda: tun.write(IPV4), lambda: tun.ioctl(Request.FIONREAD)]
    for call in calls:
        with pytest.raises(DeviceGone):
            call()
    tun.close()
    assert (tun.is_open, dict(host.interfaces)) == (False, {})
