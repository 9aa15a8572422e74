"""A learning bridge: taps of this host as the ports of one Ethernet switch, IEEE 802.1D without the spanning tree."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial

import attrs

from ..endpoint import Event, EventKind
from ..errors import DeviceBusy, DeviceClosed, DeviceGone
from ..packet import format_mac
from .link import Link
from .member import HEADER, Member, MemberStatistics

__all__ = ["Bridge", "Station"]

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
        among: The bridges of a host, by name: it is one of them until it is closed, and a tap is in one at most.

    Raises:
        ValueError: If a member is not a tap.
        DeviceBusy: If a member is in already, or in another bridge among them.

    Modelled on if_bridge(4) of the BSDs.
    """

    def __init__(
        self,
        name: str,
        members: Iterable[Link] = (),
        *,
        limit: int = 1024,
        ageing: float = AGEING,
        among: dict[str, Bridge] | None = None,
    ) -> None:
        self.name = name
        self.closed = False
        """Whether close() was called."""
        self._among = {} if among is None else among
        self._limit = limit
        self._ageing = ageing
        self._members: dict[Link, Member] = {}
        self._stations: dict[bytes, tuple[Member, float]] = {}  # the one not heard for longest first
        try:
            for member in members:
                self.add(member)
        except BaseException:
            self.close()
            raise
        self._among[name] = self

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
            DeviceBusy: If it is in already, or in another bridge of the host.
            DeviceClosed: If the bridge is closed.
        """
        if self.closed:
            raise DeviceClosed(f"{self.name}: the bridge is closed")
        if link.header != HEADER:
            raise ValueError(f"{self.name}: {link.name} is not a tap, a bridge takes frames")
        if link in self._members:
            raise DeviceBusy(f"{self.name}: {link.name} is a member already")
        for other in self._among.values():
            if link in other:
                raise DeviceBusy(f"{self.name}: {link.name} is a member of {other.name}")
        member = self._members[link] = Member(link, partial(self._changed, link))
        link.listen(member.tell)

    def remove(self, link: Link) -> None:
        """
        Let a member go, and forget the stations at it.

        Raises:
            DeviceGone: If it is not a member.
        """
        self._member(link)
        self._let_go(link)

    def close(self) -> None:
        """Let every member go, for good; the name is free again. Idempotent."""
        self.closed = True
        for link in self.members:
            self._let_go(link)
        if self._among.get(self.name) is self:
            del self._among[self.name]

    def input(self, link: Link, frames: list[bytes], now: float | None = None) -> None:
        """
        Take frames that entered by the member *link*, and output them by the others, one batch for each.

        Reasons to drop: ``short_header``; ``bad_source`` (from a group); ``same_member`` (its station is where it
        came from); ``nowhere`` (no other member is up).

        Args:
            now: The time in seconds; the monotonic clock's by default.

        Raises:
            DeviceGone: If *link* is not a member.
            Exception: If a stage of the user's in a member's output path does; after the other members got theirs.
        """
        here = self._member(link)
        here.received += len(frames)
        now = time.monotonic() if now is None else now
        self._age(now)
        others = [member for member in self._members.values() if member is not here and member.link.up]
        out: dict[Member, list[bytes]] = {}
        for frame in frames:
            reason = self._forward(here, frame, now, others, out)
            if reason:
                here.dropped[reason] += 1
                link.drop(reason, 1)
        faults = [fault for member, batch in out.items() if (fault := member.output(batch)) is not None]
        if faults:
            raise faults[0]

    def table(self, now: float | None = None) -> tuple[Station, ...]:
        """Return the stations the bridge knows, the one not heard for longest first."""
        now = time.monotonic() if now is None else now
        self._age(now)
        return tuple(Station(mac, member.link.name, now - at) for mac, (member, at) in self._stations.items())

    def statistics(self) -> dict[str, MemberStatistics]:
        """Return a snapshot of the counters, by the member's name."""
        return {link.name: member.statistics() for link, member in self._members.items()}

    # --- inside -----------------------------------------------------------------------------------

    def _member(self, link: Link) -> Member:
        member = self._members.get(link)
        if member is None:
            raise DeviceGone(f"{self.name}: {link.name} is not a member")
        return member

    def _forward(
        self, here: Member, frame: bytes, now: float, others: list[Member], out: dict[Member, list[bytes]]
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

    def _learn(self, mac: bytes, member: Member, now: float) -> None:
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
        member = self._members.get(link)
        if member is None:  # it left while the event was on its way
            return
        if event.kind is EventKind.GONE:
            self._let_go(link)
        elif event.kind is EventKind.DOWN:
            self._forget(member)

    def _let_go(self, link: Link) -> None:
        member = self._members.pop(link, None)
        if member is not None:
            link.unlisten(member.tell)
            self._forget(member)

    def _forget(self, member: Member) -> None:
        self._stations = {mac: known for mac, known in self._stations.items() if known[0] is not member}
