"""What an interface leaves to whoever has it open: cutting super-packets, and finishing checksums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..endpoint import check_offload
from ..packet import GSO_UDP_TUNNEL_IPV4, GSO_UDP_TUNNEL_IPV6, GSOType
from ..pipeline import Batch, stage
from ..pipeline.finishing import finish, plain
from ..queueing import Classified
from .finished import Finished
from .wakeup import Wakeup

__all__ = ["Offloading"]

_TCP = frozenset({int(GSOType.TCPV4), int(GSOType.TCPV6)})
_UDP = frozenset({int(GSOType.UDP_L4)})
_CHECKSUM = frozenset({int(GSOType.NONE)})
_TUNNEL = frozenset(kind | tunnel for kind in _TCP | _UDP for tunnel in (GSO_UDP_TUNNEL_IPV4, GSO_UDP_TUNNEL_IPV6))

# What a feature lets pass whole. Who is left the cutting is left the checksums as well: TUN_F_CSUM.
_OUTPUT = {"tso": _TCP | _CHECKSUM, "uso": _UDP | _CHECKSUM, "tunnel": _TUNNEL | _CHECKSUM}
_INPUT = {"tcp_gro": _TCP, "udp_gro": _UDP, "tunnel": _TUNNEL}

_PLAIN = frozenset({bytes, Classified})


class Offloading(Wakeup):
    """
    An interface that can be opened with offload; it costs nothing where it is not.

    Without, a super-packet that the stack outputs is cut in front of the send queue. With it, one is queued whole,
    and counts as one packet of its length, in the queue and in the interface's counters.
    """

    # Class attributes until it is switched on: a host may hold thousands that never are.
    offload: frozenset[str] = frozenset()
    """What is left to the reader and taken from the writer: the features of Device.offload of an endpoint."""
    takes: frozenset[int] = frozenset()
    """The GSO types that the stack takes whole from the writer."""
    _whole: frozenset[int] = frozenset()  # those that the reader is left
    _finished: Finished | None = None
    _marked = False  # whether a super-packet was ever marked with its class, where its type does not show

    def set_offload(self, features: bool | str | Iterable[str]) -> None:
        """
        Switch offload: True, False, or some of ``tso``, ``uso``, ``tcp_gro``, ``udp_gro``, ``tunnel``.

        What is queued stays as it is. Modelled on set_offload() in Linux drivers/net/tun.c.

        Raises:
            ValueError: If a name is another one.
        """
        self.offload = check_offload(features)
        self._whole = _passing(self.offload, _OUTPUT)
        self.takes = _passing(self.offload, _INPUT) | _CHECKSUM

    def read_whole(self, limit: int) -> list[bytes]:
        """Take up to *limit* packets off the send queue, super-packets in one piece."""
        return self._put_readable(self._reader().read_whole(limit))

    def read_finished(self, limit: int) -> list[bytes]:
        """Take packets off the send queue and return up to *limit* of those they stand for, finished."""
        return self._put_readable(self._reader().read_many(limit))

    def give_up_offload(self) -> None:
        """Switch offload off, and drop what was read and not handed out: whoever had it open is leaving."""
        self.set_offload(False)
        if self._finished is not None:
            self._finished.drop("closed")
            self._finished = None

    def queued_as(self, packet: bytes) -> Batch:
        """Return what *packet* takes its place in the send queue as: itself, or the segments it is cut into."""
        return finish((packet,), self.header > 0, self._whole)

    def readable_now(self) -> bool:
        return super().readable_now() or bool(self._finished)

    # --- inside -----------------------------------------------------------------------------------

    @stage(superpackets=True)
    def _classify(self, batch: Batch) -> Batch:
        marked = self._snd.classify(batch)
        if marked is not batch and not plain(batch):
            self._marked = True
        return marked

    @stage(superpackets=True)
    def _segment(self, batch: Batch) -> Batch:
        """Cut what is not left to the reader. Modelled on validate_xmit_skb() in Linux net/core/dev.c."""
        if plain(batch) or (not self._marked and _PLAIN.issuperset(map(type, batch))):
            return batch
        return finish(batch, self.header > 0, self._whole)

    def _reader(self) -> Finished:
        if self._finished is None:
            self._finished = Finished(self.read_many, self.drop, ethernet=self.header > 0)
        return self._finished

    def _put_readable(self, batch: list[bytes]) -> list[bytes]:
        self.readable.put(self.readable_now())
        return batch

    def read_many(self, limit: int) -> list[bytes]:
        """Take up to *limit* packets off the send queue."""
        raise NotImplementedError


def _passing(features: frozenset[str], kinds: Mapping[str, frozenset[int]]) -> frozenset[int]:
    return frozenset[int]().union(*(kinds[name] for name in features & kinds.keys()))
