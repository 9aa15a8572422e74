"""The options that ``open_tun()`` and ``open_tap()`` of every host on the Linux kernel share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from .options import Addresses, addresses, hardware_address, positive

if TYPE_CHECKING:
    from ..linux import Settings

__all__ = ["TapOptions", "TunOptions", "check_options", "link_settings"]


class TunOptions(TypedDict, total=False):
    """What a tun shall be; what is not given stays the kernel's choice, or what an existing device has."""

    address: Addresses
    """Addresses with prefix length, ``"10.8.0.2/24"``, one or several, IPv4 or IPv6."""
    mtu: int | None
    """Largest packet, in bytes; a new device has 1500."""
    queue_length: int | None
    """Packets the kernel keeps for the application; a new device has 1000."""
    up: bool
    """Whether to bring the interface up; True if not given."""
    ipv6_linklocal: bool | None
    """
    Whether the kernel gives it a link-local address; not on a new tun, if not given, for the solicitations that
    come with it are packets nobody asked for. On a tap the kernel's way, if not given.
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
    """Return what the options ask for, checked."""
    from ..linux import Settings

    return Settings(
        addresses=addresses(given.get("address", ())),
        mtu=positive("mtu", given.get("mtu")),
        queue_length=positive("queue_length", given.get("queue_length")),
        mac=hardware_address(given.get("mac")),  # type: ignore[arg-type]
        ipv6_linklocal=given.get("ipv6_linklocal"),
        up=given.get("up", True),
    )
