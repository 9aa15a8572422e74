"""Families and socket addresses: numbers, layouts, and what is refused."""

from __future__ import annotations

import errno
import socket
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.driver.families import SOCKADDR, Family, SockAddr
from aiotun.errors import UnsupportedFamily

MAC = "f2:0b:a4:00:00:01"

# What the BSDs' compilers make of the structures, byte by byte.
LAYOUTS = {
    SockAddr(Family.INET, "10.8.0.2", 0x1234): "10021234 0a080002 0000000000000000",
    SockAddr(Family.INET6, "fe80::1", 0x1234): "1c1c1234 00000000 fe800000000000000000000000000001 00000000",
    SockAddr(Family.LINK, MAC): "10120000 06000600 f20ba4000001 0000",
    SockAddr(Family.IPX, "0000000102"): "1017 0000000102 000000000000000000",
    SockAddr(Family.UNSPEC): "1000" + "00" * 14,
}
every_layout = pytest.mark.parametrize(("sockaddr", "layout"), LAYOUTS.items(), ids=lambda value: str(value)[:20])


@pytest.mark.parametrize(
    ("value", "family"),
    [(0, Family.UNSPEC), (2, Family.INET), (18, Family.LINK), (23, Family.IPX), (28, Family.INET6)],
)
def test_a_family_has_dragonflys_number(value: int, family: Family) -> None:
    """A family's number is DragonFly's."""
    assert Family.of(value) is family


def test_this_machines_ipv6_is_ipv6() -> None:
    """The number that this machine has for IPv6 means IPv6."""
    assert Family.of(socket.AF_INET6) is Family.INET6


def test_an_unknown_family() -> None:
    """A number of no family is EAFNOSUPPORT, with the number and the families in the text."""
    with pytest.raises(UnsupportedFamily, match="^address family 99: not one of UNSPEC, INET, LINK, IPX, INET6$") as e:
        Family.of(99)
    assert e.value.errno == errno.EAFNOSUPPORT


@every_layout
def test_the_layout(sockaddr: SockAddr, layout: str) -> None:
    """An address packs into the BSDs' structure."""
    assert sockaddr.pack() == bytes.fromhex(layout)


@every_layout
def test_the_layout_read(sockaddr: SockAddr, layout: str) -> None:
    """The BSDs' structure is read back as the address."""
    assert SockAddr.parse(bytes.fromhex(layout)) == sockaddr


def test_a_plain_sockaddr_is_16_bytes() -> None:
    """A plain struct sockaddr has room for 16 bytes."""
    assert SOCKADDR == 16 == len(SockAddr(Family.UNSPEC).pack())


@pytest.mark.parametrize(
    ("given", "sockaddr"),
    [
        ("10.8.0.2", SockAddr(Family.INET, "10.8.0.2")),
        (IPv4Address("10.8.0.2"), SockAddr(Family.INET, "10.8.0.2")),
        (IPv4Interface("10.8.0.2/24"), SockAddr(Family.INET, "10.8.0.2")),
        ("FD00::0:1", SockAddr(Family.INET6, "fd00::1")),
        (IPv6Address("fd00::1"), SockAddr(Family.INET6, "fd00::1")),
        (IPv6Interface("fd00::1/64"), SockAddr(Family.INET6, "fd00::1")),
        (MAC.upper(), SockAddr(Family.LINK, MAC)),
    ],
)
def test_of_an_address(given: str | IPv4Address | IPv6Address, sockaddr: SockAddr) -> None:
    """An address becomes a socket address of its family, in the one spelling it has."""
    assert SockAddr.of(given) == sockaddr


@pytest.mark.parametrize("address", ["10.8.0.2", "fd00::1"])
def test_of_an_address_and_a_port(address: str) -> None:
    """A port goes with the address."""
    assert SockAddr.of(address, 53).port == 53


def test_a_family_by_number() -> None:
    """A socket address takes its family as a number, this machine's for IPv6 as well."""
    assert SockAddr(socket.AF_INET6, "fd00::1") == SockAddr(Family.INET6, "fd00::1")


@pytest.mark.parametrize(
    ("family", "address"),
    [
        (Family.INET, "10.8.0"),
        (Family.INET, ""),
        (Family.INET, "fd00::1"),
        (Family.INET6, "10.8.0.2"),
        (Family.INET6, "fe80::1%eth0"),
        (Family.INET6, f"fe80::1%{2**32}"),
        (Family.IPX, "nonsense"),
        (Family.LINK, "nonsense"),
    ],
)
def test_an_address_of_another_family(family: Family, address: str) -> None:
    """An address that is none of its family is refused, in a sentence with both."""
    with pytest.raises(ValueError) as error:
        SockAddr(family, address)
    assert str(error.value) == f"{address!r} is not an address of family {family.name}"


@pytest.mark.parametrize("address", ["", "f20ba4000001", "f2:0b:a", "f2::0b", "F2:0B", "f2-0b"])
def test_not_a_hardware_address(address: str) -> None:
    """A hardware address is pairs with colons between them."""
    with pytest.raises(ValueError, match=f"^'{address}' is not a"):
        SockAddr(Family.LINK, address)


@pytest.mark.parametrize("address", ["", "nonsense", "10.8.0.0/24", "1::2::3", "12::34::56"])
def test_of_no_address(address: str) -> None:
    """Text that is no address of any family is refused."""
    with pytest.raises(ValueError, match="^'.*' is not a"):
        SockAddr.of(address)


@pytest.mark.parametrize(("family", "room"), [(Family.LINK, 8), (Family.IPX, 14)])
def test_the_longest_address(family: Family, room: int) -> None:
    """A hardware address has up to 8 bytes, any other up to 14."""
    fits = bytes(range(1, room + 1)).hex(":")
    assert SockAddr(family, fits).pack()[-room:] == bytes(range(1, room + 1))
    with pytest.raises(ValueError, match=f"^{fits}:ff: {room + 1} bytes, at most {room} fit a sockaddr$"):
        SockAddr(family, f"{fits}:ff")


@pytest.mark.parametrize("port", [0, 65535])
def test_the_ports_there_are(port: int) -> None:
    """A port is 0 to 65535."""
    assert SockAddr.parse(SockAddr(Family.INET, "10.8.0.2", port).pack()).port == port


@pytest.mark.parametrize("port", [-1, 65536])
def test_no_port(port: int) -> None:
    """A number that is no port is refused."""
    with pytest.raises(ValueError, match=f"^10.8.0.2: port is {port}, it must be 0 to 65535$"):
        SockAddr(Family.INET, "10.8.0.2", port)


def test_a_scope_is_kept() -> None:
    """The scope of an IPv6 address travels as a number in host order."""
    sockaddr = SockAddr(Family.INET6, "fe80::1%3")
    assert sockaddr.pack()[24:] in (b"\3\0\0\0", b"\0\0\0\3")
    assert SockAddr.parse(sockaddr.pack()) == sockaddr


def test_the_name_in_a_link_address() -> None:
    """A hardware address stands behind the interface's name, which is passed over."""
    assert SockAddr.parse(bytes.fromhex("10120100 06040400 74617030 01020304")).address == "01:02:03:04"


def test_what_is_left_over() -> None:
    """Bytes after the length that the address has are not looked at."""
    sockaddr = SockAddr(Family.INET, "10.8.0.2")
    assert SockAddr.parse(sockaddr.pack() + b"left") == sockaddr


def test_an_empty_structure() -> None:
    """16 zero bytes are no address: family UNSPEC, empty text."""
    assert SockAddr.parse(bytes(16)) == SockAddr(Family.UNSPEC, "")


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        ("", "sockaddr: 0 bytes, the length and the family alone are 2"),
        ("10", "sockaddr: 1 bytes, the length and the family alone are 2"),
        ("0502 0000", "sockaddr: its length byte says 5, 4 bytes are there"),
        ("0f02" + "00" * 13, "sockaddr: 15 bytes, a INET address takes 16"),
        ("1b1c" + "00" * 25, "sockaddr: 27 bytes, a INET6 address takes 28"),
        ("0712" + "00" * 5, "sockaddr: 7 bytes, a LINK address takes 8"),
        ("0d12 0000 06000600 f20ba40000", "sockaddr: 13 bytes, a LINK address takes 14"),
    ],
)
def test_cut_short(layout: str, text: str) -> None:
    """A structure that is shorter than its family or its length byte says is refused."""
    with pytest.raises(ValueError) as error:
        SockAddr.parse(bytes.fromhex(layout))
    assert str(error.value) == text


def test_two_bytes_are_enough_for_no_address() -> None:
    """A structure of its two first bytes alone is read."""
    assert SockAddr.parse(b"\2\0") == SockAddr(Family.UNSPEC)


def test_a_structure_of_an_unknown_family() -> None:
    """A structure of a family we have not is EAFNOSUPPORT."""
    with pytest.raises(UnsupportedFamily):
        SockAddr.parse(b"\x10\x63" + bytes(14))


@given(st.one_of(st.ip_addresses(), st.binary(min_size=1, max_size=8).map(lambda octets: octets.hex(":"))))
def test_there_and_back(address: str | IPv4Address | IPv6Address) -> None:
    """What was packed is parsed as what it was."""
    sockaddr = SockAddr.of(address)
    assert SockAddr.parse(sockaddr.pack()) == sockaddr
