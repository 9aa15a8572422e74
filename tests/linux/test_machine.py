"""Looking at a machine: files, its own status, and what is tried."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from aiotun.linux.machine import Machine

from .machines import machine, refuse


def test_a_file_is_read_without_blanks(tmp_path: Path) -> None:
    """Text comes without the line's end; a file that is not there is None."""
    here = machine(tmp_path, files={"/etc/name": "  x "})
    assert (here.text("/etc/name"), here.text("/etc/other"), here.text("/etc")) == ("x", None, None)


def test_files_exist_or_not(tmp_path: Path) -> None:
    """Relative to the root of the machine."""
    here = machine(tmp_path, files={"/.dockerenv": ""})
    assert (here.exists("/.dockerenv"), here.exists("/.containerenv")) == (True, False)
    assert not here.exists("/.dockerenv/below")


def test_a_field_of_the_status(tmp_path: Path) -> None:
    """Fields are told by name; one that is not there is empty."""
    here = machine(tmp_path)
    assert (here.status("Seccomp"), here.status("Absent")) == ("0", "")


@pytest.mark.parametrize("error", [PermissionError(errno.EPERM, "no"), errno.ENOENT])
def test_a_refusal_is_kept(error: OSError | int, tmp_path: Path) -> None:
    """What an attempt raised is the answer to whether it works."""
    refusal = machine(tmp_path, try_system=refuse(error)).system_refusal
    assert isinstance(refusal, OSError)
    assert refusal.errno == (error if isinstance(error, int) else error.errno)


def test_the_broker_is_asked_at_its_path(tmp_path: Path) -> None:
    """A broker is who listens there."""
    path = str(tmp_path / "broker")
    assert Machine(broker=path).broker_refusal is not None
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.bind(path)
        sock.listen()
        assert Machine(broker=path).broker_refusal is None


def test_packages_and_modules() -> None:
    """What is installed has a version, what can be imported is there."""
    here = Machine()
    assert here.version_of("attrs") and here.version_of("no-such-package-at-all") is None
    assert here.has_module("aiotun.linux") and not here.has_module("aiotun.no_such_module")


def test_this_process() -> None:
    """Uid, limits and release are this process's and this machine's."""
    here = Machine()
    assert (here.uid, here.release) == (os.geteuid(), os.uname().release)
    assert here.clone_device == Path("/dev/net/tun")
    assert here.text("/proc/self/status")


@pytest.mark.kernel
def test_devices_are_really_opened() -> None:
    """Here and in a private network, and no interface is left."""
    before = socket.if_nameindex()
    here = Machine()
    assert (here.system_refusal, here.private_refusal) == (None, None)
    assert socket.if_nameindex() == before
