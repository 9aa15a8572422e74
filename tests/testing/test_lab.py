"""The lab as a whole: running, failing, repeating itself, and hours that take no time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import pytest

import aiotun
from aiotun.testing import Deadlock, Lab, lab_fixture

lab = lab_fixture.lab


def test_a_ping_takes_two_delays(lab: Lab) -> None:
    """Over a link of 20 ms a ping takes 40."""
    alice, bob = lab.host("alice", "10.0.0.1"), lab.host("bob", "10.0.0.2")
    lab.link(alice, bob, delay=0.02)

    @lab.run
    async def main() -> None:
        assert await alice.ping("10.0.0.2") == 0.04
        assert lab.time == 0.04


def test_run_returns_what_the_coroutine_does(lab: Lab) -> None:
    """A coroutine runs as well as a function that makes one, and its result comes back."""

    async def main() -> int:
        return 5

    assert (lab.run(main()), lab.run(main)) == (5, 5)


def test_the_clock_goes_on_in_the_next_run(lab: Lab) -> None:
    """A second run begins when the first one ended, and what was under way arrives."""
    near, far = lab.channel("a", "b", delay=3)

    async def begin() -> None:
        await asyncio.sleep(1)
        await near.send(b"hello")

    async def end() -> tuple[bytes, float]:
        return await far.recv(), lab.time

    lab.run(begin)
    assert lab.run(end) == (b"hello", 4)


def test_an_exception_has_the_diagram_as_its_note(lab: Lab) -> None:
    """What failed comes out as it is, once with the packets until then."""
    near, _ = lab.channel("a", "b")

    async def main() -> None:
        await near.send(b"hello")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        lab.run(main)
    assert caught.value.__notes__ == [f"What happened in the lab:\n\n{lab.diagram()}"]
    assert "n0->>n1: 0 s: 5 bytes 68 65 6c 6c 6f\n" in lab.diagram()


def test_the_note_of_a_failure_is_bounded(lab: Lab) -> None:
    """Of 150 packets the note has the last 100, and says that there were others."""
    near, _ = lab.channel("a", "b")

    async def main() -> None:
        for number in range(150):
            await near.send(bytes((number,)))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        lab.run(main)
    (note,) = caught.value.__notes__
    assert note.count("->>") == 100
    assert "Note over n0: 50 earlier entries are not shown" in note


def test_a_block_that_fails_has_the_note_too() -> None:
    """An assertion outside of run(), inside the lab's block, gets the diagram."""
    with pytest.raises(AssertionError) as caught, Lab() as lab:
        near, _ = lab.channel("a", "b")
        lab.run(near.send(b"hello"))
        raise AssertionError
    assert len(caught.value.__notes__) == 1


def test_a_deadlock_names_the_test_and_not_the_lab(lab: Lab) -> None:
    """Of the tasks that wait for ever those of the lab itself are not told of."""
    alice, bob = lab.host("alice"), lab.host("bob")
    lab.link(alice, bob)
    near, _ = lab.channel(alice, bob)

    async def main() -> None:
        await near.recv()

    with pytest.raises(Deadlock) as caught:
        lab.run(main)
    assert len(str(caught.value).splitlines()) == 2


def test_a_lab_has_a_time_limit() -> None:
    """A wait without end beside a keepalive ends at the lab's limit, and the lab is closed all the same."""
    with Lab(time_limit=3600) as lab:
        near, far = lab.channel("near", "far")
        ends = [Keepalive(near), Keepalive(far)]

        async def main() -> None:
            await asyncio.gather(*(end.run(math.inf) for end in ends))

        with pytest.raises(TimeoutError, match="the time limit of 3600 virtual seconds is over"):
            lab.run(main)
        assert 3500 < lab.time <= 3600
    assert near.closed and far.closed


def test_a_fault_in_a_node_ends_the_run(lab: Lab) -> None:
    """What a stage in a router raises comes out of run(), though nobody awaits it."""
    alice, router, bob = lab.host("alice"), lab.router("r"), lab.host("bob")
    lab.link(alice, router)
    lab.link(router, bob)

    def broken(batch: Sequence[bytes]) -> list[bytes]:
        raise ZeroDivisionError

    router.forwarding.append(broken)
    with pytest.raises(ZeroDivisionError):
        lab.run(alice.ping("10.0.0.3", timeout=3600))
    assert lab.time == 0


async def test_an_event_loop_that_runs_is_refused(lab: Lab) -> None:
    """In an async test run() says why it cannot."""

    async def main() -> None:
        raise AssertionError

    with pytest.raises(RuntimeError, match="is for a plain function"):
        lab.run(main)
    await asyncio.to_thread(lab.close)


def test_a_closed_lab_leaves_nothing() -> None:
    """Whatever was open, waiting or under way, close() ends it; the second close is nothing."""
    ended: list[str] = []

    async def wait(endpoint: aiotun.Endpoint) -> None:
        try:
            await endpoint.recv()
        finally:
            ended.append(endpoint.name)

    lab = Lab()
    alice, switch = lab.host("alice"), lab.switch("s")
    lab.link(alice, switch)
    near, far = lab.channel(alice, switch, delay=1)

    @lab.run
    async def tasks() -> list[asyncio.Task[None]]:
        tun = await alice.open_tun()
        await near.send(b"hello")
        waiting = [asyncio.create_task(wait(endpoint)) for endpoint in (tun, far)]
        await asyncio.sleep(0)
        return waiting

    lab.close()
    lab.close()
    assert sorted(ended) == ["s to alice", "tun0"]
    assert all(task.cancelled() for task in tasks)
    assert near.closed and far.closed and not alice.interfaces


def test_nodes_have_names_of_their_own(lab: Lab) -> None:
    """A second node of one name, and a link from a node to itself, are refused."""
    alice = lab.host("alice")
    with pytest.raises(ValueError, match="there is a node alice already"):
        lab.router("alice")
    with pytest.raises(ValueError, match="a link joins two nodes, not alice with itself"):
        lab.link(alice, alice)


def test_the_record_forgets_the_oldest() -> None:
    """A lab remembers as many packets as it was told to."""
    with Lab(limit=3) as lab:
        near, _ = lab.channel("a", "b")
        lab.run(near.send_many([b"1", b"2", b"3", b"4"]))
        assert [crossing.packet for crossing in lab.packets] == [b"2", b"3", b"4"]


def bad_weather(seed: int) -> str:
    """Let three hosts ping each other over bad links; return all that happened."""
    with Lab(seed=seed) as lab:
        switch = lab.switch("switch")
        hosts = [lab.host(name) for name in ("alice", "bob", "carol")]
        for host in hosts:
            lab.link(host, switch, delay=(0.001, 0.02), loss=0.1, reorder=0.1, duplicate=0.1, corrupt=0.05, rate=1e6)

        async def ping(number: int) -> None:
            for _ in range(10):
                for host in hosts:
                    if host is not hosts[number]:
                        try:
                            await hosts[number].ping(host.addresses[0].ip, timeout=0.5)
                        except TimeoutError:
                            pass

        async def main() -> None:
            await asyncio.gather(*map(ping, range(3)))

        lab.run(main)
        return lab.diagram()


def test_the_same_seed_gives_the_same_packets() -> None:
    """Two runs with one seed are equal to the last packet and microsecond; with another they are not."""
    first = bad_weather(1)
    assert "-x" in first and "corrupted" in first and "duplicated" in first
    assert bad_weather(1) == first
    assert bad_weather(2) != first


class Keepalive:
    """A toy of a tunnel: says hello every 25 s, gives the peer up after 80 s of silence."""

    def __init__(self, line: aiotun.Endpoint) -> None:
        self.line = line
        self.heard = self.lost = 0

    async def run(self, until: float) -> None:
        async with asyncio.TaskGroup() as tasks:
            saying = tasks.create_task(self._say())
            await self._listen(until)
            saying.cancel()

    async def _say(self) -> None:
        while True:
            await self.line.send(b"hello")
            await asyncio.sleep(25)

    async def _listen(self, until: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            try:
                async with asyncio.timeout(80):
                    await self.line.recv()
                self.heard += 1
            except TimeoutError:
                self.lost += 1


def test_a_day_of_keepalive(lab: Lab) -> None:
    """In 24 virtual hours over a line that loses a fifth, what was said and not lost was heard."""
    day = 24 * 3600
    channel = lab.channel("near", "far", delay=0.05, loss=0.2)
    ends = [Keepalive(end) for end in channel]

    @lab.run
    async def main() -> None:
        await asyncio.gather(*(end.run(day) for end in ends))

    assert day <= lab.time < day + 80
    said, lost = len(lab.packets), sum(bool(crossing.dropped) for crossing in lab.packets)
    assert 2 * day / 25 <= said <= 2 * day / 25 + 10
    assert 0 <= said - lost - sum(end.heard for end in ends) <= 2  # the last ones nobody waited for
    assert sum(end.lost for end in ends) > 0
