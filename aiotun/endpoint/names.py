"""Interface names: what one may be, and how ``tun%d`` becomes ``tun0``. The same verdicts on every host."""

from __future__ import annotations

__all__ = ["NAME_MAX", "check_name", "is_template"]

# The white space is isspace() of Linux lib/ctype.c, byte by byte: to the kernel "à" ends in a space.
FORBIDDEN = frozenset(b"/:\0\t\n\v\f\r \xa0")

NAME_MAX = 15
"""Bytes in a name, at most: IFNAMSIZ of Linux include/uapi/linux/if.h, less the final zero."""


def is_template(name: str) -> bool:
    """Return whether the name leaves its number to the host: ``vpn%d``."""
    return "%" in name


def check_name(name: str) -> str:
    """
    Return *name* if an interface may have it.

    Raises:
        ValueError: If it is empty, longer than 15 bytes, ``.`` or ``..``, has a slash, a colon or what the
            kernel takes for white space in it, or a ``%`` that is not one ``%d``. Modelled on
            dev_valid_name() in Linux net/core/dev.c.
    """
    if not isinstance(name, str):
        raise TypeError(f"an interface's name is text, not {type(name).__name__}")
    problem = _problem(name)
    if problem:
        raise ValueError(f"{name!r} cannot name an interface: {problem}")
    return name


def _problem(name: str) -> str | None:
    octets = name.encode("utf-8", "surrogateescape")
    if not name:
        return "it is empty"
    if len(octets) > NAME_MAX:
        return f"it is {len(octets)} bytes, at most {NAME_MAX} fit"
    if name in (".", ".."):
        return "it names a directory"
    for char in name:
        if not FORBIDDEN.isdisjoint(char.encode("utf-8", "surrogateescape")):
            return f"{char!r} may not be in it"
    if name.replace("%d", "", 1).count("%"):
        return "a % may only begin one %d, which the host replaces by a number"
    return None
