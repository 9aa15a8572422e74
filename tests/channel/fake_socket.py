"""A UDP socket whose system calls answer what a test told them to, for faults no real network makes on demand."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aiotun.channel.udp_datagrams import Arrived, Run
from aiotun.channel.udp_socket import UdpSocket

__all__ = ["Calls", "fake_socket"]


class Calls:
    """
    Answers each call from a list; then nothing is there to receive, and everything goes out.

    An answer to receiving is datagrams, or the errno it ends with. One to sending is the errno that refuses what is
    sent next, or None for a message that goes.
    """

    def __init__(self, *, receive: Sequence[list[bytes] | int] = (), send: Sequence[int | None] = ()) -> None:
        self.receive_answers = list(receive)
        self.send_answers = list(send)
        self.sent: list[bytes] = []
        self.messages: list[int] = []
        """Datagrams in each message that went out."""
        self.sources: list[str | None] = []
        """The source of each."""
        self.limits: list[int] = []
        """The limit of each call to receive."""

    def receive(
        self, sock: socket.socket, limit: int, size: int, addressed: bool, gro: bool
    ) -> tuple[list[Arrived], int, int, int, int]:
        self.limits.append(limit)
        answer = self.receive_answers.pop(0) if self.receive_answers else 11
        if isinstance(answer, int):
            return [], answer, 0, 0, 0
        return [(None, None, answer)], 11, 0, 0, 0

    def send(self, sock: socket.socket, runs: Sequence[Run], segment: int) -> tuple[int, int, int]:
        taken = 0
        for _, source, batch in runs:
            length = len(batch) if segment else 1
            for at in range(0, len(batch), length or 1):
                message = batch[at : at + length]
                answer = self.send_answers.pop(0) if self.send_answers else None
                if answer is not None:
                    return taken, answer, len(message)
                taken += len(message)
                self.sent += message
                self.messages.append(len(message))
                self.sources.append(source)
        return taken, 0, 0


@contextmanager
def fake_socket(calls: Calls, *, gso: bool = True, gro: bool = False) -> Iterator[UdpSocket]:
    """A UdpSocket with these system calls; of the real socket behind it only options are asked."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    udp = UdpSocket(sock, "udp fake", gso=gso, gro=gro, receive=calls.receive, send=calls.send)
    try:
        yield udp
    finally:
        udp.close()
