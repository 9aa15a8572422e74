"""Checks of what surrounds a program: IPv6, filters of the stack, limits, packages."""

from __future__ import annotations

import platform

from .finding import KERNEL_HOSTS, Finding
from .machine import Machine

__all__ = ["check_files", "check_ipv6", "check_packages", "check_reverse_path"]

IPV6 = Finding(id="ipv6", group="network", title="IPv6")
RP_FILTER = Finding(id="rp_filter", group="network", title="reverse path filter")
FILES = Finding(id="open_files", group="software", title="open files")
PYTHON = Finding(id="python", group="software", title="Python")
PYROUTE2 = Finding(id="pyroute2", group="software", title="pyroute2")
UVLOOP = Finding(id="uvloop", group="software", title="uvloop")
SPEEDUPS = Finding(id="speedups", group="software", title="C speedups")

FEW = 256
"""Descriptors: an endpoint takes up to 4, and a private network 5."""
ENOUGH = 65536


def check_ipv6(machine: Machine) -> Finding:
    """Whether this network has IPv6."""
    values = {name: machine.text(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6") for name in ("all", "default")}
    if values["all"] is None:
        fix = "take `ipv6.disable=1` from the kernel's command line, or a kernel with CONFIG_IPV6"
        return IPV6.warning("the kernel has none", fix)
    off = [name for name, value in values.items() if value == "1"]
    if off:
        fix = "; ".join(f"`sysctl net.ipv6.conf.{name}.disable_ipv6=0`" for name in off)
        return IPV6.warning("switched off: a new interface cannot have an IPv6 address", fix)
    return IPV6.ok("on")


def check_reverse_path(machine: Machine) -> Finding:
    """Whether the stack drops packets that came by another interface than an answer would take."""
    # Of the two an interface has, all's and its own, the higher counts (Documentation/networking/ip-sysctl.rst).
    value = max(machine.text(f"/proc/sys/net/ipv4/conf/{name}/rp_filter") or "0" for name in ("all", "default"))
    meaning = {
        "0": "off",
        "1": "strict: what enters by a tun, from where no route leads out of it, is dropped; "
        "with policy routing `sysctl net.ipv4.conf.all.rp_filter=2`",
        "2": "loose",
    }
    return RP_FILTER.ok(meaning.get(value, value))


def check_files(machine: Machine) -> Finding:
    """How many descriptors the process may have."""
    soft, hard = machine.file_limits
    if 0 <= soft < FEW:  # -1 is no limit
        more = min(ENOUGH, hard) if hard >= 0 else ENOUGH
        return FILES.warning(f"{soft} at most", f"`ulimit -n {more}`, or LimitNOFILE= in the systemd unit")
    return FILES.ok(f"{soft} at most" if soft >= 0 else "no limit")


def check_packages(machine: Machine) -> list[Finding]:
    """What aiotun runs on, and what makes it faster."""
    pyroute2, uvloop = machine.version_of("pyroute2"), machine.version_of("uvloop")
    speedups = machine.has_module("aiotun._speedups") or machine.has_module("aiotun.speedups")
    missing = PYROUTE2.problem("not installed: no address or route can be set", "`pip install pyroute2`", KERNEL_HOSTS)
    return [
        PYTHON.ok(f"{platform.python_implementation()} {platform.python_version()}"),
        PYROUTE2.ok(pyroute2) if pyroute2 else missing,
        UVLOOP.ok(uvloop)
        if uvloop
        else UVLOOP.absent("not installed; `pip install 'aiotun[uvloop]'` is a faster loop"),
        SPEEDUPS.ok("there") if speedups else SPEEDUPS.absent("not built; everything works without, in Python"),
    ]
