"""The few rtnetlink messages: built, asked, and read as the kernel writes them."""

from __future__ import annotations

import errno
import socket
import struct

import pytest

from aiotun.linux.rtnetlink import RTM_NEWLINK, Link, open_netlink, parse_link, query_link

from .netlink import Scripted, attribute, link_message


def parsed(message: bytes) -> Link:
    return parse_link(message[16:])


def test_statistics_are_read_in_the_kernels_order() -> None:
    """The head of rtnl_link_stats64 is packets, bytes, errors, drops, received before transmitted."""
    extra = attribute(23, struct.pack("=12Q", *range(1, 13)))
    link = parsed(link_message(RTM_NEWLINK, extra=extra))
    assert (link.rx_packets, link.tx_packets, link.rx_bytes, link.tx_bytes) == (1, 2, 3, 4)
    assert (link.rx_dropped, link.tx_dropped) == (7, 8)


@pytest.mark.parametrize(
    ("tun_type", "multi_queue", "kind"),
    [(1, 0, "tun"), (2, 0, "tap"), (1, 1, "multi-queue tun"), (2, 1, "multi-queue tap")],
)
def test_the_kind_of_a_tun_says_which(tun_type: int, multi_queue: int, kind: str) -> None:
    """The tun driver calls both its kinds "tun"; its own attributes tell them apart."""
    inner = attribute(3, bytes([tun_type])) + attribute(7, bytes([multi_queue]))
    info = attribute(18, attribute(1, b"tun\0") + attribute(2, inner))
    assert parsed(link_message(RTM_NEWLINK, extra=info)).kind == kind


def test_an_error_answer_becomes_an_oserror() -> None:
    """The kernel's negative errno is raised, with the link's name."""
    body = struct.pack("=i", -errno.ENODEV)
    answer = struct.pack("=IHHII", 16 + len(body), 2, 0, 1, 0) + body
    with pytest.raises(OSError, match="vpn9") as caught:
        query_link(Scripted(answer), "vpn9")  # type: ignore[arg-type]
    assert caught.value.errno == errno.ENODEV


def test_no_answer_is_an_error() -> None:
    """A buffer without a link in it does not pass for one."""
    with pytest.raises(OSError, match="did not answer"):
        query_link(Scripted(b""), "vpn0")  # type: ignore[arg-type]


@pytest.mark.kernel
def test_the_kernel_answers_for_lo() -> None:
    """A real question gets a real answer: lo is index 1 with an mtu of 65536."""
    with open_netlink() as sock:
        link = query_link(sock, "lo")
    assert (link.index, link.name, link.mtu) == (1, "lo", 65536)


@pytest.mark.kernel
def test_a_missing_link_is_enodev() -> None:
    """Asking for a link that is not there raises ENODEV."""
    with open_netlink() as sock, pytest.raises(OSError) as caught:
        query_link(sock, "absent0")
    assert caught.value.errno == errno.ENODEV


@pytest.mark.kernel
def test_the_sockets_are_not_inherited() -> None:
    """A netlink socket does not leak into child processes."""
    with open_netlink(subscribe=True) as sock:
        assert not sock.get_inheritable()
        assert sock.family == socket.AF_NETLINK
