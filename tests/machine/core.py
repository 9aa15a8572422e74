"""
The middle of the machine: a host and its model, a step, its checks, and the model's turn of the loop.

An action takes numbers only, each an index into a table, so that Hypothesis, a plain random number generator and
a recorded list of steps drive the same machine.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import signal
from collections import Counter
from collections.abc import Callable, Coroutine
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from typing import Any

from aiotun import SoftHost
from aiotun.driver import Credentials, Device, ProtocolQueue

from .device import BLOCKED, DOWN, ModelDevice
from .loop import StepLoop
from .model import ModelEndpoint, ModelHost
from .packets import FRAMES, HEADED, PACKETS
from .pair import WOULD_BLOCK, Pair, Pending, answer, expected
from .paths import Refused

__all__ = ["ACTIONS", "DEVICES", "MTUS", "NODES", "POOL", "UIDS", "Core", "action", "address_of", "number_of"]

Run = Callable[..., None]
ACTIONS: dict[str, tuple[Run, dict[str, int], int]] = {}
"""By name: the action, how many values each of its arguments has, and its weight."""

DEVICES = 6
TUN_POOL = PACKETS[:6] * 4 + PACKETS + HEADED
TAP_POOL = FRAMES[:5] * 4 + FRAMES
POOL = 64
NODES = ("tun", "tap", "tun0", "tap0", "tun1", "tap1", "tun4", "tap7", "tun9")
UIDS = (0, 0, 0, 0, 66, 1000)
MTUS = (1500, 72, 100, 71, 9000, 20000)


def action(weight: int = 4, **ranges: int) -> Callable[[Run], Run]:
    """Register an action with the number of values that each argument has."""

    def register(run: Run) -> Run:
        ACTIONS[run.__name__] = (run, ranges, weight)
        return run

    return register


class Core:
    """A host with devices, its model, and a loop that stands still between the actions."""

    made = 0
    """How many there were in this process."""

    def __init__(self) -> None:
        Core.made += 1
        self.fds = descriptors()
        self.handler = signal.signal(signal.SIGIO, signal.SIG_IGN)
        self.loop = StepLoop()  # type: ignore[abstract]
        asyncio._set_running_loop(self.loop)
        self.host = SoftHost()
        self.model = ModelHost(self.loop.time())
        self.pairs: list[Pair] = []
        self.protocols: dict[int, ProtocolQueue] = {}
        self.hits: Counter[str] = Counter()
        self.touched: list[Pair] = []
        for name in ("tun0", "tap0"):
            self._add(self.host.create(name), self.model.create(name))
            self.node(NODES.index(name), 0)
            self.up(self.pairs[-1], True)

    def step(self, name: str, arguments: dict[str, int]) -> None:
        """Do one action, let the loop run dry, and compare."""
        self.hits[name] += 1
        ACTIONS[name][0](self, **arguments)
        self.settle()
        self.check()

    def finish(self) -> None:
        """Close everything, and look for what is left."""
        try:
            self.loop.run(self.host.aclose())
            for pair in self.pairs:  # whoever opened a device node has to close it, a deleted one too
                pair.real.close()
            self.loop.settle()
            for pair in self.pairs:
                for pending in (pair.reader, pair.sender):
                    assert pending is None or pending.outcome() is not None, "a task waits for ever"
            assert not self.host.interfaces and not self.host.sysctl.names("net.link.tap")
            assert self.loop.timers() == 0
            assert not self.loop.errors, self.loop.errors
            assert not [task for task in asyncio.all_tasks(self.loop) if not task.done()]
        finally:
            self.abandon()
        self.pairs.clear()
        if descriptors() != self.fds:
            gc.collect()
            assert descriptors() == self.fds, "a descriptor was left open"

    def abandon(self) -> None:
        """Give the thread and the signal back, after a failure too."""
        asyncio._set_running_loop(None)
        signal.signal(signal.SIGIO, self.handler)

    def node(self, name: int, uid: int) -> None:
        wanted, who = NODES[name], Credentials(uid=UIDS[uid], gid=UIDS[uid])
        if self._full() and wanted not in self.model.devices:
            return
        real = answer(lambda: self.host.dev[wanted].open(who))
        self._made(real, expected(lambda: self.model.open_node(wanted, UIDS[uid])))

    def up(self, pair: Pair, on: bool) -> None:
        self._both(lambda: pair.real.set_up(on), lambda: pair.model.set_up(on))

    # --- the model's turn of the loop -------------------------------------------------------------

    def settle(self) -> None:
        """Let the loop run dry, and do in the model what the sleepers and the soft interrupts do."""
        self.loop.settle()
        for pair in self.pairs:
            before = -1
            while before != (before := self._progress(pair)):
                pair.model.softintr()
                # A sleeping reader was woken before a new sender began; but what a Bag gave must have come in.
                if pair.sender is not None and pair.model.loose:
                    self._send_on(pair)
                if pair.reader is not None:
                    self._read_on(pair)
                if pair.sender is not None:
                    self._send_on(pair)
            for pending in (pair.reader, pair.sender):
                assert pending is None or pending.outcome() is None, pending.outcome()
            pair.model.softintr()
            pair.model.woken = False

    def _progress(self, pair: Pair) -> int:
        return pair.model.read_out + pair.model.offered + (pair.reader is None) + (pair.sender is None)

    def _read_on(self, pair: Pair) -> None:
        """A sleeper looks again."""
        pending, naive = pair.reader, pair.model_endpoint
        assert pending is not None
        theirs = pending.outcome()
        if pending.kind == "wait":
            # A Bag shows nothing any more of what came in and was read within one turn.
            read_at_once = pair.model.loose and theirs is not None
            if not (pending.fresh or pair.model.woken or pair.model.level or read_at_once):
                return
            pending.fresh = False
            pair.hint([theirs[1]] if theirs is not None and theirs[0] == "returned" else [])
            ours = expected(lambda: pair.model.read(65536, False))
            sleeps = ours == WOULD_BLOCK and not pair.model.nonblocking
        else:
            assert naive is not None and pair.endpoint is not None
            count = pending.limit
            if theirs is not None and theirs[0] == "returned":
                if pending.kind == "recv" and not naive.held:  # how far it reads ahead depends on the clock
                    count = 1 + len(pair.endpoint._held)
                    pair.hint([theirs[1], *reversed(pair.endpoint._held)])  # held newest first
                elif not naive.held:
                    pair.hint(theirs[1])
            ours = expected(lambda: self._recv(naive, pending.kind, count))
            sleeps = ours == WOULD_BLOCK
        if not sleeps:
            assert theirs == ours, (theirs, ours)
            pair.reader = None

    def _recv(self, naive: ModelEndpoint, kind: str, count: int) -> object:
        if kind == "many" or naive.held:
            batch = naive.recv_many(count if kind == "many" else 1)
            return batch if kind == "many" else batch[0]
        batch = naive.recv_many(count)
        naive.held = batch[1:]
        return batch[0]

    def _send_on(self, pair: Pair) -> None:
        pending = pair.sender
        assert pending is not None
        ours = expected(lambda: self._side_send(pair, pending.packet, check=False))
        sleeps = ours == WOULD_BLOCK
        theirs = pending.outcome()
        if theirs == (
            "raised",
            "DeviceGone",
            errno.ENODEV,
        ):  # what the endpoint says that slept, not what the device says
            theirs = ("raised", "DeviceGone", errno.ENXIO)
        if not sleeps:
            assert theirs == ours, (theirs, ours)
            pair.sender = None

    def _oversize(self, pair: Pair, packet: bytes) -> bool:
        return len(packet) - pair.model.link_header(packet) > pair.model.mtu

    def _side_send(self, pair: Pair, packet: bytes, *, check: bool = True, full: bool = False) -> None:
        model = pair.model
        if check and self._oversize(pair, packet):
            raise Refused("PacketTooBig", errno.EMSGSIZE)
        if not model.ready():
            model.alive()
            raise DOWN
        if full or not (model.loose or model.queue.room()):
            raise BLOCKED
        model.output([packet])
        pair.model_side.sent += 1
        pair.model_side.sent_bytes += len(packet)

    def _cancel(self, pair: Pair) -> None:
        if pair.reader is None:
            return
        pair.reader.task.cancel()
        self.loop.settle()
        if pair.reader.outcome() == ("cancelled",):
            pair.reader = None
        else:  # it was done before
            self._read_on(pair)
            assert pair.reader is None

    # --- inside -----------------------------------------------------------------------------------

    def check(self) -> None:
        # Every path now and then: nothing should move in a device that was not touched.
        every = self.hits.total() % 16 == 0
        for pair in self.pairs:
            pair.check(paths=every or pair in self.touched)
        self.touched.clear()
        assert self.host.interfaces.keys() == self.model.devices.keys()
        stack = self.host.stack.statistics()
        assert (stack.received, stack.delivered) == (self.model.received, self.model.delivered)
        assert dict(stack.dropped) == dict(+self.model.stack_dropped)
        used = stack.used + stack.delivered + stack.looped + stack.sent + stack.waiting
        assert stack.received + stack.offered == used + sum(stack.dropped.values())
        for family, queue in self.protocols.items():
            naive, counted = self.model.protocols[family], queue.statistics()
            assert (counted.offered, counted.taken, counted.queued, sum(counted.dropped.values())) == (
                naive.offered,
                naive.taken,
                len(naive.packets),
                naive.full,
            )
        assert not self.loop.errors, self.loop.errors

    def _both(self, real: Callable[[], Any], model: Callable[[], Any]) -> None:
        theirs = answer(real)
        ours = expected(model)
        assert theirs == ours, (theirs, ours)

    def _pending(self, coro: Coroutine[Any, Any, Any], kind: str, limit: int, packet: bytes = b"") -> Pending:
        return Pending(self.loop.create_task(coro), kind, limit, packet)

    def _add(self, real: Device, model: ModelDevice) -> Pair:
        # A deleted interface whose holders left makes room; one of them stays, to be asked again.
        gone = [pair for pair in self.pairs if pair.model.gone and not self._is_held(pair)]
        for pair in gone[:-1]:
            pair.real.close()
            self.pairs.remove(pair)
        pair = Pair(real, model)
        self.pairs.append(pair)
        return pair

    def _is_held(self, pair: Pair) -> bool:
        return bool(pair.endpoint or pair.side or pair.reader or pair.sender)

    def _made(self, real: tuple[Any, ...], model: tuple[Any, ...]) -> None:
        if real[0] == model[0] == "returned":
            assert real[1].name == model[1].name
            if all(pair.real is not real[1] for pair in self.pairs):
                self._add(real[1], model[1])
        else:
            assert real == model, (real, model)

    def _full(self) -> bool:
        return len(self.model.devices) >= DEVICES - 1

    def _pair(self, which: int) -> Pair:
        pair = self.pairs[which % len(self.pairs)]
        self.touched.append(pair)
        return pair

    def _pair_of(self, model: ModelDevice) -> Pair:
        return next(pair for pair in self.pairs if pair.model is model)

    def _enable(self, pair: Pair) -> None:
        pair.real.enabled = pair.model.enabled = True

    def _sleeps(self, pair: Pair) -> bool:
        return pair.reader is not None

    def _sync_endpoint(self, pair: Pair) -> None:
        assert pair.endpoint is not None and pair.model_endpoint is not None
        stats = pair.endpoint.statistics()
        more = stats.taken_packets - pair.model_endpoint.taken
        pair.model.read_out += more
        pair.model.queue.taken += more

    def _batch(self, pair: Pair, first: int, count: int, stride: int) -> list[bytes]:
        pool = TUN_POOL if pair.model.tun else TAP_POOL
        return [pool[(first + index * stride) % len(pool)] for index in range(count)]


def number_of(kind: str, name: str) -> int:
    """A number that no other interface has."""
    return int(name[3:]) % 100 + (100 if kind == "tap" else 0)


def address_of(kind: str, name: str, index: int) -> IPv4Interface | IPv6Interface:
    number = number_of(kind, name)
    texts = (f"10.{number}.0.1/24", f"10.{number}.1.1/24", f"fd00:{number:x}::1/64", f"10.{number}.0.1/32")
    return ip_interface(texts[index])


def descriptors() -> list[str]:
    names = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            names.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            continue
    return sorted(name for name in names if not name.startswith("/proc"))
