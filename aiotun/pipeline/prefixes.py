"""Which entry the longest prefix of an address leads to, for IPv4 and IPv6."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Generic, TypeVar

__all__ = ["Network", "Prefixes"]

V = TypeVar("V")

Network = IPv4Network | IPv6Network


class Prefixes(Generic[V]):
    """
    Entries by prefix; of those that hold an address the one of the longest prefix is found.

    A table for each length that is there, asked from the longest to the shortest.
    """

    # Beside the tries of PyPI, in ns, for 20000 random addresses that the prefixes hold (benchmarks/router.py):
    #
    #   routes                 10  1000  100000  1000000     10  1000  100000  1000000
    #                        IPv4, lengths as on the Internet   IPv6
    #   this                  228   263     392      882    272   490     597     1351
    #   pytricia 1.3.0         66   112     274     1673     78   122     354     2298
    #   py-radix 1.1.0        216   265     605     1754    253   267     524     1199
    #   pysubnettree 0.38.1   141   198     494     1093    187   206     467     1864
    #
    # Only py-radix comes built, and is no quicker; the others need a compiler, and pytricia is under the LGPL. A router
    # keeps its decisions, and asks once for many packets. A route takes 50 bytes here, 150 to 620 in a trie.

    __slots__ = ("_tables", "_walks")

    def __init__(self) -> None:
        # By bytes of an address, by bits that do not matter, by the bits that do.
        self._tables: dict[int, dict[int, dict[int, V]]] = {4: {}, 16: {}}
        self._walks: dict[int, list[tuple[int, dict[int, V]]]] = {4: [], 16: []}  # the longest prefix first

    def __len__(self) -> int:
        return sum(len(table) for tables in self._tables.values() for table in tables.values())

    def __iter__(self) -> Iterator[Network]:
        """Iterate over the prefixes: IPv4 first, by address, then by length."""
        for size, tables in self._tables.items():
            places = ((shift, bits) for shift, table in tables.items() for bits in table)
            yield from sorted(_network(size, shift, bits) for shift, bits in places)

    def __setitem__(self, prefix: Network, entry: V) -> None:
        size, shift, bits = _place(prefix)
        tables = self._tables[size]
        if shift not in tables:
            tables[shift] = {}
            self._walks[size] = sorted(tables.items(), key=_first)
        tables[shift][bits] = entry

    def __delitem__(self, prefix: Network) -> None:
        size, shift, bits = _place(prefix)
        tables = self._tables[size]
        del tables[shift][bits]
        if not tables[shift]:
            del tables[shift]
            self._walks[size] = sorted(tables.items(), key=_first)

    def entries(self) -> Iterator[V]:
        """Iterate over the entries, in no order."""
        return (entry for tables in self._tables.values() for table in tables.values() for entry in table.values())

    def get(self, prefix: Network) -> V | None:
        """Return the entry of exactly this prefix, or None."""
        size, shift, bits = _place(prefix)
        return self._tables[size].get(shift, {}).get(bits)

    def lookup(self, address: bytes) -> V | None:
        """Return the entry of the longest prefix that holds *address*, 4 or 16 bytes; None if none does."""
        number = int.from_bytes(address, "big")
        for shift, table in self._walks.get(len(address), ()):
            entry = table.get(number >> shift)
            if entry is not None:
                return entry
        return None


def _first(item: tuple[int, object]) -> int:
    return item[0]


def _place(prefix: Network) -> tuple[int, int, int]:
    """Return where a prefix is kept: bytes of the address, bits that do not matter, those that do."""
    shift = prefix.max_prefixlen - prefix.prefixlen
    return prefix.max_prefixlen // 8, shift, int(prefix.network_address) >> shift


def _network(size: int, shift: int, bits: int) -> Network:
    octets = (bits << shift).to_bytes(size, "big")
    return ip_network((octets, size * 8 - shift))
