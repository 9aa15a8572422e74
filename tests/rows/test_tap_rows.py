"""The rows P1 to P17: NetBSD if_tap.c, function by function."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from ipaddress import ip_interface
from typing import Any

import pytest
from driver.fakes import FRAME, IPV4

from aiotun.driver import (
    DLT,
    Band,
    Credentials,
    Direction,
    Family,
    Filter,
    Flags,
    Interface,
    MediaStatus,
    Request,
    SockAddr,
    TapDevice,
)
from aiotun.driver.media import IFM_10_T, IFM_100_TX, IFM_1000_T, IFM_AUTO, IFM_ETHER, IFM_FDX
from aiotun.endpoint import Event, EventKind
from aiotun.errors import ConcurrencyError, DeviceBusy, DeviceDown, DeviceError, DeviceGone, QueueFull, WouldBlock
from aiotun.host import SoftHost
from aiotun.testing.expect import parked, turns

from .scene import ROOT, captured, group_signalled, open_tap, packed, sigio

AT_START = Flags.BROADCAST | Flags.SIMPLEX | Flags.MULTICAST
RUNNING = AT_START | Flags.UP | Flags.RUNNING
AUTO = IFM_ETHER | IFM_AUTO
MAC = bytes.fromhex("020000000009")
IN_MASK = select.POLLIN | select.POLLRDNORM
OUT_MASK = select.POLLOUT | select.POLLWRNORM

typed_and_packed = pytest.mark.parametrize("form", ["typed", "packed"])


@pytest.fixture
def host() -> SoftHost:
    return SoftHost()


@pytest.fixture
def tap(host: SoftHost) -> TapDevice:
    """A tap made by hand, opened by its node, and up."""
    host.create("tap0")
    return open_tap(host, "tap0")


def ask(tap: TapDevice, request: Request, value: Any, form: str) -> Any:
    """Perform a request with a value, or with the structure a C program gives."""
    return tap.ioctl(request, packed(request, value) if form == "packed" else value)


def made(host: SoftHost, *, up: bool = True) -> TapDevice:
    """A tap made by hand that nobody has open."""
    tap = host.create("tap0")
    assert isinstance(tap, TapDevice)
    if up:
        tap.ioctl(Request.SIOCSIFFLAGS, int(Flags.UP))
    return tap


def entered(tap: TapDevice) -> list[bytes]:
    """Keep what enters the stack from now on."""
    kept: list[bytes] = []

    def stack(interface: Interface, batch: list[bytes]) -> None:
        kept.extend(batch)

    tap._stack = stack
    return kept


def listening(tap: TapDevice) -> list[Band]:
    """Ask for SIGIO, and keep the bands of those that come."""
    bands: list[Band] = []
    tap.ioctl(Request.FIOASYNC, 1)
    tap.sigio.listen(bands.append)
    return bands


# --- P1 tap_attach --------------------------------------------------------------------------------


def test_P1_the_hardware_address(host: SoftHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hardware address is f2:0b:a4 and three bytes of the uptime: its seconds xor its microseconds."""
    monkeypatch.setattr(time, "monotonic_ns", lambda: (0x123456 * 1_000_000 + 0x0ABCDE) * 1000 + 999)
    low = 0x123456 ^ 0x0ABCDE
    tap = host.create("tap")
    assert isinstance(tap, TapDevice)
    assert tap.mac == bytes.fromhex("f20ba4") + low.to_bytes(3, "big")


def test_P1_a_long_uptime(host: SoftHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an uptime longer than three bytes of seconds, the low three count."""
    monkeypatch.setattr(time, "monotonic_ns", lambda: 0x5123456 * 1_000_000_000)
    tap = host.create("tap")
    assert isinstance(tap, TapDevice) and tap.mac == bytes.fromhex("f20ba4123456")


def test_P1_as_it_is_made(host: SoftHost) -> None:
    """A new interface is BROADCAST, SIMPLEX and MULTICAST, down, with mtu 1500 and a send queue of 50."""
    tap = made(host, up=False)
    assert (tap.flags, tap.mtu, tap.snd.max_packets, tap.is_open) == (AT_START, 1500, 50, False)


def test_P1_vlan_mtu(tap: TapDevice) -> None:
    """A VLAN tag does not count against the mtu (ETHERCAP_VLAN_MTU); a byte more behind it does."""
    tagged = FRAME[:12] + bytes.fromhex("810000640800") + bytes(1500)
    assert tap.output([tagged, tagged + b"\0"]) == [tagged]
    assert tap.counters().dropped == {"too_big": 1}


@typed_and_packed
def test_P1_jumbo_mtu(tap: TapDevice, form: str) -> None:
    """The mtu may be 9000 (ETHERCAP_JUMBO_MTU), and a frame as long is carried."""
    ask(tap, Request.SIOCSIFMTU, 9000, form)
    frame = FRAME[:14] + bytes(9000)
    tap.output_packet(frame)
    assert tap.read() == frame


def test_P1_the_media(host: SoftHost) -> None:
    """There are 1000, 100 and 10 Mb/s, each half and full duplex, and autoselect, which is selected."""
    speeds = [IFM_1000_T, IFM_1000_T | IFM_FDX, IFM_100_TX, IFM_100_TX | IFM_FDX, IFM_10_T, IFM_10_T | IFM_FDX]
    words = (*(IFM_ETHER | speed for speed in speeds), AUTO)
    assert made(host).ioctl(Request.SIOCGIFMEDIA) == MediaStatus(current=AUTO, active=AUTO, supported=words)


def test_P1_bpf_sees_frames(tap: TapDevice) -> None:
    """A packet filter sees DLT_EN10MB: the frame as it is."""
    capture = tap.bpf.attach()
    tap.write(FRAME)
    assert (tap.bpf.dlt, captured(capture)) == (DLT.EN10MB, [FRAME])


def test_P1_the_sysctl_node(host: SoftHost) -> None:
    """Attaching makes the node of the interface's address, under one that is always there."""
    assert (host.sysctl.is_node("net.link.tap"), host.sysctl.names("net.link.tap")) == (True, [])
    made(host)
    assert host.sysctl.names("net.link.tap") == ["net.link.tap.tap0"]


# --- P2 tap_detach --------------------------------------------------------------------------------


def test_P2_going_is_first(host: SoftHost, tap: TapDevice) -> None:
    """When the first of the listeners hears of it, the interface is going, not running, and still in the host."""
    tap.output([FRAME])
    seen: list[tuple[EventKind, bool, bool, int]] = []
    tap.listen(lambda event: seen.append((event.kind, tap.going, bool(tap.flags & Flags.RUNNING), len(tap.snd))))
    host.destroy("tap0")
    assert seen == [(EventKind.DOWN, True, False, 1), (EventKind.GONE, True, False, 0)]


def test_P2_everything_is_undone(host: SoftHost, tap: TapDevice) -> None:
    """The interface leaves the host, and its sysctl node, its unit, its addresses and its queue are gone."""
    tap.ioctl(Request.SIOCSIFADDR, SockAddr.of("10.0.0.1"))
    tap.output([FRAME] * 2)
    host.destroy("tap0")
    assert (dict(host.interfaces), host.sysctl.names("net.link.tap"), list(host.routes)) == ({}, [], [])
    assert (tap.addresses, tap.counters().dropped, tap.flags & Flags.RUNNING) == ([], {"gone": 2}, 0)
    assert host.create("tap").name == "tap0"


def test_P2_bpf_ends(tap: TapDevice) -> None:
    """A packet filter sees what was queued, and then that the interface is gone."""
    tap.output([FRAME])
    capture = tap.bpf.attach()
    tap.destroy()
    assert captured(capture) == [FRAME]
    with pytest.raises(DeviceGone):
        capture.recv_nowait()


async def test_P2_sleepers_are_stopped(host: SoftHost, tap: TapDevice) -> None:
    """Whoever sleeps on the device learns that it is gone."""
    tasks = [await parked(tap.read_wait()), await parked(tap.kqfilter(Filter.READ).wait())]
    host.destroy("tap0")
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [(type(result), getattr(result, "errno", 0)) for result in results] == [(DeviceGone, errno.ENXIO)] * 2


async def test_P2_sigio_says_hup(host: SoftHost, tap: TapDevice) -> None:
    """The destruction stops the interface: POLL_HUP is signalled."""
    bands = listening(tap)
    host.destroy("tap0")
    await turns()
    assert bands == [Band.POLL_HUP]


def test_P2_twice(host: SoftHost, tap: TapDevice) -> None:
    """The host knows no such interface any more, and destroying the device again does nothing."""
    told: list[Event] = []
    tap.listen(told.append)
    host.destroy("tap0")
    before = len(told)
    with pytest.raises(DeviceGone):
        host.destroy("tap0")
    tap.destroy()
    assert len(told) == before


def test_P2_the_closing_descriptor_races(host: SoftHost) -> None:
    """A device that is closed while it is being destroyed is destroyed once."""
    tap = open_tap(host)
    told: list[EventKind] = []

    def close(event: Event) -> None:
        told.append(event.kind)
        tap.close()

    tap.listen(close)
    host.destroy("tap0")
    assert (told, tap.is_open, dict(host.interfaces)) == ([EventKind.DOWN, EventKind.GONE], False, {})


# --- P3 tap_mediachange, tap_mediastatus ----------------------------------------------------------


@typed_and_packed
def test_P3_a_change_is_accepted_and_told(tap: TapDevice, form: str) -> None:
    """A medium of the list is selected, and is the one in use; nothing else changes."""
    word = IFM_ETHER | IFM_100_TX | IFM_FDX
    ask(tap, Request.SIOCSIFMEDIA, word, form)
    status = tap.ioctl(Request.SIOCGIFMEDIA)
    assert isinstance(status, MediaStatus)
    assert (status.current, status.active, tap.flags) == (word, word, RUNNING)


# --- P4 tap_start ---------------------------------------------------------------------------------


def test_P4_not_open_is_drained(host: SoftHost) -> None:
    """While nobody has the device open what is output is dropped at once: counted as output, and shown."""
    tap = made(host)
    capture = tap.bpf.attach()
    tap.output([FRAME, FRAME + b"x"])
    counters = tap.counters()
    assert (len(tap.snd), counters.opackets, counters.obytes) == (0, 2, 2 * len(FRAME) + 1)
    assert (counters.dropped, captured(capture)) == ({"not_open": 2}, [FRAME, FRAME + b"x"])


def test_P4_not_open_sets_no_oactive(host: SoftHost) -> None:
    """A drained interface is not OACTIVE, and signals nobody."""
    tap = made(host)
    bands = listening(tap)
    tap.output([FRAME])
    assert (tap.flags, bands) == (RUNNING, [])


def test_P4_open_is_oactive(tap: TapDevice) -> None:
    """While a frame waits OACTIVE is on, nothing is counted or shown, and nothing dropped."""
    capture = tap.bpf.attach()
    tap.output([FRAME])
    assert (tap.flags, len(tap.snd), tap.counts.opackets) == (RUNNING | Flags.OACTIVE, 1, 0)
    assert (captured(capture), tap.counters().dropped) == ([], {})


async def test_P4_a_sleeper_is_woken(tap: TapDevice) -> None:
    """Whoever sleeps in a read gets the frame."""
    task = await parked(tap.read_wait())
    tap.output([FRAME])
    assert await task == FRAME


async def test_P4_sleepers_then_select_then_sigio(tap: TapDevice) -> None:
    """Filters are notified at once, after sleepers; the signal comes with the loop's next turn."""
    bands = listening(tap)
    knote = tap.kqfilter(Filter.READ)
    seen: list[tuple[int, bool]] = []

    def look(batch: Any) -> Any:
        seen.append((knote.count, bool(select.select([fd], [], [], 0)[0])))
        return batch

    fd = tap.fileno()
    tap.start.insert_before("filters", look, name="look")
    tap.output([FRAME])
    before = knote.count, list(bands)
    await turns()
    assert (seen, before, bands) == ([(0, True)], (len(FRAME), []), [Band.POLL_IN])
    tap.close()


def test_P4_oactive_stops_starting(tap: TapDevice) -> None:
    """While OACTIVE is on, more output only queues; a read takes it off, and the next output starts again."""
    bands = listening(tap)
    tap.output([FRAME])
    tap.output([FRAME])
    started = [len(bands)]
    tap.read()
    assert not tap.flags & Flags.OACTIVE
    tap.output([FRAME])
    assert [*started, len(bands), len(tap.snd)] == [1, 2, 2]
    assert tap.flags & Flags.OACTIVE


def test_P4_a_full_queue(tap: TapDevice) -> None:
    """The fiftieth frame is queued, the next is ENOBUFS."""
    tap.output([FRAME] * 49)
    tap.output_packet(FRAME)
    with pytest.raises(QueueFull) as caught:
        tap.output_packet(FRAME)
    assert (caught.value.errno, tap.counters().dropped, tap.counts.collisions) == (
        errno.ENOBUFS,
        {"queue_full": 1},
        1,
    )


# --- P5 tap_softintr ------------------------------------------------------------------------------


async def test_P5_poll_in_when_running_poll_hup_when_not(tap: TapDevice) -> None:
    """The signal carries POLL_IN of a running interface, POLL_HUP of one that is not."""
    bands = listening(tap)
    tap.output([FRAME])
    await turns()
    tap.ioctl(Request.SIOCSIFFLAGS, 0)
    await turns()
    assert bands == [Band.POLL_IN, Band.POLL_HUP]


async def test_P5_the_band_is_that_of_the_moment(tap: TapDevice) -> None:
    """What was scheduled while running and is sent after the stop carries POLL_HUP, once."""
    bands = listening(tap)
    tap.output([FRAME])
    tap.ioctl(Request.SIOCSIFFLAGS, 0)
    await turns()
    assert bands == [Band.POLL_HUP]


async def test_P5_async_is_asked_again(tap: TapDevice) -> None:
    """What was scheduled is not sent if nobody wants it any more."""
    bands = listening(tap)
    tap.output([FRAME])
    tap.ioctl(Request.FIOASYNC, 0)
    await turns()
    assert bands == []


def test_P5_sigio(tap: TapDevice) -> None:
    """A real SIGIO comes for an output, if it is wanted, and for the stop."""
    with sigio() as caught:
        tap.ioctl(Request.FIOSETOWN, os.getpid())
        tap.output([FRAME])
        tap.read()
        counts = [len(caught)]
        tap.ioctl(Request.FIOASYNC, 1)
        tap.output([FRAME])
        counts.append(len(caught))
        tap.ioctl(Request.SIOCSIFFLAGS, 0)
        counts.append(len(caught))
    assert (counts, set(caught)) == ([0, 1, 2], {signal.SIGIO})


async def test_P5_sigio_to_a_handler_of_the_loop(tap: TapDevice) -> None:
    """The signal reaches a handler that the event loop has."""
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()
    loop.add_signal_handler(signal.SIGIO, arrived.set)
    try:
        tap.ioctl(Request.FIOSETOWN, os.getpid())
        tap.ioctl(Request.FIOASYNC, 1)
        tap.output([FRAME])
        await asyncio.wait_for(arrived.wait(), 10)
    finally:
        loop.remove_signal_handler(signal.SIGIO)


# --- P6 tap_ioctl ---------------------------------------------------------------------------------


def test_P6_no_such_medium(tap: TapDevice) -> None:
    """A medium that is not in the list is ENXIO, and the old one stays."""
    with pytest.raises(DeviceError) as caught:
        tap.ioctl(Request.SIOCSIFMEDIA, IFM_ETHER | 30)
    assert (caught.value.errno, tap.media_status().current) == (errno.ENXIO, AUTO)


def test_P6_the_media_packed(tap: TapDevice) -> None:
    """SIOCGIFMEDIA fills its structure."""
    assert tap.ioctl(Request.SIOCGIFMEDIA, bytes(48)) == b"tap0".ljust(16, b"\0") + b"".join(
        number.to_bytes(4, sys.byteorder) for number in (AUTO, 0, 0, AUTO, 7, 0, 0, 0)
    )


@typed_and_packed
def test_P6_the_hardware_address_is_set(host: SoftHost, tap: TapDevice, form: str) -> None:
    """SIOCSIFPHYADDR sets the hardware address, and the sysctl shows it."""
    ask(tap, Request.SIOCSIFPHYADDR, SockAddr.of("02:00:00:00:00:09"), form)
    assert (tap.mac, host.sysctl["net.link.tap.tap0"]) == (MAC, "02:00:00:00:00:09")


@typed_and_packed
def test_P6_an_address_brings_up(host: SoftHost, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """SIOCSIFADDR gives the address, brings the interface up and stamps lastchange."""
    tap = made(host, up=False)
    monkeypatch.setattr(time, "time", lambda: 12345.5)
    ask(tap, Request.SIOCSIFADDR, SockAddr.of("10.0.0.1"), form)
    assert (tap.flags, tap.addresses, tap.lastchange) == (RUNNING, [ip_interface("10.0.0.1/32")], 12345.5)


@typed_and_packed
def test_P6_flags(host: SoftHost, form: str) -> None:
    """SIOCSIFFLAGS brings up and down, SIOCGIFFLAGS tells."""
    tap = made(host, up=False)
    states = []
    for flags in (Flags.UP, Flags.MULTICAST):
        ask(tap, Request.SIOCSIFFLAGS, int(flags), form)
        states.append(tap.ioctl(Request.SIOCGIFFLAGS))
    assert states == [int(RUNNING), int(AT_START)]
    assert tap.ioctl(Request.SIOCGIFFLAGS, bytes(32)) == b"tap0".ljust(16, b"\0") + int(AT_START).to_bytes(
        2, sys.byteorder
    ) + bytes(14)


@typed_and_packed
def test_P6_the_mtu(tap: TapDevice, form: str) -> None:
    """SIOCSIFMTU below 72 is EINVAL, 72 is accepted, SIOCGIFMTU tells."""
    with pytest.raises(DeviceError) as caught:
        ask(tap, Request.SIOCSIFMTU, 71, form)
    ask(tap, Request.SIOCSIFMTU, 72, form)
    assert (caught.value.errno, tap.ioctl(Request.SIOCGIFMTU)) == (errno.EINVAL, 72)


@typed_and_packed
def test_P6_a_multicast_group(tap: TapDevice, form: str) -> None:
    """A group joined twice is left twice; ENETRESET of the Ethernet layer is success."""
    group = SockAddr.of("01:00:5e:00:00:09")
    for request in (Request.SIOCADDMULTI, Request.SIOCADDMULTI, Request.SIOCDELMULTI, Request.SIOCDELMULTI):
        ask(tap, request, group, form)
    with pytest.raises(DeviceError, match="tap0: not a member of 01:00:5e:00:00:09") as caught:
        ask(tap, Request.SIOCDELMULTI, group, form)
    assert caught.value.errno == errno.ENXIO


@pytest.mark.parametrize("request_", [Request.SIOCGIFSTATUS, Request.SIOCSIFDSTADDR, 0x80206901])
def test_P6_anything_else_is_enotty(tap: TapDevice, request_: int) -> None:
    """A request that the Ethernet layer does not have either is ENOTTY."""
    with pytest.raises(DeviceError, match="tap0: no request") as caught:
        tap.ioctl(request_)
    assert caught.value.errno == errno.ENOTTY


# --- P7 tap_lifaddr -------------------------------------------------------------------------------


@typed_and_packed
@pytest.mark.parametrize("address", [SockAddr.of("10.0.0.1"), SockAddr(Family.UNSPEC)])
def test_P7_another_family_is_einval(tap: TapDevice, address: SockAddr, form: str) -> None:
    """A hardware address of another family than LINK is EINVAL, and the old one stays."""
    before = tap.mac
    with pytest.raises(DeviceError, match="tap0: a hardware address is of family LINK, not") as caught:
        ask(tap, Request.SIOCSIFPHYADDR, address, form)
    assert (caught.value.errno, tap.mac) == (errno.EINVAL, before)


# --- P8 tap_init, tap_stop ------------------------------------------------------------------------


async def test_P8_up_starts(tap: TapDevice) -> None:
    """Coming up, the interface is RUNNING and starts what was queued: sleepers, filters and signal."""
    tap.output([FRAME])
    tap.ioctl(Request.SIOCSIFFLAGS, 0)
    bands = listening(tap)
    tap._flags &= ~int(Flags.OACTIVE)
    knote = tap.kqfilter(Filter.WRITE)
    task = await parked(tap.readable.wait())
    tap.ioctl(Request.SIOCSIFFLAGS, int(Flags.UP))
    await task
    await turns()
    assert (tap.flags, bands, knote.ready) == (RUNNING | Flags.OACTIVE, [Band.POLL_IN], True)
    assert tap.read() == FRAME


async def test_P8_up_without_frames(host: SoftHost) -> None:
    """Coming up with nothing queued starts nothing."""
    host.create("tap0")
    tap = open_tap(host, "tap0", up=False)
    bands = listening(tap)
    tap.ioctl(Request.SIOCSIFFLAGS, int(Flags.UP))
    await turns()
    assert (tap.flags, bands) == (RUNNING, [])


async def test_P8_down_wakes_every_sleeper(tap: TapDevice) -> None:
    """Going down, RUNNING is off; the reader gets EHOSTDOWN, filters are notified, the signal carries POLL_HUP."""
    bands = listening(tap)
    task = await parked(tap.read_wait())
    knote = tap.kqfilter(Filter.READ)
    knote.count = 99
    tap.ioctl(Request.SIOCSIFFLAGS, 0)
    with pytest.raises(DeviceDown) as caught:
        await task
    await turns()
    assert (caught.value.errno, tap.flags, knote.count) == (errno.EHOSTDOWN, AT_START, 0)
    assert bands == [Band.POLL_HUP]


# --- P9 tap_clone_create, tap_clone_destroy -------------------------------------------------------


def test_P9_any_unit(host: SoftHost) -> None:
    """An interface of any unit is made; without a unit, of the lowest free one."""
    names = [host.create(name).name for name in ("tap4", "tap", "tap1", "tap", "tap1048574")]
    assert names == ["tap4", "tap0", "tap1", "tap2", "tap1048574"]
    assert list(host.interfaces) == names


def test_P9_no_such_unit(host: SoftHost) -> None:
    """The cloner's own minor number is no unit: ENXIO, and nothing is made."""
    with pytest.raises(DeviceError, match="tap1048575: no unit 1048575, tap has 0 to 1048574") as caught:
        host.create("tap1048575")
    assert (caught.value.errno, dict(host.interfaces)) == (errno.ENXIO, {})


def test_P9_an_interface_there_is(host: SoftHost) -> None:
    """An interface that exists is EEXIST."""
    host.create("tap4")
    with pytest.raises(DeviceBusy, match="tap4: the interface exists") as caught:
        host.create("tap4")
    assert caught.value.errno == errno.EEXIST


@pytest.mark.parametrize("name", ["gif0", "tap-1", "tap01", "4", ""])
def test_P9_no_such_driver(host: SoftHost, name: str) -> None:
    """A name of no driver is EINVAL."""
    with pytest.raises(DeviceError, match="no driver") as caught:
        host.create(name)
    assert caught.value.errno == errno.EINVAL


def test_P9_destroyed_by_name(host: SoftHost) -> None:
    """An interface is destroyed by its name, and its unit is free again."""
    for name in ("tap0", "tap1"):
        host.create(name)
    host.destroy("tap0")
    assert (list(host.interfaces), host.create("tap").name) == (["tap1"], "tap0")


# --- P10 tap_cdev_open, tap_dev_cloner ------------------------------------------------------------


def test_P10_the_cloning_node_makes_an_interface(host: SoftHost) -> None:
    """Opening ``tap`` makes an interface with the next free unit, open, and TAPGIFNAME says which."""
    host.create("tap0")
    tap = host.dev["tap"].open(Credentials(pid=4242))
    assert isinstance(tap, TapDevice)
    assert (tap.ioctl(Request.TAPGIFNAME), tap.pid, tap.up) == ("tap1", 4242, False)
    assert host.dev["tap"].minor == 0xFFFFF


def test_P10_a_cloned_interface_is_busy(host: SoftHost) -> None:
    """The interface behind the cloning node cannot be opened by its own node."""
    open_tap(host)
    with pytest.raises(DeviceBusy) as caught:
        host.dev["tap0"].open(ROOT)
    assert caught.value.errno == errno.EBUSY


def test_P10_a_unit_must_exist(host: SoftHost) -> None:
    """Opening a unit whose interface is not there is ENXIO, with what to do about it."""
    with pytest.raises(DeviceGone, match='tap4: no such interface; make it with host.create."tap4"') as caught:
        host.dev["tap4"].open(ROOT)
    assert (caught.value.errno, dict(host.interfaces)) == (errno.ENXIO, {})


def test_P10_a_unit_is_opened_once(host: SoftHost, tap: TapDevice) -> None:
    """A unit is opened once at a time, EBUSY; the first keeps it."""
    with pytest.raises(DeviceBusy, match=f"tap0: held by process {os.getpid()}") as caught:
        host.dev["tap0"].open(Credentials(pid=4242))
    assert (caught.value.errno, tap.pid) == (errno.EBUSY, os.getpid())


@pytest.mark.parametrize("name", ["tap", "tap0"])
def test_P10_the_mode_keeps_others_out(host: SoftHost, name: str) -> None:
    """The nodes of tap are root's alone."""
    host.create("tap0")
    assert (host.dev[name].owner, host.dev[name].group, host.dev[name].mode) == ("root", "wheel", 0o600)
    with pytest.raises(PermissionError) as caught:
        host.dev[name].open(Credentials(uid=66))
    assert (caught.value.errno, list(host.interfaces)) == (errno.EACCES, ["tap0"])


# --- P11 tap_fops_close ---------------------------------------------------------------------------


def test_P11_a_cloned_interface_dies_with_its_close(host: SoftHost) -> None:
    """The close purges first, then destroys, and the unit is free."""
    tap = open_tap(host)
    tap.output([FRAME])
    tap.close()
    assert (tap.going, dict(host.interfaces), tap.counters().dropped) == (True, {}, {"closed": 1})
    assert open_tap(host).name == "tap0"


def test_P11_one_made_by_hand_stays(host: SoftHost, tap: TapDevice) -> None:
    """An interface made by hand outlives the close, up and with its address."""
    tap.ioctl(Request.SIOCSIFADDR, SockAddr.of("10.0.0.1"))
    tap.close()
    assert (host.interfaces["tap0"], tap.flags, len(tap.addresses)) == (tap, RUNNING, 1)


def test_P11_going_is_not_destroyed_again(host: SoftHost) -> None:
    """The close of an interface that was destroyed leaves a new one of its name alone."""
    tap = open_tap(host)
    host.destroy("tap0")
    new = host.create("tap0")
    tap.close()
    assert (host.interfaces["tap0"], new.going) == (new, False)


# --- P12 tap_dev_close ----------------------------------------------------------------------------


def test_P12_the_queue_is_purged(tap: TapDevice) -> None:
    """What is queued is dropped, counted as output and shown to packet filters."""
    capture = tap.bpf.attach()
    tap.output([FRAME, FRAME + b"x"])
    tap.close()
    counters = tap.counters()
    assert (counters.opackets, counters.obytes, counters.dropped) == (2, 2 * len(FRAME) + 1, {"closed": 2})
    assert captured(capture) == [FRAME, FRAME + b"x"]


def test_P12_oactive_off(tap: TapDevice) -> None:
    """OACTIVE goes off, and what is output from then on is drained."""
    tap.output([FRAME])
    tap.close()
    assert tap.flags == RUNNING
    tap.output([FRAME])
    assert (len(tap.snd), tap.counters().dropped) == (0, {"closed": 1, "not_open": 1})


def test_P12_oactive_off_with_nothing_queued(tap: TapDevice) -> None:
    """OACTIVE goes off though nothing is queued."""
    tap._flags |= int(Flags.OACTIVE)
    tap.close()
    assert tap.flags == RUNNING


def test_P12_in_use_and_async_off(host: SoftHost, tap: TapDevice) -> None:
    """The device can be opened again, and SIGIO has to be asked for again."""
    bands = listening(tap)
    tap.close()
    again = open_tap(host, "tap0")
    again.output([FRAME])
    assert (again, bands) == (tap, [])


async def test_P12_a_stack_that_waits_for_room_goes_on(host: SoftHost, tap: TapDevice) -> None:
    """Whoever waits for room in the queue goes on, and what is sent is drained."""
    side = host.network_side("tap0")
    task = await parked(side.send_many([FRAME] * 120))
    tap.close()
    await task
    assert tap.counters().dropped == {"closed": 50, "not_open": 70}
    await side.aclose()


# --- P13 tap_dev_read -----------------------------------------------------------------------------


def test_P13_not_up(host: SoftHost) -> None:
    """A read of an interface that is not up is EHOSTDOWN."""
    tap = open_tap(host, up=False)
    with pytest.raises(DeviceDown, match="tap0: the interface is down") as caught:
        tap.read()
    assert caught.value.errno == errno.EHOSTDOWN


@typed_and_packed
async def test_P13_non_blocking(tap: TapDevice, form: str) -> None:
    """With FIONBIO a read of an empty queue is EWOULDBLOCK; without it, it sleeps again."""
    ask(tap, Request.FIONBIO, 1, form)
    with pytest.raises(WouldBlock) as caught:
        await tap.read_wait()
    assert caught.value.errno == errno.EWOULDBLOCK
    ask(tap, Request.FIONBIO, 0, form)
    (await parked(tap.read_wait())).cancel()


async def test_P13_one_reader_at_a_time(tap: TapDevice) -> None:
    """While a reader sleeps another is refused: EWOULDBLOCK if it may not sleep, ConcurrencyError if it would."""
    task = await parked(tap.read_wait())
    with pytest.raises(WouldBlock, match="tap0: another reader waits for the next frame") as caught:
        tap.read()
    with pytest.raises(ConcurrencyError):
        await tap.read_wait()
    tap.output([FRAME])
    assert (caught.value.errno, await task) == (errno.EWOULDBLOCK, FRAME)


async def test_P13_down_while_asleep(tap: TapDevice) -> None:
    """An interface that goes down under a sleeping reader is EHOSTDOWN to it, though a frame was queued."""
    task = await parked(tap.read_wait())
    tap.output([FRAME])
    tap.ioctl(Request.SIOCSIFFLAGS, 0)
    with pytest.raises(DeviceDown) as caught:
        await task
    assert (caught.value.errno, len(tap.snd)) == (errno.EHOSTDOWN, 1)


async def test_P13_a_sleep_can_be_interrupted(tap: TapDevice) -> None:
    """A sleeping read can be cancelled; the frame that comes then is the next reader's."""
    task = await parked(tap.read_wait())
    tap.output([FRAME])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tap.read() == FRAME


def test_P13_counted_and_shown_at_read(tap: TapDevice) -> None:
    """A frame counts as output, and is shown, when it is read, each once."""
    capture = tap.bpf.attach()
    tap.output([FRAME, FRAME + b"x"])
    tap.read()
    one = capture.recv_nowait()
    assert (tap.counters().opackets, tap.counters().obytes) == (1, len(FRAME))
    assert (one.packet, one.direction, captured(capture)) == (FRAME, Direction.OUT, [])


def test_P13_counted_before_shown(tap: TapDevice) -> None:
    """The frame is counted before packet filters see it."""
    counted: list[int] = []

    def look(packet: bytes) -> bool:
        counted.append(tap.counts.opackets)
        return True

    tap.bpf.attach(accept=look)
    tap.output([FRAME])
    tap.read()
    assert counted == [1]


def test_P13_oactive_off_at_each_read(tap: TapDevice) -> None:
    """OACTIVE goes off at a read, though more frames wait, and at one that finds nothing."""
    tap.output([FRAME] * 2)
    tap.read()
    states = [bool(tap.flags & Flags.OACTIVE)]
    tap.read()
    tap._flags |= int(Flags.OACTIVE)
    with pytest.raises(WouldBlock, match="tap0: no packet is queued"):
        tap.read()
    assert [*states, bool(tap.flags & Flags.OACTIVE)] == [False, False]


@pytest.mark.parametrize(("size", "truncated"), [(53, 1), (54, 0)])
def test_P13_one_read_is_one_frame(tap: TapDevice, size: int, truncated: int) -> None:
    """Each read brings one frame; what does not fit is lost, and counted."""
    second = FRAME[:-1] + b"\1"
    tap.output([FRAME, second])
    assert (tap.read(size), tap.read(), tap.counts.truncated) == (FRAME[:size], second, truncated)


# --- P14 tap_dev_write ----------------------------------------------------------------------------


def test_P14_one_write_is_one_frame(tap: TapDevice) -> None:
    """Each write is a frame of its own, of any type and length, and counts its bytes."""
    kept = entered(tap)
    frames = [FRAME, bytes(60), FRAME.ljust(20000, b"\0"), b""]
    assert [tap.write(frame) for frame in frames] == [54, 60, 20000, 0]
    assert kept == frames
    assert (tap.counters().ipackets, tap.counters().ibytes) == (4, 20114)


def test_P14_counted_then_shown_then_input(tap: TapDevice) -> None:
    """A frame is counted, then shown to packet filters, then input."""
    steps: list[tuple[str, int]] = []

    def look(packet: bytes) -> bool:
        steps.append(("bpf", tap.counts.ipackets))
        return True

    tap.bpf.attach(accept=look)
    tap._stack = lambda interface, batch: steps.append(("input", tap.counts.ipackets))
    tap.write(FRAME)
    assert steps == [("bpf", 1), ("input", 1)]


def test_P14_input_is_shown_as_input(tap: TapDevice) -> None:
    """A packet filter is told that the frame came in."""
    capture = tap.bpf.attach()
    tap.write(FRAME)
    assert capture.recv_nowait().direction is Direction.IN


async def test_P14_a_frame_reaches_its_protocol(host: SoftHost, tap: TapDevice) -> None:
    """The Ethernet layer gives the packet of a frame to its protocol."""
    tap.mac = FRAME[:6]
    with host.protocol(Family.INET) as inet:
        tap.write(FRAME)
        assert inet.recv_nowait() == IPV4


def test_P14_a_failure_is_an_input_error(tap: TapDevice) -> None:
    """A write that fails on the way counts one ierror for each frame, and no ipackets."""

    def fail(batch: Any) -> Any:
        raise OSError(errno.EFAULT, "no such memory")

    tap.input.insert_before("count", fail, name="uiomove")
    with pytest.raises(OSError, match="no such memory"):
        tap.write_many([FRAME] * 3)
    assert (tap.counts.ierrors, tap.counts.ipackets) == (3, 0)


# --- P15 tap_dev_ioctl ----------------------------------------------------------------------------


@pytest.mark.parametrize("argument", [None, bytes(4)])
def test_P15_nread(tap: TapDevice, argument: bytes | None) -> None:
    """FIONREAD is the bytes of the frame at the head, 0 of an empty queue."""
    answers = [tap.ioctl(Request.FIONREAD, argument)]
    tap.output([FRAME, FRAME + b"x"])
    for _ in range(2):
        answers.append(tap.ioctl(Request.FIONREAD, argument))
        tap.read()
    sizes = [0, 54, 55]
    assert answers == ([packed(Request.FIONREAD, size) for size in sizes] if argument else sizes)


@typed_and_packed
def test_P15_owner(tap: TapDevice, form: str) -> None:
    """FIOSETOWN names a process, FIOGETOWN tells it, TIOCGPGRP tells it negated."""
    pid = os.getpid()
    before = tap.ioctl(Request.FIOGETOWN)
    ask(tap, Request.FIOSETOWN, pid, form)
    assert (before, tap.ioctl(Request.FIOGETOWN), tap.ioctl(Request.TIOCGPGRP)) == (0, pid, -pid)
    assert tap.ioctl(Request.FIOGETOWN, bytes(4)) == packed(Request.FIOGETOWN, pid)


@typed_and_packed
def test_P15_process_group(tap: TapDevice, form: str) -> None:
    """TIOCSPGRP names a process group, TIOCGPGRP tells it, FIOGETOWN tells it negated."""
    group = os.getpgrp()
    ask(tap, Request.TIOCSPGRP, group, form)
    assert (tap.ioctl(Request.TIOCGPGRP), tap.ioctl(Request.FIOGETOWN)) == (group, -group)


def test_P15_a_process_group_is_signalled() -> None:
    """A real SIGIO goes to the process group that owns it."""
    assert group_signalled("tap", Request.TIOCSPGRP, "os.getpgrp()", FRAME) == "True True"


@typed_and_packed
def test_P15_async(tap: TapDevice, form: str) -> None:
    """FIOASYNC switches the signal on and off."""
    bands: list[Band] = []
    tap.sigio.listen(bands.append)
    for on in (1, 0):
        ask(tap, Request.FIOASYNC, on, form)
        tap.output([FRAME])
        tap.read()
    assert bands == [Band.POLL_IN]


@typed_and_packed
def test_P15_nbio(tap: TapDevice, form: str) -> None:
    """FIONBIO switches sleeping off and on."""
    states = [tap.nonblocking]
    for on in (2, 0):
        ask(tap, Request.FIONBIO, on, form)
        states.append(tap.nonblocking)
    assert states == [False, True, False]


def test_P15_gifname(host: SoftHost) -> None:
    """TAPGIFNAME is the interface's name, in a structure with room for 16 bytes of it."""
    tap = open_tap(host)
    assert tap.ioctl(Request.TAPGIFNAME) == "tap0"
    assert tap.ioctl(Request.TAPGIFNAME, bytes(144)) == b"tap0".ljust(144, b"\0")


@pytest.mark.parametrize("request_", [Request.TUNSIFHEAD, Request.TUNGIFINFO, Request.TUNSIFPID, 0x80047462])
def test_P15_anything_else_is_enotty(tap: TapDevice, request_: int) -> None:
    """A request of the device that the driver does not have is ENOTTY, and is answered so."""
    with pytest.raises(DeviceError, match="tap0: no request") as caught:
        tap.ioctl(request_)
    assert caught.value.errno == errno.ENOTTY


def test_P15_a_vanished_device(tap: TapDevice) -> None:
    """A request of a device that is gone is ENXIO, of one that the driver does not have too."""
    tap.destroy()
    for request in (Request.FIONREAD, Request.TUNSIFHEAD):
        with pytest.raises(DeviceGone) as caught:
            tap.ioctl(request)
        assert caught.value.errno == errno.ENXIO


# --- P16 tap_dev_poll, tap_dev_kqfilter -----------------------------------------------------------


@pytest.mark.parametrize(
    "events", [select.POLLIN, select.POLLRDNORM, select.POLLOUT, select.POLLWRNORM, IN_MASK | OUT_MASK, 0]
)
def test_P16_poll(tap: TapDevice, events: int) -> None:
    """poll() says readable while a frame is queued, writable always, and only what was asked."""
    empty = tap.poll(events)
    tap.output([FRAME])
    assert (empty, tap.poll(events)) == (events & OUT_MASK, events)


def test_P16_an_empty_frame(tap: TapDevice) -> None:
    """A frame of no bytes polls readable, and is nothing to a read filter, whose data is its length."""
    knote = tap.kqfilter(Filter.READ)
    tap.output([b""])
    assert (tap.poll(select.POLLIN), knote.ready, tap.read()) == (select.POLLIN, False, b"")


def test_P16_poll_knows_no_other_event(tap: TapDevice) -> None:
    """Other events are not answered."""
    tap.output([FRAME])
    assert tap.poll(select.POLLPRI | select.POLLHUP | select.POLLIN) == select.POLLIN


def test_P16_the_read_filter_has_the_length(tap: TapDevice) -> None:
    """A read filter's data is the length of the frame at the head."""
    knote = tap.kqfilter(Filter.READ)
    states = [(knote.ready, knote.count)]
    tap.output([FRAME, FRAME + b"x"])
    states.append((knote.ready, knote.count))
    tap.read()
    states.append((knote.poll(), knote.count))
    tap.read()
    states.append((knote.poll(), knote.count))
    assert states == [(False, 0), (True, 54), (True, 55), (False, 0)]


def test_P16_the_write_filter_is_always_ready(tap: TapDevice) -> None:
    """A write filter is ready, down too."""
    knote = tap.kqfilter(Filter.WRITE)
    before = knote.ready
    tap.ioctl(Request.SIOCSIFFLAGS, 0)
    assert (before, knote.poll()) == (True, True)


@pytest.mark.parametrize("filter", [Filter.AIO, Filter.VNODE, Filter.TIMER, 0, 7])
def test_P16_another_filter(tap: TapDevice, filter: int) -> None:
    """Another filter is EINVAL."""
    with pytest.raises(DeviceError, match="tap0: event filter") as caught:
        tap.kqfilter(filter)
    assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize("filter", [Filter.READ, 7])
def test_P16_a_vanished_device(host: SoftHost, tap: TapDevice, filter: int) -> None:
    """A device that is gone polls POLLERR, whatever was asked, and takes no filter: ENXIO."""
    host.destroy("tap0")
    assert (tap.poll(IN_MASK), tap.poll(0)) == (select.POLLERR, select.POLLERR)
    with pytest.raises(DeviceGone) as caught:
        tap.kqfilter(filter)
    assert caught.value.errno == errno.ENXIO


def test_P16_armed_when_the_device_vanishes(host: SoftHost, tap: TapDevice) -> None:
    """A filter armed on a device that vanishes answers ENXIO."""
    knote = tap.kqfilter(Filter.READ)
    host.destroy("tap0")
    with pytest.raises(DeviceGone) as caught:
        knote.poll()
    assert caught.value.errno == errno.ENXIO


# --- P17 tap_sysctl_handler -----------------------------------------------------------------------


def test_P17_reading(host: SoftHost, tap: TapDevice) -> None:
    """The node reads the hardware address of the moment."""
    tap.mac = MAC
    assert host.sysctl["net.link.tap.tap0"] == "02:00:00:00:00:09"


@pytest.mark.parametrize(
    ("text", "mac"),
    [
        ("2:0:0:0:0:9", "020000000009"),  # 11 characters
        ("02:0:0:0:0:9", "020000000009"),
        ("f2:0B:a4:00:0a:0", "f20ba4000a00"),
        ("f2:0b:A4:00:0a:0c", "f20ba4000a0c"),  # 17 characters
    ],
)
def test_P17_writing(host: SoftHost, tap: TapDevice, text: str, mac: str) -> None:
    """Writing an address of 11 to 17 characters sets it."""
    host.sysctl["net.link.tap.tap0"] = text
    assert tap.mac == bytes.fromhex(mac)


@pytest.mark.parametrize(
    "text",
    [
        "0:0:0:0:0:",  # 10 characters
        "02:00:00:00:00:090",  # 18 characters
        "",
        "02:00:00:00:09",
        "02-00-00-00-00-09",
        "0g:00:00:00:00:09",
        "02:00:00:00:00:9x",
    ],
)
def test_P17_writing_anything_else(host: SoftHost, tap: TapDevice, text: str) -> None:
    """Writing anything else is EINVAL, and nothing is changed."""
    before = tap.mac
    with pytest.raises(DeviceError) as caught:
        host.sysctl["net.link.tap.tap0"] = text
    assert (caught.value.errno, tap.mac) == (errno.EINVAL, before)


def test_P17_the_node_lives_as_long_as_the_interface(host: SoftHost) -> None:
    """The node comes with a tap of any name, by any way, and goes with it."""
    name = "net.link.tap.tap0"
    states = [name in host.sysctl]
    tap = open_tap(host)
    states.append(name in host.sysctl)
    tap.close()
    states.append(name in host.sysctl)
    assert states == [False, True, False]
    calls: list[Callable[[], object]] = [lambda: host.sysctl[name], lambda: host.sysctl.__setitem__(name, "x")]
    for call in calls:
        with pytest.raises(KeyError):
            call()
