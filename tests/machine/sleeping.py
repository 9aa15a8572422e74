"""Actions that sleep in a device or an endpoint, and those of the stack's side."""

from __future__ import annotations

from aiotun.driver.families import Family

from .core import DEVICES, POOL, action, number_of
from .device import BLOCKED
from .model import ModelEndpoint, ModelHost, ModelProtocol
from .moving import Moving
from .packets import ipv4, ipv6
from .pair import CONCURRENT, WOULD_BLOCK, answer, expected

__all__ = ["Sleeping"]

FAMILIES = (Family.INET, Family.INET6, Family.IPX)


class Sleeping(Moving):
    """Actions that sleep in a device or an endpoint, and those of the stack's side."""

    @action(8, which=DEVICES, kind=3)
    def start_reading(self, which: int, kind: int) -> None:
        """Sleep in recv(), recv_many() or a read of the device."""
        pair = self._pair(which)
        endpoint, naive = pair.endpoint, pair.model_endpoint
        if endpoint is None or naive is None:
            pending = self._pending(pair.real.read_wait(), "wait", 1)
        elif kind:
            pending = self._pending(endpoint.recv_many(kind), "many", kind)
        else:
            pending = self._pending(endpoint.recv(), "recv", 1)
        if pair.reader is None:
            pair.reader = pending
            return
        self.loop.settle()
        theirs = pending.outcome()
        if naive is not None:
            ours = CONCURRENT
            if naive.held:
                ours = expected(lambda: naive.recv_many(pending.limit) if kind else naive.recv_many(1)[0])
            assert theirs == ours
            return
        if theirs is not None and theirs[0] == "returned":
            pair.hint([theirs[1]])
        found = expected(lambda: pair.model.read(65536, True))
        if found == WOULD_BLOCK and not pair.model.nonblocking:
            found = CONCURRENT
        assert theirs == found

    @action(3, which=DEVICES)
    def cancel_reading(self, which: int) -> None:
        self._cancel(self._pair(which))

    @action(6, which=DEVICES, packet=POOL, count=7, turns=4)
    def output_and_cancel(self, which: int, packet: int, count: int, turns: int) -> None:
        """Cancel a sleeper at any point of its way to the packet: it has the packet, or the packet is still there."""
        pair = self._pair(which)
        batch = self._batch(pair, packet, count, 1)
        self._both(lambda: list(pair.real.output(batch)), lambda: pair.model.output(batch))
        for _ in range(turns):
            self.loop.turn()
        self._cancel(pair)

    @action(3, which=DEVICES)
    def open_side(self, which: int) -> None:
        """The network side, or close it."""
        pair = self._pair(which)
        if pair.side is not None:
            self.loop.run(pair.side.aclose())
            naive = pair.model_side
            left = len(pair.model.side or [])
            naive.taken += left  # an endpoint that closes reads what is queued, and drops it
            naive.dropped += left
            pair.model.side = None
            naive.closed = True
            if pair.sender is not None:
                assert pair.sender.outcome() == ("raised", "DeviceClosed", None)
                pair.sender = None
            pair.side = None
            return
        if pair.model.gone:
            return
        side = self.host.network_side(pair.model.name)
        side._port._queue.max_packets = ModelHost.SIDE_QUEUE  # type: ignore[attr-defined]
        pair.side, pair.model_side, pair.model.side = side, ModelEndpoint(pair.model), []

    @action(5, which=DEVICES, limit=4)
    def side_recv(self, which: int, limit: int) -> None:
        pair = self._pair(which)
        if pair.side is None or pair.model.side is None:
            self.read_many(which, limit)
            return
        queue, side = pair.model.side, pair.side

        def model() -> list[bytes]:
            out = queue[: limit + 1]
            del queue[: limit + 1]
            pair.model_side.taken += len(out)
            if not out:
                pair.model.alive()
                raise BLOCKED
            return out

        self._both(lambda: side.recv_many_nowait(limit + 1), model)

    @action(8, which=DEVICES, packet=POOL, wait=2)
    def side_send(self, which: int, packet: int, wait: int) -> None:
        """Send from the network side; if *wait*, a task sleeps while the queue is full."""
        pair = self._pair(which)
        (one,) = self._batch(pair, packet, 1, 0)
        if pair.side is None and wait:
            self.open_side(which)
        if pair.side is None:
            self._both(lambda: pair.real.output_packet(one), lambda: pair.model.output_packet(one))
            return
        side = pair.side
        if not wait or pair.model.loose:
            full = pair.model.loose and not pair.real.room()
            self._both(lambda: side.send_nowait(one), lambda: self._side_send(pair, one, full=full))
            return
        for _ in range(ModelHost.SIDE_QUEUE):  # as many as it takes to fill the queue, mostly
            theirs = answer(lambda: side.send_nowait(one))
            assert theirs == expected(lambda: self._side_send(pair, one))
            if theirs[0] != "returned":
                break
        pending = self._pending(side.send(one), "send", 1, one)
        if pair.sender is None and not self._oversize(pair, one):
            pair.sender = pending
            return
        self.loop.settle()
        found = expected(lambda: self._side_send(pair, one))
        if found == WOULD_BLOCK:
            found = CONCURRENT
        assert pending.outcome() == found

    @action(4, packet=8, which=DEVICES)
    def host_send(self, packet: int, which: int) -> None:
        """Send by the routing table, to a neighbor on a tun, or to this host."""
        pair = self._pair(which)
        number = number_of("tun", pair.model.name)
        last = packet & 1
        destination = bytes((10, number, 0, 9 if last else 1))
        one = ipv4((28, 72, 101, 1501)[packet >> 1], destination=destination)
        if packet in (4, 5):
            one = ipv6(48, destination=bytes((0xFD, 0, 0, number)).ljust(15, b"\0") + bytes((9 if last else 1,)))
        self._both(lambda: self.host.send(one), lambda: self.model.send(one))

    @action(2, family=3, limit=3)
    def protocol(self, family: int, limit: int) -> None:
        """Register a protocol queue, or close it."""
        kind = FAMILIES[family]
        if kind in self.protocols:
            queue, naive = self.protocols.pop(kind), self.model.protocols.pop(kind)
            queue.close()
            counted = queue.statistics()
            closed = {"closed": len(naive.packets), "queue_full": naive.full}
            assert (counted.offered, counted.taken) == (naive.offered, naive.taken)
            assert dict(counted.dropped) == {reason: count for reason, count in closed.items() if count}
        else:
            self.protocols[kind] = self.host.protocol(kind, limit=(1, 3, 50)[limit])
            self.model.protocols[kind] = ModelProtocol((1, 3, 50)[limit])

    @action(4, family=3)
    def protocol_recv(self, family: int) -> None:
        kind = FAMILIES[family]
        if kind not in self.protocols:
            self.protocol(family, 2)
            return
        queue, naive = self.protocols[kind], self.model.protocols[kind]

        def model() -> bytes:
            if not naive.packets:
                raise BLOCKED
            naive.taken += 1
            return naive.packets.pop(0)

        self._both(queue.recv_nowait, model)
