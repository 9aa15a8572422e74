"""Devices that outlive their endpoints, and whose they are: row I3 of the fault catalogue."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest
from rights import machine_root_needed, programs_are_for_all

import aiotun

from .cancelling import cancelled
from .nobody import NOBODY, nobody_needed, output_of, tun_for_everybody

__all__ = ["tun_for_everybody"]

pytestmark = pytest.mark.kernel

NAME = "stay0"


def exists() -> bool:
    try:
        return bool(socket.if_nametoindex(NAME))
    except OSError:
        return False


def describe() -> str:
    return subprocess.run(["ip", "-d", "addr", "show", NAME], check=True, capture_output=True, text=True).stdout


@pytest.fixture(autouse=True)
def removed() -> Iterator[None]:
    """Remove the device, whatever became of it."""
    yield
    subprocess.run(["ip", "link", "del", NAME], check=False, stderr=subprocess.DEVNULL)


@pytest.fixture
def unowned() -> str:
    """A persistent device of nobody's, as `ip tuntap add` makes it."""
    subprocess.run(["ip", "tuntap", "add", "dev", NAME, "mode", "tun"], check=True)
    return NAME


async def test_it_stays_as_it_is() -> None:
    """After close the device is there with its settings, this user's, and can be opened again."""
    async with aiotun.open_tun(NAME, persistent=True, address="10.19.0.1/24", mtu=1400) as tun:
        assert tun.device.persistent
        assert tun.device.owner == os.getuid()
    told = describe()
    assert "10.19.0.1/24" in told
    assert "mtu 1400" in told
    assert "persist on" in told
    async with aiotun.open_tun(NAME) as tun:
        assert tun.mtu == 1400


async def test_it_goes_when_it_is_told_to() -> None:
    """``persistent = False`` before close removes it."""
    async with aiotun.open_tun(NAME, persistent=True):
        pass
    async with aiotun.open_tun(NAME) as tun:
        tun.device.persistent = False
    assert not exists()


async def test_several_queues_stay() -> None:
    """A persistent multi-queue device outlives all its queues, and is opened again with other queues."""
    async with aiotun.open_tap(NAME, queues=2, persistent=True):
        pass
    async with aiotun.open_tap(NAME, queues=3) as queues:
        assert queues[0].device.queues == 3
    assert exists()


def test_it_stays_when_the_process_is_killed() -> None:
    """A killed process leaves a device that was made persistent (B21)."""
    script = textwrap.dedent(f"""
        import asyncio, os, signal, aiotun
        async def main():
            await aiotun.open_tun("{NAME}", persistent=True)
            os.kill(os.getpid(), signal.SIGKILL)
        asyncio.run(main())
    """)
    assert subprocess.run([sys.executable, "-c", script]).returncode == -signal.SIGKILL
    assert exists()


async def test_a_refused_setting_leaves_nothing() -> None:
    """A device whose opening fails is not persistent yet."""
    with pytest.raises(aiotun.DeviceError, match="cannot set mtu 67"):
        await aiotun.open_tun(NAME, persistent=True, mtu=67)
    assert not exists()


async def test_a_cancelled_opening_leaves_nothing() -> None:
    """Cancelled at any turn, an opening leaves no persistent device either."""
    for ticks in range(5):
        await cancelled(_open(), ticks)
        assert not exists()


async def _open(**options: Any) -> aiotun.Tun:
    tun: aiotun.Tun = await aiotun.open_tun(NAME, persistent=True, **options)
    return tun


async def test_a_cancelled_opening_leaves_what_was_there(unowned: str) -> None:
    """A device that was persistent before a cancelled opening still is."""
    await cancelled(_open(), 1)
    assert exists()


# --- whose it is ----------------------------------------------------------------------------------


async def test_a_device_of_nobodys_is_told(unowned: str) -> None:
    """To attach to a persistent device without an owner works, and warns that everybody may."""
    with pytest.warns(RuntimeWarning, match=f"{NAME}: this persistent device has no owner, so everybody who may open"):
        async with aiotun.open_tun(unowned) as tun:
            assert tun.device.owner is None


@pytest.mark.parametrize(
    ("options", "owner", "group"),
    [({"persistent": True}, os.getuid(), None), ({"owner": 7}, 7, None), ({"owner_group": 8}, None, 8)],
)
@machine_root_needed
async def test_a_device_of_nobodys_gets_an_owner(
    unowned: str, options: dict[str, Any], owner: int | None, group: int | None
) -> None:
    """Opened as persistent, or with an owner, it is somebody's, and nothing is warned of (I3)."""
    async with aiotun.open_tun(unowned, **options) as tun:
        assert (tun.device.owner, tun.device.owner_group) == (owner, group)


@machine_root_needed
async def test_an_owner_is_kept() -> None:
    """Opening somebody's persistent device as root does not make it root's."""
    async with aiotun.open_tun(NAME, persistent=True, owner="nobody"):
        pass
    async with aiotun.open_tun(NAME, persistent=True) as tun:
        assert tun.device.owner == NOBODY


OPEN = f"""
    drop()
    async def main():
        try:
            async with aiotun.open_tun("{NAME}", up=False) as tun:
                print(tun.name)
        except PermissionError as error:
            print(error.strerror)
    asyncio.run(main())
"""


@nobody_needed
@pytest.mark.usefixtures("tun_for_everybody")
async def test_the_owner_opens_it() -> None:
    """The named owner opens the device with no privilege at all."""
    async with aiotun.open_tun(NAME, persistent=True, owner="nobody", up=False):
        pass
    assert output_of(OPEN) == [NAME]


@nobody_needed
@pytest.mark.usefixtures("tun_for_everybody")
async def test_a_stranger_is_refused_with_the_remedy() -> None:
    """Another user gets EPERM, and is told what it would take."""
    async with aiotun.open_tun(NAME, persistent=True):
        pass
    (told,) = output_of(OPEN)
    assert told.startswith(f"{NAME}: not allowed to open this tun; it takes CAP_NET_ADMIN")


NAMESPACE = f"""
    drop()
    async def main():
        async with aiotun.open_tun("{NAME}", up=False) as tun:
            try:
                tun.device.open_namespace()
            except PermissionError as error:
                print(error.strerror)
            tun.device.send_buffer = 4242
            print(tun.device.send_buffer)
    asyncio.run(main())
"""


@nobody_needed
@pytest.mark.usefixtures("tun_for_everybody")
async def test_an_owner_may_not_ask_for_the_namespace() -> None:
    """What the owner may not do is refused with what it takes; the rest of the device is the owner's to control."""
    async with aiotun.open_tun(NAME, persistent=True, owner="nobody", up=False):
        pass
    assert output_of(NAMESPACE) == [
        f"{NAME}: not allowed to open its network namespace; it takes CAP_NET_ADMIN there",
        "4242",
    ]


UNMAPPED = """
    import ctypes, subprocess
    from pathlib import Path
    uid = os.getuid()
    assert ctypes.CDLL(None).unshare(0x10000000 | 0x40000000) == 0  # CLONE_NEWUSER, CLONE_NEWNET
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    async def main():
        try:
            await aiotun.open_tun("map0", owner=7)
        except aiotun.DeviceError as error:
            print(error)
        async with aiotun.open_tun("map0", up=False) as tun:
            try:
                tun.device.owner_group = 7
            except aiotun.DeviceError as error:
                print(error)
    asyncio.run(main())
"""


@pytest.mark.usefixtures("tun_for_everybody")
def test_a_number_of_another_user_namespace_is_told() -> None:
    """An owner who is nobody in the process's user namespace is refused in words, where the kernel says EINVAL."""
    assert output_of(UNMAPPED) == [
        "map0: cannot set owner 7: this process's user namespace has no such number",
        "map0: cannot set owner group 7: this process's user namespace has no such number",
    ]


PROGRAM = f"""
    drop()
    async def main():
        async with aiotun.open_tun("{NAME}", up=False) as tun:
            try:
                tun.device.steer(bytes.fromhex("b700000001000000 9500000000000000"))
            except PermissionError as error:
                print(error.strerror)
    asyncio.run(main())
"""


@nobody_needed
@pytest.mark.skipif(programs_are_for_all(), reason="this machine lets everybody load BPF programs")
@pytest.mark.usefixtures("tun_for_everybody")
async def test_a_program_takes_a_right_of_its_own() -> None:
    """The owner of a device who may not load programs is told what it takes."""
    async with aiotun.open_tun(NAME, persistent=True, owner="nobody", up=False):
        pass
    (told,) = output_of(PROGRAM)
    assert told.startswith(f"{NAME}: not allowed to load a BPF program; it takes CAP_BPF")


FRAGS = f"""
    drop()
    async def main():
        try:
            await aiotun.open_tap("{NAME}", napi_frags=True, up=False)
        except PermissionError as error:
            print(error.strerror)
    asyncio.run(main())
"""


@nobody_needed
@pytest.mark.usefixtures("tun_for_everybody")
async def test_frags_are_not_for_owners() -> None:
    """NAPI_FRAGS takes a right in the machine's own namespace, which an owner does not have, and says so."""
    async with aiotun.open_tap(NAME, persistent=True, owner="nobody", up=False):
        pass
    (told,) = output_of(FRAGS)
    assert told.startswith(f"{NAME}: not allowed to open this tap; napi_frags takes CAP_NET_ADMIN in the machine's own")
