"""
What a broker opens, and for whom: rules, each of which allows something; what none allows is refused.

A request is allowed by one rule that is for the user and allows all of it. Refusals name the rule that came nearest,
and what it does allow.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Any

import attrs

from .broker_messages import Request

if TYPE_CHECKING:
    from ..linux import Settings
    from ..linux.peer import Peer

__all__ = ["Network", "Policy", "Rule"]

Network = IPv4Network | IPv6Network

FREE = frozenset({"up", "ipv6_linklocal", "offload"})
"""Options that every rule allows: they concern nobody but the device's own user."""

JUDGED = frozenset({"address", "peer", "mtu", "queue_length", "routes", "sysctl"})
"""Options that a rule allows by their values; every other one it allows by its name."""

NEVER = frozenset({"dns"})
"""Options that no rule can allow: a broker runs no programs, and this takes one."""


@attrs.frozen(kw_only=True)
class Rule:
    """What some users may open."""

    name: str
    """What refusals call it."""
    users: frozenset[int] = frozenset()
    """The users it is for, by uid."""
    groups: frozenset[int] = frozenset()
    """The groups whose members it is for, by gid."""
    kinds: tuple[str, ...]
    """``tun``, ``tap`` or both."""
    interfaces: tuple[str, ...]
    """Patterns that the interface's name must fit one of: ``vpn*``."""
    addresses: tuple[Network, ...] = ()
    """Networks that must hold the network of each address, and peer: all of 10.8.0.2/16 is to be in one of them."""
    routes: tuple[Network, ...] = ()
    """Networks that must hold the prefix of each route."""
    mtu: tuple[int, int] | None = None
    """The least and the most an mtu may be, in bytes; None leaves it as the kernel has it."""
    queue_length: int = 0
    """The most packets a queue may be given; 0 leaves it as it is."""
    sysctls: tuple[str, ...] = ()
    """Patterns for the settings that may be given: ``net.ipv4.conf.{name}.*``."""
    options: tuple[str, ...] = ()
    """Other options that may be given, whatever their values."""
    netns: tuple[str, ...] = ()
    """Patterns for the names of other network namespaces."""
    queues: int = 1
    """The most queues that a device may have."""
    devices: int = 1
    """Devices that each user may have open by this rule."""
    rate: int = 10
    """Requests that are answered each second to each user; more have to wait."""

    def is_for(self, peer: Peer) -> bool:
        """Return whether the rule is for this user."""
        return peer.uid in self.users or not self.groups.isdisjoint(peer.gids)

    def fits(self, name: str) -> bool:
        """Return whether an interface may have this name; of a template, whether its first number would do."""
        return _fits(name.replace("%d", "0"), self.interfaces)

    def refusal(self, request: Request, settings: Settings, held: int) -> tuple[int, str] | None:
        """
        Return how far a request came, and what stopped it; None if it is allowed.

        Args:
            settings: What the request's options come to.
            held: Devices that the user has open by this rule.
        """
        for step, check in enumerate(CHECKS):
            reason = check(self, request, settings)
            if reason is not None:
                return step, reason
        if held >= self.devices:
            return len(
                CHECKS
            ), f"{_devices(self.devices)} for each user, and there {'is' if held == 1 else 'are'} {held}"
        return None


def _kind(rule: Rule, request: Request, settings: Settings) -> str | None:
    return None if request.kind in rule.kinds else _only("kind", "the kind", rule.kinds, request.kind)


def _name(rule: Rule, request: Request, settings: Settings) -> str | None:
    return None if rule.fits(request.name) else _only("names", "the names", rule.interfaces, request.name)


def _netns(rule: Rule, request: Request, settings: Settings) -> str | None:
    if request.netns is None or _fits(request.netns, rule.netns):
        return None
    return _only("namespaces", "the namespaces", rule.netns, ascii(request.netns))


def _addresses(rule: Rule, request: Request, settings: Settings) -> str | None:
    for address in (*settings.addresses, *settings.peers):
        if not _within(address.network, rule.addresses):
            return _only("addresses", "addresses in", rule.addresses, address)
    return None


def _routes(rule: Rule, request: Request, settings: Settings) -> str | None:
    for route in settings.routes:
        if not _within(route.prefix, rule.routes):
            return _only("routes", "routes to", rule.routes, route.prefix)
        if route.interface is not None:
            return f"routes out of the device itself, not of {ascii(route.interface)}"
    return None


def _mtu(rule: Rule, request: Request, settings: Settings) -> str | None:
    if settings.mtu is None or (rule.mtu is not None and rule.mtu[0] <= settings.mtu <= rule.mtu[1]):
        return None
    return _only("mtu", "an mtu of", [] if rule.mtu is None else [f"{rule.mtu[0]} to {rule.mtu[1]}"], settings.mtu)


def _queue_length(rule: Rule, request: Request, settings: Settings) -> str | None:
    length = settings.queue_length
    if length is None or length <= rule.queue_length:
        return None
    return _only(
        "queue length", "a queue length of", [f"up to {rule.queue_length}"] if rule.queue_length else [], length
    )


def _sysctls(rule: Rule, request: Request, settings: Settings) -> str | None:
    for name in settings.sysctls:
        if not _fits(name, rule.sysctls):
            return _only("settings", "the settings", rule.sysctls, name)
    return None


def _queues(rule: Rule, request: Request, settings: Settings) -> str | None:
    if request.queues is None or request.queues <= rule.queues:
        return None
    return f"{rule.queues} queue{'s' * (rule.queues > 1)} at most, not {request.queues}"


def _options(rule: Rule, request: Request, settings: Settings) -> str | None:
    for option in request.options:
        if option not in FREE | JUDGED | {*rule.options}:
            return _only("options", "the options", sorted(rule.options), option)
    return None


CHECKS: Sequence[Callable[[Rule, Request, Settings], str | None]] = (
    _kind,
    _name,
    _netns,
    _addresses,
    _mtu,
    _queue_length,
    _queues,
    _routes,
    _sysctls,
    _options,
)
"""What a rule looks at, in this order; each returns what stops the request."""


@attrs.frozen
class Policy:
    """The rules, in order: the first that allows a request is the one it is counted by."""

    rules: tuple[Rule, ...]

    def judge(self, peer: Peer, request: Request, settings: Settings, held: Callable[[Rule], int]) -> Rule:
        """
        Return the rule that allows the request.

        Args:
            settings: What the request's options come to.
            held: Returns how many devices the user has open by a rule.

        Raises:
            PermissionError: If there is none; the text names the rule that came nearest, and what it allows.
        """
        refusals: list[tuple[int, str]] = []
        for rule in self.rules_for(peer):
            refusal = rule.refusal(request, settings, held(rule))
            if refusal is None:
                return rule
            step, reason = refusal
            refusals.append((step, f"{request.name}: the broker's rule {rule.name!r} allows {reason}"))
        if not refusals:
            raise _refused(f"{request.name}: the broker's policy has no rule for uid {peer.uid}")
        raise _refused(max(refusals, key=lambda refusal: refusal[0])[1])

    def rules_for(self, peer: Peer) -> list[Rule]:
        """Return the rules that are for this user."""
        return [rule for rule in self.rules if rule.is_for(peer)]


def _refused(text: str) -> PermissionError:
    return PermissionError(errno.EPERM, text)


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _within(network: Any, allowed: Iterable[Network]) -> bool:
    return any(network.version == one.version and network.subnet_of(one) for one in allowed)


def _only(noun: str, which: str, allowed: Iterable[object], asked: object) -> str:
    """Say what a rule allows, and what was asked for."""
    listed = ", ".join(map(str, allowed))
    return f"{which} {listed}, not {asked}" if listed else f"no {noun}: {asked} was asked for"


def _devices(count: int) -> str:
    return f"{count} device" if count == 1 else f"{count} devices"
