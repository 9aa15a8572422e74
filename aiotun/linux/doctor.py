"""Examining this machine: every check, and which hosts work here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from .doctor_device import Described, check_device, describe
from .doctor_driver import check_driver, check_kernel, check_node, check_offloads, check_opening
from .doctor_privileges import (
    check_capability,
    check_container,
    check_new_privileges,
    check_private_network,
    check_seccomp,
    check_settings,
)
from .doctor_surroundings import check_files, check_ipv6, check_packages, check_reverse_path
from .finding import Finding, Host, relieved
from .machine import Machine

__all__ = ["CHECKS", "Diagnosis", "Usable", "diagnose", "usable_hosts"]

Check = Callable[[Machine], Finding | Sequence[Finding]]

CHECKS: tuple[Check, ...] = (
    check_kernel,
    check_driver,
    check_node,
    check_opening,
    check_capability,
    check_new_privileges,
    check_seccomp,
    check_container,
    check_settings,
    check_private_network,
    check_offloads,
    check_ipv6,
    check_reverse_path,
    check_files,
    check_packages,
)


@attrs.frozen(kw_only=True)
class Usable:
    """Whether a host works here."""

    host: Host
    usable: bool
    why: str


@attrs.frozen(kw_only=True)
class Diagnosis:
    """What was found."""

    findings: Sequence[Finding]
    hosts: Sequence[Usable]
    device: Described | None = None
    """The device that was asked about."""

    @property
    def problems(self) -> list[Finding]:
        """What has to be mended."""
        return [finding for finding in self.findings if finding.state == "problem"]


def diagnose(machine: Machine, device: str | None = None) -> Diagnosis:
    """Run every check on *machine*, and those of a device if one is named. Blocks for some 0.5 s."""
    described = None if device is None else describe(device)
    findings = [] if described is None else check_device(described, machine)
    for check in CHECKS:
        found = check(machine)
        findings += [found] if isinstance(found, Finding) else found
    hosts = usable_hosts(machine)
    usable = frozenset(one.host for one in hosts if one.usable)
    return Diagnosis(findings=[relieved(finding, usable=usable) for finding in findings], hosts=hosts, device=described)


def usable_hosts(machine: Machine) -> list[Usable]:
    """Return which hosts work here, the one that needs most first."""
    here, private, broker = check_opening(machine), check_private_network(machine), machine.broker_refusal
    answer = f"no broker answers at {machine.broker}: {broker.strerror or broker}" if broker else ""
    return [
        _usable("SystemHost", "interfaces of this network", _refusal(here)),
        _usable("BrokerHost", f"a broker listens at {machine.broker}", answer),
        _usable("PrivateHost", "a network of your own, on the kernel's stack", _refusal(private)),
        _usable("SoftHost", "in process, on any machine"),
    ]


def _usable(host: Host, what: str, refusal: str = "") -> Usable:
    return Usable(host=host, usable=not refusal, why=refusal or what)


def _refusal(finding: Finding) -> str:
    return "" if finding.state == "ok" else finding.detail
