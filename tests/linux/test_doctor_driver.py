"""Checks of the kernel and its tun driver, on machines of every kind."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from aiotun import Capabilities
from aiotun.errors import DeviceError
from aiotun.linux.doctor_driver import check_driver, check_kernel, check_node, check_offloads, check_opening
from aiotun.linux.finding import KERNEL_HOSTS, PRIVATE_HOST, SYSTEM_HOST
from aiotun.linux.machine import Node

from .machines import machine, refuse

GOOD = Node(True, (10, 200), 0o666, (0, 0))


def test_a_recent_kernel(tmp_path: Path) -> None:
    """A Linux of today is fine, and named."""
    found = check_kernel(machine(tmp_path, release="6.18.44"))
    assert (found.state, found.detail) == ("ok", "6.18.44")


def test_an_old_kernel_has_no_private_networks(tmp_path: Path) -> None:
    """Before Linux 5.3 a process cannot be watched by descriptor."""
    found = check_kernel(machine(tmp_path, release="4.19.0-26"))
    assert (found.state, found.detail, found.hinders) == ("problem", "4.19.0-26 has no pidfd_open()", PRIVATE_HOST)
    assert found.fix == "Linux 5.3 or later"


def test_a_kernel_with_another_kind_of_release(tmp_path: Path) -> None:
    """A release that is no number is taken for a recent one."""
    assert check_kernel(machine(tmp_path, release="custom")).state == "ok"


def test_the_driver_is_there(tmp_path: Path) -> None:
    """/proc/misc lists the driver."""
    assert check_driver(machine(tmp_path)).state == "ok"


def test_the_driver_is_a_module_that_is_not_loaded(tmp_path: Path) -> None:
    """One that can be loaded is loaded when the node is opened."""
    files: dict[str, str | None] = {
        "/proc/misc": "130 watchdog",
        "/lib/modules/6.18.1/modules.dep": "kernel/drivers/net/tun.ko.xz:",
    }
    found = check_driver(machine(tmp_path, files=files))
    assert (found.state, found.hinders) == ("warning", frozenset())
    assert found.fix.startswith("`modprobe tun`")


def test_a_kernel_without_the_driver(tmp_path: Path) -> None:
    """Neither in the kernel nor a module: nothing on the kernel works."""
    found = check_driver(machine(tmp_path, files={"/proc/misc": "130 watchdog\n2200 tun\n200 tunnel"}))
    assert (found.state, found.detail, found.hinders) == ("problem", "the kernel has none", KERNEL_HOSTS)
    assert "CONFIG_TUN" in found.fix


def test_a_driver_nobody_tells_of(tmp_path: Path) -> None:
    """Without /proc/misc nothing is said of it."""
    assert check_driver(machine(tmp_path, files={"/proc/misc": None})).state == "not applicable"


def test_a_good_node(tmp_path: Path) -> None:
    """The node's numbers, mode and owner are told."""
    found = check_node(machine(tmp_path))
    assert (found.state, found.detail) == ("ok", "10:200, mode 0666, user 0, group 0")


def test_a_missing_node(tmp_path: Path) -> None:
    """What makes one is a command; and an option of a container."""
    found = check_node(machine(tmp_path, node=refuse(errno.ENOENT)))
    assert (found.state, found.detail, found.hinders) == ("problem", "there is none", KERNEL_HOSTS)
    for part in ("modprobe tun", "mknod -m 0666 /dev/net/tun c 10 200", "--device /dev/net/tun"):
        assert part in found.fix


def test_a_node_behind_a_directory(tmp_path: Path) -> None:
    """A directory that nobody may enter hides it."""
    found = check_node(machine(tmp_path, node=refuse(errno.EACCES)))
    assert (found.state, found.detail) == ("problem", "cannot be looked at: Permission denied")
    assert found.fix == "`chmod 0755 /dev/net`"


@pytest.mark.parametrize(
    ("node", "detail"),
    [
        (Node(True, (1, 3), 0o666, (0, 0)), "is the character device 1:3, and has to be the character device 10:200"),
        (Node(False, (0, 0), 0o644, (0, 0)), "is no character device, and has to be the character device 10:200"),
    ],
)
def test_a_wrong_node(node: Node, detail: str, tmp_path: Path) -> None:
    """Something else at its place is to be removed."""
    found = check_node(machine(tmp_path, node=lambda path: node))
    assert (found.state, found.detail) == ("problem", detail)
    assert found.fix.startswith("`rm -r /dev/net/tun`, then ")


def test_a_node_that_lets_nobody_in(tmp_path: Path) -> None:
    """Its mode and owner, and who may not."""
    node = Node(True, (10, 200), 0o600, (0, 0))
    found = check_node(machine(tmp_path, node=lambda path: node, may_open=lambda path: False))
    assert found.detail == "10:200, mode 0600, user 0, group 0: user 1000 may not open it"
    assert (found.state, found.fix) == ("problem", "`chmod 0666 /dev/net/tun`, as most systems have it")


def test_a_device_can_be_opened(tmp_path: Path) -> None:
    """It was tried."""
    assert check_opening(machine(tmp_path)).detail == "tried, works"


def test_a_device_that_cannot_be_opened(tmp_path: Path) -> None:
    """The error says why, and then what to do; the name of the scratch device is nobody's business."""
    error = PermissionError(errno.EPERM, "aiotun%d: not allowed to open this tun; it takes CAP_NET_ADMIN: run as root")
    found = check_opening(machine(tmp_path, try_system=refuse(error)))
    assert (found.state, found.detail, found.hinders) == ("problem", "not allowed to open this tun", SYSTEM_HOST)
    assert found.fix == "it takes CAP_NET_ADMIN: run as root"


def test_every_offload(tmp_path: Path) -> None:
    """A kernel that grants all is fine."""
    offloads, features = check_offloads(machine(tmp_path))
    assert (offloads.state, offloads.detail.split()[0]) == ("ok", "TUN_F_CSUM")
    assert (features.state, features.detail) == ("ok", "IFF_NAPI")


def test_an_offload_less(tmp_path: Path) -> None:
    """What is refused is named with the reason."""
    probe = Capabilities(probed=frozenset({"TUN_F_CSUM"}), off={"TUN_F_USO4": "no", "IFF_NAPI": "never"})
    offloads, features = check_offloads(machine(tmp_path, probe=lambda: probe))
    assert (offloads.state, offloads.detail) == ("warning", "TUN_F_CSUM; but not TUN_F_USO4: no")
    assert (features.state, features.detail) == ("ok", "none; but not IFF_NAPI: never")


def test_offloads_that_cannot_be_tried(tmp_path: Path) -> None:
    """Without a device there is nothing to say of them."""
    found = check_offloads(machine(tmp_path, probe=refuse(DeviceError("no", errno.ENOENT))))
    assert [one.state for one in found] == ["not applicable"] * 2


@pytest.mark.kernel
def test_this_machines_node() -> None:
    """The real node is looked at and found."""
    from aiotun.linux.machine import Machine

    here = Machine()
    node = here.node(here.clone_device)
    assert (node.character, node.number) == (GOOD.character, GOOD.number)
    assert here.may_open(here.clone_device) == os.access("/dev/net/tun", os.R_OK | os.W_OK)
