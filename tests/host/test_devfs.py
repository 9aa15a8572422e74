"""The device nodes of an in-process host."""

from __future__ import annotations

import errno

import pytest

from aiotun.driver import Credentials, Device, TapDevice, TunDevice
from aiotun.errors import DeviceBusy, DeviceError, DeviceGone
from aiotun.host import SoftHost
from aiotun.host.devfs import DevFs

ROOT = Credentials()
UUCP = Credentials(uid=66)
TUNS = ["tun0", "tun1", "tun2", "tun3"]


@pytest.fixture
def host() -> SoftHost:
    return SoftHost()


@pytest.fixture
def dev(host: SoftHost) -> DevFs:
    return host.dev


def test_the_names(host: SoftHost, dev: DevFs) -> None:
    """There are the cloning nodes, the units of tun, and the taps there are; a bridge of another name is none."""
    host.create("tap4")
    host.create("tun9")
    assert (list(dev), len(dev)) == (["tun", "tap", *TUNS, "tap4"], 7)


def test_a_tap_leaves(host: SoftHost, dev: DevFs) -> None:
    """A tap that is destroyed is no name any more."""
    host.create("tap0")
    host.destroy("tap0")
    assert list(dev) == ["tun", "tap", *TUNS]


async def test_an_interface_of_another_name_has_no_node(host: SoftHost, dev: DevFs) -> None:
    """An interface that is not called tapN has no node."""
    async with host.open_tap("tap01"), host.open_tap("xtap1"), host.open_tap("tap1x"):
        assert list(dev) == ["tun", "tap", *TUNS]


@pytest.mark.parametrize("name", ["tun4", "tun01", "tap01", "tap-1", "null", "", "tun0x", "tap0x"])
def test_no_such_node(dev: DevFs, name: str) -> None:
    """A name of no node is a KeyError that says which there are."""
    with pytest.raises(KeyError, match=f"{name}: no such device node; there are tun, tap, tun0, tun1, tun2, tun3"):
        dev[name]


@pytest.mark.parametrize(
    ("name", "minor", "owner", "group"),
    [
        ("tun", 0xFFFFF, "uucp", "dialer"),
        ("tun0", 0, "uucp", "dialer"),
        ("tun3", 3, "uucp", "dialer"),
        ("tap", 0xFFFFF, "root", "wheel"),
        ("tap12", 12, "root", "wheel"),
    ],
)
def test_a_node(dev: DevFs, name: str, minor: int, owner: str, group: str) -> None:
    """A node has the driver's minor number, owner, group and mode."""
    node = dev[name]
    assert (node.name, node.minor, node.owner, node.group, node.mode) == (name, minor, owner, group, 0o600)


def test_looking_makes_nothing(host: SoftHost, dev: DevFs) -> None:
    """Looking a node up opens and makes nothing."""
    for name in ("tun", "tun0", "tap"):
        assert dev[name].name == name
    assert (dict(host.interfaces), len(dev)) == ({}, 6)


# --- tun ------------------------------------------------------------------------------------------


def test_a_unit_is_opened(host: SoftHost, dev: DevFs) -> None:
    """Opening a unit makes its interface, of that name, open for the process."""
    device = dev["tun2"].open(Credentials(pid=4242))
    assert (type(device), device.name, device.pid, host.interface("tun2")) == (TunDevice, "tun2", 4242, device)


def test_a_unit_outlives_the_close(host: SoftHost, dev: DevFs) -> None:
    """The interface stays after the close, and is what the next open gives."""
    device = dev["tun2"].open(ROOT)
    device.close()
    assert (host.interface("tun2"), dev["tun2"].open(ROOT)) == (device, device)


def test_a_unit_made_by_hand(host: SoftHost, dev: DevFs) -> None:
    """Opening a unit whose interface was made by hand gives that one."""
    device = host.create("tun1")
    assert dev["tun1"].open(ROOT) is device


def test_a_busy_unit(dev: DevFs) -> None:
    """A unit is opened once."""
    dev["tun0"].open(Credentials(pid=4242))
    with pytest.raises(DeviceBusy, match="tun0: held by process 4242") as caught:
        dev["tun0"].open(ROOT)
    assert caught.value.errno == errno.EBUSY


def test_the_clones(dev: DevFs) -> None:
    """Each clone is the next unit, and its node is there from then on, in order."""
    names = [dev["tun"].open(ROOT).name for _ in range(2)]
    assert (names, list(dev)) == (["tun4", "tun5"], ["tun", "tap", *TUNS, "tun4", "tun5"])


def test_a_clone_passes_over(host: SoftHost, dev: DevFs) -> None:
    """A unit that somebody made without a node is passed over, and has one from then on."""
    for name in ("tun4", "tun5", "tun7"):
        host.create(name)
    opened = [dev["tun"].open(ROOT).name for _ in range(2)]
    assert (opened, list(dev)[6:]) == (["tun6", "tun8"], ["tun4", "tun5", "tun6", "tun7", "tun8"])


@pytest.mark.parametrize(("who", "code"), [(UUCP, errno.EPERM), (Credentials(uid=1000), errno.EACCES)])
@pytest.mark.parametrize("name", ["tun", "tun0"])
def test_who_may_not(host: SoftHost, dev: DevFs, name: str, who: Credentials, code: int) -> None:
    """The mode lets uucp in, and the driver lets root in alone; no interface is made for others."""
    with pytest.raises(PermissionError) as caught:
        dev[name].open(who)
    assert (caught.value.errno, dict(host.interfaces)) == (code, {})


# --- tap ------------------------------------------------------------------------------------------


def test_a_tap_is_cloned(host: SoftHost, dev: DevFs) -> None:
    """Opening the cloning node makes a tap with the lowest free number, open, which dies with its close."""
    host.create("tap0")
    device = dev["tap"].open(Credentials(pid=4242))
    before = type(device), device.name, device.pid, list(host.interfaces)
    device.close()
    assert before == (TapDevice, "tap1", 4242, ["tap0", "tap1"])
    assert (device.going, list(host.interfaces)) == (True, ["tap0"])


def test_a_tap_is_opened(host: SoftHost, dev: DevFs) -> None:
    """Opening a tap that there is gives it, for the process, and it outlives the close."""
    made = host.create("tap4")
    device: Device = dev["tap4"].open(Credentials(pid=4242))
    before = device.pid
    device.close()
    assert (device, before, host.interface("tap4")) == (made, 4242, made)


def test_a_busy_tap(host: SoftHost, dev: DevFs) -> None:
    """A tap is opened once."""
    host.create("tap0")
    dev["tap0"].open(ROOT)
    with pytest.raises(DeviceBusy):
        dev["tap0"].open(ROOT)


def test_a_tap_that_is_not_there(dev: DevFs) -> None:
    """Opening a tap that is not there is ENXIO, with the remedy."""
    with pytest.raises(DeviceGone) as caught:
        dev["tap4"].open(ROOT)
    assert caught.value.errno == errno.ENXIO
    assert str(caught.value) == 'tap4: no such interface; make it with host.create("tap4")'


@pytest.mark.parametrize("name", ["tap", "tap0"])
def test_who_may_not_open_a_tap(host: SoftHost, dev: DevFs, name: str) -> None:
    """The nodes of tap are root's alone, and nothing is made for others."""
    host.create("tap0")
    with pytest.raises(PermissionError):
        dev[name].open(UUCP)
    assert list(host.interfaces) == ["tap0"]


def test_no_unit_is_left(host: SoftHost, dev: DevFs) -> None:
    """Without a free unit the cloning node is ENXIO."""
    dev._tuns.limit = 4
    with pytest.raises(DeviceError) as caught:
        dev["tun"].open(ROOT)
    assert (caught.value.errno, dict(host.interfaces), len(dev)) == (errno.ENXIO, {}, 6)
