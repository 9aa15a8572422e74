"""Letting through the packets that somebody wants."""

from __future__ import annotations

from collections.abc import Callable

from ..pipeline import Batch
from .pcap_program import Program
from .stock import Stock

__all__ = ["filter"]


class filter(Stock):
    """
    Drop every packet that a predicate is not true of, counted as ``filtered``.

    The predicate sees super-packets whole, their length included.

    Args:
        wanted: A callable of one packet, or an expression of tcpdump's, such as ``"tcp port 443"``, for libpcap.
        ethernet: Whether an expression looks at Ethernet frames (a tap) or at IP packets (a tun).

    Raises:
        FileNotFoundError: If it is an expression, and libpcap is not installed; the text names the package.
        ValueError: If it is an expression that libpcap does not take; the text has libpcap's reason.
        TypeError: If it is neither.
    """

    __slots__ = ("_wanted",)

    reason = "filtered"

    def __init__(self, wanted: str | Callable[[bytes], object], *, ethernet: bool = False) -> None:
        super().__init__()
        if not (isinstance(wanted, str) or callable(wanted)):
            raise TypeError(f"filter: a predicate or an expression, not {wanted!r}")
        self._wanted = Program(wanted, ethernet=ethernet) if isinstance(wanted, str) else wanted

    def __call__(self, batch: Batch) -> Batch:
        wanted = self._wanted
        kept = [packet for packet in batch if wanted(packet)]
        if len(kept) < len(batch):
            self.dropped["filtered"] += len(batch) - len(kept)
        return kept
