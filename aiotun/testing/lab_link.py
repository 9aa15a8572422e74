"""A link of a lab: what carries packets between two of its nodes, and what can be done to it."""

from __future__ import annotations

import asyncio
import errno
import random
from collections.abc import Iterator
from typing import Any, Literal

import attrs

from ..channel import MemoryChannel
from ..channel.memory_impairment import Impairment
from ..channel.memory_port import MemoryPort
from ..endpoint import Event, EventKind
from ..errors import DeviceError
from .lab_faults import Faults, faulty
from .lab_interface import LabInterface, LabNode
from .lab_record import Record
from .lab_wire import RecordedWire

__all__ = ["LabLink"]

LIMIT_BYTES = 1 << 30


class LabLink:
    """
    Two endpoints joined in process; made by Lab.link() and Lab.channel(). Changes take effect with the next packet.

    Where it says *sender*, the change is for what that node sends; without one it is for both ways.
    """

    def __init__(
        self,
        record: Record,
        names: tuple[str, str],
        impairment: Impairment,
        *,
        seed: str,
        mtu: int,
        header: int = 0,
        limit: int = 1000,
        when_full: Literal["drop", "wait"] = "drop",
    ) -> None:
        self.names = names
        """What is at its two ends."""
        self.is_up = True
        """Whether it carries packets."""
        self.interfaces: tuple[LabInterface, ...] = ()
        """Its two ends as interfaces of nodes, if it was plugged into some."""
        self._record = record
        self._header = header
        self._faults: dict[str, Faults] = {}

        def wire(source: str, target: str, way: str) -> RecordedWire:
            return RecordedWire(
                record,
                source,
                target,
                impairment,
                random.Random(f"{seed} {way}"),
                ethernet=header > 0,
                limit=limit,
                limit_bytes=LIMIT_BYTES,
                drops=when_full == "drop",
            )

        a, b = names
        self._wires = {a: wire(a, b, "there"), b: wire(b, a, "back")}
        first = MemoryPort(f"{a} to {b}", mtu + header, self._wires[b])
        second = MemoryPort(f"{b} to {a}", mtu + header, self._wires[a])
        first.join(second)
        self.ends = MemoryChannel(first), MemoryChannel(second)
        """Its two ends, endpoints; those of a channel are for the program under test."""

    def __repr__(self) -> str:
        return f"<LabLink {' - '.join(self.names)}{'' if self.is_up else ' down'}>"

    def __iter__(self) -> Iterator[MemoryChannel]:
        """Iterate over the two ends: ``near, far = lab.channel("a", "b")``."""
        return iter(self.ends)

    def impair(self, *, sender: LabNode | str | None = None, **changes: Any) -> None:
        """
        Change what it does to packets: ``link.impair(loss=0.1, delay=0.05)``; the rest stays as it is.

        Packets under way arrive as they were to.

        Args:
            sender: Whose packets.
            changes: Fields of an Impairment: ``delay``, ``loss``, ``rate``, ``queue_length``, ``corrupt``,
                ``duplicate``, ``reorder``, ``reorder_delay``.

        Raises:
            ValueError: If a value cannot be.
        """
        for name in self._senders(sender):
            wire = self._wires[name]
            wire.impair(attrs.evolve(wire.impairment, **changes))
        words = ", ".join(f"{word} {value}" for word, value in changes.items())
        self._note(words if sender is None else f"{words} for {_name(sender)}")

    def set_mtu(self, mtu: int) -> None:
        """Set the longest packet, in bytes, without Ethernet header."""
        self.ends[0].set_mtu(mtu + self._header)
        for interface in self.interfaces:
            interface.tell(Event(EventKind.MTU, mtu))
        self._note(f"mtu {mtu}")

    def down(self) -> None:
        """Cut it: what is under way is lost, and both nodes know. No route changes. Idempotent."""
        self._set_up(False)

    def up(self) -> None:
        """Mend it. Idempotent."""
        self._set_up(True)

    def flap(self, times: int, every: float) -> None:
        """
        Go down now and up after *every* virtual seconds, *times* times, as long apart. Does not wait.

        Call it while the lab runs.
        """
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for turn in range(times):
            loop.call_at(begin + 2 * turn * every, self.down)
            loop.call_at(begin + (2 * turn + 1) * every, self.up)

    def fail(self, number: int, *, next: int = 1, sender: LabNode | str | None = None) -> None:
        """
        Refuse the next packets: who sends them gets this errno, as ``link.fail(errno.ENOBUFS, next=3)``.

        Raises:
            ValueError: If it is no errno that a device fails with.
        """
        for name in self._senders(sender):
            self._faults_of(name).fail_sending(number, next=next)

    def fail_receiving(self, number: int, *, next: int = 1, receiver: LabNode | str) -> None:
        """
        Raise this errno at the next attempts of *receiver* to receive; for the ends of a channel.

        Raises:
            ValueError: If it is no errno that a device fails with, or a node's own stack receives there.
        """
        if self.interfaces:
            raise ValueError(f"{self!r}: a node's own stack receives from a link; use a channel, or fail()")
        self._faults_of(_name(receiver)).fail_receiving(number, next=next)

    async def aclose(self) -> None:
        """Close both ends."""
        for end in self.ends:
            await end.aclose()

    # --- inside -----------------------------------------------------------------------------------

    def _senders(self, sender: LabNode | str | None) -> tuple[str, ...]:
        if sender is None:
            return self.names
        if _name(sender) not in self.names:
            raise ValueError(f"{self!r}: {_name(sender)} is at neither end")
        return (_name(sender),)

    def _set_up(self, up: bool) -> None:
        if up == self.is_up:
            return
        self.is_up = up
        self._note("up" if up else "down")
        self.ends[0].set_link(up)
        for interface in self.interfaces:
            interface.up = up
            interface.tell(Event(EventKind.UP if up else EventKind.DOWN))

    def _faults_of(self, name: str) -> Faults:
        if name not in self._faults:

            def tell(error: DeviceError) -> None:
                word = errno.errorcode.get(error.errno or 0, str(error.errno))
                self._record.note(f"{word} injected", name)

            self._faults[name] = faulty(self.ends[self.names.index(name)], tell=tell)
        return self._faults[name]

    def _note(self, text: str) -> None:
        self._record.note(text, *self.names)


def _name(node: LabNode | str) -> str:
    return node if isinstance(node, str) else node.name
