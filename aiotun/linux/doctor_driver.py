"""Checks of the kernel and its tun driver: is it there, may it be opened, and what can it do."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .capabilities import OFFLOADS
from .constants import CLONE_DEVICE
from .finding import KERNEL_HOSTS, PRIVATE_HOST, SYSTEM_HOST, Finding
from .machine import SCRATCH, Machine

__all__ = ["check_driver", "check_kernel", "check_node", "check_offloads", "check_opening"]

KERNEL = Finding(id="kernel", group="driver", title="Linux")
DRIVER = Finding(id="driver", group="driver", title="tun driver")
NODE = Finding(id="node", group="driver", title=CLONE_DEVICE)
OPENING = Finding(id="open_device", group="driver", title="open a device here")
OFFLOADING = Finding(id="offloads", group="offloads", title="offloads")
FEATURES = Finding(id="features", group="offloads", title="features")

PIDFD_OPEN = (5, 3)
"""The Linux that first had pidfd_open(), by which a private network's processes watch each other."""

NUMBER = (10, 200)
"""Major and minor of the clone device: MISC_MAJOR and TUN_MINOR of Linux include/linux/miscdevice.h."""

MAKE_NODE = f"`mkdir -p /dev/net && mknod -m 0666 {CLONE_DEVICE} c 10 200`"
LOAD = "`modprobe tun`, and for every boot `echo tun > /etc/modules-load.d/tun.conf`"


def check_kernel(machine: Machine) -> Finding:
    """Which Linux it is."""
    found = re.match(r"(\d+)\.(\d+)", machine.release)
    if found and (int(found[1]), int(found[2])) < PIDFD_OPEN:
        return KERNEL.problem(f"{machine.release} has no pidfd_open()", "Linux 5.3 or later", PRIVATE_HOST)
    return KERNEL.ok(machine.release)


def check_driver(machine: Machine) -> Finding:
    """Whether the kernel has the driver: in it, loaded, or to be loaded."""
    drivers = machine.text("/proc/misc")
    if drivers is None:
        return DRIVER.absent("/proc/misc cannot be read")
    if re.search(r"^\s*200 tun$", drivers, re.MULTILINE):
        return DRIVER.ok("there")
    if "/tun.ko" in (machine.text(f"/lib/modules/{machine.release}/modules.dep") or ""):
        return DRIVER.warning("a module, not loaded; the kernel loads it when the node is opened", LOAD)
    fix = f"{LOAD}; or a kernel with CONFIG_TUN; in a container, on the machine it runs on"
    return DRIVER.problem("the kernel has none", fix, KERNEL_HOSTS)


def check_node(machine: Machine) -> Finding:
    """Whether the clone device is there, is the right one, and lets this user in."""
    try:
        node = machine.node(machine.clone_device)
    except FileNotFoundError:
        fix = f"{LOAD}; {MAKE_NODE}; in a container `--device {CLONE_DEVICE}`"
        return NODE.problem("there is none", fix, KERNEL_HOSTS)
    except OSError as error:
        return NODE.problem(f"cannot be looked at: {error.strerror}", "`chmod 0755 /dev/net`", KERNEL_HOSTS)
    numbers = f"{node.number[0]}:{node.number[1]}"
    if not node.character or node.number != NUMBER:
        kind = f"the character device {numbers}" if node.character else "no character device"
        fix = f"`rm -r {CLONE_DEVICE}`, then {MAKE_NODE}"
        return NODE.problem(f"is {kind}, and has to be the character device 10:200", fix, KERNEL_HOSTS)
    detail = f"{numbers}, mode {node.mode:04o}, user {node.owner[0]}, group {node.owner[1]}"
    if not machine.may_open(machine.clone_device):
        fix = f"`chmod 0666 {CLONE_DEVICE}`, as most systems have it"
        return NODE.problem(f"{detail}: user {machine.uid} may not open it", fix, KERNEL_HOSTS)
    return NODE.ok(detail)


def check_opening(machine: Machine) -> Finding:
    """Whether this user can open a device in this network: tried, with one that is closed at once."""
    refusal = machine.system_refusal
    if refusal is None:
        return OPENING.ok("tried, works")
    detail, _, fix = (refusal.strerror or str(refusal)).partition("; ")
    return OPENING.problem(detail.removeprefix(f"{SCRATCH}: "), fix, SYSTEM_HOST)


def check_offloads(machine: Machine) -> list[Finding]:
    """What the driver does, tried on scratch devices: offloads, and what else there is."""
    try:
        found = machine.probe()
    except OSError:
        return [one.absent("cannot be tried: no device can be opened") for one in (OFFLOADING, FEATURES)]
    names = [name for offload in OFFLOADS for name in offload.names]
    features = sorted((found.probed | found.off.keys()) - set(names))
    works, off = _tried(names, found.probed, found.off)
    offloads = OFFLOADING.warning(f"{works}; but not {off}", "Linux 6.17 or later") if off else OFFLOADING.ok(works)
    works, off = _tried(features, found.probed, found.off)
    return [offloads, FEATURES.ok(f"{works}; but not {off}" if off else works)]


def _tried(names: list[str], probed: frozenset[str], off: Mapping[str, str]) -> tuple[str, str]:
    works = " ".join(name for name in names if name in probed)
    return works or "none", "; ".join(f"{name}: {off[name]}" for name in names if name in off)
