"""A UDP socket that answers what a test told it to, for faults no real network makes on demand."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Sequence

from aiotun.channel import UdpPort

SO_MEMINFO = 55


def refuse(code: int) -> OSError:
    """Return the exception the socket module raises for an errno."""
    return OSError(code, os.strerror(code))


BLOCK = refuse(errno.EAGAIN)


class FakeSocket:
    """Answers recv() and each send from a list; then nothing is there to read, and every send goes out."""

    family = socket.AF_INET

    def __init__(
        self, *, recv: Sequence[bytes | OSError] = (), send: Sequence[OSError | None] = (), segments: bool = False
    ) -> None:
        self.recv_answers = list(recv)
        self.send_answers = list(send)
        self.segments = segments
        self.sent: list[bytes] = []
        self.calls: list[int] = []
        """Datagrams in each call that went out."""
        self.drops = 0
        self.path_mtu = 1500

    def port(self) -> UdpPort:
        return UdpPort(self, "udp fake")  # type: ignore[arg-type]

    def fileno(self) -> int:
        return -1

    def recv(self, size: int) -> bytes:
        answer = self.recv_answers.pop(0) if self.recv_answers else BLOCK
        if isinstance(answer, OSError):
            raise answer
        return answer

    def send(self, packet: bytes) -> int:
        self._send([packet])
        return len(packet)

    def sendmsg(self, run: Sequence[bytes], control: object) -> int:
        self._send(run)
        return sum(map(len, run))

    def getsockopt(self, level: int, option: int, size: int = 0) -> int | bytes:
        if option == SO_MEMINFO:
            return struct.pack("=9I", *[0] * 8, self.drops)
        if level == socket.IPPROTO_UDP and not self.segments:
            raise refuse(errno.ENOPROTOOPT)
        return self.path_mtu if level == socket.IPPROTO_IP else 0

    def _send(self, run: Sequence[bytes]) -> None:
        answer = self.send_answers.pop(0) if self.send_answers else None
        if answer is not None:
            raise answer
        self.sent += run
        self.calls.append(len(run))
