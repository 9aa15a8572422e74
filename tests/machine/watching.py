"""Actions on time, event filters, packet filters and the stages of paths."""

from __future__ import annotations

import errno
import select
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from aiotun.pipeline import Path

from .core import DEVICES, POOL, Core, action
from .device import ModelBpf, ModelKnote
from .loop import TICK
from .pair import answer, expected
from .paths import ModelPath, Refused

__all__ = ["Watching"]


class Watching(Core):
    """Actions on time, event filters, packet filters and the stages of paths."""

    @action(6, ticks=12)
    def advance(self, ticks: int) -> None:
        ticks = (1, 1, 2, 3, 5, 8, 13, 21, 50, 100, 300, 5000)[ticks]
        self.loop.advance(ticks)
        self.model.now += ticks * Fraction(TICK)
        for device in [pair.model for pair in self.pairs]:
            device.ring()

    @action(3, which=DEVICES, filter=3)
    def arm_filter(self, which: int, filter: int) -> None:
        pair = self._pair(which)
        if len(pair.knotes) == 3:
            self.poll_filter(which, filter, 0)
            return
        number = (-1, -2, -7)[filter]

        def model() -> ModelKnote:
            pair.model.alive()
            if filter == 2:
                raise Refused("DeviceError", errno.EOPNOTSUPP if pair.model.tun else errno.EINVAL)
            note = ModelKnote(filter == 0)
            note.count = pair.model.nread() if filter == 0 else 0
            return note

        theirs, ours = answer(lambda: pair.real.kqfilter(number)), expected(model)
        if theirs[0] == "returned" and ours[0] == "returned":
            pair.knotes.append((theirs[1], ours[1]))
            pair.model.knotes.append(ours[1])
        else:
            assert theirs == ours

    @action(4, which=DEVICES, index=3, what=2)
    def poll_filter(self, which: int, index: int, what: int) -> None:
        """Evaluate a filter, or detach it."""
        pair = self._pair(which)
        if not pair.knotes:
            return
        real, note = pair.knotes[index % len(pair.knotes)]
        if what:
            real.detach()
            note.error = note.error or Refused("DeviceClosed")
            pair.knotes.remove((real, note))
            pair.model.knotes.remove(note)
            return

        def model() -> bool:
            if note.error is not None:
                raise note.error
            note.count = pair.model.nread() if note.reading else 0
            return note.ready

        theirs, ours = answer(real.poll), expected(model)
        assert theirs == ours or (pair.model.loose and note.reading and theirs[0] == ours[0])

    @action(4, which=DEVICES, events=4)
    def poll(self, which: int, events: int) -> None:
        """poll() of the device, and of its descriptor."""
        pair = self._pair(which)
        asked = (select.POLLIN, select.POLLOUT, select.POLLIN | select.POLLOUT, 0)[events]
        waiting = pair.model.released()
        found = select.POLLERR if pair.model.gone else asked & (4 | (1 if waiting else 0))
        real = pair.real.poll(asked)
        assert real == found or pair.model.loose
        if not pair.model.open:
            return
        descriptor = select.poll()
        descriptor.register(pair.real.fileno(), select.POLLIN)
        assert bool(descriptor.poll(0)) == pair.model.level

    @action(3, which=DEVICES, limit=3, snaplen=2, even=2)
    def attach_bpf(self, which: int, limit: int, snaplen: int, even: int) -> None:
        pair = self._pair(which)
        if len(pair.bpfs) == 2:
            self.close_bpf(which, limit, even)
            return
        holds, keeps = (2, 5, 1000)[limit], (20, 65536)[snaplen]
        accept = (lambda packet: not len(packet) & 1) if even else None

        def model() -> ModelBpf:
            if pair.model.gone:
                raise Refused("DeviceGone", errno.ENODEV)
            return ModelBpf(holds, keeps, bool(even))

        theirs = answer(lambda: pair.real.bpf.attach(limit=holds, snaplen=keeps, accept=accept))
        ours = expected(model)
        if theirs[0] == "returned" and ours[0] == "returned":
            pair.bpfs.append((theirs[1], ours[1]))
            pair.model.bpfs.append(ours[1])
        else:
            assert theirs == ours

    @action(5, which=DEVICES, index=2, limit=4)
    def read_bpf(self, which: int, index: int, limit: int) -> None:
        pair = self._pair(which)
        if not pair.bpfs:
            self.attach_bpf(which, limit % 3, index, 0)
            return
        real, heard = pair.bpfs[index % len(pair.bpfs)]

        def theirs() -> list[tuple[str, bytes, int]]:
            return [(one.direction.value, one.packet, one.length) for one in real.recv_many_nowait(limit + 1)]

        self._both(theirs, lambda: heard.recv(limit + 1))

    @action(5, which=DEVICES, index=2, packet=POOL)
    def write_bpf(self, which: int, index: int, packet: int) -> None:
        pair = self._pair(which)
        if not pair.bpfs:
            return
        real, heard = pair.bpfs[index % len(pair.bpfs)]
        (one,) = self._batch(pair, packet, 1, 0)

        def model() -> None:
            if heard.end is not None:
                raise heard.end
            pair.model.inject(one)

        self._both(lambda: real.write(one), model)

    @action(2, which=DEVICES, index=2, detach=2)
    def close_bpf(self, which: int, index: int, detach: int) -> None:
        pair = self._pair(which)
        if not pair.bpfs:
            return
        real, heard = pair.bpfs[index % len(pair.bpfs)]
        if detach:
            real.detach()
            heard.end = heard.end or Refused("DeviceClosed")
        else:
            real.close()
            heard.close()
            pair.bpfs.remove((real, heard))
            pair.model.bpfs.remove(heard)

    @action(4, which=DEVICES, path=3, where=8, user=6, what=5)
    def change_path(self, which: int, path: int, where: int, user: int, what: int) -> None:
        """Put a stage of a user's in front of a step or behind one, replace it, or take it out."""
        pair = self._pair(which)
        real: Path = (pair.real.output, pair.real.input, pair.real.start)[path]
        naive: ModelPath = (pair.model.output_path, pair.model.input_path, pair.model.start_path)[path]
        kind = "keep" if path == 2 else tuple(_REAL_STAGES)[user]
        # Behind the last of these a packet is queued or delivered: a drop there would count it twice.
        last = {"enqueue", "demux", "input"}
        places = [node.name for node in naive.nodes]
        bound = next((index for index, name in enumerate(places) if name in last), len(places) - 1)
        place = places[where % (bound + 1)]
        if what < 2:
            after = bool(what) and place not in last

            def insert() -> None:
                method = real.insert_after if after else real.insert_before
                method(place, _REAL_STAGES[kind], name="user")

            self._both(insert, lambda: naive.insert(place, after, "user", kind))
        elif what == 2:
            theirs = answer(lambda: real.replace("user", _REAL_STAGES[kind]))
            assert theirs[0] == expected(lambda: naive.replace("user", kind))[0]
        else:
            name = "user" if what == 3 or path == 2 or where else "bpf"
            theirs = answer(lambda: real.remove(name))
            assert theirs[0] == expected(lambda: naive.remove(name))[0]


def _double(batch: Any) -> Any:
    return [packet for packet in batch for _ in (0, 1)]


def _boom(batch: Any) -> Any:
    raise ValueError("a fault of the user's")


_REAL_STAGES: dict[str, Callable[[Any], Any]] = {
    "keep": lambda batch: batch,
    "drop_odd": lambda batch: [packet for packet in batch if not len(packet) & 1],
    "double": _double,
    "longer": lambda batch: [packet + b"\0" for packet in batch],
    "boom": _boom,
    "nothing": lambda batch: None,
}
