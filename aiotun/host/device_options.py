"""The options of ``open_tun()`` and ``open_tap()`` that are the tun driver's own: whose a device is, how it lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from ..endpoint import allowed_offload, check_offload
from .link_options import TapOptions, TunOptions

if TYPE_CHECKING:
    from ..linux import Terms

__all__ = ["KernelTapOptions", "KernelTunOptions", "device_terms"]

NOBODY = 2**32 - 1
"""What the kernel reads as no user, and no group: uid_t and gid_t of -1."""


class DeviceOptions(TypedDict, total=False):
    """What the tun driver is told of a device."""

    persistent: bool
    """
    Whether the interface stays when the endpoint is closed; False, as if not given, leaves it as it is. An interface
    that nobody owns then becomes this process's user's, or everybody could attach to it.
    """
    owner: str | int | None
    """The user who may attach without CAP_NET_ADMIN, by name or number; of a new multi-queue device, this user."""
    owner_group: str | int | None
    """A group whose members may; with an owner as well, only who is both."""
    napi: bool
    """
    Whether packets sent into the stack are taken in by polling (IFF_NAPI), where the kernel joins TCP segments that
    follow each other into one.
    """


class KernelTunOptions(TunOptions, DeviceOptions, total=False):
    """What a tun of the kernel shall be."""


class KernelTapOptions(TapOptions, DeviceOptions, total=False):
    """What a tap of the kernel shall be."""

    napi_frags: bool
    """
    Whether the polling takes a frame's pieces as they come (IFF_NAPI_FRAGS), for tests of the kernel's own. It takes
    CAP_NET_ADMIN in the machine's user namespace.
    """


def device_terms(given: KernelTapOptions | KernelTunOptions, queues: int | None) -> Terms:
    """
    Return what the options ask for, checked.

    Raises:
        ValueError, TypeError: If a value cannot be; the text names the option.
    """
    from ..linux import Terms

    offload = check_offload(given.get("offload"))
    if queues is not None and (not isinstance(queues, int) or queues < 1):
        raise ValueError(f"queues is 1 or more, not {queues!r}")
    return Terms(
        queues=queues,
        persistent=given.get("persistent", False),
        owner=_user(given.get("owner")),
        owner_group=_group(given.get("owner_group")),
        offload=offload if allowed_offload(offload)[0] else frozenset(),
        napi=given.get("napi", False),
        napi_frags=given.get("napi_frags", False),  # type: ignore[arg-type]
    )


def _user(given: str | int | None) -> int | None:
    if not isinstance(given, str):
        return _number("owner", given)
    import pwd

    try:
        return pwd.getpwnam(given).pw_uid
    except KeyError:
        raise ValueError(f"owner: there is no user {given!r}") from None


def _group(given: str | int | None) -> int | None:
    if not isinstance(given, str):
        return _number("owner_group", given)
    import grp

    try:
        return grp.getgrnam(given).gr_gid
    except KeyError:
        raise ValueError(f"owner_group: there is no group {given!r}") from None


def _number(what: str, given: int | None) -> int | None:
    if given is not None and not (isinstance(given, int) and 0 <= given < NOBODY):
        raise ValueError(f"{what} is a name, or a number from 0 to 2^32 - 2, not {given!r}")
    return given
