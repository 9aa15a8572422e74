"""One interface of a pcapng file, where its packets are recorded: an edge of a path, a side of a pump, a device."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import attrs

from ..packet import SuperPacket
from ..pipeline import Batch, Stage
from . import superpackets
from .blocks import (
    COMMENT,
    FLAGS,
    BlockType,
    Direction,
    EpbOption,
    encode_options,
    interface_block,
    packet_head,
    packet_tail,
    statistics_block,
    time_words,
)
from .outlet import Outlet

__all__ = ["CaptureInterface", "CaptureStatistics"]

UNSHARED_TAIL = packet_tail.__wrapped__
"""packet_tail() for options that will not come again."""
PACKET = int(BlockType.ENHANCED_PACKET)
_FLAGS = {direction: bits.to_bytes(4, sys.byteorder) if bits else b"" for direction, bits in FLAGS.items()}
_PLAIN = {flags: encode_options([(EpbOption.FLAGS, flags)] if flags else []) for flags in _FLAGS.values()}


@attrs.frozen(kw_only=True)
class CaptureStatistics:
    """What an interface of a capture counted: ``received == written + waiting + dropped``."""

    received: int
    """Packets that were to be recorded."""
    written: int
    """Packets passed on to the file or the reader."""
    waiting: int
    """Packets in the buffer."""
    dropped: int
    """Packets that are missing, for a live reader was too slow or had gone, or the disk was full."""


class CaptureInterface:
    """Where the packets of one interface are recorded; made by PcapngWriter.interface(). Nothing here waits."""

    __slots__ = ("_description", "_dropped", "_filter", "_missed", "_outlet", "_received", "_started", "_waiting",
                 "_written", "index", "linktype", "name", "snaplen")  # fmt: skip

    def __init__(
        self, outlet: Outlet, index: int, name: str, linktype: int, snaplen: int, description: str, filter: str
    ) -> None:
        self.index = index
        self.name = name
        self.linktype = linktype
        self.snaplen = snaplen
        """Bytes kept of a packet, at most."""
        self._description = description
        self._filter = filter
        self._outlet = outlet
        self._started = time.time_ns()
        self._received = self._written = self._waiting = self._dropped = 0
        self._missed = 0  # dropped since the last packet that was recorded

    def __repr__(self) -> str:
        return f"<CaptureInterface {self.index} {self.name}>"

    def write(
        self,
        packet: bytes,
        time_ns: int | None = None,
        *,
        length: int | None = None,
        direction: Direction | None = None,
        comments: str | Sequence[str] = (),
        dropped: int = 0,
        packet_id: int | None = None,
    ) -> None:
        """
        Record one packet.

        Args:
            packet: Its bytes; what is beyond ``snaplen`` is cut off. A super-packet is written as it is, with its
                fields in a comment.
            time_ns: Nanoseconds since the epoch; now by default.
            length: Bytes it had before it was cut elsewhere.
            direction: Which way it went.
            comments: What to say of it, a text or several.
            dropped: Packets that were lost before it, on their way here.
            packet_id: A number that the same packet has on other interfaces too.

        Raises:
            ValueError: If the time is before 1970 or after 2554, or the direction is neither ``"in"`` nor ``"out"``.
        """
        words = time_words(time.time_ns() if time_ns is None else time_ns)
        flags = _flags(direction)
        self._received += 1
        if not self._outlet.taking:
            self._miss(1 + dropped)
            return
        texts = (comments,) if isinstance(comments, str) else comments
        if isinstance(packet, SuperPacket):
            described = superpackets.describe(packet)
            texts = texts if described in texts else (*texts, described)
        options: list[tuple[int, bytes | str]] = [(COMMENT, text) for text in texts]
        if flags:
            options.append((EpbOption.FLAGS, flags))
        if dropped + self._missed:
            options.append((EpbOption.DROPCOUNT, _u64(dropped + self._missed)))
        if packet_id is not None:
            options.append((EpbOption.PACKETID, _u64(packet_id)))
        kept = packet[: self.snaplen]
        total, tail = UNSHARED_TAIL(len(kept), encode_options(options))
        head = packet_head(PACKET, total, self.index, *words, len(kept), len(packet) if length is None else length)
        self._missed = 0
        self._waiting += 1
        self._outlet.add([head, kept, tail], total)

    def write_many(
        self, batch: Sequence[bytes], time_ns: int | None = None, direction: Direction | None = None
    ) -> None:
        """Record a batch, whose packets share time and direction. Raises like write()."""
        now = time.time_ns() if time_ns is None else time_ns
        if not self._outlet.taking or self._missed or not {*map(type, batch)} <= {bytes}:
            for packet in batch:
                self.write(packet, now, direction=direction)
            return
        high, low = time_words(now)
        options = _PLAIN[_flags(direction)]
        parts: list[bytes] = []
        index, snaplen, size = self.index, self.snaplen, 0
        # Packets of one length have the same head and tail, as they share the rest: most batches are of few lengths.
        around: dict[int, tuple[bytes, bytes, int]] = {}
        for packet in batch:
            length = len(packet)
            if length > snaplen:
                packet = packet[:snaplen]
            if length not in around:
                kept = len(packet)
                total, tail = packet_tail(kept, options)
                around[length] = packet_head(PACKET, total, index, high, low, kept, length), tail, total
            head, tail, total = around[length]
            parts += (head, packet, tail)
            size += total
        self._received += len(batch)
        self._waiting += len(batch)
        if parts:
            self._outlet.add(parts, size)

    def stage(self, direction: Direction | None = None) -> Stage:
        """
        Return a stage that records every packet that passes it, and passes all on, super-packets whole.

        ::

            path.insert_after("classify", writer.interface("tun0 classified").stage("out"))
        """
        _flags(direction)
        record = self.write_many

        def capture(batch: Batch) -> Batch:
            record(batch, None, direction)
            return batch

        capture.__name__ = f"capture {self.name}"
        capture.superpackets = True  # type: ignore[attr-defined]
        return capture

    def statistics(self) -> CaptureStatistics:
        """Return a snapshot of the counters."""
        return CaptureStatistics(
            received=self._received, written=self._written, waiting=self._waiting, dropped=self._dropped
        )

    # --- for the writer ---------------------------------------------------------------------------

    def _describe(self) -> bytes:
        """Return the block that a file knows the interface by."""
        return interface_block(self.linktype, self.snaplen, self.name, self._description, self._filter)

    def _count(self) -> bytes:
        """Return the block that says what was counted."""
        return statistics_block(self.index, time.time_ns(), self._started, self._received, self._dropped)

    def _passed(self, written: bool) -> None:
        """Take note of what became of the packets in the buffer."""
        waiting, self._waiting = self._waiting, 0
        if written:
            self._written += waiting
        else:
            self._dropped += waiting
            self._missed += waiting

    def _miss(self, count: int) -> None:
        self._dropped += 1
        self._missed += count


def _flags(direction: Direction | None) -> bytes:
    if direction not in FLAGS:
        raise ValueError(f'pcapng: a direction is "in" or "out", not {direction!r}')
    return _FLAGS[direction]


def _u64(number: int) -> bytes:
    if not 0 <= number < 1 << 64:
        raise ValueError(f"pcapng: {number} is not a number of 64 bits")
    return number.to_bytes(8, sys.byteorder)
