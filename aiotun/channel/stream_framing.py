"""
Packets in a stream of bytes: the framing, without any I/O.

A framing is fed what was read, and gives what is to be written. Its layers stack: TLS is a framing around another.
"""

from __future__ import annotations

import abc
import errno
from collections.abc import Sequence
from typing import Literal

from ..errors import DeviceGone

__all__ = ["Framing", "LengthBytes", "LengthFraming", "StreamBroken"]

LengthBytes = Literal[2, 4]
"""Bytes that say a packet's length, in network order."""


class StreamBroken(DeviceGone):
    """
    What came is no stream of packets, or ended in the middle: a bad length, an end inside a packet, a bad TLS record.

    Terminal: where the next packet begins is unknown, and is not guessed.
    """

    code = errno.EPROTO
    reason = "broken"


class Framing(abc.ABC):
    """The state of one connection's stream, both ways."""

    established = True
    """Whether packets may flow: the handshake, if there is one, is done."""
    plain = False
    """Whether the stream can go on in other hands once nothing is held: it has no keys and no state."""

    @abc.abstractmethod
    def feed(self, chunk: bytes) -> None:
        """Take what was read of the stream."""

    @abc.abstractmethod
    def take(self, limit: int) -> list[bytes]:
        """
        Return up to *limit* packets that are whole, oldest first.

        Raises:
            DeviceGone: If the peer ended the stream in its own protocol, and no packet is left.
            StreamBroken: If what follows is no packet, and none is left before it.
        """

    @property
    @abc.abstractmethod
    def held(self) -> int:
        """Bytes fed and not yet taken, those of a packet's part included."""

    @property
    @abc.abstractmethod
    def ready(self) -> bool:
        """Whether take() has something: a packet, or an error."""

    @abc.abstractmethod
    def encode(self, batch: Sequence[bytes]) -> bytes:
        """
        Return the bytes that stand for *batch* in the stream.

        Raises:
            DeviceGone: If the stream has ended.
        """

    def answer(self) -> bytes:
        """Return what the protocol has to say by itself: its part of a handshake, replies."""
        return b""

    def finish(self) -> bytes:
        """Return the last words, if the protocol has some."""
        return b""

    @abc.abstractmethod
    def ended(self) -> DeviceGone:
        """Return what the end of the stream means now, after everything was taken."""


class LengthFraming(Framing):
    """
    Each packet behind its length in 2 or 4 bytes, most significant first, as RFC 4571 and OpenVPN have it over TCP.

    A length of 0 or beyond *mtu* ends the stream. Holds what it was fed until it is taken, and copies each packet once.
    """

    plain = True

    def __init__(self, name: str, mtu: int, length_bytes: LengthBytes = 2) -> None:
        self._name = name
        self._mtu = mtu
        self._header: int = length_bytes
        self._chunk = b""
        self._at = 0  # where the next packet begins in it
        self._more = bytearray()  # fed since; joined to the chunk once that completes a packet
        self._missing = 0  # bytes that the next packet lacks, at least
        self._bad: int | None = None

    def feed(self, chunk: bytes) -> None:
        self._missing -= len(chunk)
        if self._missing > 0:
            self._more += chunk
            return
        rest = self._chunk[self._at :]
        self._chunk = b"".join((rest, self._more, chunk)) if rest or self._more else chunk
        self._more.clear()
        self._at = self._missing = 0

    def take(self, limit: int) -> list[bytes]:
        chunk, at, header, mtu = self._chunk, self._at, self._header, self._mtu
        end = len(chunk)
        batch: list[bytes] = []
        append = batch.append
        for _ in range(limit):
            start = at + header
            if start > end:
                break
            size = chunk[at] << 8 | chunk[at + 1] if header == 2 else int.from_bytes(chunk[at:start], "big")
            if not 0 < size <= mtu:
                self._bad = size
                break
            stop = start + size
            if stop > end:
                break
            append(chunk[start:stop])
            at = stop
        self._at = at
        self._missing = max(0, self._need() - len(self._more))
        if self._bad is not None and not batch:
            raise StreamBroken(f"{self._name}: the peer sent a packet length of {self._bad}, it is 1 to {mtu} here")
        return batch

    @property
    def held(self) -> int:
        return len(self._chunk) - self._at + len(self._more)

    @property
    def ready(self) -> bool:
        return self._need() <= 0

    def encode(self, batch: Sequence[bytes]) -> bytes:
        header = self._header
        return b"".join([part for packet in batch for part in (len(packet).to_bytes(header, "big"), packet)])

    def ended(self) -> DeviceGone:
        if not self.held:
            return DeviceGone(f"{self._name}: the peer closed the connection")
        whole = self._whole()
        what, size = ("a packet", whole) if whole else ("a packet's length", self._header)
        return StreamBroken(f"{self._name}: the stream ended inside {what}, after {self.held} of {size} bytes")

    def _whole(self) -> int:
        """Return the bytes of the next packet with its length in front, 0 if that is not known yet."""
        length = self._chunk[self._at : self._at + self._header]
        return self._header + int.from_bytes(length, "big") if len(length) == self._header else 0

    def _need(self) -> int:
        """Return how many bytes the chunk lacks for the next packet, or for its length; 0 or less for none."""
        if self._bad is not None:
            return 0
        return (self._whole() or self._header) - (len(self._chunk) - self._at)
