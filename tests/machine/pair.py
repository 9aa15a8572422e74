"""A real interface and its model, side by side, and what is compared of them after every step."""

from __future__ import annotations

import asyncio
import errno
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiotun.driver import BpfListener, Device, Knote, NetworkSide, TapDevice, TunDevice
from aiotun.endpoint import AddressChange, Endpoint, Event
from aiotun.pipeline import Path

from .device import ModelBpf, ModelDevice, ModelKnote
from .model import ModelEndpoint
from .paths import ModelPath, Refused
from .queues import Bag

__all__ = ["CONCURRENT", "WOULD_BLOCK", "Answer", "Pair", "Pending", "answer", "expected"]

Answer = tuple[Any, ...]
"""``("returned", value)`` or ``("raised", name of the class, errno)``."""
WOULD_BLOCK: Answer = ("raised", "BlockingIOError", errno.EAGAIN)
CONCURRENT: Answer = ("raised", "ConcurrencyError", None)


def answer(call: Callable[[], Any]) -> Answer:
    """What a call of the real thing does: return a value, or raise something."""
    try:
        return "returned", call()
    except AssertionError:
        raise
    except Exception as error:
        return raised(error)


def raised(error: BaseException) -> Answer:
    return "raised", type(error).__name__, getattr(error, "errno", None)


def expected(call: Callable[[], Any]) -> Answer:
    """What the model says it does."""
    try:
        return "returned", call()
    except Refused as refused:
        return "raised", refused.kind, refused.code


class Pending:
    """A task that waits in the real thing."""

    def __init__(self, task: asyncio.Task[Any], kind: str, limit: int, packet: bytes = b"") -> None:
        self.task = task
        self.kind = kind
        self.limit = limit
        self.packet = packet
        self.fresh = True

    def outcome(self) -> Answer | None:
        """What became of it, None while it waits."""
        if not self.task.done():
            return None
        if self.task.cancelled():
            return ("cancelled",)
        error = self.task.exception()
        return ("returned", self.task.result()) if error is None else raised(error)


class Pair:
    """One interface, twice."""

    def __init__(self, real: Device, model: ModelDevice) -> None:
        self.real = real
        self.model = model
        self.endpoint: Endpoint | None = None
        self.side: NetworkSide | None = None
        self.model_endpoint: ModelEndpoint | None = None
        self.model_side = ModelEndpoint(model)
        self.knotes: list[tuple[Knote, ModelKnote]] = []
        self.bpfs: list[tuple[BpfListener, ModelBpf]] = []
        self.reader: Pending | None = None
        self.sender: Pending | None = None
        self.events: list[tuple[str, object]] = []
        self.bands: list[int] = []
        self._stamp = -1
        real.listen(self._heard)
        real.sigio.listen(self._signalled)
        if isinstance(real, TapDevice):
            model.mac = real.mac

    def _heard(self, event: Event) -> None:
        value: object = event.value
        if isinstance(value, AddressChange):
            value = (value.address, value.state)
        self.events.append((event.kind.value, value))

    def _signalled(self, band: int) -> None:
        self.bands.append(int(band))

    def check(self, *, paths: bool) -> None:
        """Compare everything that shows; *paths*, which take longest, always where something moved."""
        stamp = self.model.stamp()
        if paths or self.model.loose or stamp != self._stamp:
            self._stamp = stamp
            self._check_paths()
        if self.model.loose:
            self.sync()
        theirs, ours = self._figures(), self._model_figures()
        assert theirs == ours, [
            (index, *both) for index, both in enumerate(zip(theirs, ours, strict=True)) if both[0] != both[1]
        ]
        for knote, note in self.knotes:
            assert (knote.ready, knote.count, knote.error is None) == (note.ready, note.count, note.error is None)
        for listener, heard in self.bpfs:
            stats = listener.statistics()
            assert stats.received >= stats.accepted == stats.taken + stats.queued + stats.dropped
            theirs = [stats.received, stats.accepted, stats.taken, stats.queued, stats.dropped]
            assert theirs == [heard.received, heard.accepted, heard.taken, len(heard.queue), heard.dropped]
        self._check_endpoint()

    def _check_paths(self) -> None:
        """
        The law of each path and stage, that of the queue, and that of the device: what was offered, or made on the way,
        was read, is queued, or was dropped under a reason.
        """
        real, model = self.real, self.model
        counted = [(path.statistics(), naive) for path, naive in self._paths()]
        for path, naive in counted:
            assert path.entered + path.created == path.left + sum(path.dropped.values())
            for one in path.stages:
                assert one.entered + one.created == one.left + sum(one.dropped.values()) and one.left >= 0
            if not model.loose:
                assert (path.left, path.created, path.dropped) == (naive.left, naive.created, naive.dropped)
                found = [(one.name, one.entered, one.created, one.dropped) for one in path.stages]
                assert found == [node.figures() for node in naive.nodes]
        queue = real.snd.statistics()
        assert queue.offered == queue.taken + queue.queued + sum(queue.dropped.values())
        out = counted[0][0]
        assert out.entered == model.offered
        # What a full queue refused stands in the path's drops, and in the queue's.
        inside = {reason: count for reason, count in queue.dropped.items() if reason != "queue_full"}
        before = model.requeued.total() - model.requeued["queue_full"]
        lost = sum(out.dropped.values()) + sum(inside.values()) + before
        offered, found_again = out.entered + out.created, model.read_out + queue.queued + lost
        assert offered == found_again, f"{offered} packets were offered or made, {found_again} are accounted for"

    def _paths(self) -> list[tuple[Path, ModelPath]]:
        real, model = self.real, self.model
        return [
            (real.output, model.output_path),
            (real.start, model.start_path),
            (real.input, model.input_path),
        ]

    def _figures(self) -> list[Any]:
        real = self.real
        counts = real.counts
        figures: list[Any] = [
            real.up,
            real.is_open,
            real.going,
            real.bare,
            real.mtu,
            real.addresses,
            int(real.flags),
            real.lastchange is not None,
            real.enabled,
            real.nonblocking,
            real.asynchronous,
            real.sigio.owner,
            (counts.ipackets, counts.ibytes, counts.opackets, counts.obytes, counts.collisions, counts.truncated),
            counts.ierrors,
            real.counters().dropped,
            len(real.snd),
            real.readable._level,
            real._timer is not None,
            self.events[:],
            self.bands[:],
        ]
        self.events.clear()
        self.bands.clear()
        if isinstance(real, TunDevice):
            figures += [real.lmode, real.ifhead, real.iaset, real.type, real.baudrate, real.destination]
        elif isinstance(real, TapDevice):
            figures += [real.mac, real.media.current, dict(real.groups or {})]
        return figures

    def _model_figures(self) -> list[Any]:
        model = self.model
        counts = model.counts
        figures: list[Any] = [
            model.up,
            model.open,
            model.gone,
            model.bare,
            model.mtu,
            model.addresses,
            model.flags(),
            model.changed,
            model.enabled,
            model.nonblocking,
            model.asynchronous,
            model.owner,
            tuple(counts[name] for name in ("ipackets", "ibytes", "opackets", "obytes", "collisions", "truncated")),
            counts["ierrors"],
            dict(model.dropped + model.queue.dropped),
            len(model.queue),
            model.level,
            model.timer is not None,
            model.events[:],
            model.bands[:],
        ]
        model.events.clear()
        model.bands.clear()
        if model.tun:
            figures += [model.lmode, model.ifhead, model.iaset, model.type, model.baudrate, model.destination]
        else:
            figures += [model.mac, model.medium, dict(+model.groups)]
        return figures

    def _check_endpoint(self) -> None:
        for endpoint, naive in ((self.endpoint, self.model_endpoint), (self.side, self.model_side)):
            if endpoint is None or naive is None:
                continue
            stats = endpoint.statistics()
            assert (stats.taken_packets, stats.held_packets, stats.sent_packets, stats.sent_bytes) == (
                naive.taken,
                len(naive.held),
                naive.sent,
                naive.sent_bytes,
            )
            assert sum(stats.dropped.values()) == naive.dropped
            if not naive.closed:
                assert (endpoint.name, endpoint.mtu) == (self.model.name, self.model.mtu)

    def sync(self) -> None:
        """Take over what a queue that is not predicted decides."""
        real, model = self.real, self.model
        counts = real.counts
        for name in ("ipackets", "ibytes", "opackets", "obytes", "collisions", "truncated"):
            model.counts[name] = getattr(counts, name)
        model.oactive = bool(int(real.flags) & 0x400)
        model.level = real.readable._level
        model.timer = None if real._timer is None else model.timer
        model.dropped.clear()
        model.dropped.update(real.counters().dropped)
        model.dropped.subtract(real.snd.statistics().dropped)
        model.queue.dropped = Counter(real.snd.statistics().dropped)
        model.bands, model.scheduled = self.bands[:], False
        for path, naive in self._paths():
            counted = path.statistics()
            naive.left, naive.created, naive.dropped = counted.left, counted.created, Counter(counted.dropped)
            for node, one in zip(naive.nodes, counted.stages, strict=True):
                node.entered, node.created, node.dropped = one.entered, one.created, Counter(one.dropped)
        for knote, note in self.knotes:
            note.count = knote.count
        for listener, heard in self.bpfs:
            stats = listener.statistics()
            heard.received, heard.accepted, heard.dropped = stats.received, stats.accepted, stats.dropped
            heard.queue = [(one.direction.value, one.packet, one.length) for one in listener._queue]

    def hint(self, packets: list[bytes]) -> None:
        """Tell a queue that is not predicted what the real one gave."""
        if isinstance(self.model.queue, Bag):
            self.model.queue.hint = list(packets)
