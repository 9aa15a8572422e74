"""What an ``offload`` option names, and what the environment allows of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

__all__ = ["ENVIRONMENT", "OFFLOAD", "allowed_offload", "check_offload"]

OFFLOAD = frozenset(("tso", "uso", "tcp_gro", "udp_gro", "tunnel"))
"""What can be on: see Device.offload."""

ENVIRONMENT = "AIOTUN_OFFLOAD"
"""
The environment variable that narrows what programs ask for: the features that may be used, ``tso,tcp_gro``, or those
that may not, ``-uso,-udp_gro``; ``0`` or nothing allows none, ``1`` all.
"""


def check_offload(given: bool | Iterable[str] | None) -> frozenset[str]:
    """
    Return the features that an ``offload`` option names: True is all, False or None none.

    Raises:
        ValueError: If a name is another one.
        TypeError: If it is neither a bool nor names.
    """
    if given is None or isinstance(given, bool):
        return OFFLOAD if given else frozenset()
    if not isinstance(given, Iterable):
        raise TypeError(f"offload is True, False, or names, not {given!r}")
    features = frozenset((given,) if isinstance(given, str) else given)
    unknown = sorted(map(repr, features - OFFLOAD))
    if unknown:
        raise ValueError(f"offload is True, False, or some of {', '.join(sorted(OFFLOAD))}; not {', '.join(unknown)}")
    return features


def allowed_offload(asked: Iterable[str], environment: Mapping[str, str] = os.environ) -> tuple[frozenset[str], str]:
    """
    Return the features that may be used of those asked for, and the switch that forbids others, ``""`` without.

    Raises:
        ValueError: If the environment names a feature that there is not.
    """
    features = frozenset(asked)
    text = environment.get(ENVIRONMENT)
    if text is None:
        return features, ""
    words = {word.strip() for word in text.split(",")} - {"", "0"}
    less = {word[1:] for word in words if word.startswith("-")}
    more = {word for word in words if not word.startswith("-")}
    unknown = sorted((less | more) - OFFLOAD - {"1"})
    if unknown:
        raise ValueError(f"{ENVIRONMENT} names {', '.join(unknown)}; the features are {', '.join(sorted(OFFLOAD))}")
    if "1" in more or (less and not more):
        more = set(OFFLOAD)
    return features & more - less, f"{ENVIRONMENT}={text}"
