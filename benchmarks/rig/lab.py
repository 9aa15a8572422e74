"""Namespaces with tuns in them; all of it goes at the end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import attrs
from programs.child import within

QUEUE_LENGTH = 1000
"""Packets the kernel keeps for the reader: aiotun's default, given to every variant."""


@attrs.frozen
class Counts:
    """Packets of some tuns that programs read and wrote, with their bytes, and that were dropped before a read."""

    read: int
    read_bytes: int
    written: int
    written_bytes: int
    dropped: int

    def since(self, before: Counts) -> Counts:
        return Counts(*(now - then for now, then in zip(attrs.astuple(self), attrs.astuple(before), strict=True)))


@attrs.frozen
class Place:
    """A network namespace, and the file in which the kernel counts what passes its devices."""

    namespace: str
    counters: IO[str]

    def where(self, number: int = 0) -> str:
        """Return what the programs call a tun of this namespace."""
        return f"{self.namespace}/tun{number}"

    def counts(self) -> Counts:
        """Add up its tuns."""
        self.counters.seek(0)
        rows = [line.split() for line in self.counters if line.lstrip().startswith("tun")]
        # Name, then received (bytes, packets, errors, drops, ...) and transmitted, as the stack sees it.
        columns = [sum(int(row[column]) for row in rows) for column in (10, 9, 2, 1, 12)]
        return Counts(*columns)


class Lab:
    """Namespaces with persistent tuns; close() removes all of it."""

    def __init__(self) -> None:
        self._places: list[Place] = []

    def place(self, address: str, *, tuns: int = 1, multi_queue: bool = False) -> Place:
        """Make a namespace whose tun has *address*; further ones have addresses of the /24 networks after that."""
        namespace = f"bench-{os.getpid()}-{len(self._places)}"
        _ip("netns", "add", namespace)
        with within(namespace):
            # Of the namespace, wherever they are read: no packets but the benchmark's, and who counts them.
            Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
            place = Place(namespace, open("/proc/thread-self/net/dev"))
        self._places.append(place)
        kind = "mode tun user root" + (" multi_queue" if multi_queue else "")
        first, second, third, last = address.split(".")
        lines = []
        for number in range(tuns):
            network, name = int(third) + number, f"tun{number}"
            lines += [
                f"tuntap add {name} {kind}",
                f"address add {first}.{int(second) + network // 256}.{network % 256}.{last} dev {name}",
                f"link set {name} up mtu 1500 txqueuelen {QUEUE_LENGTH}",
            ]
        _ip("-n", namespace, "-batch", "-", told="\n".join(lines))
        return place

    def close(self) -> None:
        while self._places:
            place = self._places.pop()
            place.counters.close()
            _ip("netns", "delete", place.namespace)


@contextmanager
def lab() -> Iterator[Lab]:
    """A Lab that is taken down at the end."""
    place = Lab()
    try:
        yield place
    finally:
        place.close()


def _ip(*arguments: str, told: str | None = None) -> None:
    subprocess.run(["ip", *arguments], input=told, check=True, text=True)
