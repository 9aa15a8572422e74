"""Naming who holds a device, and which of two devices of one name."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aiotun
from aiotun.linux.holders import Holder, device_namespace, find_holders, holders
from aiotun.linux.origin import HERE
from aiotun.linux.tunopen import open_device

HOLD = """
import sys
from aiotun.linux.tunopen import open_device
file = open_device("tun", sys.argv[1])
print(flush=True)
sys.stdin.read()
"""


def process(
    proc: Path, pid: int, *, iff: str | None, program: str | None = "vpnd", device: str = "/dev/net/tun", fd: int = 5
) -> Path:
    """Lay out a process as /proc shows it, with a descriptor open on a tun."""
    entry = proc / str(pid)
    (entry / "fdinfo").mkdir(parents=True, exist_ok=True)
    (entry / "fd").mkdir(exist_ok=True)
    (entry / "ns").mkdir(exist_ok=True)
    (entry / "ns" / "net").write_text("")
    if program:
        (entry / "comm").write_text(program + "\n")
    if iff is not None:
        (entry / "fdinfo" / str(fd)).write_text(f"pos:\t0\nflags:\t02104002\niff:\t{iff}\n")
        (entry / "fd" / str(fd)).symlink_to(device)
    return entry


def untold(pid: int, fd: int) -> int:
    """Refuse to tell a device's namespace, as the kernel does without a privilege."""
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def told(pid: int, fd: int) -> int:
    return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)


def found(name: str, proc: Path, *, device_namespace: object = untold, here: bool = True) -> list[Holder]:
    return find_holders(name, lambda netns: here, proc=proc, device_namespace=device_namespace)  # type: ignore[arg-type]


def test_the_holder_is_named_with_its_pid(tmp_path: Path) -> None:
    """The program that has the device open is found by the driver's fdinfo line."""
    process(tmp_path, 42, iff="tun0")
    process(tmp_path, 43, iff="tun1", program="other")
    assert list(map(str, found("tun0", tmp_path))) == ["vpnd (pid 42)"]


def test_a_holder_has_a_number_for_the_device(tmp_path: Path) -> None:
    """Each queue that a process has open is told, with its descriptor."""
    for fd in (9, 5):
        process(tmp_path, 42, iff="tun0", fd=fd)
    assert [(one.pid, one.program, one.fd) for one in found("tun0", tmp_path)] == [(42, "vpnd", 5), (42, "vpnd", 9)]


def test_a_longer_name_is_another_device(tmp_path: Path) -> None:
    """tun1 is not held by whoever holds tun10."""
    process(tmp_path, 42, iff="tun10")
    assert found("tun1", tmp_path) == []


def test_a_process_that_ended_is_passed_over(tmp_path: Path) -> None:
    """A process without a readable fdinfo is nobody."""
    (tmp_path / "44").mkdir()
    assert found("tun0", tmp_path) == []


def test_what_is_no_process_is_passed_over(tmp_path: Path) -> None:
    """The other files of /proc are not looked into."""
    (tmp_path / "self").mkdir()
    assert found("tun0", tmp_path) == []


def test_a_nameless_program_still_has_a_pid(tmp_path: Path) -> None:
    """When the program's name cannot be read, the pid is enough."""
    process(tmp_path, 45, iff="tun0", program=None)
    assert list(map(str, found("tun0", tmp_path))) == ["a program (pid 45)"]


def test_other_files_are_not_looked_into(tmp_path: Path) -> None:
    """Only descriptors of the tun device count."""
    process(tmp_path, 46, iff="tun0", device="/dev/null")
    assert found("tun0", tmp_path) == []


def test_without_proc_nobody_is_seen(tmp_path: Path) -> None:
    """Where no /proc is mounted nobody is named, and the error is still that the device is busy (J9)."""
    assert found("tun0", tmp_path / "absent") == []


@pytest.mark.parametrize("here", [True, False])
def test_the_device_says_where_it_is(here: bool, tmp_path: Path) -> None:
    """Where the device may be asked for its namespace, that decides."""
    process(tmp_path, 42, iff="tun0")
    assert [one.here for one in found("tun0", tmp_path, device_namespace=told, here=here)] == [here]


@pytest.mark.parametrize(("here", "known"), [(True, True), (False, None)])
def test_a_process_speaks_for_its_device(here: bool, known: bool | None, tmp_path: Path) -> None:
    """Otherwise the process that is here itself has it here; one that is not may hold it all the same."""
    process(tmp_path, 42, iff="tun0")
    assert [one.here for one in found("tun0", tmp_path, here=here)] == [known]


def test_nobody_tells(tmp_path: Path) -> None:
    """Of a process that may not be looked into nothing is known."""
    (process(tmp_path, 42, iff="tun0") / "ns" / "net").unlink()
    assert [one.here for one in found("tun0", tmp_path)] == [None]


@pytest.mark.kernel
def test_a_device_of_our_own_is_ours_and_here() -> None:
    """Of our own device the kernel tells the namespace."""
    file = open_device("tun", "held0")
    try:
        (holder,) = find_holders("held0", HERE.holds)
        assert (holder.pid, holder.fd, holder.here) == (os.getpid(), file.fd, True)
        netns = device_namespace(os.getpid(), file.fd)
        os.close(netns)
    finally:
        file.close()


@pytest.mark.kernel
@pytest.mark.parametrize("end", ["pid", "fd"])
def test_what_is_not_there_has_no_namespace(end: str) -> None:
    """A process that ended, or a descriptor that was closed, is an OSError."""
    pid, fd = (2**22 + 1, 0) if end == "pid" else (os.getpid(), 99999)
    with pytest.raises(OSError):
        device_namespace(pid, fd)


@pytest.mark.kernel
async def test_busy_names_the_device_of_this_namespace_only() -> None:
    """A device of the same name in another namespace is not what keeps this one busy."""
    subprocess.run(["ip", "netns", "add", "twins"], check=True)
    command = ["ip", "netns", "exec", "twins", sys.executable, "-c", HOLD, "twin5"]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert other.stdin and other.stdout
        other.stdout.readline()
        async with aiotun.open_tun("twin5"):
            assert len(find_holders("twin5", HERE.holds)) == 2
            assert [one.partition(" (")[2] for one in holders("twin5", HERE.holds)] == [f"pid {os.getpid()})"]
            with pytest.raises(aiotun.DeviceBusy, match=rf"^twin5: held by [^,]* \(pid {os.getpid()}\)$"):
                await aiotun.open_tun("twin5")
            with pytest.raises(aiotun.DeviceBusy, match=rf"^twin5: held by [^,]* \(pid {other.pid}\)$"):
                await aiotun.open_tun("twin5", netns="twins")
    finally:
        other.communicate()
        subprocess.run(["ip", "netns", "del", "twins"], check=True)


@pytest.mark.kernel
async def test_a_holder_that_is_elsewhere_itself() -> None:
    """A device opened in another namespace is held by a process that is not in it, and named all the same."""
    subprocess.run(["ip", "netns", "add", "apart"], check=True)
    try:
        async with aiotun.open_tun("apart0", netns="apart"):
            with pytest.raises(aiotun.DeviceBusy, match=re.escape(f"(pid {os.getpid()})")):
                await aiotun.open_tun("apart0", netns="apart")
    finally:
        subprocess.run(["ip", "netns", "del", "apart"], check=True)
