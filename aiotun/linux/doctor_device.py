"""Checks of one device: what it is, who holds it, and whether this user may open it."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

import attrs

from ..endpoint import AddressChange
from .addresses import query_addresses
from .constants import IFF_UP
from .finding import Finding
from .holders import Holder, find_holders
from .machine import Machine
from .origin import HERE
from .rtnetlink import Link, open_netlink, query_link
from .tuninfo import TunInfo

__all__ = ["Described", "check_device", "describe"]


@attrs.frozen(kw_only=True)
class Described:
    """A device as it is now."""

    name: str
    netns: str
    """This network namespace: ``net:[4026531840]``."""
    link: Link | None = None
    """None if there is no such interface in it."""
    addresses: Sequence[AddressChange] = ()
    holders: Sequence[Holder] = ()
    """Who has a device of this name open, here and elsewhere."""
    groups: frozenset[int] = attrs.field(factory=lambda: frozenset((*os.getgroups(), os.getegid())))
    """This process's groups."""


def describe(name: str) -> Described:
    """Look at the interface called *name*. Blocks for some milliseconds: it looks into every process."""
    try:
        netns = os.readlink("/proc/thread-self/ns/net")
    except OSError:  # no /proc in here
        netns = "this network namespace"
    found = find_holders(name, HERE.holds)
    with open_netlink() as netlink:
        try:
            link = query_link(netlink, name)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
            return Described(name=name, netns=netns, holders=found)
        return Described(
            name=name, netns=netns, link=link, addresses=query_addresses(netlink, link.index), holders=found
        )


def check_device(device: Described, machine: Machine) -> list[Finding]:
    """Judge a device."""
    interface = _about(device, "device", "interface")
    if device.link is None:
        elsewhere = f"; one elsewhere is held by {_people(device.holders)}" if device.holders else ""
        fix = f"see `ip link`; in another namespace `ip netns exec NAME aiotun doctor {device.name}`"
        return [interface.problem(f"there is none of this name in {device.netns}{elsewhere}", fix)]
    tun = device.link.tun
    if tun is None:
        kind = f", but of kind {device.link.kind}" if device.link.kind else ""
        return [interface.problem(f"it is neither a tun nor a tap{kind}", "take another name")]
    return [
        interface.ok(_identity(device.link, tun, device)),
        _holders(device, device.link, tun),
        _state(device, device.link),
        *_owner(device, tun, machine),
    ]


def _about(device: Described, id: str, title: str) -> Finding:
    return Finding(id=id, group=device.name, title=title)


def _identity(link: Link, tun: TunInfo, device: Described) -> str:
    addresses = (f"{one.address}{'' if one.state == 'usable' else f' ({one.state})'}" for one in device.addresses)
    parts = [
        f"a {tun.kind}",
        f"index {link.index}",
        f"mtu {link.mtu}",
        f"{tun.queues} queues" if tun.multi_queue else "",
        "persistent" if tun.persistent else "lives as long as it is held",
        " ".join(addresses) or "no address",
        device.netns,
    ]
    return ", ".join(filter(None, parts))


def _holders(device: Described, link: Link, tun: TunInfo) -> Finding:
    held = _about(device, "holders", "held by")
    here = [one for one in device.holders if one.here]
    perhaps = [one for one in device.holders if one.here is None]
    elsewhere = [one for one in device.holders if one.here is False]
    note = f"; devices of this name in other namespaces are held by {_people(elsewhere)}" if elsewhere else ""
    if here:
        who = ", ".join(f"{one.program} (pid {one.pid}, descriptor {one.fd})" for one in here)
        alone = "" if tun.multi_queue else "; it has one queue, so nobody else can open it"
        return held.ok(who + alone + note)
    if perhaps:
        return held.ok(f"{_people(perhaps)}, if that is not one of the same name elsewhere{note}")
    # Of a device with one queue the driver does not count it, but takes the carrier away with it.
    if not tun.persistent or (tun.queues if tun.multi_queue else link.carrier):
        fix = f"`sudo aiotun doctor {device.name}`"
        return held.warning(f"a process that user {os.geteuid()} may not look into{note}", fix)
    return held.ok(f"nobody{note}")


def _people(holders: Sequence[Holder]) -> str:
    return ", ".join(dict.fromkeys(map(str, holders)))


def _state(device: Described, link: Link) -> Finding:
    state = _about(device, "device_up", "state")
    if not link.flags & IFF_UP:
        return state.warning("down: it carries nothing", f"`ip link set dev {device.name} up`")
    if link.carrier:
        return state.ok("up, with a carrier")
    if any(one.here is not False for one in device.holders):
        return state.warning("up, without a carrier", f"`ip link set dev {device.name} carrier on`")
    return state.ok("up, without a carrier: it has one once somebody opens it")


def _owner(device: Described, tun: TunInfo, machine: Machine) -> list[Finding]:
    if not tun.persistent:
        return []
    owner = _about(device, "device_owner", "owner")
    mode = f"dev {device.name} mode {tun.layer}{' multi_queue' if tun.multi_queue else ''}"
    remake = f"`ip tuntap del {mode} && ip tuntap add {mode} user"
    if tun.owner is None and tun.group is None:
        detail = "none: everybody who may open /dev/net/tun may attach to it, and change it"
        return [owner.warning(detail, f"{remake} USER`")]
    numbers = (("user", tun.owner), ("group", tun.group))
    whose = ", ".join(f"{what} {number}" for what, number in numbers if number is not None)
    # tun_not_capable() in Linux drivers/net/tun.c: where both are set, both have to fit.
    fits = tun.owner in (None, machine.uid) and (tun.group is None or tun.group in device.groups)
    if fits or machine.has("CAP_NET_ADMIN"):
        return [owner.ok(f"{whose}: user {machine.uid} may open it")]
    return [owner.problem(f"{whose}: user {machine.uid} may not open it", f"as root, {remake} {machine.uid}`")]
