"""Routers and switches of the lab, and the routes between them."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

import attrs
import pytest
from offload import packets as p

import aiotun
from aiotun.errors import DeviceError, PacketTooBig
from aiotun.offload import segment
from aiotun.packet import IPv4, IPv6, Protocol
from aiotun.testing import Lab, LabHost, LabRouter, Note, lab_fixture

lab = lab_fixture.lab

ANY = 253
"""A protocol number for experiments, RFC 3692."""


def notes(lab: Lab) -> list[tuple[tuple[str, ...], str]]:
    return [(entry.nodes, entry.text) for entry in lab.record.entries if isinstance(entry, Note)]


def line(lab: Lab, routers: int, **options: Any) -> tuple[LabHost, list[LabRouter], LabHost]:
    """A host, some routers in a row, and a host; 10.0.0.1 and so on."""
    alice = lab.host("alice")
    between = [lab.router(f"r{number}") for number in range(1, routers + 1)]
    bob = lab.host("bob")
    row = [alice, *between, bob]
    for a, b in zip(row, row[1:], strict=False):
        lab.link(a, b, delay=0.01, **options)
    return alice, between, bob


@pytest.mark.parametrize("version", [4, 6])
def test_a_way_over_three_routers(lab: Lab, version: int) -> None:
    """Everybody reaches everybody, each link taking its delay each way."""
    alice, routers, bob = line(lab, 3)

    @lab.run
    async def main() -> None:
        for count, node in enumerate([*routers, bob], 1):
            address = next(one.ip for one in node.addresses if one.version == version)
            assert await alice.ping(address) == pytest.approx(count * 0.02)
        assert await bob.ping(alice.addresses[version == 6].ip) == pytest.approx(0.08)


def test_each_router_takes_one_hop_off(lab: Lab) -> None:
    """What left with a ttl of 64 arrives with 62 behind two routers."""
    alice, _, bob = line(lab, 2)

    @lab.run
    async def main() -> None:
        with bob.protocol(socket.AF_INET) as queue:
            alice.send(IPv4("10.0.0.1", "10.0.0.4", ANY, b"hello").build())
            arrived = await queue.recv()
        assert IPv4.parse(arrived).ttl == 62


def test_a_packet_out_of_hops_is_told_of(lab: Lab) -> None:
    """The second router answers a packet with ttl 2, and the diagram has a note of the drop."""
    alice, _, _ = line(lab, 3)

    @lab.run
    async def answer() -> IPv4:
        with alice.protocol(socket.AF_INET) as queue:
            alice.send(IPv4("10.0.0.1", "10.0.0.5", ANY, b"hello", ttl=2).build())
            return IPv4.parse(await queue.recv())

    assert (answer.src, answer.protocol, answer.payload[0]) == (ip_address("10.0.0.3"), Protocol.ICMP, 11)
    assert notes(lab) == [(("r2",), "dropped: ttl_exceeded")]


def test_no_route_and_a_dead_link_are_told_of(lab: Lab) -> None:
    """A router says unreachable for what it has no route to, and for what is behind a link that is down."""
    alice, _, _ = line(lab, 1)

    @lab.run
    async def main() -> None:
        with pytest.raises(DeviceError, match="10.9.9.9: unreachable, says 10.0.0.2"):
            await alice.ping("10.9.9.9")
        lab.links[1].down()
        with pytest.raises(DeviceError, match="10.0.0.3: unreachable, says 10.0.0.2"):
            await alice.ping("10.0.0.3")

    assert [text for _, text in notes(lab)] == ["dropped: no_route", "down", "dropped: down"]


@pytest.mark.parametrize(("address", "header"), [("10.0.0.3", 28), ("fd00::3", 48)])
def test_a_narrow_link_is_told_of(lab: Lab, address: str, header: int) -> None:
    """What may not be cut is answered with the mtu of the link ahead."""
    alice, router, bob = lab.host("alice"), lab.router("r"), lab.host("bob")
    lab.link(alice, router)
    lab.link(router, bob, mtu=1300)

    @lab.run
    async def main() -> None:
        await alice.ping(address, size=1300 - header)
        with pytest.raises(PacketTooBig, match="mtu is 1300, says"):
            await alice.ping(address, size=1301 - header)

    assert notes(lab) == [(("r",), "dropped: too_big")]


def test_what_may_be_cut_is_cut(lab: Lab) -> None:
    """An IPv4 packet without DF arrives in fragments of the mtu of the narrow link."""
    alice, router, bob = lab.host("alice"), lab.router("r"), lab.host("bob")
    lab.link(alice, router)
    lab.link(router, bob, mtu=996)

    @lab.run
    async def pieces() -> list[IPv4]:
        with bob.protocol(socket.AF_INET) as queue:
            alice.send(IPv4("10.0.0.1", "10.0.0.3", ANY, bytes(1480)).build())
            return [IPv4.parse(await queue.recv()) for _ in range(2)]

    assert [(piece.fragment_offset * 8, len(piece.payload)) for piece in pieces] == [(0, 976), (976, 504)]


def test_a_host_does_not_forward(lab: Lab) -> None:
    """No way leads through a host, and it keeps what is not for it."""
    alice, middle, bob = lab.host("alice"), lab.host("middle"), lab.host("bob")
    lab.link(alice, middle)
    lab.link(middle, bob)

    @lab.run
    async def main() -> None:
        await alice.ping("10.0.0.2")
        with pytest.raises(TimeoutError):
            await alice.ping("10.0.0.3")

    assert not any("bob" in (crossing.source, crossing.target) for crossing in lab.packets)


def test_the_shortest_way_is_taken(lab: Lab) -> None:
    """Of two ways to a host the one over fewer links is taken, both ways."""
    alice, bob = lab.host("alice"), lab.host("bob")
    a, b, detour = lab.router("a"), lab.router("b"), lab.router("detour")
    for one, other in ((alice, a), (a, detour), (detour, b), (b, bob), (a, b)):
        lab.link(one, other)
    lab.run(alice.ping("10.0.0.2"))
    assert not any("detour" in (crossing.source, crossing.target) for crossing in lab.packets)


def test_a_route_of_the_test_comes_first(lab: Lab) -> None:
    """Routes that a test adds are taken instead of the lab's, and stay when links are added."""
    alice, one, other = lab.host("alice"), lab.router("one"), lab.router("other")
    bob = lab.host("bob")
    lab.link(alice, one)
    lab.link(alice, other)
    lab.link(one, bob)
    lab.link(other, bob)
    alice.routes.add("10.0.0.4/32", "eth1")

    @lab.run
    async def main() -> None:
        await alice.ping("10.0.0.4")
        carol = lab.host("carol")
        lab.link(other, carol)
        await alice.ping("10.0.0.4")
        await alice.ping("10.0.0.5")

    assert [crossing.target for crossing in lab.packets if crossing.source == "alice"] == ["other"] * 3


def test_a_prefix_behind_a_gateway(lab: Lab) -> None:
    """With lab.route() a VPN's addresses are reached by its gateway, which forwards into its tun and out of it."""
    alice, router, gateway = lab.host("alice"), lab.router("r"), lab.router("gateway")
    lab.link(alice, router)
    lab.link(router, gateway)
    lab.route("10.8.0.0/16", gateway)

    @lab.run
    async def main() -> None:
        async with gateway.open_tun(address="10.8.0.1/16") as tun:
            with alice.protocol(socket.AF_INET) as queue:
                alice.send(IPv4("10.0.0.1", "10.8.0.7", ANY, b"hello").build())
                entered = IPv4.parse(await tun.recv())
                await tun.send(IPv4("10.8.0.7", "10.0.0.1", ANY, b"welcome").build())
                answered = IPv4.parse(await queue.recv())
        assert (entered.ttl, entered.payload) == (62, b"hello")
        assert (answered.ttl, answered.payload) == (62, b"welcome")


def test_what_is_no_packet_is_counted(lab: Lab) -> None:
    """What is no IP packet goes to the router's own stack, which counts it."""
    alice, routers, _ = line(lab, 1)

    @lab.run
    async def main() -> None:
        await lab.links[0].ends[0].send(bytes(10))
        await alice.ping("10.0.0.2")

    assert routers[0].stack.statistics().dropped == {"unsupported_family": 1}


def test_a_switch_learns(lab: Lab) -> None:
    """After one ping across a switch, the next goes to nobody else."""
    switch = lab.switch("switch")
    hosts = [lab.host(name, f"10.1.0.{number}/24") for number, name in enumerate(("alice", "bob", "carol"), 1)]
    for host in hosts:
        lab.link(host, switch, delay=0.01)

    @lab.run
    async def main() -> None:
        await hosts[0].ping("10.1.0.2")
        before = len(lab.packets)
        assert await hosts[0].ping("10.1.0.2") == pytest.approx(0.04)
        assert not any(crossing.target == "carol" for crossing in lab.packets[before:])

    assert {station.member for station in switch.bridge.table(lab.time)} == {"eth0", "eth1"}
    assert hosts[0].routes.lookup("10.1.0.3") is hosts[0].routes.lookup("10.1.0.2")


def test_nobody_at_the_other_side_of_a_switch(lab: Lab) -> None:
    """ARP gives up by the virtual clock: three questions, a second apart, and time does not run away."""
    switch, alice = lab.switch("switch"), lab.host("alice", "10.1.0.1/24")
    lab.link(alice, switch)

    @lab.run
    async def main() -> None:
        with pytest.raises(TimeoutError):
            await alice.ping("10.1.0.9", timeout=10)

    assert [crossing.time for crossing in lab.packets] == [0, 1, 2]
    assert lab.time == 10


@pytest.mark.parametrize("version", [4, 6])
def test_two_switched_networks_and_a_router(lab: Lab, version: int) -> None:
    """A router between two switches forwards frames that are for it, for hosts with addresses of their own."""
    left, router, right = lab.switch("left"), lab.router("router"), lab.switch("right")
    alice, bob = lab.host("alice"), lab.host("bob")
    for node, switch in ((alice, left), (router, left), (router, right), (bob, right)):
        lab.link(node, switch)
    addresses = [host.addresses[version == 6].ip for host in (alice, bob)]

    @lab.run
    async def main() -> None:
        await alice.ping(addresses[1])
        await bob.ping(addresses[0])
        await router.ping(addresses[0])
        with pytest.raises(DeviceError, match="10.99.0.1: unreachable, says 10.0.0.2"):
            await alice.ping("10.99.0.1")


def test_a_switch_and_a_host_with_one_ip_version(lab: Lab) -> None:
    """Where the first router has no address of an IP version, there is no route of that version."""
    switch, router = lab.switch("switch"), lab.router("router", "10.0.0.9")
    alice, bob = lab.host("alice"), lab.host("bob")
    lab.link(alice, switch)
    lab.link(router, switch)
    lab.link(router, bob)
    lab.run(alice.ping("10.0.0.4"))
    with pytest.raises(aiotun.DeviceError, match="no route to fd00::4"):
        lab.run(alice.ping("fd00::4"))


def test_ipv6_hops_are_counted_too(lab: Lab) -> None:
    """An IPv6 packet with one hop left ends at the first router, which says so."""
    alice, _, _ = line(lab, 1)

    @lab.run
    async def answer() -> IPv6:
        with alice.protocol(socket.AF_INET6) as queue:
            alice.send(IPv6("fd00::1", "fd00::3", ANY, b"hello", hop_limit=1).build())
            return IPv6.parse(await queue.recv())

    assert (answer.src, answer.payload[0]) == (ip_address("fd00::2"), 3)


@pytest.mark.parametrize("switched", [False, True], ids=["link", "switch"])
def test_super_packets_are_cut_for_a_link(lab: Lab, switched: bool) -> None:
    """What enters a router by a tun with offload leaves as the packets it stands for, one hop less each."""
    gateway, bob = lab.router("gateway"), lab.host("bob", "10.1.4.2")
    if switched:
        switch = lab.switch("switch")
        lab.link(gateway, switch)
        lab.link(switch, bob)
    else:
        lab.link(gateway, bob)
    packet = p.big(4)

    @lab.run
    async def arrived() -> list[bytes]:
        async with gateway.open_tun(offload=True) as tun:
            with bob.protocol(socket.AF_INET) as queue:
                await tun.send(packet)
                return [await queue.recv() for _ in range(4)]

    sent = [IPv4.parse(one) for one in segment(packet)]
    assert [IPv4.parse(one) for one in arrived] == [attrs.evolve(one, ttl=one.ttl - 1) for one in sent]
