"""The service with a tun inside: its answers, and that it ends without a trace."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import embed_in_app
import pytest

import aiotun
from aiotun.packet import ICMP, UDP, IPv4, Protocol, echo_reply

from .program import PATIENCE, Program, free_of_complaints

PING = IPv4("10.9.0.2", "10.9.0.1", Protocol.ICMP, ICMP.echo_request(1, 1).build()).build()
DATAGRAM = IPv4("10.9.0.2", "10.9.0.1", Protocol.UDP, UDP(1, 2).build("10.9.0.2", "10.9.0.1")).build()


def ask(ready: str, *questions: bytes) -> list[Any]:
    """Connect to the service that printed *ready*, and return its answers to lines."""
    with socket.create_connection(("127.0.0.1", port_of(ready)), PATIENCE) as connection:
        with connection.makefile("rwb") as stream:
            answers = []
            for question in questions:
                stream.write(question + b"\n")
                stream.flush()
                answers.append(json.loads(stream.readline()))
    return answers


def port_of(ready: str) -> int:
    return int(ready.removeprefix("ready on port "))


@asynccontextmanager
async def gateway() -> AsyncIterator[tuple[embed_in_app.Gateway, aiotun.Endpoint, aiotun.SoftHost]]:
    """Run the gateway on an in-process tun, and give it with its network side and its host."""
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks, aiotun.SoftHost() as host, host.open_tun() as tun:
        made = embed_in_app.Gateway(tun)
        tasks.create_task(made.run())
        yield made, host.network_side(tun.name), host


async def test_answers_a_ping() -> None:
    """The service replies to an echo request on its tun."""
    async with gateway() as (_, network, _):
        await network.send(PING)
        assert await network.recv() == echo_reply(PING)


async def test_goes_on_after_a_reply_that_found_the_interface_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply lost because the interface went down does not end the service."""
    async with gateway() as (made, network, host):
        interface = host.interface(made.tun.name)

        def reply_too_late(packet: bytes) -> bytes | None:
            interface.set_up(False)
            return echo_reply(packet)

        with monkeypatch.context() as patch:
            patch.setattr(embed_in_app, "echo_reply", reply_too_late)
            await network.send(PING)
            while interface.up:
                await asyncio.sleep(0)
        interface.set_up(True)
        await network.send(PING)
        assert await network.recv() == echo_reply(PING)


async def test_counts_packets_by_protocol() -> None:
    """What came in is counted under the name of its protocol, malformed packets too."""
    async with gateway() as (made, network, _):
        await network.send_many([DATAGRAM, b"\x45" + bytes(10), PING])
        await network.recv()
        assert made.seen == {"UDP": 1, "malformed": 1, "ICMP": 1}


@pytest.mark.parametrize(
    "question, answer",
    [
        (b"name", {"name": "app0", "mtu": 1500}),
        (b"", {"error": "'' is not one of: name, stats"}),
        (b"\xff", {"error": "'\ufffd' is not one of: name, stats"}),
    ],
)
def test_answers_a_line(question: bytes, answer: object) -> None:
    """The console answers what it knows, and says what it does not."""
    with Program("embed_in_app.py", "--soft", "--port=0") as program:
        assert ask(program.ready, question) == [answer]


def test_serves_the_tun_while_it_answers() -> None:
    """The statistics show the pings of the simulated neighbour."""
    with Program("embed_in_app.py", "--soft", "--port=0") as program:
        while not (answer := ask(program.ready, b"stats")[0])["sent"]:
            pass
        assert answer["seen"]["ICMP"] >= 1


def test_outlives_a_client_that_never_ends_its_line() -> None:
    """A line beyond the stream's limit ends that connection, not the service."""
    with Program("embed_in_app.py", "--soft", "--port=0") as program:
        with socket.create_connection(("127.0.0.1", port_of(program.ready)), PATIENCE) as connection:
            with suppress(ConnectionError):  # hung up on in the middle of it
                connection.sendall(bytes(200_000))
                connection.recv(1)
        assert ask(program.ready, b"name")


def test_ends_cleanly_with_a_client_connected() -> None:
    """SIGTERM ends the service with exit status 0 and no warning, though a client is still there."""
    with Program("embed_in_app.py", "--soft", "--port=0") as program:
        connection = socket.create_connection(("127.0.0.1", port_of(program.ready)), PATIENCE)
    with connection:
        assert (free_of_complaints(program), connection.recv(1)) == ([], b"")


@pytest.mark.kernel
def test_runs_on_the_kernel() -> None:
    """Without --soft the service's tun is the kernel's, and it ends as cleanly."""
    with Program("embed_in_app.py", "--port=0") as program:
        answers = ask(program.ready, b"name")
    assert (free_of_complaints(program), answers) == ([], [{"name": "app0", "mtu": 1500}])
