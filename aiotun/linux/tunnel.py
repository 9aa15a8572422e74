"""
Sending all of a machine's packets into a tun, save the tunnel's own; in the calling thread.

The way of wg-quick(8): a table of its own leads everything into the tun; packets that do not carry the tunnel's mark
are looked up there, after the main table was asked for anything better than a default route.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import ip_network
from typing import Literal

import attrs

from ..endpoint import Port
from ..routing import Network, Route, Rule
from .links import link_names, link_state
from .origin import Origin
from .port import KernelPort
from .routes import add_routes
from .rules import add_rules
from .sysctls import set_sysctl
from .transaction import Transaction

__all__ = ["KillSwitch", "TunnelPlan", "enter_tunnel", "set_mark"]

KillSwitch = bool | Literal["hold"]

LAST = 2**32 - 1
"""The metric of a route that is taken when there is no other."""

STRICT, LOOSE = "1", "2"
"""Reverse path filtering, RFC 3704: the way back must be the way it came, or just any."""

EVERYTHING = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}


@attrs.frozen(kw_only=True)
class TunnelPlan:
    """What goes into the tun, and what does not."""

    fwmark: int
    table: int
    kill_switch: KillSwitch
    except_for: Sequence[Network]


def enter_tunnel(port: Port, plan: TunnelPlan) -> Transaction:
    """
    Send everything into the tun, or leave all as it was; return what undoes it. Blocks for some milliseconds.

    Raises:
        TypeError: If it is no tun of the kernel.
        PermissionError, DeviceError: If the kernel refuses; the text names the step.
    """
    if not isinstance(port, KernelPort):
        raise TypeError(f"{port.name}: a full tunnel needs a tun of the kernel that is open")
    return port.in_origin(lambda origin: _enter(port.name, origin, plan))


def _enter(name: str, origin: Origin, plan: TunnelPlan) -> Transaction:
    hold = plan.kill_switch == "hold"
    versions = [4, 6] if _has_ipv6(origin) else [4]
    transaction = Transaction(name, origin, guarded=not hold, adopting=hold)
    with transaction.rolled_back():
        for link in ("all", *link_names(transaction)):
            # Strict filtering drops the replies to marked packets: they have no mark, so the way back to where they
            # come from is the tun. src_valid_mark is of use only to a firewall that marks them.
            set_sysctl(transaction, ["net", "ipv4", "conf", link, "rp_filter"], LOOSE, only=STRICT)
        routes = [Route(EVERYTHING[version], table=plan.table) for version in versions]
        if plan.kill_switch:
            routes += [attrs.evolve(route, kind="unreachable", metric=LAST) for route in routes]
        add_routes(transaction, link_state(transaction, name).index, routes, lasting=True)
        for version in versions:
            add_rules(transaction, list(_rules(plan, version)))
        transaction.settle()
    return transaction


def _rules(plan: TunnelPlan, version: int) -> list[Rule]:
    """Return the rules of one IP version; the last is tried first."""
    family: Literal[4, 6] = 4 if version == 4 else 6
    return [
        Rule(fwmark=plan.fwmark, invert=True, table=plan.table, version=family),
        Rule(suppress_prefixlength=0, version=family),
        *(Rule(destination=prefix) for prefix in plan.except_for if prefix.version == version),
    ]


def _has_ipv6(origin: Origin) -> bool:
    try:
        origin.make_socket(socket.AF_INET6, socket.SOCK_DGRAM, 0).close()
    except OSError:  # EAFNOSUPPORT: the kernel was built or started without
        return False
    return True


def set_mark(fd: int, mark: int) -> int:
    """
    Mark what a socket sends; return the mark it had.

    Raises:
        PermissionError: If the process has neither CAP_NET_ADMIN nor CAP_NET_RAW.
    """
    with socket.socket(fileno=socket.dup(fd)) as sock:
        before = sock.getsockopt(socket.SOL_SOCKET, socket.SO_MARK)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
    return before
