"""A learning bridge: taps of this host as the ports of one Ethernet switch, IEEE 802.1D without the spanning tree."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import attrs

from ..endpoint import Event, EventKind
from ..endpoint.kinds import link_header
from ..errors import DeviceBusy, DeviceError, DeviceGone, PacketTooBig, QueueFull
from ..packet import format_mac
from .link import Link

__all__ = ["Bridge", "MemberStatistics", "Station"]

HEADER = 14
AGEING = 300.0
"""Seconds without a frame after which a station is forgotten, IEEE 802.1D table 7-5."""


@attrs.frozen
class Station:
    """One line of a bridge's table."""

    mac: bytes = attrs.field(repr=format_mac)
    """The station's Ethernet address."""
    member: str
    """The interface it was last heard by."""
    age: float
    """Seconds since then."""


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


class _Member:
    """An interface in the bridge, and its counters."""

    __slots__ = ("dropped", "flooded", "forwarded", "link", "offered", "received", "refused", "sent", "tell")

    def __init__(self, link: Link, tell: Callable[[Event], None]) -> None:
        self.link = link
        self.tell = tell
        self.received = self.forwarded = self.flooded = self.offered = self.sent = 0
        self.dropped: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def output(self, frames: list[bytes]) -> None:
        """Queue what fits; count what does not. A frame that a member refuses is that member's loss alone."""
        self.offered += len(frames)
        mtu = self.link.mtu
        fit = frames
        if max(map(len, frames)) > mtu + HEADER:
            fit = [frame for frame in frames if len(frame) - link_header(frame) <= mtu]
            self.link.drop(PacketTooBig.reason, len(frames) - len(fit))
            self._refuse(PacketTooBig.reason, len(frames) - len(fit))
        try:
            queued = len(self.link.output(fit)) if fit else 0
        except DeviceError as error:
            self._refuse(error.reason, len(fit))
        else:
            self.sent += queued
            self._refuse(QueueFull.reason, len(fit) - queued)

    def _refuse(self, reason: str, count: int) -> None:
        if count:
            self.refused[reason] += count


class Bridge:
    """
    A learning bridge of taps.

    Give what enters by a member to input(); it leaves by the others at once. Nothing waits. A frame for a station
    that was heard goes where it was heard; one for a group, for everybody or for an unknown station goes to every
    member but the one it came from. VLAN tags stay as they are and are not looked at.

    There is no spanning tree: two bridges joined by two ways, or a tap that echoes, make frames go round for ever.

    Args:
        name: What the bridge is called in errors, ``br0``.
        members: The taps in it.
        limit: Stations remembered, at most; the one not heard for longest makes room.
        ageing: Seconds without a frame after which a station is forgotten.

    Modelled on if_bridge(4) of the BSDs.
    """

    def __init__(self, name: str, members: Iterable[Link] = (), *, limit: int = 1024, ageing: float = AGEING) -> None:
        self.name = name
        self._limit = limit
        self._ageing = ageing
        self._members: dict[Link, _Member] = {}
        self._stations: dict[bytes, tuple[_Member, float]] = {}  # the one not heard for longest first
        for member in members:
            self.add(member)

    def __repr__(self) -> str:
        return f"<Bridge {self.name} {' '.join(link.name for link in self._members) or 'without members'}>"

    def __contains__(self, link: object) -> bool:
        return link in self._members

    @property
    def members(self) -> tuple[Link, ...]:
        """The members there are now, in the order they came."""
        return tuple(self._members)

    def add(self, link: Link) -> None:
        """
        Take a tap in; it leaves by itself when it is deleted.

        Raises:
            ValueError: If it is not a tap.
            DeviceBusy: If it is in already.
        """
        if link.header != HEADER:
            raise ValueError(f"{self.name}: {link.name} is not a tap, a bridge takes frames")
        if link in self._members:
            raise DeviceBusy(f"{self.name}: {link.name} is a member already")
        member = self._members[link] = _Member(link, partial(self._changed, link))
        link.listen(member.tell)

    def remove(self, link: Link) -> None:
        """
        Let a member go, and forget the stations at it.

        Raises:
            DeviceGone: If it is not a member.
        """
        member = self._member(link)
        del self._members[link]
        link.unlisten(member.tell)
        self._forget(member)

    def close(self) -> None:
        """Let every member go."""
        for link in self.members:
            self.remove(link)

    def input(self, link: Link, frames: list[bytes], now: float | None = None) -> None:
        """
        Take frames that entered by the member *link*, and output them by the others, one batch for each.

        Reasons to drop: ``short_header``; ``bad_source`` (from a group); ``same_member`` (its station is where it
        came from); ``nowhere`` (no other member is up).

        Args:
            now: The time in seconds; the monotonic clock's by default.

        Raises:
            DeviceGone: If *link* is not a member.
        """
        here = self._member(link)
        here.received += len(frames)
        now = time.monotonic() if now is None else now
        self._age(now)
        others = [member for member in self._members.values() if member is not here and member.link.up]
        out: dict[_Member, list[bytes]] = {}
        for frame in frames:
            reason = self._forward(here, frame, now, others, out)
            if reason:
                here.dropped[reason] += 1
                link.drop(reason, 1)
        for member, batch in out.items():
            member.output(batch)

    def table(self, now: float | None = None) -> tuple[Station, ...]:
        """Return the stations the bridge knows, the one not heard for longest first."""
        now = time.monotonic() if now is None else now
        self._age(now)
        return tuple(Station(mac, member.link.name, now - at) for mac, (member, at) in self._stations.items())

    def statistics(self) -> dict[str, MemberStatistics]:
        """Return a snapshot of the counters, by the member's name."""
        return {
            link.name: MemberStatistics(
                received=member.received,
                forwarded=member.forwarded,
                flooded=member.flooded,
                dropped=dict(member.dropped),
                offered=member.offered,
                sent=member.sent,
                refused=dict(member.refused),
            )
            for link, member in self._members.items()
        }

    # --- inside -----------------------------------------------------------------------------------

    def _member(self, link: Link) -> _Member:
        member = self._members.get(link)
        if member is None:
            raise DeviceGone(f"{self.name}: {link.name} is not a member")
        return member

    def _forward(
        self, here: _Member, frame: bytes, now: float, others: list[_Member], out: dict[_Member, list[bytes]]
    ) -> str:
        """Put the frame into the batches it leaves in, or return why it leaves in none."""
        if len(frame) < HEADER:
            return "short_header"
        if frame[6] & 1:
            return "bad_source"
        self._learn(frame[6:12], here, now)
        known = None if frame[0] & 1 else self._stations.get(frame[:6])
        if known is not None:
            if known[0] is here:
                return "same_member"
            here.forwarded += 1
            out.setdefault(known[0], []).append(frame)
            return ""
        if not others:
            return "nowhere"
        here.flooded += 1
        for member in others:
            out.setdefault(member, []).append(frame)
        return ""

    def _learn(self, mac: bytes, member: _Member, now: float) -> None:
        # Taken out and put in again, so that the table stays in the order of the last frame.
        if self._stations.pop(mac, None) is None and len(self._stations) >= self._limit:
            del self._stations[next(iter(self._stations))]
        self._stations[mac] = member, now

    def _age(self, now: float) -> None:
        """Forget stations that were not heard for too long."""
        while self._stations:
            mac, (_, at) = next(iter(self._stations.items()))
            if now - at < self._ageing:
                return
            del self._stations[mac]

    def _changed(self, link: Link, event: Event) -> None:
        if event.kind is EventKind.GONE:
            self.remove(link)
        elif event.kind is EventKind.DOWN:
            self._forget(self._members[link])

    def _forget(self, member: _Member) -> None:
        self._stations = {mac: known for mac, known in self._stations.items() if known[0] is not member}
