"""One interface in a bridge: what leaves by it, and what it counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import attrs

from ..driver.superpackets import wire_length
from ..endpoint import Event
from ..endpoint.kinds import link_header
from ..errors import DeviceError, PacketTooBig, QueueFull
from .link import Link
from .output import FAULT

__all__ = ["HEADER", "Member", "MemberStatistics"]

HEADER = 14


@attrs.frozen(kw_only=True)
class MemberStatistics:
    """
    What one member counted, in frames.

    What entered: ``received == forwarded + flooded + sum(dropped.values())``; what was to leave:
    ``offered == sent + sum(refused.values())``.
    """

    received: int
    """Frames that entered by it."""
    forwarded: int
    """Of these, those that went to the one member their station is at."""
    flooded: int
    """Of these, those that went to every other member that was up, if there was one."""
    dropped: Mapping[str, int]
    """Of these, those that went nowhere, by reason."""
    offered: int
    """Frames that were to leave by it."""
    sent: int
    """Of these, those that were queued there."""
    refused: Mapping[str, int]
    """Of these, those that were not, by reason."""


class Member:
    """An interface in the bridge, and its counters."""

    __slots__ = ("dropped", "flooded", "forwarded", "link", "offered", "received", "refused", "sent", "tell")

    def __init__(self, link: Link, tell: Callable[[Event], None]) -> None:
        self.link = link
        self.tell = tell
        self.received = self.forwarded = self.flooded = self.offered = self.sent = 0
        self.dropped: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def output(self, frames: list[bytes]) -> Exception | None:
        """
        Queue what fits; count what does not. A frame that a member refuses is that member's loss alone.

        Return what a stage of the user's raised, if that is more than a refusal.
        """
        self.offered += len(frames)
        mtu = self.link.mtu
        fit = frames
        if max(map(len, frames)) > mtu + HEADER:
            fit = [frame for frame in frames if wire_length(frame) - link_header(frame) <= mtu]
            self.link.drop(PacketTooBig.reason, len(frames) - len(fit))
            self._refuse(PacketTooBig.reason, len(frames) - len(fit))
        count = len(fit)  # now: a stage of the user's may change the list
        try:
            queued = min(len(self.link.output(fit)), count) if fit else 0  # it may make more of them, too
        except DeviceError as error:
            self._refuse(error.reason, count)
        except Exception as error:
            self._refuse(FAULT, count)
            return error
        else:
            self.sent += queued
            self._refuse(QueueFull.reason, count - queued)
        return None

    def statistics(self) -> MemberStatistics:
        """Return a snapshot of the counters."""
        return MemberStatistics(
            received=self.received,
            forwarded=self.forwarded,
            flooded=self.flooded,
            dropped=dict(self.dropped),
            offered=self.offered,
            sent=self.sent,
            refused=dict(self.refused),
        )

    def _refuse(self, reason: str, count: int) -> None:
        if count:
            self.refused[reason] += count
