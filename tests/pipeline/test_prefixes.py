"""The longest prefix that holds an address."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.pipeline.prefixes import Prefixes

Network = IPv4Network | IPv6Network


def table(*prefixes: str) -> Prefixes[str]:
    entries: Prefixes[str] = Prefixes()
    for prefix in prefixes:
        entries[ip_network(prefix)] = prefix
    return entries


def packed(address: str) -> bytes:
    return ip_address(address).packed


# Few bits, so that prefixes hold each other.
networks = st.one_of(
    st.builds(
        lambda bits, length: IPv4Network((bits << 28, length), strict=False), st.integers(0, 15), st.integers(0, 5)
    ),
    st.builds(
        lambda bits, length: IPv6Network((bits << 124, length), strict=False), st.integers(0, 15), st.integers(0, 5)
    ),
)


@pytest.mark.parametrize(
    ("address", "prefix"),
    [
        ("10.1.2.3", "10.1.0.0/16"),
        ("10.2.0.1", "10.0.0.0/8"),
        ("10.1.2.9", "10.1.2.9/32"),
        ("11.0.0.1", None),
        ("fd00::1", "fd00::/8"),
        ("fd00::2", "fd00::2/128"),
        ("::1", None),
    ],
)
def test_the_longest_prefix(address: str, prefix: str | None) -> None:
    """Of the prefixes that hold an address, of its IP version, the longest is found."""
    entries = table("10.0.0.0/8", "10.1.2.9/32", "10.1.0.0/16", "fd00::/8", "fd00::2/128")
    assert entries.lookup(packed(address)) == prefix


def test_a_default_route() -> None:
    """A prefix of no bits holds every address of its version, and none of the other."""
    entries = table("0.0.0.0/0")
    assert (entries.lookup(bytes(4)), entries.lookup(bytes(16))) == ("0.0.0.0/0", None)


@pytest.mark.parametrize("address", [b"", b"\x0a", bytes(5), bytes(17)])
def test_no_address(address: bytes) -> None:
    """Bytes of no address's length lead nowhere."""
    assert table("0.0.0.0/0", "::/0").lookup(address) is None


def test_removing() -> None:
    """What is removed is not found any more; the next shorter one is."""
    entries = table("10.0.0.0/8", "10.1.0.0/16")
    del entries[ip_network("10.1.0.0/16")]
    assert entries.lookup(packed("10.1.0.1")) == "10.0.0.0/8"


def test_nothing_is_left() -> None:
    """A table that is empty again is as small as a new one."""
    entries, new = table("10.0.0.0/8", "fd00::/8"), table()
    for prefix in list(entries):
        del entries[prefix]
    assert (entries._tables, entries._walks) == (new._tables, new._walks)


def test_removing_what_is_not_there() -> None:
    """Removing a prefix that is not there is a KeyError."""
    with pytest.raises(KeyError):
        del table("10.0.0.0/8")[ip_network("10.0.0.0/9")]


def test_the_entry_of_a_prefix() -> None:
    """get() is of exactly one prefix, not of the longest."""
    entries = table("10.0.0.0/8")
    assert (entries.get(ip_network("10.0.0.0/8")), entries.get(ip_network("10.1.0.0/16"))) == ("10.0.0.0/8", None)


def test_iterating() -> None:
    """The prefixes come by IP version, by address, by length."""
    prefixes = ["fd00::/8", "10.0.0.0/16", "10.0.0.0/8", "9.0.0.0/8"]
    entries = table(*prefixes)
    assert [str(prefix) for prefix in entries] == ["9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/16", "fd00::/8"]
    assert len(entries) == len(set(entries.entries())) == 4


@given(st.lists(networks), st.lists(networks), st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16))
def test_it_is_a_search_through_all(added: list[Network], removed: list[Network], address: bytes) -> None:
    """Whatever comes and goes, the answer is that of looking at every prefix."""
    entries: Prefixes[Network] = Prefixes()
    there: set[Network] = set()
    for prefix in added:
        entries[prefix] = prefix
        there.add(prefix)
    for prefix in set(removed) & there:
        del entries[prefix]
        there.discard(prefix)
    fitting = [prefix for prefix in there if ip_address(address) in prefix]
    assert entries.lookup(address) == max(fitting, key=lambda prefix: prefix.prefixlen, default=None)
    assert set(entries) == there
