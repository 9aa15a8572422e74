"""
Reading a broker's policy: a TOML file of ``[[rule]]`` tables, whose keys are the fields of Rule.

::

    [[rule]]
    name = "road warriors"
    groups = ["vpn"]                 # or users = ["alice", 1001]
    kinds = ["tun"]
    interfaces = ["vpn*"]
    addresses = ["10.8.0.0/24", "fd00:8::/64"]
    mtu = [1280, 1500]
    devices = 2
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
import tomllib
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

from .broker_policy import FREE, JUDGED, NEVER, Network, Policy, Rule
from .link_options import TapOptions

__all__ = ["parse_policy", "read_policy"]

WRITABLE = stat.S_IWGRP | stat.S_IWOTH


def read_policy(path: str | os.PathLike[str]) -> Policy:
    """
    Read the policy from a file.

    Raises:
        ValueError: If it is none; the text names the file, the rule and the key.
        PermissionError: If others than root and this user could have written it.
        OSError: If it cannot be read.
    """
    try:
        file = open(path, "rb")
    except OSError as error:
        raise OSError(error.errno, f"{os.fspath(path)}: {error.strerror}") from error
    with file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{os.fspath(path)}: it is not a file")
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & WRITABLE:
            raise PermissionError(
                f"{os.fspath(path)}: others may write it (owner {status.st_uid}, mode {status.st_mode & 0o7777:04o}); "
                f"`chown root` and `chmod go-w` it"
            )
        text = file.read()
    try:
        return parse_policy(text.decode())
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from error


def parse_policy(text: str) -> Policy:
    """
    Return the policy that TOML describes.

    Raises:
        ValueError: If it describes none; the text names the rule and the key, or the line.
    """
    fields = tomllib.loads(text)
    tables = fields.pop("rule", None)
    if fields:
        raise ValueError(f"there is no key {', '.join(fields)}; a policy is made of [[rule]]")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ValueError("there is no rule, so nobody could open anything; a policy is made of [[rule]]")
    rules = tuple(_rule(number, table) for number, table in enumerate(tables, 1))
    names = [rule.name for rule in rules]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{names.count(name)} rules are called {name!r}")
    return Policy(rules)


def _rule(number: int, table: dict[str, Any]) -> Rule:
    where = f"rule {number}" + (f" {table['name']!r}" if "name" in table else "")
    values: dict[str, Any] = {"name": str(number)}
    for key, value in table.items():
        if key not in KEYS:
            raise ValueError(f"{where}: there is no key {key}; there are {', '.join(KEYS)}")
        try:
            values[key] = KEYS[key](value)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{where}: {key}: {_reason(error)}") from error
    for key in ("kinds", "interfaces"):
        if not values.get(key):
            raise ValueError(f"{where}: {key} is missing, so it would allow nothing")
    if not values.get("users") and not values.get("groups"):
        raise ValueError(f"{where}: users or groups is missing, so it would be for nobody")
    return Rule(**values)


def _reason(error: Exception) -> str:
    return str(error.args[0]) if isinstance(error, KeyError) else str(error)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or not value:
        raise ValueError(f"it is text, not {value!r}")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**31:
        raise ValueError(f"it is a number above 0, not {value!r}")
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"it is a list, not {value!r}")
    return value


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(_text, _list(value)))


def _ids(value: object, look_up: Callable[[str], int], what: str) -> frozenset[int]:
    return frozenset(_id(one, look_up, what) for one in _list(value))


def _id(value: object, look_up: Callable[[str], int], what: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32 - 1:
        return value
    try:
        return look_up(_text(value))
    except KeyError:
        raise ValueError(f"this machine has no {what} {value!r}") from None


def _kinds(value: object) -> tuple[str, ...]:
    for kind in _texts(value):
        if kind not in ("tun", "tap"):
            raise ValueError(f"a kind is tun or tap, not {kind}")
    return _texts(value)


def _networks(value: object) -> tuple[Network, ...]:
    return tuple(ip_network(one) for one in _texts(value))


def _range(value: object) -> tuple[int, int]:
    numbers = tuple(map(_count, _list(value)))
    if len(numbers) != 2 or numbers[0] > numbers[1]:
        raise ValueError(f"it is the least and the most, like [1280, 1500], not {value!r}")
    return numbers


def _options(value: object) -> tuple[str, ...]:
    known = TapOptions.__annotations__.keys() - FREE - JUDGED - NEVER
    for option in _texts(value):
        if option not in known:
            raise ValueError(f"there is no option {option}; there are {', '.join(sorted(known))}")
    return _texts(value)


# The keys of a rule, and what makes a field's value of the file's.
KEYS: dict[str, Callable[[Any], object]] = {
    "name": _text,
    "users": lambda value: _ids(value, lambda name: pwd.getpwnam(name).pw_uid, "user"),
    "groups": lambda value: _ids(value, lambda name: grp.getgrnam(name).gr_gid, "group"),
    "kinds": _kinds,
    "interfaces": _texts,
    "addresses": _networks,
    "routes": _networks,
    "mtu": _range,
    "queue_length": _count,
    "sysctls": _texts,
    "options": _options,
    "netns": _texts,
    "queues": _count,
    "devices": _count,
    "rate": _count,
}
