"""Opening kernel devices: names, settings, what was granted, and refusals with their remedies."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import aiotun
from aiotun.linux import constants, tunfile
from aiotun.packet import transport_checksum_ok

from .cancelling import cancelled

pytestmark = pytest.mark.kernel


def describe(name: str, *where: str) -> Any:
    """Return what `ip` says of a link: the kernel's word, not ours."""
    told = subprocess.run([*where, "ip", "-json", "address", "show", "dev", name], check=True, capture_output=True)
    return json.loads(told.stdout)[0]


async def test_an_exact_name_is_kept() -> None:
    """The interface is called what was asked for, up to 15 bytes."""
    async with aiotun.open_tun("fifteen-letters") as tun:
        assert tun.name == "fifteen-letters"
        assert socket.if_nametoindex("fifteen-letters")


async def test_a_template_takes_the_lowest_free_number() -> None:
    """``%d`` is replaced by the kernel, and the name read back."""
    async with aiotun.open_tun("unit%d") as first, aiotun.open_tun("unit%d") as second:
        assert (first.name, second.name) == ("unit0", "unit1")


@pytest.mark.parametrize("name", ["", "sixteen-letters-", "a/b", "a:b", "a b", ".", "..", "%s"])
async def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    """What the kernel would refuse, or misread, is refused before it is asked."""
    with pytest.raises(ValueError, match="cannot name an interface"):
        await aiotun.open_tun(name)


async def test_every_setting_arrives() -> None:
    """Addresses of both families, mtu, queue length and up are what the kernel reports."""
    async with aiotun.open_tun("set0", address=["10.8.0.2/24", "fd00:8::2/64"], mtu=1420, queue_length=77):
        link = describe("set0")
    assert (link["mtu"], link["txqlen"]) == (1420, 77)
    assert "UP" in link["flags"]
    addresses = {(one["local"], one["prefixlen"]) for one in link["addr_info"]}
    assert addresses == {("10.8.0.2", 24), ("fd00:8::2", 64)}


async def test_a_mac_arrives() -> None:
    """A tap has the hardware address that was asked for."""
    async with aiotun.open_tap("set1", mac="02:00:00:00:00:2a"):
        assert describe("set1")["address"] == "02:00:00:00:00:2a"


async def test_a_new_tun_is_quiet() -> None:
    """Without ``ipv6_linklocal`` a tun gets no link-local address, so no solicitations come out of it."""
    async with aiotun.open_tun("quiet0", address="10.8.1.1/24"):
        assert [one["local"] for one in describe("quiet0")["addr_info"]] == ["10.8.1.1"]


async def test_a_linklocal_address_can_be_had() -> None:
    """``ipv6_linklocal=True`` leaves the kernel its way."""
    async with aiotun.open_tun("loud0", ipv6_linklocal=True):
        assert any(one["local"].startswith("fe80:") for one in describe("loud0")["addr_info"])


async def test_up_is_a_choice() -> None:
    """``up=False`` leaves the interface down."""
    async with aiotun.open_tun("down0", up=False):
        assert "UP" not in describe("down0")["flags"]


async def test_a_new_device_keeps_a_thousand_packets() -> None:
    """The queue of a new device is 1000 packets, not the kernel's 500."""
    async with aiotun.open_tun("queue0"):
        assert describe("queue0")["txqlen"] == 1000


async def test_a_device_opens_in_a_named_namespace() -> None:
    """``netns=`` makes the interface in the namespace of that name, and the endpoint works here."""
    subprocess.run(["ip", "netns", "add", "elsewhere"], check=True)
    try:
        async with aiotun.open_tun("far0", netns="elsewhere", address="10.8.2.1/24", mtu=1300) as tun:
            assert describe("far0", "ip", "netns", "exec", "elsewhere")["mtu"] == 1300
            assert tun.mtu == 1300
            with pytest.raises(OSError):
                socket.if_nametoindex("far0")
    finally:
        subprocess.run(["ip", "netns", "del", "elsewhere"], check=True)


async def test_a_missing_namespace_is_named() -> None:
    """A namespace that is not there is said to be so, with the command that makes one."""
    with pytest.raises(ValueError, match="no network namespace 'nowhere'.*ip netns add nowhere"):
        await aiotun.open_tun("far1", netns="nowhere")


async def test_the_descriptor_is_private_and_never_blocks() -> None:
    """Close-on-exec and non-blocking, always."""
    async with aiotun.open_tun("fd0") as tun:
        assert not os.get_inheritable(tun.fileno())
        assert not os.get_blocking(tun.fileno())


async def test_no_descriptor_survives_exec() -> None:
    """A program started while a device is open and watched inherits none of its descriptors."""
    async with aiotun.open_tun("fd1") as tun:
        tun.events()
        script = "import os; print(len([fd for fd in os.listdir('/proc/self/fd')]))"
        arguments: dict[str, Any] = {"check": True, "capture_output": True, "close_fds": False}
        with_device = subprocess.run([sys.executable, "-c", script], **arguments).stdout
    without = subprocess.run([sys.executable, "-c", script], **arguments).stdout
    assert with_device == without


async def test_what_was_granted_is_read_back() -> None:
    """The capabilities are the kernel's answer."""
    async with aiotun.open_tap("cap0") as tap:
        assert tap.capabilities.asked == {"IFF_TAP", "IFF_NO_PI"}
        assert tap.capabilities.granted == {"IFF_TAP", "IFF_NO_PI"}


async def test_a_busy_device_names_its_holder() -> None:
    """EBUSY says which process has the device open."""
    async with aiotun.open_tun("busy0"):
        with pytest.raises(aiotun.DeviceBusy, match=rf"busy0: held by .*\(pid {os.getpid()}\)"):
            await aiotun.open_tun("busy0")


async def test_a_tun_is_not_opened_as_a_tap() -> None:
    """The other kind under the same name is told, where the kernel says "invalid argument"."""
    async with aiotun.open_tun("kind0"):
        with pytest.raises(aiotun.DeviceError, match="exists and is a tun, not a tap"):
            await aiotun.open_tap("kind0")


async def test_another_interface_is_not_opened() -> None:
    """A name that some other interface has is told."""
    with pytest.raises(aiotun.DeviceError, match="lo: .*no tun or tap at all"):
        await aiotun.open_tun("lo")


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"mtu": 67}, aiotun.DeviceError, "cannot set mtu 67"),
        ({"mtu": 70000}, aiotun.DeviceError, "cannot set mtu 70000"),
        ({"address": "10.8.0.2"}, ValueError, "no prefix length"),
        ({"address": "300.8.0.2/24"}, ValueError, "300.8.0.2/24"),
    ],
)
async def test_a_value_the_kernel_refuses_leaves_nothing(
    options: dict[str, Any], error: type[Exception], text: str
) -> None:
    """A refused setting is named, and the interface is not left behind."""
    with pytest.raises(error, match=text):
        await aiotun.open_tun("refused0", **options)
    with pytest.raises(OSError):
        socket.if_nametoindex("refused0")


async def test_a_cancelled_opening_leaves_nothing() -> None:
    """Cancelled at any turn, an opening closes what it opened: the name is free."""
    for ticks in range(5):
        await cancelled(_open("cancel0"), ticks)
    await (await aiotun.open_tun("cancel0")).aclose()


async def _open(name: str) -> aiotun.Tun:
    return await aiotun.open_tun(name)


@pytest.mark.parametrize(
    ("code", "kind", "remedy"),
    [
        (errno.ENOENT, aiotun.DeviceError, "modprobe tun"),
        (errno.ENODEV, aiotun.DeviceError, "modprobe tun"),
        (errno.EACCES, PermissionError, "chmod 0666 /dev/net/tun"),
        (errno.EPERM, PermissionError, "--device /dev/net/tun"),
    ],
)
async def test_a_missing_driver_names_the_remedy(
    code: int, kind: type[OSError], remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When /dev/net/tun cannot be opened, the error says what to do about it."""

    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(kind, match=remedy) as caught:
        await aiotun.open_tun("none0")
    assert caught.value.errno == code


async def test_running_out_of_descriptors_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """EMFILE in the middle of an opening closes what was opened (J1)."""

    def refuse(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(tunfile, "open_netlink_if_any", refuse)
        await asyncio.gather(_open("many0"), return_exceptions=True)
    await (await aiotun.open_tun("many0")).aclose()


def test_without_the_capability_the_remedy_is_named() -> None:
    """A process without CAP_NET_ADMIN is told what it needs, and what it can do without."""
    script = textwrap.dedent("""
        import asyncio, aiotun
        async def main():
            try:
                await aiotun.open_tun("denied0")
            except PermissionError as error:
                print(error.errno, error)
        asyncio.run(main())
    """)
    command = ["setpriv", "--bounding-set", "-net_admin", sys.executable, "-c", script]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert told.startswith(str(errno.EPERM))
    for remedy in ("CAP_NET_ADMIN", "setcap", "ip tuntap add dev denied0 mode tun", "SoftHost"):
        assert remedy in told


@pytest.fixture
def persistent() -> Any:
    """A persistent tun made by `ip`, with an mtu and a queue length of its own."""
    subprocess.run(["ip", "tuntap", "add", "dev", "keep0", "mode", "tun", "user", "root"], check=True)
    subprocess.run(["ip", "link", "set", "keep0", "mtu", "1234", "txqueuelen", "55"], check=True)
    yield "keep0"
    subprocess.run(["ip", "link", "del", "keep0"], check=True)


async def test_a_persistent_device_keeps_its_settings(persistent: str) -> None:
    """Attaching to a device that was there changes only what was asked for, and it outlives the endpoint."""
    async with aiotun.open_tun(persistent) as tun:
        assert tun.mtu == 1234
    link = describe(persistent)
    assert (link["mtu"], link["txqlen"]) == (1234, 55)


async def test_an_offload_mask_left_behind_is_reset(persistent: str) -> None:
    """A holder's offloads survive it on a persistent device; checksums are finished all the same."""
    with_vnet_header = constants.IFF_TUN | constants.IFF_NO_PI | constants.IFF_VNET_HDR
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(fd, constants.TUNSETIFF, constants.IFREQ.pack(persistent.encode(), with_vnet_header))
    fcntl.ioctl(fd, constants.TUNSETOFFLOAD, 1)  # TUN_F_CSUM: hand out packets with unfinished checksums
    os.close(fd)
    async with aiotun.open_tun(persistent, address="10.8.3.1/24") as tun:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"hello", ("10.8.3.2", 9))
        packet = await tun.recv()
    assert transport_checksum_ok(packet[12:16], packet[16:20], 17, packet[20:])


async def test_a_descriptor_can_be_adopted_and_given_back() -> None:
    """detach_fd() gives the device away alive, and from_fd() takes it over."""
    opened = await aiotun.open_tun("adopt0", address="10.8.4.1/24")
    fd = opened.detach_fd()
    assert opened.closed
    async with aiotun.Tun.from_fd(fd) as tun:
        assert tun.name == "adopt0"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"hello", ("10.8.4.2", 9))
        assert (await tun.recv()).endswith(b"hello")


async def test_a_foreign_descriptor_is_not_adopted() -> None:
    """A descriptor that is no tun is refused and stays the caller's."""
    with open(os.devnull, "rb") as file, pytest.raises(aiotun.DeviceError, match="cannot be adopted as a tun"):
        aiotun.Tun.from_fd(file.fileno())


async def test_a_tap_is_not_adopted_as_a_tun() -> None:
    """The kind of an adopted device is checked."""
    async with aiotun.open_tap("adopt1") as tap:
        duplicate = os.dup(tap.fileno())
        with pytest.raises(aiotun.DeviceError, match="IFF_TAP"):
            aiotun.Tun.from_fd(duplicate)
        os.close(duplicate)


def test_a_forgotten_process_leaves_nothing() -> None:
    """A process killed with its device open leaves no interface behind."""
    script = textwrap.dedent("""
        import asyncio, os, signal, aiotun
        async def main():
            await aiotun.open_tun("killed0")
            os.kill(os.getpid(), signal.SIGKILL)
        asyncio.run(main())
    """)
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    assert not Path("/sys/class/net/killed0").exists()
    with pytest.raises(OSError):
        socket.if_nametoindex("killed0")


def test_an_owner_without_rights_opens_what_is_as_it_should_be(persistent: str) -> None:
    """A persistent device that has what is asked for is opened without CAP_NET_ADMIN: nothing is changed."""
    subprocess.run(["ip", "address", "add", "10.8.5.1/24", "dev", persistent], check=True)
    subprocess.run(["ip", "link", "set", persistent, "up"], check=True)
    script = textwrap.dedent("""
        import asyncio, aiotun
        async def main():
            async with aiotun.open_tun("keep0", address="10.8.5.1/24", mtu=1234, queue_length=55) as tun:
                print(tun.name)
        asyncio.run(main())
    """)
    command = ["setpriv", "--bounding-set", "-net_admin", sys.executable, "-W", "error", "-c", script]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "keep0\n"


async def test_the_last_figures_stay_after_close() -> None:
    """After close the statistics still have what the kernel counted."""
    tun = await aiotun.open_tun("last0", address="10.8.6.1/24")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"hello", ("10.8.6.2", 9))
    await tun.recv()
    await tun.aclose()
    interface = tun.statistics().interface
    assert interface is not None
    assert interface.opackets == 1


@pytest.mark.parametrize("mtu", [576, 1279, 1280])
async def test_a_small_mtu_can_be_had(mtu: int) -> None:
    """Below 1280 bytes the kernel takes IPv6 from the link, which is no error (RFC 8200 section 5)."""
    async with aiotun.open_tun("small0", mtu=mtu) as tun:
        assert tun.mtu == mtu


async def test_an_adopted_descriptor_is_made_private_and_never_blocks() -> None:
    """from_fd() sets close-on-exec and non-blocking, whatever the descriptor was."""
    opened = await aiotun.open_tun("adopt2")
    fd = opened.detach_fd()
    os.set_inheritable(fd, True)
    os.set_blocking(fd, True)
    async with aiotun.Tun.from_fd(fd) as tun:
        assert not os.get_inheritable(tun.fileno())
        assert not os.get_blocking(tun.fileno())


async def test_a_device_is_freed_when_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a thread to close in, the device is closed all the same."""

    async def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    tun = await aiotun.open_tun("thread0")
    monkeypatch.setattr("aiotun.linux.port.in_thread", refuse)
    await tun.aclose()
    with pytest.raises(OSError):
        socket.if_nametoindex("thread0")
