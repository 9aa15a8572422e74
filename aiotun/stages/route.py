"""Sending each packet to where its destination is."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping

from ..pipeline import Batch, Outcome
from .errors import ICMPErrors
from .sending import Output, sent
from .stock import Stock

__all__ = ["route"]


class route(Stock):
    """
    Hand packets to outputs by their destination; those of an output that is None go on along the path.

    The packets of one output stay in order. A super-packet goes whole; an output that takes none refuses it. Counts
    ``forwarded``, and drops ``no_route`` (the sender is told), ``no_output`` (there is none of the name that lookup()
    gave), ``refused`` (by the output), ``short_header`` and ``bad_version``.

    Args:
        lookup: Returns the name of the output for a destination address, 4 or 16 bytes, or None if there is no route:
            the longest prefix's, from whatever table it comes.
        outputs: By name: what takes a batch at once, such as ``tun.send_many_nowait``, or None for the path itself.
        errors: How to tell the sender of a packet without route.

    RFC 1812 section 5.2.4.3.
    """

    __slots__ = ("_errors", "_lookup", "_outputs")

    reason = "no_route"

    def __init__(
        self,
        lookup: Callable[[bytes], Hashable | None],
        outputs: Mapping[Hashable, Output | None],
        errors: ICMPErrors | None = None,
    ) -> None:
        super().__init__()
        self._lookup = lookup
        self._outputs = outputs
        self._errors = errors

    def __call__(self, batch: Batch) -> Batch:
        lookup, outputs = self._lookup, self._outputs
        passed = Outcome()
        dropped = passed.dropped
        unrouted: list[bytes] = []
        sorted_out: dict[Hashable, list[bytes]] = {}
        for packet in batch:
            version = packet[0] >> 4 if packet else 0
            if version == 4 and len(packet) >= 20:
                name = lookup(packet[16:20])
            elif version == 6 and len(packet) >= 40:
                name = lookup(packet[24:40])
            else:
                dropped["short_header" if version in (4, 6) or not packet else "bad_version"] += 1
                continue
            if name is None:
                unrouted.append(packet)
            elif name not in outputs:
                dropped["no_output"] += 1
            elif outputs[name] is None:
                passed.append(packet)
            else:
                sorted_out.setdefault(name, []).append(packet)
        for name, packets in sorted_out.items():
            output = outputs[name]
            taken = 0 if output is None else sent(output, packets)
            if taken:
                dropped["forwarded"] += taken
            if taken < len(packets):
                dropped["refused"] += len(packets) - taken
        if unrouted:
            dropped["no_route"] += len(unrouted)
            if self._errors is not None:
                self._errors.unreachable(unrouted)
        return self._counted(passed)
