"""The sysctl tree: values of the drivers under dotted names, read and written as text or numbers."""

from __future__ import annotations

import errno
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import attrs

from ..errors import DeviceError

__all__ = ["SysctlTree", "ether_aton"]

Value = str | int

_ETHER = re.compile(r"[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2}){5}")


@attrs.frozen
class _Leaf:
    read: Callable[[], Value]
    write: Callable[[Value], None] | None
    max_length: int | None


class SysctlTree(Mapping[str, Value]):
    """
    Leaves with values, by dotted name: ``tree["net.link.tap.tap0"]``.

    A node is there while leaves are below it, or for good when it was made by create_node().

    Modelled on sysctl_createv() and sysctl_destroyv() in NetBSD sys/kern/kern_sysctl.c.
    """

    def __init__(self) -> None:
        self._leaves: dict[str, _Leaf] = {}
        self._below: Counter[str] = Counter()  # leaves below each node; a node of none is not kept
        self._permanent: set[str] = set()

    def __getitem__(self, name: str) -> Value:
        return self._leaf(name).read()

    def __setitem__(self, name: str, value: Value) -> None:
        """
        Write a value.

        Raises:
            KeyError: If there is no such leaf.
            PermissionError: If it is read-only.
            DeviceError: With EINVAL, if it is of another type than the leaf's, or too long; whatever else the
                leaf's own check answers. Nothing is changed then.
        """
        leaf = self._leaf(name)
        if leaf.write is None:
            raise PermissionError(errno.EPERM, f"{name}: it can only be read")
        kind = type(leaf.read())
        if not isinstance(value, kind):
            raise DeviceError(f"{name}: value is {type(value).__name__}, it must be {kind.__name__}", errno.EINVAL)
        if leaf.max_length is not None and isinstance(value, str) and len(value) > leaf.max_length:
            text = f"{name}: value is {len(value)} characters, at most {leaf.max_length} fit"
            raise DeviceError(text, errno.EINVAL)
        leaf.write(value)

    def __delitem__(self, name: str) -> None:
        self.destroy(name)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the leaves, in the order they were created."""
        return iter(self._leaves)

    def __len__(self) -> int:
        return len(self._leaves)

    def __contains__(self, name: object) -> bool:
        return name in self._leaves

    def create(
        self,
        name: str,
        read: Callable[[], Value],
        write: Callable[[Value], None] | None = None,
        *,
        max_length: int | None = None,
    ) -> None:
        """
        Make a leaf, and the nodes above it that are not there.

        Args:
            read: Returns the value; its type is the leaf's.
            write: Takes a new value of that type, or raises and changes nothing; None makes the leaf read-only.
            max_length: Characters in a text, at most.

        Raises:
            ValueError: If the name has an empty part.
            DeviceError: With EEXIST if the name is taken, ENOTDIR if a leaf is above it.
        """
        self._check_new(name)
        self._leaves[name] = _Leaf(read, write, max_length)
        self._below.update(_above(name))

    def create_node(self, name: str) -> None:
        """Make a node, and those above it, that stay without leaves. One that is there becomes permanent."""
        if not self.is_node(name):
            self._check_new(name)
        self._permanent.update((name, *_above(name)))

    def destroy(self, name: str) -> None:
        """
        Remove a leaf, and the nodes above it that have no leaves left and are not permanent.

        Raises:
            KeyError: If there is no such leaf.
            DeviceError: With ENOTEMPTY, or EPERM if it is empty but permanent, if it is a node.
        """
        if self.is_node(name):
            count = self._below[name]
            text = f"{name}: node with {count} leaves below it" if count else f"{name}: permanent node"
            raise DeviceError(text, errno.ENOTEMPTY if count else errno.EPERM)
        self._leaf(name)
        del self._leaves[name]
        for node in _above(name):
            self._below[node] -= 1
            if not self._below[node]:
                del self._below[node]

    def is_node(self, name: str) -> bool:
        """Return whether *name* is a node: something leaves can be below."""
        return name in self._below or name in self._permanent

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of the leaves at and below *prefix*, in the order they were created."""
        return [name for name in self._leaves if not prefix or f"{name}.".startswith(f"{prefix}.")]

    def describe(self, prefix: str = "") -> str:
        """Return a line ``name = value`` for each leaf at and below *prefix*, as ``sysctl -a`` prints them."""
        return "\n".join(f"{name} = {self[name]}" for name in self.names(prefix))

    def _leaf(self, name: str) -> _Leaf:
        try:
            return self._leaves[name]
        except KeyError:
            raise KeyError(self._missing(name)) from None

    def _missing(self, name: str) -> str:
        if self.is_node(name):
            return f"{name}: it is a node, with {self._below[name]} leaves below it"
        import difflib  # late: only a mistake needs it

        near = difflib.get_close_matches(name, [*self._leaves, *self._below, *self._permanent])
        return f"{name}: no such name" + (f"; near it: {', '.join(dict.fromkeys(near))}" if near else "")

    def _check_new(self, name: str) -> None:
        if not all(name.split(".")):
            raise ValueError(f"{name!r} cannot name a value: a part of it is empty")
        if name in self or self.is_node(name):
            raise DeviceError(f"{name}: the name is taken", errno.EEXIST)
        for node in _above(name):
            if node in self:
                raise DeviceError(f"{name}: {node} is a leaf, nothing can be below it", errno.ENOTDIR)


def _above(name: str) -> list[str]:
    """Return the nodes above *name*, the longest name first."""
    nodes = []
    while "." in name:
        name = name.rpartition(".")[0]
        nodes.append(name)
    return nodes


def ether_aton(text: str) -> bytes:
    """
    Return the 6 bytes of an Ethernet address: six groups of one or two hexadecimal digits, colons between them.

    Raises:
        DeviceError: With EINVAL, if it is anything else.

    Modelled on tap_sysctl_handler() in NetBSD if_tap.c, which lets more characters follow the last group.
    """
    if not 11 <= len(text) <= 17:
        raise DeviceError(f"{text!r}: {len(text)} characters, an Ethernet address has 11 to 17", errno.EINVAL)
    if not _ETHER.fullmatch(text):
        raise DeviceError(f"{text!r}: not six groups of one or two hexadecimal digits", errno.EINVAL)
    return bytes(int(group, 16) for group in text.split(":"))
