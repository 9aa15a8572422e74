"""Two endpoints joined: what comes out of one goes into the other, both ways."""

from __future__ import annotations

from ..endpoint import Endpoint
from .path import Path
from .pump_direction import Direction, Stages
from .pump_graph import Picture
from .pump_running import Running
from .pump_statistics import PumpStatistics

__all__ = ["Pump", "pump"]


class Pump(Running):
    """Two endpoints joined; made by pump(), which says what it does."""

    __slots__ = ("_inbound", "_outbound")

    def __init__(self, a: Endpoint, b: Endpoint, outbound: Stages, inbound: Stages, coalesce: bool | None) -> None:
        super().__init__(f"the pump between {a.name} and {b.name}")
        if a is b:
            raise ValueError(f"{self.what} is between two endpoints, not one and itself")
        if (carried := {one.carries: one.name for one in (a, b)}).keys() == {"ip", "ethernet"}:
            raise ValueError(f"{self.what}: {carried['ip']} carries packets and {carried['ethernet']} frames")
        self._outbound = Direction(a, outbound, b, "outbound", coalesce=coalesce)
        self._inbound = Direction(b, inbound, a, "inbound", coalesce=coalesce)

    @property
    def outbound(self) -> Path:
        """The way from *a* to *b*; its stages may be changed at any time."""
        return self._outbound.path

    @property
    def inbound(self) -> Path:
        """The way from *b* to *a*."""
        return self._inbound.path

    def statistics(self) -> PumpStatistics:
        """Return what was counted so far, also after the end. Does not wait."""
        return PumpStatistics(outbound=self._outbound.statistics(), inbound=self._inbound.statistics())

    def graph(self, format: str = "mermaid") -> str:
        """
        Return a picture of both ways with a counter on each edge: ``"mermaid"`` or ``"dot"``.

        Raises:
            ValueError: If the format is another one.
        """
        picture = Picture(self.what)
        a = picture.node("a", self._outbound.source.name, "end")
        b = picture.node("b", self._outbound.sink.name, "end")
        self._outbound.draw(picture, "out", a, b)
        self._inbound.draw(picture, "in", b, a)
        return picture.render(format)

    def __repr__(self) -> str:
        return f"<Pump {self._outbound.source.name} <-> {self._outbound.sink.name}>"

    def _start(self) -> None:
        for direction in (self._outbound, self._inbound):
            if direction.begin():
                self._task(direction.release())
            self._task(self._carry(direction)).add_done_callback(direction.ended)

    async def _carry(self, direction: Direction) -> None:
        await direction.run()
        self._stop()  # one end is closed: there is nowhere to carry to


def pump(
    a: Endpoint, b: Endpoint, *, outbound: Stages = (), inbound: Stages = (), coalesce: bool | None = None
) -> Pump:
    """
    Carry packets between two endpoints, *outbound* from *a* to *b* and *inbound* back.

    ``await aiotun.pump(tun, channel)`` carries until one of them is closed. ``async with aiotun.pump(tun, channel) as
    pump:`` carries while the block runs, and stops at its end. One task for each way, batch after batch, and one more
    where stages hold packets back; what those hold at the end they drop. A batch is read when the one before is sent:
    an endpoint without room keeps the other from being read, whose own queue holds the rest. The endpoints stay the
    caller's: they are open afterwards, and nobody else may receive from them meanwhile.

    What happens to a packet or to the pump:

    =======================================  ==========================================================
    a stage leaves a packet out              dropped under the stage's reason
    a stage raises PacketError, DeviceError  its batch is dropped under the error's reason
    a stage raises anything else             its batch is dropped under the stage's name; **ends**, raised
    an endpoint refuses a packet             dropped under the error's reason: ``too_big``, ``down``
    an endpoint has no room                  waits
    an endpoint is closed                    **ends** quietly; what was in hand for it is dropped, ``closed``
    a device is deleted                      **ends**, DeviceGone; in hand for it: ``gone``
    receiving or sending fails otherwise     **ends**, raised; in hand: ``failed``
    cancelled, or the other way ended        **ends**; in hand: ``cancelled``
    =======================================  ==========================================================

    An exception comes out alone, in the block as in a TaskGroup; only if both ways, or the block as well, fail at once
    is it a group.

    Args:
        a: One endpoint, a tun say.
        b: The other, a channel say.
        outbound: The stages from *a* to *b*: functions from batch to batch, pairs of name and function, or a Path.
        inbound: The stages from *b* to *a*.
        coalesce: Whether to make super-packets of plain packets for an endpoint that takes them; by default where
            that is done in C. Super-packets stay whole for as long as the stages and the endpoints take them.

    Raises:
        ValueError: If two stages of a way have one name, one endpoint carries packets and the other frames, or
            both are one.
            When it starts: if a Path, or a stage that holds packets back, is in use by another way.
        TypeError: If a stage cannot be called, or a way is no list of them.
    """
    return Pump(a, b, outbound, inbound, coalesce)
