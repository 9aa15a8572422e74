"""The error queue: who could not be reached, and who says so."""

from __future__ import annotations

import errno
import socket
import struct
import sys

import pytest

from aiotun.channel.udp_reports import Notice, hear, listen_for_reports
from aiotun.endpoint import Report

from .reported import reported

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the error queue is Linux's")


def closed_port(family: int, host: str) -> int:
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("family", "to", "peer"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET6, "::ffff:127.0.0.1", "127.0.0.1"),
    ],
)
def test_a_closed_port_is_heard_of(family: int, to: str, peer: str) -> None:
    """A datagram to nobody is reported with its peer, on a socket that is not connected too (G2)."""
    port = closed_port(socket.AF_INET6 if ":" in peer else socket.AF_INET, peer)
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        assert listen_for_reports(sock)
        sock.sendto(b"1", (to, port))
        reported(sock.fileno())
        assert hear(sock) == [Notice(report=Report((peer, port), errno.ECONNREFUSED, peer), local=False, mtu=None)]
        assert hear(sock) == []


def test_a_datagram_too_long_is_heard_of() -> None:
    """A datagram that this host did not send is a notice of its own, with the path's mtu (G3)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        listen_for_reports(sock)
        with pytest.raises(OSError, match="Message too long"):
            sock.sendto(bytes(65508), ("127.0.0.1", 9))
        (notice,) = hear(sock)
        assert (notice.local, notice.mtu, notice.report.errno) == (True, 65535, errno.EMSGSIZE)


class Queue:
    """A socket with what a test puts into its error queue."""

    def __init__(self, *entries: tuple[int, int, bytes]) -> None:
        self.entries = list(entries)
        self.endless = False

    def recvmsg(self, *arguments: int) -> tuple[bytes, list[tuple[int, int, bytes]], int, tuple[str, int]]:
        if not self.entries:
            raise BlockingIOError
        entry = self.entries[0] if self.endless else self.entries.pop(0)
        return b"", [entry], 0, ("192.0.2.1", 5)


def error(code: int, info: int = 0, offender: bytes = b"") -> bytes:
    return struct.pack("=IBBBxII", code, 2, 3, 4, info, 0) + offender


def test_what_a_router_says() -> None:
    """A router's word on the path's mtu, and its address, come out of the entry (G3)."""
    router = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton("198.51.100.1"))
    (notice,) = hear(Queue((0, 11, error(errno.EMSGSIZE, 1280, router))))  # type: ignore[arg-type]
    assert notice == Notice(report=Report(("192.0.2.1", 5), errno.EMSGSIZE, "198.51.100.1"), local=False, mtu=1280)


@pytest.mark.parametrize("entry", [(0, 11, b""), (0, 11, bytes(15)), (1, 11, bytes(32)), (0, 8, bytes(32))])
def test_what_is_no_notice_is_passed_over(entry: tuple[int, int, bytes]) -> None:
    """Other control messages, and ones cut short, are no notices, and end nothing."""
    assert len(hear(Queue(entry, (0, 11, error(111))))) == 1  # type: ignore[arg-type]


def test_a_flood_of_notices_does_not_hold_the_loop() -> None:
    """At most 64 are taken in one go."""
    queue = Queue((0, 11, error(111)))
    queue.endless = True
    assert len(hear(queue)) == 64  # type: ignore[arg-type]


def test_a_report_is_a_sentence() -> None:
    """A report reads as who, what, and who says so."""
    assert str(Report(("192.0.2.1", 5), errno.ECONNREFUSED, "198.51.100.1")) == (
        "192.0.2.1 port 5: Connection refused, says 198.51.100.1"
    )
    assert str(Report(None, errno.EHOSTUNREACH)) == "somebody: No route to host"
