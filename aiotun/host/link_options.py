"""The options that ``open_tun()`` and ``open_tap()`` of every host on the Linux kernel share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from ..routing import Rule
from .options import (
    Addresses,
    Peers,
    Routes,
    addresses,
    domains_and_servers,
    hardware_address,
    link_group,
    peers,
    positive,
    routes,
    rules,
    sysctls,
)

if TYPE_CHECKING:
    from ..linux import Settings

__all__ = ["TapOptions", "TunOptions", "check_options", "link_settings"]


class TunOptions(TypedDict, total=False):
    """
    What a tun shall be; what is not given stays the kernel's choice, or what an existing device has.

    All of it or nothing: if one setting is refused, those before it are undone. What was there before comes back when
    the endpoint is closed, and if the process is killed, but for what somebody else has changed meanwhile.
    """

    address: Addresses
    """Addresses with prefix length, ``"10.8.0.2/24"``, one or several, IPv4 or IPv6."""
    peer: Peers
    """The far end of a point-to-point link, ``"10.8.0.1"``; one for the address of each IP version."""
    mtu: int | None
    """Largest packet, in bytes; a new device has 1500."""
    queue_length: int | None
    """Packets the kernel keeps for the application; a new device has 1000."""
    group: int | None
    """The interface group, a number for ``ip link`` and firewalls to speak of several at once."""
    up: bool
    """
    Whether to bring the interface up; True if not given. It is open once every address can be used, which on a tap
    takes 1 to 2 s for IPv6: the kernel first asks whether somebody has it (RFC 4862 section 5.4).
    """
    ipv6_linklocal: bool | None
    """
    Whether the kernel gives it a link-local address; not on a new tun, if not given, for the solicitations that
    come with it are packets nobody asked for. On a tap the kernel's way, if not given.
    """
    routes: Routes
    """Prefixes that are reached through it, ``["10.0.0.0/8"]``, or a Route for more than that."""
    rules: Rule | Iterable[Rule]
    """Which packets are routed by which table."""
    offload: bool | str | Iterable[str]
    """
    Whether packets come from the stack, and go to it, as super-packets: up to 64 KiB that stand for many packets, with
    their checksums left to who needs them. What is received is whole packets all the same, unless super-packets are
    asked for. True, or some of ``tso``, ``uso``, ``tcp_gro``, ``udp_gro``, ``tunnel``: see Device.offload. The
    environment variable AIOTUN_OFFLOAD narrows it. Off if not given.
    """
    sysctl: Mapping[str, str | int]
    """Settings of its network, ``{"net.ipv4.conf.{name}.rp_filter": 0}``; ``{name}`` is the interface's."""
    dns: str | Iterable[str]
    """
    Name servers, and domains to look for short names in: ``["10.8.0.1", "corp.example"]``. Every query of the machine
    goes there. By resolvconf or systemd-resolved, so on the machine's own network only.
    """


class TapOptions(TunOptions, total=False):
    """What a tap shall be."""

    mac: str | bytes | None
    """Its hardware address, ``"02:00:00:00:00:01"``."""


def check_options(verb: str, known: type[TunOptions], given: Mapping[str, Any]) -> None:
    """
    Check the names of options that came as keywords.

    Raises:
        TypeError: If one is not known.
    """
    names = known.__annotations__.keys()
    for name in given:
        if name not in names:
            raise TypeError(f"{verb}() has no option {name!r}; it has {', '.join(sorted(names))}")


def link_settings(given: TapOptions | TunOptions) -> Settings:
    """
    Return what the options ask for, checked.

    Raises:
        ValueError, TypeError: If a value cannot be; the text names the option.
    """
    from ..linux import Settings

    local = addresses(given.get("address", ()))
    return Settings(
        addresses=local,
        peers=peers(given.get("peer", ()), local),
        mtu=positive("mtu", given.get("mtu")),
        queue_length=positive("queue_length", given.get("queue_length")),
        mac=hardware_address(given.get("mac")),  # type: ignore[arg-type]
        group=link_group(given.get("group")),
        ipv6_linklocal=given.get("ipv6_linklocal"),
        up=given.get("up", True),
        sysctls=sysctls(given.get("sysctl", {})),
        routes=routes(given.get("routes", ())),
        rules=rules(given.get("rules", ())),
        dns=domains_and_servers(given.get("dns", ())),
    )
