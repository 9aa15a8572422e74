"""The few rtnetlink messages: built, asked, and read as the kernel writes them."""

from __future__ import annotations

import errno
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.linux.rtnetlink import (
    RTM_DELLINK,
    RTM_NEWLINK,
    Overrun,
    link_messages,
    open_netlink,
    query_link,
)


class Scripted:
    """A socket that answers with prepared buffers or errors, then would block."""

    def __init__(self, *answers: bytes | OSError) -> None:
        self.answers = list(answers)
        self.sent: list[bytes] = []

    def send(self, message: bytes) -> None:
        self.sent.append(message)

    def recv(self, size: int) -> bytes:
        if not self.answers:
            raise BlockingIOError
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer


def attribute(kind: int, value: bytes) -> bytes:
    return (struct.pack("=HH", 4 + len(value), kind) + value).ljust((4 + len(value) + 3) & ~3, b"\0")


def message(kind: int, *, index: int = 3, name: bytes = b"vpn0", mtu: int = 1400, extra: bytes = b"") -> bytes:
    """Return a link message as the kernel lays it out."""
    attributes = attribute(3, name + b"\0") + attribute(4, struct.pack("=I", mtu)) + extra
    body = struct.pack("=BxHiII", 0, 0xFFFE, index, 0x1, 0) + attributes
    return (struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body).ljust((16 + len(body) + 3) & ~3, b"\0")


def test_a_link_is_read_from_its_attributes() -> None:
    """Name, mtu, index and flags come from the message."""
    (found,) = link_messages(Scripted(message(RTM_NEWLINK)))  # type: ignore[arg-type]
    link = found.link
    assert (link.name, link.mtu, link.index, link.flags, found.deleted) == ("vpn0", 1400, 3, 1, False)


def test_several_messages_in_one_buffer_are_all_read() -> None:
    """One recv() may return several announcements."""
    buffer = message(RTM_NEWLINK, name=b"abc") + message(RTM_DELLINK, name=b"de")
    found = link_messages(Scripted(buffer))  # type: ignore[arg-type]
    assert [(one.link.name, one.deleted) for one in found] == [("abc", False), ("de", True)]


def test_statistics_are_read_in_the_kernels_order() -> None:
    """The head of rtnl_link_stats64 is packets, bytes, errors, drops, received before transmitted."""
    extra = attribute(23, struct.pack("=12Q", *range(1, 13)))
    (found,) = link_messages(Scripted(message(RTM_NEWLINK, extra=extra)))  # type: ignore[arg-type]
    link = found.link
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
    (found,) = link_messages(Scripted(message(RTM_NEWLINK, extra=info)))  # type: ignore[arg-type]
    assert found.link.kind == kind


def test_an_overrun_is_told() -> None:
    """ENOBUFS means announcements were lost."""
    with pytest.raises(Overrun):
        link_messages(Scripted(OSError(errno.ENOBUFS, "")))  # type: ignore[arg-type]


def test_another_error_is_raised_as_it_is() -> None:
    """An error that is not an overrun is nobody's to hide."""
    with pytest.raises(OSError, match="boom"):
        link_messages(Scripted(OSError(errno.EBADF, "boom")))  # type: ignore[arg-type]


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


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(buffer: bytes) -> None:
    """Truncated and nonsensical messages raise nothing but the documented errors."""
    header = struct.pack("=IHHII", 16 + len(buffer), 99, 0, 1, 0)
    assert link_messages(Scripted(header + buffer, buffer)) is not None  # type: ignore[arg-type]


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
