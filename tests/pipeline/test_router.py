"""The router: whose a packet is, who may send what, and that nobody waits for anybody."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from endpoint.fakes import numbers

import aiotun
from aiotun.errors import DeviceClosed, DeviceDown, DeviceGone, PacketError
from aiotun.packet import IPv6, Protocol
from aiotun.pipeline import Batch, LegStatistics, Router, RouterStatistics

from .pump_ends import Medium, ends, turns, udp, until

OUTSIDE = "192.0.2.1"


def to(peer: int, number: int = 0, src: str = OUTSIDE, size: int = 12) -> bytes:
    return udp(src, f"10.0.0.{peer}", number, size)


def sent_by(peer: int, dst: str = OUTSIDE, number: int = 0) -> bytes:
    return udp(f"10.0.0.{peer}", dst, number)


def ipv6(src: str, dst: str) -> bytes:
    return IPv6(src, dst, Protocol.UDP, bytes(8)).build()


class Scene:
    """A router with a tun and peers 1, 2, ..., each with the address 10.0.0.<its number>."""

    def __init__(self, *rooms: int | None) -> None:
        self.tun = Medium("tun")
        self.media = [Medium(f"peer{number}", room) for number, room in enumerate(rooms, 1)]

    def router(self, endpoints: Sequence[aiotun.Tun], **options: object) -> Router:
        router = Router(endpoints[0], **options)  # type: ignore[arg-type]
        for number, endpoint in enumerate(endpoints[1:], 1):
            router.add(endpoint, f"10.0.0.{number}")
        return router


def balanced(seen: RouterStatistics) -> bool:
    total = seen.total
    lost = sum(total.refused.values()) + sum(total.dropped.values())
    return total.received + total.created == total.sent + total.merged + total.waiting + lost


def leg(seen: RouterStatistics, name: str) -> LegStatistics:
    return next(one for one in (seen.tun, *seen.peers) if one.name == name)


class TestRouting:
    async def test_a_packet_goes_to_whom_it_is_for(self) -> None:
        """What comes out of the tun goes to the peer with the longest prefix of its destination."""
        scene = Scene(None, None)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints):
            scene.tun.output([to(1, 1), to(2, 2), to(1, 3)])
            await until(lambda: sum(len(medium.written) for medium in scene.media) == 3)
        assert [numbers(medium.written) for medium in scene.media] == [[1, 3], [2]]

    async def test_both_ip_versions(self) -> None:
        """Prefixes of IPv6 and of IPv4 stand side by side."""
        tun, one, other = Medium("tun"), Medium("one"), Medium("other")
        async with ends(tun, one, other) as endpoints:
            router = Router(endpoints[0])
            router.add(endpoints[1], ["10.0.0.0/24", "fd00:1::/32"])
            router.add(endpoints[2], ["fd00:1:2::/48"])
            async with router:
                tun.output([ipv6("fd00::1", "fd00:1:2::1"), ipv6("fd00::1", "fd00:1:3::1"), to(9)])
                await until(lambda: len(one.written) + len(other.written) == 3)
        assert (len(one.written), len(other.written)) == (2, 1)

    async def test_no_route(self) -> None:
        """What nobody has a prefix for, and what is no packet, is dropped by its reason."""
        scene = Scene(None)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints) as router:
            scene.tun.output([to(7), to(1), b"", b"\x45", b"\x10" * 60, to(7)])
            await until(lambda: len(scene.media[0].written) == 1)
            assert router.statistics().tun.refused == {"no_route": 2, "bad_packet": 3}

    async def test_from_a_peer_to_the_tun(self) -> None:
        """What a peer sends to nobody's prefix goes into the tun."""
        scene = Scene(None, None)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints):
            scene.media[0].output([sent_by(1, number=5)])
            await until(lambda: len(scene.tun.written) == 1)
        assert numbers(scene.tun.written) == [5]

    async def test_between_peers(self) -> None:
        """What a peer sends to another one's prefix goes there, and not into the tun."""
        scene = Scene(None, None)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints):
            scene.media[0].output([sent_by(1, "10.0.0.2", 5), sent_by(1, number=6)])
            await until(lambda: len(scene.tun.written) == 1)
        assert (numbers(scene.media[1].written), numbers(scene.tun.written)) == ([5], [6])

    async def test_not_between_peers(self) -> None:
        """With peer_to_peer=False the stack behind the tun decides about that."""
        scene = Scene(None, None)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints, peer_to_peer=False):
            scene.media[0].output([sent_by(1, "10.0.0.2", 5)])
            await until(lambda: len(scene.tun.written) == 1)

    async def test_never_back(self) -> None:
        """What a peer sends to its own prefix goes into the tun, not back to it."""
        scene = Scene(None)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints):
            scene.media[0].output([sent_by(1, "10.0.0.1", 5)])
            await until(lambda: len(scene.tun.written) == 1)
        assert scene.media[0].written == []

    async def test_the_tuns_own_routes(self) -> None:
        """A prefix of the tun is longer than the default route of a peer, from other peers and from the tun."""
        scene = Scene(None, None)
        async with ends(scene.tun, *scene.media) as endpoints:
            router = scene.router(endpoints, routes="10.0.0.0/24")
            router.set_routes(router.peers[0], ["0.0.0.0/0"])
            async with router:
                scene.media[1].output([sent_by(2, "10.0.0.99", 1), sent_by(2, "8.8.8.8", 2)])
                scene.tun.output([to(99, 3)])
                await until(lambda: len(scene.tun.written) == len(scene.media[0].written) == 1)
                assert router.statistics().tun.refused == {"no_route": 1}
        assert (numbers(scene.tun.written), numbers(scene.media[0].written)) == ([1], [2])

    async def test_a_real_host(self) -> None:
        """Between tuns of one stack: what the stack sends to the one comes out of the peer's."""
        async with aiotun.SoftHost() as host, host.open_tun() as tun, host.open_tun() as one:
            router = Router(tun)
            router.add(one, "10.0.0.1")
            async with router:
                host.interface(tun.name).output([to(1)] * 5)
                await until(lambda: one.statistics().sent_packets == 5)


class TestSources:
    async def test_a_wrong_source(self) -> None:
        """A source that is not the peer's own is dropped, whoever else's it is."""
        scene = Scene(None, None)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints) as router:
            scene.media[0].output([sent_by(2), udp(OUTSIDE, OUTSIDE), sent_by(1)])
            await until(lambda: len(scene.tun.written) == 1)
            assert leg(router.statistics(), "peer1").refused == {"bad_source": 2}

    async def test_a_source_within_a_longer_prefix(self) -> None:
        """A prefix inside the peer's that is another peer's is not its own."""
        scene = Scene(None, None)
        async with ends(scene.tun, *scene.media) as endpoints:
            router = scene.router(endpoints)
            router.set_routes(router.peers[0], ["10.0.0.0/8"])
            async with router:
                scene.media[0].output([sent_by(2), sent_by(3)])
                await until(lambda: len(scene.tun.written) == 1)
                assert leg(router.statistics(), "peer1").refused == {"bad_source": 1}

    async def test_without_the_check(self) -> None:
        """check_source=False lets every source pass."""
        scene = Scene(None)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints, check_source=False):
            scene.media[0].output([udp(OUTSIDE, OUTSIDE)])
            await until(lambda: len(scene.tun.written) == 1)

    async def test_the_kept_decisions_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """However many addresses pass, no more than RECENT decisions are kept."""
        monkeypatch.setattr("aiotun.pipeline.router_table.RECENT", 8)
        scene = Scene(None)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints) as router:
            scene.tun.output([to(1, number, src=f"10.9.0.{number}") for number in range(64)])
            await until(lambda: len(scene.media[0].written) == 64)
            assert len(router._tun.recent) == 8


class TestIsolation:
    async def test_a_full_peer_holds_up_nobody(self) -> None:
        """While one peer has no room every packet for another arrives."""
        scene = Scene(0, None)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints, packets=10) as router:
            scene.tun.output(*[[to(1), to(2)] * 32] * 20)
            await until(lambda: len(scene.media[1].written) == 640)
            slow = leg(router.statistics(), "peer1")
            assert slow.offered == slow.waiting + slow.dropped["overlimit"]

    async def test_what_waits_is_bounded(self) -> None:
        """For a peer without room wait at most a batch in hand, and the queue's packets and bytes."""
        scene = Scene(0, 0)
        async with ends(scene.tun, *scene.media) as endpoints:
            async with scene.router(endpoints, packets=100, max_bytes=4000) as router:
                scene.tun.output(*[[to(1, size=72), to(2)] * 32] * 50)
                await until(lambda: not scene.tun.read_script)
                await turns()
                big, small = router.statistics().peers
                assert (big.waiting, big.waiting_bytes) == (32 + 40, 4000)
                assert (small.waiting, small.waiting_bytes) == (32 + 100, 4000)

    async def test_the_oldest_packet_goes(self) -> None:
        """A full queue drops from its front: what comes out of it is the newest, in order."""
        scene = Scene(0)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints, packets=3) as router:
            scene.tun.output([to(1, 0)], *[[to(1, number)] for number in range(1, 10)])
            await until(lambda: router.statistics().peers[0].offered == 10)
            scene.media[0].make_room(None)
            await until(lambda: len(scene.media[0].written) == 4)
        assert numbers(scene.media[0].written) == [0, 7, 8, 9]

    async def test_order(self) -> None:
        """What waited goes before what came later, whether it was queued or not."""
        scene = Scene(3)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints):
            for at in range(0, 200, 10):
                scene.tun.output([to(1, number) for number in range(at, at + 10)])
                scene.media[0].make_room(7)
                await turns(3)
            scene.media[0].make_room(None)
            await until(lambda: len(scene.media[0].written) == 200)
        assert numbers(scene.media[0].written) == list(range(200))

    async def test_after_it_was_full(self) -> None:
        """A peer that had no room, and has, gets what comes then as it comes."""
        scene = Scene(1)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints):
            scene.tun.output([to(1, 0), to(1, 1)])
            await until(lambda: len(scene.media[0].written) == 1)
            scene.media[0].make_room(None)
            await until(lambda: len(scene.media[0].written) == 2)
            await turns()
            scene.tun.output([to(1, 2)])
            await until(lambda: len(scene.media[0].written) == 3)
        assert numbers(scene.media[0].written) == [0, 1, 2]

    async def test_the_loop_has_turns(self) -> None:
        """What was queued goes out in batches of 64, one in a turn of the loop."""
        scene = Scene(0)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints) as router:
            scene.tun.output(*[[to(1)] * 64] * 5)
            await until(lambda: router.statistics().peers[0].offered == 320)
            scene.media[0].make_room(None)
            await until(lambda: bool(scene.media[0].written))
            assert len(scene.media[0].written) <= 128

    async def test_peers_share_what_is_full(self) -> None:
        """A peer that floods another costs a third one nothing."""
        scene = Scene(None, None, 0)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints, packets=20):
            scene.media[0].output(*[[sent_by(1, "10.0.0.3", 1)] * 64] * 5)
            await until(lambda: not scene.media[0].read_script)
            scene.media[1].output([sent_by(2, "10.0.0.3", 2)] * 5)
            await turns()
            scene.media[2].make_room(None)
            await until(lambda: len(scene.media[2].written) >= 84)
            assert numbers(scene.media[2].written).count(2) == 5

    @pytest.mark.parametrize("end", ["closed", "gone", "failed"])
    async def test_a_dead_peer(self, end: str) -> None:
        """A peer whose endpoint ends stays with its routes, drops what it gets, and costs nobody else a packet."""
        scene = Scene(None, None)
        errors = {"gone": DeviceGone("peer1: gone"), "failed": DeviceDown("peer1: down")}
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints) as router:
            await turns()
            if end == "closed":
                await endpoints[1].aclose()
            else:
                scene.media[0].output(errors[end])
            await until(lambda: router.peers[0].ended is not None)
            scene.tun.output([to(1), to(2)])
            await until(lambda: len(scene.media[1].written) == 1)
            assert (router.peers[0].ended, router.peers[0].error) == (end, errors.get(end))
            assert router.statistics().peers[0].dropped == {end: 1}

    async def test_a_peer_that_ends_while_sending(self) -> None:
        """A peer that turns out to be gone when it is sent to takes its packets with it, and no more."""
        scene = Scene(None, None)
        scene.media[0].write_script.append(DeviceGone("peer1: gone"))
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints) as router:
            scene.tun.output([to(1), to(1), to(2)])
            await until(lambda: len(scene.media[1].written) == 1)
            assert router.statistics().peers[0].dropped == {"gone": 2}

    async def test_a_peer_that_ends_while_packets_wait(self) -> None:
        """What waited for a peer that is closed is dropped, under ``closed``."""
        scene = Scene(2)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints) as router:
            scene.tun.output([to(1)] * 5, [to(1)] * 4)
            await until(lambda: router.statistics().peers[0].offered == 9)
            await endpoints[1].aclose()
            await until(lambda: router.peers[0].ended is not None)
            assert router.statistics().peers[0].dropped == {"closed": 7}

    async def test_a_refused_packet(self) -> None:
        """What a peer's endpoint refuses is counted for that peer."""
        scene = Scene(None)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints) as router:
            scene.tun.output([to(1, size=2000), to(1)])
            await until(lambda: len(scene.media[0].written) == 1)
            assert router.statistics().peers[0].dropped == {"too_big": 1}


class TestPeers:
    async def test_coming_and_going(self) -> None:
        """A peer that is added while the router runs is carried for at once, and after remove() it is free."""
        tun, one = Medium("tun"), Medium("one")
        async with ends(tun, one) as (a, b), Router(a) as router:
            before = asyncio.all_tasks()
            peer = router.add(b, "10.0.0.1")
            tun.output([to(1)])
            one.output([sent_by(1)])
            await until(lambda: len(one.written) == len(tun.written) == 1)
            await router.remove(peer)
            assert (router.peers, asyncio.all_tasks()) == ((), before)
            one.output([to(1)])
            assert await b.recv() == to(1)

    async def test_a_removed_peers_counters_stay(self) -> None:
        """What a removed peer got, and what waited for it, is in the sum."""
        scene = Scene(2)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints) as router:
            scene.tun.output([to(1)] * 5)
            await until(lambda: len(scene.media[0].written) == 2)
            await router.remove(router.peers[0])
            seen = router.statistics()
            assert (seen.total.received, seen.total.sent, seen.total.dropped) == (5, 2, {"removed": 3})

    async def test_its_routes_go_with_it(self) -> None:
        """The prefix of a removed peer may be another's."""
        scene = Scene(None, None)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints) as router:
            await router.remove(router.peers[0])
            router.set_routes(router.peers[0], ["10.0.0.1", "10.0.0.2"])
            scene.tun.output([to(1), to(2)])
            await until(lambda: len(scene.media[1].written) == 2)

    async def test_changed_routes_count_at_once(self) -> None:
        """A decision that was taken before a change is not taken again."""
        scene = Scene(None, None)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints) as router:
            scene.tun.output([to(1)])
            await until(lambda: len(scene.media[0].written) == 1)
            router.set_routes(router.peers[0], ())
            router.set_routes(router.peers[1], ["10.0.0.0/24"])
            scene.tun.output([to(1)])
            await until(lambda: len(scene.media[1].written) == 1)

    async def test_a_prefix_of_another_peer(self) -> None:
        """A prefix has one owner; the refusal names it, and changes nothing."""
        scene = Scene(None, None)
        async with ends(scene.tun, *scene.media) as endpoints:
            router = scene.router(endpoints)
            with pytest.raises(ValueError, match="10.0.0.1/32 is a route of peer1, not of peer2 as well"):
                router.set_routes(router.peers[1], ["10.0.0.9", "10.0.0.1"])
            assert [str(route) for route in router.peers[1].routes] == ["10.0.0.2/32"]

    async def test_a_prefix_that_is_none(self) -> None:
        """Text that is no prefix is refused, and no peer is added."""
        scene = Scene(None)
        async with ends(scene.tun, *scene.media) as endpoints:
            router = Router(endpoints[0])
            with pytest.raises(ValueError, match="10.0.0.1/24 has host bits set"):
                router.add(endpoints[1], "10.0.0.1/24")
            assert router.peers == ()

    async def test_a_name_twice(self) -> None:
        """Two peers have two names."""
        scene = Scene(None, None)
        async with ends(scene.tun, *scene.media) as endpoints:
            router = Router(endpoints[0])
            router.add(endpoints[1], (), name="x")
            with pytest.raises(ValueError, match="the router of tun has a peer x already"):
                router.add(endpoints[2], (), name="x")

    async def test_an_endpoint_twice(self) -> None:
        """An endpoint leads to one peer."""
        scene = Scene(None)
        async with ends(scene.tun, *scene.media) as endpoints:
            router = scene.router(endpoints)
            for endpoint in endpoints:
                with pytest.raises(ValueError, match=f"the router of tun uses {endpoint.name} already"):
                    router.add(endpoint, (), name="x")

    async def test_somebody_elses_peer(self) -> None:
        """A peer can be removed once, by its own router."""
        scene = Scene(None)
        async with ends(scene.tun, *scene.media) as endpoints:
            router = scene.router(endpoints)
            peer = router.peers[0]
            await router.remove(peer)
            with pytest.raises(LookupError, match="the router of tun has no peer peer1"):
                await router.remove(peer)

    async def test_a_tap(self) -> None:
        """A tap carries frames, and is refused."""
        tap = aiotun.Tap(Medium("tap0"))
        with pytest.raises(ValueError, match="tap0: a router is for packets, this tap carries frames"):
            Router(tap)
        await tap.aclose()

    async def test_what_they_look_like(self) -> None:
        """repr() has the name and the state."""
        scene = Scene(None)
        async with ends(scene.tun, *scene.media) as endpoints:
            router = scene.router(endpoints)
            assert repr(router) == "<Router tun: 1 peers, 1 routes>"
            assert repr(router.peers[0]) == "<Peer peer1>"
            async with router:
                peer = router.peers[0]
                await router.remove(peer)
            assert repr(peer) == "<Peer peer1 removed>"


class TestStages:
    async def test_every_way_has_stages(self) -> None:
        """From the tun, to a peer, from a peer, to the tun and between peers, each passes its own."""
        passed: list[str] = []

        def stage(name: str) -> tuple[str, object]:
            def note(batch: Batch) -> Batch:
                passed.append(name)
                return batch

            return name, note

        tun, one, other = Medium("tun"), Medium("one"), Medium("other")
        async with ends(tun, one, other) as endpoints:
            router = Router(
                endpoints[0],
                outbound=[stage("from tun")],  # type: ignore[list-item]
                inbound=[stage("to tun")],  # type: ignore[list-item]
                transit=[stage("between")],  # type: ignore[list-item]
            )
            for number, endpoint in enumerate(endpoints[1:], 1):
                out, back = stage(f"to {number}"), stage(f"from {number}")
                router.add(endpoint, f"10.0.0.{number}", outbound=[out], inbound=[back])  # type: ignore[list-item]
            async with router:
                tun.output([to(1)])
                await until(lambda: len(one.written) == 1)
                one.output([sent_by(1)])
                await until(lambda: len(tun.written) == 1)
                one.output([sent_by(1, "10.0.0.2")])
                await until(lambda: len(other.written) == 1)
        assert passed == ["from tun", "to 1", "from 1", "to tun", "from 1", "between", "to 2"]

    async def test_between_peers_a_stage_may_change_the_destination(self) -> None:
        """What comes out of the way between peers goes where it says then."""
        scene = Scene(None, None, None)
        async with ends(scene.tun, *scene.media) as endpoints:
            async with scene.router(endpoints, transit=[("nat", lambda batch: [to(3, 7)] * len(batch))]):
                scene.media[0].output([sent_by(1, "10.0.0.2")])
                await until(lambda: len(scene.media[2].written) == 1)
        assert scene.media[1].written == []

    async def test_between_peers_a_stage_may_make_more(self) -> None:
        """What the stages between peers make, and drop, is in the sum."""
        scene = Scene(None, None)
        async with ends(scene.tun, *scene.media) as endpoints:
            async with scene.router(endpoints, transit=[("twice", lambda batch: [*batch, *batch])]) as router:
                scene.media[0].output([sent_by(1, "10.0.0.2")])
                await until(lambda: len(scene.media[1].written) == 2)
                assert (router.statistics().transit.created, balanced(router.statistics())) == (1, True)

    async def test_between_peers_a_stage_may_send_it_elsewhere(self) -> None:
        """What comes out of the way between peers for no peer goes into the tun."""
        scene = Scene(None, None)
        async with ends(scene.tun, *scene.media) as endpoints:
            async with scene.router(endpoints, transit=[("nat", lambda batch: [to(9, 7)] * len(batch))]):
                scene.media[0].output([sent_by(1, "10.0.0.2")])
                await until(lambda: len(scene.tun.written) == 1)
        assert scene.media[1].written == []

    async def test_a_refusal_in_a_stage(self) -> None:
        """A stage that refuses costs its batch, under the error's reason, wherever it stands."""

        def refuse(batch: Batch) -> Batch:
            raise PacketError("no", reason="forged")

        scene = Scene(None, None)
        async with ends(scene.tun, *scene.media) as endpoints:
            router = Router(endpoints[0], transit=[refuse])
            router.add(endpoints[1], "10.0.0.1", outbound=[refuse])
            router.add(endpoints[2], "10.0.0.2", inbound=[("some", lambda batch: batch)])
            async with router:
                scene.tun.output([to(1)] * 3)
                scene.media[1].output([sent_by(2, "10.0.0.1")] * 2)
                await until(lambda: sum(router.statistics().total.dropped.values()) == 5)
                seen = router.statistics()
        assert (seen.peers[0].dropped, seen.transit.dropped) == ({"forged": 3}, {"forged": 2})

    @pytest.mark.parametrize("place", ["outbound", "inbound"])
    async def test_a_fault_in_a_stage(self, place: str) -> None:
        """A fault in the program ends the router, and comes out of it, alone."""

        def break_down(batch: Batch) -> Batch:
            raise RuntimeError("a fault in the program")

        scene = Scene(None)
        async with ends(scene.tun, *scene.media) as endpoints:
            router = Router(endpoints[0])
            router.add(endpoints[1], "10.0.0.1", **{place: [break_down]})  # type: ignore[arg-type]
            scene.tun.output([to(1)])
            scene.media[0].output([sent_by(1)])
            with pytest.raises(RuntimeError, match="a fault in the program"):
                await router
            assert balanced(router.statistics())

    async def test_a_fault_while_packets_wait(self) -> None:
        """Nor is a fault lost that comes up when what waited goes on."""
        rounds = iter([False, True])

        def break_down(batch: Batch) -> Batch:
            if len(batch) and next(rounds):
                raise RuntimeError("a fault in the program")
            return batch

        scene = Scene(0)
        async with ends(scene.tun, *scene.media) as endpoints:
            router = Router(endpoints[0])
            router.add(endpoints[1], "10.0.0.1", outbound=[break_down])
            scene.tun.output([to(1)], [to(1)])
            with pytest.raises(RuntimeError, match="a fault in the program"):
                async with router:
                    await until(lambda: router.statistics().peers[0].offered == 2)
                    scene.media[0].make_room(None)
                    await asyncio.Event().wait()


class TestEnding:
    async def test_the_end_of_the_tun(self) -> None:
        """The router ends quietly when its tun is closed."""
        scene = Scene(None)
        async with ends(scene.tun, *scene.media) as endpoints:
            running = asyncio.ensure_future(carry(scene.router(endpoints)))
            await turns()
            await endpoints[0].aclose()
            await running

    async def test_sending_to_a_tun_that_was_closed(self) -> None:
        """It is as quiet an end if a peer's packets find out first."""
        scene = Scene(None)
        scene.tun.write_script.append(DeviceClosed("tun: the endpoint is closed"))
        async with ends(scene.tun, *scene.media) as endpoints:
            router = scene.router(endpoints)
            running = asyncio.ensure_future(carry(router))
            scene.media[0].output([sent_by(1)])
            await until(lambda: router.statistics().tun.ended == "closed")
            await endpoints[0].aclose()
            await running
            assert router.statistics().tun.dropped == {"closed": 1}

    async def test_a_peer_added_at_the_end(self) -> None:
        """A peer that is added while the router ends is refused."""
        tun, one = Medium("tun"), Medium("one")
        async with ends(tun, one) as (a, b):
            router = Router(a)
            running = asyncio.ensure_future(carry(router))
            await turns()
            router._stop()  # what the end of the tun does
            with pytest.raises(RuntimeError, match="the router of tun has ended; make another one"):
                router.add(b, "10.0.0.1")
            await running
            assert router.peers == ()

    async def test_the_tun_is_deleted(self) -> None:
        """The router ends with the DeviceGone of its tun."""
        scene = Scene(None)
        async with ends(scene.tun, *scene.media) as endpoints:
            scene.tun.output(DeviceGone("tun: the interface was deleted"))
            with pytest.raises(DeviceGone, match="tun: the interface was deleted"):
                await scene.router(endpoints)

    async def test_a_cancel_counts_what_waited(self) -> None:
        """What was queued or in hand when the router was ended is ``cancelled``."""
        scene = Scene(2)
        async with ends(scene.tun, *scene.media) as endpoints:
            async with scene.router(endpoints) as router:
                scene.tun.output([to(1)] * 5, [to(1)] * 4)
                await until(lambda: router.statistics().peers[0].offered == 9)
            seen = router.statistics()
        assert (seen.total.dropped, seen.total.waiting) == ({"cancelled": 7}, 0)

    async def test_a_peer_added_too_late(self) -> None:
        """A peer that is added after the end is refused."""
        tun, one = Medium("tun"), Medium("one")
        async with ends(tun, one) as (a, b):
            router = Router(a)
            async with router:
                pass
            with pytest.raises(RuntimeError, match="the router of tun has ended; make another one"):
                router.add(b, "10.0.0.1")


class TestLooking:
    async def test_statistics(self) -> None:
        """The table has a line for each leg, and one for all."""
        scene = Scene(None, 0)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints) as router:
            scene.tun.output([to(1), to(2), to(3)])
            scene.media[0].output([sent_by(1), sent_by(9)])
            await until(lambda: len(scene.tun.written) == 1 and len(scene.media[0].written) == 1)
            seen = router.statistics()
        assert balanced(seen)
        assert str(seen).splitlines() == [
            "       received  forwarded  offered  sent  waiting  dropped",
            "tun    3         2          1        1     0        1 no_route",
            "peer1  2         1          1        1     0        1 bad_source",
            "peer2  0         0          1        0     1        0",
            "total  5         3          3        2     1        1 no_route, 1 bad_source",
        ]

    async def test_graph(self) -> None:
        """The picture has every leg with its queue and its stages."""
        scene = Scene(None)
        async with ends(scene.tun, *scene.media) as endpoints:
            router = Router(endpoints[0])
            router.add(
                endpoints[1],
                "10.0.0.1",
                outbound=[("seal", lambda batch: batch)],
                inbound=[("open", lambda batch: batch)],
            )
            async with router:
                scene.tun.output([to(1), to(2)])
                await until(lambda: len(scene.media[0].written) == 1)
                assert router.graph().splitlines() == [
                    "flowchart LR",
                    '    router["the router of tun"]',
                    '    leg0(["tun"])',
                    '    leg0_refused_no_route[/"no_route"/]',
                    '    leg0_queue[("0 waiting")]',
                    '    leg1(["peer1"])',
                    '    leg1_from0["open"]',
                    '    leg1_queue[("0 waiting")]',
                    '    leg1_to0["seal"]',
                    "    leg0 -->|2| router",
                    "    router -->|0| leg0_queue",
                    "    leg0_queue -->|0| leg0",
                    "    leg1 -->|0| leg1_from0",
                    "    leg1_from0 -->|0| router",
                    "    router -->|1| leg1_queue",
                    "    leg1_queue -->|1| leg1_to0",
                    "    leg1_to0 -->|1| leg1",
                    "    router -.->|1| leg0_refused_no_route",
                ]


async def carry(router: Router) -> None:
    await router


class TestChanging:
    async def test_sources_are_checked_at_once(self) -> None:
        """check_source that is set later holds for addresses that passed before, both ways."""
        scene = Scene(None)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints, check_source=False) as router:
            for check, refused in ((False, {}), (True, {"bad_source": 1}), (False, {"bad_source": 1})):
                router.check_source = check
                assert router.check_source is check
                scene.media[0].output([sent_by(7)])
                await turns()
                assert router.statistics().peers[0].refused == refused
        assert len(scene.tun.written) == 2

    async def test_peers_are_parted_at_once(self) -> None:
        """peer_to_peer that is set later holds for addresses that passed before, both ways."""
        scene = Scene(None, None)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints) as router:
            for number, allowed in enumerate((True, False, True)):
                router.peer_to_peer = allowed
                assert router.peer_to_peer is allowed
                scene.media[0].output([sent_by(1, "10.0.0.2", number)])
                await turns()
        assert (numbers(scene.media[1].written), numbers(scene.tun.written)) == ([0, 2], [1])

    async def test_routes_of_a_removed_peer(self) -> None:
        """A peer that was removed gets no routes any more."""
        scene = Scene(None)
        async with ends(scene.tun, *scene.media) as endpoints, scene.router(endpoints) as router:
            peer = router.peers[0]
            await router.remove(peer)
            with pytest.raises(LookupError, match="the router of tun has no peer peer1"):
                router.set_routes(peer, "10.0.0.9")
            assert peer.routes == ()

    @pytest.mark.parametrize("routes", [b"10.", 5, ["10.0.0.9", b"\x0a\x00\x00\x09"]])
    async def test_a_route_that_is_none(self, routes: Any) -> None:
        """Bytes and numbers, which ipaddress takes for addresses, are no routes; nothing is left of the peer."""
        tun, one = Medium("tun"), Medium("one")
        async with ends(tun, one) as (a, b):
            router = Router(a)
            with pytest.raises(TypeError, match="the router of tun: a route is text or a network, not"):
                router.add(b, routes)
            assert router.peers == ()

    async def test_a_tap_for_a_peer(self) -> None:
        """A tap carries frames, and is refused."""
        async with aiotun.SoftHost() as host, host.open_tun() as tun, host.open_tap("tap0") as tap:
            with pytest.raises(ValueError, match="tap0: a router is for packets, this tap carries frames"):
                Router(tun).add(tap, "10.0.0.1")

    async def test_a_path_in_use(self) -> None:
        """A peer whose path another has is refused, and the router goes on as it was."""
        path = aiotun.Path("mine")
        tun, one, other = Medium("tun"), Medium("one"), Medium("other")
        async with ends(tun, one, other) as (a, b, c), Router(a) as router:
            router.add(b, "10.0.0.1", inbound=path)
            with pytest.raises(ValueError, match="the path mine is in use already"):
                router.add(c, "10.0.0.2", outbound=path)
            assert [peer.name for peer in router.peers] == ["one"]
            router.add(c, "10.0.0.2")
            tun.output([to(1), to(2)])
            await until(lambda: len(one.written) == len(other.written) == 1)

    async def test_a_leg_that_ends_while_its_batch_is_under_way(self) -> None:
        """What a peer sent is counted though sending to it found its end meanwhile, and nothing is missing."""
        one, other = Medium("peer1"), Medium("peer2")
        tun = Medium("tun")
        async with ends(tun, one, other) as (a, b, c):
            router = Router(a)
            router.add(b, "10.0.0.1")
            async with router:
                await turns()
                one.write_script.append(DeviceGone("peer1: gone"))
                tun.output([to(1)])  # the tun's task is first
                one.output([sent_by(1)])
                await until(lambda: router.peers[0].ended is not None)
                await turns()
                assert balanced(router.statistics())
                assert leg(router.statistics(), "peer1").ended == "gone"
                assert leg(router.statistics(), "peer1").refused == {"gone": 1}
