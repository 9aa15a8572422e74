"""The ping responder, in process and under the kernel's ping."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import ping_responder
import pytest

import aiotun
from aiotun.packet import ICMP, UDP, ICMPv6, IPv4, IPv6, Protocol, echo_reply

from .program import Program, free_of_complaints, namespaces, ping

PING4 = IPv4("10.9.0.2", "10.9.0.1", Protocol.ICMP, ICMP.echo_request(1, 1, b"four").build()).build()
PING6 = IPv6(
    "fd00::2", "fd00::1", Protocol.ICMPV6, ICMPv6.echo_request(1, 1, b"six").build("fd00::2", "fd00::1")
).build()
NO_PING = IPv4("10.9.0.2", "10.9.0.1", Protocol.UDP, UDP(1, 2).build("10.9.0.2", "10.9.0.1")).build()


@asynccontextmanager
async def responder() -> AsyncIterator[tuple[aiotun.SoftHost, aiotun.Endpoint]]:
    """Run the responder on an in-process tun, and give its host and network side."""
    async with asyncio.TaskGroup() as tasks, aiotun.SoftHost() as host, host.open_tun("ping0") as tun:
        tasks.create_task(ping_responder.respond(tun))
        yield host, host.network_side("ping0")


@pytest.mark.parametrize("request_", [PING4, PING6], ids=["IPv4", "IPv6"])
async def test_answers_an_echo_request(request_: bytes) -> None:
    """An echo request that the stack sends out comes back as its reply."""
    async with responder() as (_, network), asyncio.timeout(10):
        await network.send(request_)
        assert await network.recv() == echo_reply(request_)


async def test_leaves_other_packets_alone() -> None:
    """A packet that is no echo request gets no answer, and does not keep the next one from its own."""
    async with responder() as (_, network), asyncio.timeout(10):
        await network.send_many([NO_PING, PING4])
        assert await network.recv_many() == [echo_reply(PING4)]


async def test_goes_on_after_replies_that_found_the_interface_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replies that cannot be sent because the interface went down are lost, and later requests answered."""
    async with responder() as (host, network), asyncio.timeout(10):
        interface = host.interface("ping0")

        def reply_too_late(packet: bytes) -> bytes | None:
            interface.set_up(False)
            return echo_reply(packet)

        with monkeypatch.context() as patch:
            patch.setattr(ping_responder, "echo_reply", reply_too_late)
            await network.send(PING4)
            while interface.up:
                await asyncio.sleep(0)
        interface.set_up(True)
        await network.send(PING6)
        assert await network.recv() == echo_reply(PING6)


async def test_fails_when_the_interface_is_deleted() -> None:
    """The responder does not outlive its interface in silence."""
    with pytest.raises(ExceptionGroup) as caught:
        async with responder() as (host, _), asyncio.timeout(10):
            host.destroy("ping0")
            await asyncio.Event().wait()
    assert caught.group_contains(aiotun.DeviceGone)


@pytest.mark.kernel
@pytest.mark.parametrize("address", ["10.9.0.2", "fd00:9::2"])
def test_loses_none_of_a_thousand_kernel_pings(address: str) -> None:
    """The kernel's ping, a thousand packets at a thousand a second, gets every answer."""
    with namespaces("pinged"):
        with Program(
            "ping_responder.py", "--netns=pinged", "--address=10.9.0.1/24", "--address=fd00:9::1/64"
        ) as program:
            received = ping("pinged", address, 1000)
        assert received == 1000, program.errors


@pytest.mark.kernel
def test_ends_cleanly_with_its_statistics() -> None:
    """SIGTERM ends the program with exit status 0, no warning, and the counts as its last line."""
    with namespaces("pinged"):
        with Program("ping_responder.py", "--name=pong", "--netns=pinged", "--address=10.9.0.1/24") as program:
            ping("pinged", "10.9.0.2", 10)
        assert (free_of_complaints(program), program.lines) == ([], ["pong: 10 packets received, 10 answered"])
