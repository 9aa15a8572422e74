"""Addresses: one form for each."""

from __future__ import annotations

import re
import socket

import pytest

from aiotun.channel.udp_address import (
    address_of,
    address_text,
    family_of,
    normal_address,
    normal_host,
    packed_address,
    packed_source,
    sockaddr,
)


@pytest.mark.parametrize(
    ("host", "normal"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%7", "fe80::1%7"),
        ("fe80::1%lo", "fe80::1%1"),
        ("::", "::"),
    ],
)
def test_a_host_has_one_form(host: str, normal: str) -> None:
    """Whatever way an address is written, its form is the same."""
    assert normal_host(host) == normal


@pytest.mark.parametrize("host", ["localhost", "", "192.0.2", "192.0.2.1%1", "fe80::1%nowhere", "fe80::1%", "1::2::3"])
def test_a_name_is_no_host(host: str) -> None:
    """What is not numeric, or of no interface, is refused."""
    with pytest.raises(ValueError, match=re.escape(f"udp: {host!r} is no numeric address")):
        normal_host(host)


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_a_port_nobody_has(port: int) -> None:
    """No datagram can be sent to a port that is none (G6)."""
    with pytest.raises(ValueError, match=f"udp: no datagram can be sent to port {port} of 192.0.2.1"):
        normal_address(("192.0.2.1", port))


def test_an_address_is_normal() -> None:
    """The host of an address is, and its port stays."""
    assert normal_address(("::FFFF:192.0.2.1", 65535)) == ("192.0.2.1", 65535)


@pytest.mark.parametrize(
    ("told", "address"),
    [
        (("192.0.2.1", 5), ("192.0.2.1", 5)),
        (("::ffff:192.0.2.1", 5, 0, 0), ("192.0.2.1", 5)),
        (("2001:db8::1", 5, 0, 0), ("2001:db8::1", 5)),
        (("fe80::1", 5, 0, 3), ("fe80::1%3", 5)),
        (("fe80::1%lo", 5, 0, 1), ("fe80::1%1", 5)),
    ],
)
def test_what_the_socket_module_tells(told: tuple[object, ...], address: tuple[str, int]) -> None:
    """Its tuples of 2 and of 4 become addresses."""
    assert address_of(told) == address


def test_what_the_socket_module_wants() -> None:
    """An address becomes a tuple of the socket's family; on IPv6 sockets IPv4 is mapped."""
    assert sockaddr(("192.0.2.1", 5), socket.AF_INET) == ("192.0.2.1", 5)
    assert sockaddr(("192.0.2.1", 5), socket.AF_INET6) == ("::ffff:192.0.2.1", 5, 0, 0)
    assert sockaddr(("fe80::1%3", 5), socket.AF_INET6) == ("fe80::1", 5, 0, 3)
    with pytest.raises(ValueError, match="is no .host, port. that this socket can send to"):
        sockaddr(("2001:db8::1", 5), socket.AF_INET)


def test_what_a_control_message_has() -> None:
    """Bytes become hosts, with their interface if they are link-local; hosts become bytes."""
    linklocal = socket.inet_pton(socket.AF_INET6, "fe80::1")
    assert packed_address(bytes([192, 0, 2, 1])) == "192.0.2.1"
    assert packed_address(linklocal, 4) == "fe80::1%4"
    assert packed_address(socket.inet_pton(socket.AF_INET6, "2001:db8::1"), 4) == "2001:db8::1"
    assert packed_source("192.0.2.1", socket.AF_INET) == (bytes([192, 0, 2, 1]), 0)
    assert packed_source("fe80::1%4", socket.AF_INET6) == (linklocal, 4)


def test_how_one_writes_it() -> None:
    """An IPv6 host stands in brackets, and its family is told by its colons."""
    assert [address_text(one) for one in (("192.0.2.1", 5), ("::1", 5))] == ["192.0.2.1:5", "[::1]:5"]
    assert [family_of(one) for one in (("192.0.2.1", 5), ("::1", 5))] == [socket.AF_INET, socket.AF_INET6]
