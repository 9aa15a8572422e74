"""
A connected stream socket as an endpoint: TCP or unix, plain, inside TLS or as a WebSocket.

The socket is read and written here and not by an asyncio transport, whose write buffer has no bound and whose
callbacks come packet by packet: one read gives all the packets of up to 64 KiB, and one write takes a batch.
What is held of a slow reader's packets is one such read and a part of a packet, of a slow peer's one such write; the
rest stays with whoever sends, who waits.
"""

from __future__ import annotations

import contextlib
import select
import socket
from collections import Counter
from collections.abc import Callable, Sequence

from ..endpoint import Event, EventKind, FdReadiness, InterfaceCounters, SteadyPort
from ..endpoint.forking import abandon_in_child, close_copy
from ..errors import DeviceError, DeviceGone
from .channel import Channel
from .flushing import FlushingReadiness
from .stream_framing import Framing
from .stream_polling import StreamPoll

__all__ = ["READ_SIZE", "WRITE_SIZE", "StreamChannel", "StreamPort"]

READ_SIZE = 1 << 16
"""Bytes read at once; of 1400-byte packets that is 46, and four times as many are no quicker."""
READS = 16
"""Times that one batch reads, at most: bytes that make no packet, such as pings, must not hold the loop."""
WRITE_SIZE = 1 << 16
"""Bytes given to the socket at once, and by one packet more."""


class StreamPort(SteadyPort):
    """A connected, non-blocking stream socket, and the framing that makes packets of it. Owns the socket."""

    def __init__(
        self, sock: socket.socket, name: str, mtu: int, framing: Framing, closed: Callable[[], None] | None = None
    ) -> None:
        self._socket = sock
        self._framing = framing
        self._closed = closed  # to be told when the socket is closed or given away
        self.name = name
        self.mtu = mtu
        self.readable: FdReadiness = FdReadiness(f"receiving from {name}", sock.fileno())
        self.writable: FlushingReadiness = FlushingReadiness(f"sending to {name}", sock.fileno(), self._flush_later)
        self._tell: Callable[[Event], None] | None = None
        self._poll: StreamPoll | None = None
        self._gone: DeviceGone | None = None
        self._ended = False  # nothing more can be read; what arrived before sending failed can
        self._tail: bytes | memoryview = b""  # encoded and not yet written
        self._tail_packets = 0  # of which it is, at most
        self._sent = self._sent_bytes = self._received = self._received_bytes = 0
        self._dropped: Counter[str] = Counter()
        abandon_in_child(self)

    def fileno(self) -> int:
        if not hasattr(select, "epoll"):  # there poll() does not see what was read and not taken
            return self._socket.fileno()
        if self._poll is None:
            self._poll = StreamPoll(self._socket.fileno())
            self._poll.set(self._is_ready())
        return self._poll.fileno()

    def read_many(self, limit: int) -> list[bytes]:
        batch: list[bytes] = []
        framing = self._framing
        try:
            batch = framing.take(limit)
            for _ in range(READS):
                # Ready behind all packets is an error: it has to be known now, for the peer may say nothing more.
                if len(batch) == limit or not (framing.ready or self._fill()):
                    break
                batch += framing.take(limit - len(batch))
        except DeviceGone as gone:
            if not self._ended:
                self._ended = True
                self._finish()
                self._gone = gone  # says more than a reply that could not be written any more
            self._end(gone)
        if self._poll is not None:
            self._poll.set(self._is_ready())
        if self._gone is not None and not batch:
            raise _again(self._gone)
        self._received += len(batch)
        self._received_bytes += sum(map(len, batch))
        return batch

    def write_many(self, batch: Sequence[bytes]) -> int:
        sent = 0
        if self._flush():
            while sent < len(batch):
                run = batch[sent : sent + _run(batch, sent)]
                whole = self._begin(run)
                if self._gone is not None:
                    break
                sent += len(run)
                self._sent += len(run)
                self._sent_bytes += sum(map(len, run))
                if not whole:
                    break
        if self._gone is not None:
            gone = _again(self._gone)
            gone.sent = sent
            raise gone
        return sent

    def counters(self) -> InterfaceCounters:
        """
        Return what went through the stream; ``ipackets`` were written, ``opackets`` received.

        ``unsent`` are packets given to the stream that were not written whole when it ended; the first ones may be.
        """
        return InterfaceCounters(
            ipackets=self._sent,
            ibytes=self._sent_bytes,
            opackets=self._received,
            obytes=self._received_bytes,
            dropped=dict(self._dropped),
        )

    def watch(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell

    def disarm(self) -> None:
        self._tell = None
        self.readable.disarm()
        self.writable.disarm()

    def close_now(self) -> None:
        self.disarm()
        if self._socket.fileno() == -1:
            return
        self._finish()
        self._release()
        self._socket.close()

    def abandon(self) -> None:
        """See Abandoning."""
        close_copy(self._socket.detach())

    def detach(self) -> int:
        held = self._framing.held
        if not self._framing.plain or held or self._tail or self._gone:
            what = f"{held} bytes read and {len(self._tail)} to write" if self._framing.plain else "keys and state"
            raise DeviceError(f"{self.name}: cannot give its descriptor away, there are {what} that belong to it")
        self.disarm()
        self._release()
        return self._socket.detach()

    # --- inside -----------------------------------------------------------------------------------

    def _fill(self) -> bool:
        """Read a piece of the stream, and return whether it brought something; the rest of it is left."""
        if self._ended:
            return False
        try:
            chunk = self._socket.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            raise self._lost(error, "receive") from error
        if not chunk:
            raise self._framing.ended()
        if self.readable.busy.seconds:
            self.readable.busy.brought(len(chunk))
        self._framing.feed(chunk)
        self._reply()
        return True

    def _begin(self, run: Sequence[bytes]) -> bool:
        """Give packets to the stream, and return whether all of it was written."""
        try:
            self._tail, self._tail_packets = self._framing.encode(run), len(run)
        except DeviceGone as gone:
            self._end(gone)
        return self._flush()

    def _reply(self) -> bool:
        """Write what the protocol says by itself, behind what was begun; return whether that is all."""
        if not self._flush():
            return False
        self._tail = self._framing.answer()
        return self._flush()

    def _flush(self) -> bool:
        """Write what was begun, and return whether that is all; the rest follows when there is room."""
        if self._push():
            return True
        if self._gone is None:
            self.writable.flush_later()
        return False

    def _push(self) -> bool:
        """Write of the tail what there is room for, and return whether it was all; ``_gone`` says so if it is lost."""
        if self._gone is not None:
            return False
        if not self._tail:
            return True
        try:
            written = self._socket.send(self._tail)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self._end(self._lost(error, "send"))
            return False
        if written < len(self._tail):
            self._tail = memoryview(self._tail)[written:]
            return False
        self._tail, self._tail_packets = b"", 0
        return True

    def _flush_later(self) -> bool:
        """Go on writing, called by the loop; a loss is told, for nobody may be about to send."""
        whole = self._flush() and self._reply()
        if self._gone is not None:
            if self._tell is not None:
                self._tell(Event(EventKind.GONE))
            self.disarm()
        return whole

    def _finish(self) -> None:
        """End our way of the stream with its last words, as far as there is room: the peer need not wait for close."""
        if self._push():
            self._tail = self._framing.finish()
            self._push()
        self._drop_tail()
        with contextlib.suppress(OSError):  # the peer may have left
            self._socket.shutdown(socket.SHUT_WR)

    def _end(self, gone: DeviceGone) -> None:
        """Be gone, whatever is still to be received; both waiters look again."""
        if self._gone is None:
            self._gone = gone
            self._drop_tail()
        self.readable.set()
        self.writable.set()

    def _drop_tail(self) -> None:
        if self._tail and self._tail_packets:
            self._dropped["unsent"] += self._tail_packets
        self._tail, self._tail_packets = b"", 0

    def _release(self) -> None:
        """Free what there is beside the socket, and say that it is ours no more."""
        if self._poll is not None:
            self._poll.close()
            self._poll = None
        if self._closed is not None:
            self._closed()
            self._closed = None

    def _is_ready(self) -> bool:
        return self._framing.ready or self._gone is not None

    def _lost(self, error: OSError, doing: str) -> DeviceGone:
        return DeviceGone(f"{self.name}: cannot {doing}: {error.strerror}", error.errno)


class StreamChannel(Channel):
    """
    Packets over a byte stream, with the face of every endpoint; made by open_stream(), open_unix(), a StreamServer.

    Sending waits while the peer takes nothing. The peer's end, and a stream that makes no sense, raise DeviceGone;
    of the latter kind is StreamBroken. Who neither receives nor sends does not notice. What was sent and has not
    left when the channel is closed is lost: wait for writable() first where that matters.
    """

    __slots__ = ()
    kind = "stream"


def _run(batch: Sequence[bytes], start: int) -> int:
    """Return how many packets from *start* on are written at once."""
    size = 0
    for index in range(start, len(batch)):
        size += len(batch[index])
        if size >= WRITE_SIZE:
            return index - start + 1
    return len(batch) - start


def _again(gone: DeviceGone) -> DeviceGone:
    """Return an error like *gone*: one that is raised again and again, in two tasks, would gather their traces."""
    again = type(gone)(str(gone), gone.errno)
    again.__cause__ = gone.__cause__
    return again
