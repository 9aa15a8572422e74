"""Links: what can be done to them while the lab runs."""

from __future__ import annotations

import asyncio
import errno
from typing import Any

import pytest

from aiotun.errors import DeviceDown, DeviceError, PacketTooBig, QueueFull
from aiotun.testing import Crossing, Lab, LabHost, LabLink, Note, lab_fixture

lab = lab_fixture.lab


def pair(lab: Lab, **options: Any) -> tuple[LabHost, LabHost, LabLink]:
    """Two hosts, 10.0.0.1 and 10.0.0.2, and the link between them."""
    alice, bob = lab.host("alice"), lab.host("bob")
    return alice, bob, lab.link(alice, bob, **options)


def notes(lab: Lab) -> list[tuple[float, str]]:
    return [(entry.time, entry.text) for entry in lab.record.entries if isinstance(entry, Note)]


def test_a_link_that_is_down_refuses(lab: Lab) -> None:
    """Down, a node is told at once that the link is; up again, it works; both are noted."""
    alice, _, link = pair(lab)

    @lab.run
    async def main() -> None:
        link.down()
        link.down()
        with pytest.raises(DeviceDown, match="eth0: the interface is down"):
            await alice.ping("10.0.0.2")
        await asyncio.sleep(5)
        link.up()
        assert await alice.ping("10.0.0.2") == 0

    assert notes(lab) == [(0, "down"), (5, "up")]


def test_what_is_under_way_when_a_link_goes_down_is_lost(lab: Lab) -> None:
    """A packet in the middle of a link that is cut does not arrive, which is noted."""
    alice, _, link = pair(lab, delay=1)

    @lab.run
    async def main() -> None:
        asyncio.get_running_loop().call_later(0.5, link.down)
        with pytest.raises(TimeoutError):
            await alice.ping("10.0.0.2", timeout=10)

    assert notes(lab) == [(0.5, "down"), (0.5, "1 under way dropped: link_down")]


def test_a_link_flaps(lab: Lab) -> None:
    """Three times down, for 10 seconds each, 10 seconds apart."""
    _, _, link = pair(lab)

    @lab.run
    async def main() -> None:
        link.flap(3, every=10)
        await asyncio.sleep(100)

    assert notes(lab) == [(0, "down"), (10, "up"), (20, "down"), (30, "up"), (40, "down"), (50, "up")]


def test_an_impairment_may_change_while_the_lab_runs(lab: Lab) -> None:
    """What is changed is changed, for both ways or one, and the rest stays."""
    alice, bob, link = pair(lab, delay=1)

    @lab.run
    async def main() -> None:
        assert await alice.ping("10.0.0.2", timeout=5) == 2
        link.impair(delay=0.25)
        assert await alice.ping("10.0.0.2") == 0.5
        link.impair(sender=bob, delay=0.5)
        assert await alice.ping("10.0.0.2") == 0.75
        link.impair(sender="alice", loss=1.0)
        with pytest.raises(TimeoutError):
            await alice.ping("10.0.0.2")

    assert [text for _, text in notes(lab)] == ["delay 0.25", "delay 0.5 for bob", "loss 1.0 for alice"]
    assert [crossing.dropped for crossing in lab.packets] == ["", ""] * 3 + ["lost"]


def test_who_is_at_neither_end_sends_nothing(lab: Lab) -> None:
    """The name of another node is refused."""
    _, _, link = pair(lab)
    with pytest.raises(ValueError, match="<LabLink alice - bob>: carol is at neither end"):
        link.impair(sender="carol", loss=1.0)


def test_a_rate_and_a_queue(lab: Lab) -> None:
    """At 8000 bit/s, 1000 bytes take a second; of a queue of 2 what comes third is dropped, and recorded so."""
    near, far = lab.channel("a", "b", rate=8000, queue_length=2)

    @lab.run
    async def arrivals() -> list[float]:
        await near.send_many([bytes(1000)] * 3)
        return [len(await far.recv()) and lab.time for _ in range(2)]

    assert arrivals == [1, 2]
    assert [crossing.dropped for crossing in lab.packets] == ["", "", "queue_full"]


def test_a_channel_may_let_its_sender_wait(lab: Lab) -> None:
    """With when_full="wait" nothing is dropped."""
    near, far = lab.channel("a", "b", when_full="wait")

    @lab.run
    async def main() -> None:
        sending = asyncio.create_task(near.send_many([b"x"] * 2000))
        for _ in range(2000):
            await far.recv()
        await sending

    assert len(lab.packets) == 2000


def test_injected_errors_reach_the_sender(lab: Lab) -> None:
    """The next packets of one side are refused with the errno, then it works; those refused never crossed."""
    alice, _, link = pair(lab)
    link.fail(errno.ENOBUFS, next=2, sender=alice)

    @lab.run
    async def main() -> None:
        for _ in range(2):
            with pytest.raises(QueueFull, match=r"No buffer space available \(injected\)"):
                await alice.ping("10.0.0.2")
        await alice.ping("10.0.0.2")

    assert notes(lab) == [(0, "ENOBUFS injected")] * 2
    assert len(lab.packets) == 2
    assert alice.ports[0].dropped == {"queue_full": 2}


def test_injected_errors_reach_the_receiver(lab: Lab) -> None:
    """Who waits at the end of a channel gets the errno; a link's stack has nobody to get it."""
    channel = lab.channel("a", "b")

    @lab.run
    async def main() -> None:
        asyncio.get_running_loop().call_later(7, lambda: channel.fail_receiving(errno.EPERM, receiver="b"))
        with pytest.raises(DeviceError) as caught:
            await channel.ends[1].recv()
        assert (caught.value.errno, lab.time) == (errno.EPERM, 7)
        await channel.ends[0].send(b"x")
        assert await channel.ends[1].recv() == b"x"

    _, _, link = pair(lab)
    with pytest.raises(ValueError, match="a node's own stack receives from a link"):
        link.fail_receiving(errno.EPERM, receiver="bob")


def test_the_mtu_may_change(lab: Lab) -> None:
    """A lower mtu is what the stack goes by from then on."""
    alice, _, link = pair(lab, mtu=1400)

    @lab.run
    async def main() -> None:
        await alice.ping("10.0.0.2", size=1400 - 28)
        link.set_mtu(1000)
        with pytest.raises(PacketTooBig, match="eth0: packet is 1400 bytes, mtu is 1000"):
            await alice.ping("10.0.0.2", size=1400 - 28)

    assert notes(lab) == [(0, "mtu 1000")]


def test_a_partition_cuts_what_leads_out(lab: Lab) -> None:
    """Inside a partition and outside of it all works, between them nothing; what was down before stays so."""
    hosts = [lab.host(f"h{number}") for number in range(4)]
    ring = [lab.link(a, b) for a, b in zip(hosts, [*hosts[1:], hosts[0]], strict=True)]
    ring[1].down()

    async def up() -> list[bool]:
        with lab.partition(hosts[0], "h1"):
            return [link.is_up for link in ring]

    assert lab.run(up) == [True, False, True, False]
    assert [link.is_up for link in ring] == [True, False, True, True]


def test_corrupted_and_duplicated_packets_are_recorded(lab: Lab) -> None:
    """The record has what was sent, and says what became of it."""
    near, far = lab.channel("a", "b", corrupt=1.0, duplicate=1.0)

    @lab.run
    async def received() -> list[bytes]:
        await near.send(b"x")
        return await far.recv_many()

    assert lab.packets == (Crossing(0, "a", "b", b"x", "", "corrupted and duplicated"),)
    assert len(received) == 2 and b"x" not in received


def test_a_link_whose_end_is_closed_is_dead(lab: Lab) -> None:
    """Closing one end of a link is no fault of the lab."""
    alice, _, link = pair(lab)

    @lab.run
    async def main() -> None:
        await alice.ping("10.0.0.2")
        await link.ends[1].aclose()
        with pytest.raises(DeviceError):
            await alice.ping("10.0.0.2")
