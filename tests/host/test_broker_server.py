"""The broker's service, over real sockets and devices that are pipes."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from aiotun import DeviceBusy
from aiotun.host import broker_server
from aiotun.host.broker_messages import LIMIT, Request, decode_answer
from aiotun.host.broker_policy import Policy, Rule
from aiotun.host.broker_server import Broker
from aiotun.linux.passing import receive_descriptors, send_descriptors
from aiotun.linux.peer import peer_of

RULE = Rule(
    name="tests", users=frozenset([os.geteuid()]), kinds=("tun",), interfaces=("vpn[0-3]",), devices=2, rate=10**6
)


class FakeLease:
    """A lease whose device is a pipe."""

    def __init__(self, lender: Lender, name: str) -> None:
        self.lender = lender
        self.name = name
        reading, writing = os.pipe()
        os.close(writing)
        self.fds = [reading]

    async def release(self) -> None:
        self.lender.did.append(f"released {self.name}")
        while self.fds:
            os.close(self.fds.pop())

    async def end(self) -> None:
        await self.release()
        await self.lender.may_end.wait()
        self.lender.did.append(f"ended {self.name}")


class Lender:
    """Stands for lease_device()."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.asked: list[tuple[Any, ...]] = []
        self.error: Exception | None = None
        self.names: dict[str, str] = {}
        self.may_open = asyncio.Event()
        self.may_open.set()
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def __call__(self, kind: str, name: str, settings: Any, netns: str | None, terms: Any) -> FakeLease:
        self.asked.append((kind, name, settings.mtu, netns, terms.queues))
        await self.may_open.wait()
        if self.error is not None:
            raise self.error
        return FakeLease(self, self.names.get(name, name))


@pytest.fixture
def lender(monkeypatch: pytest.MonkeyPatch) -> Lender:
    """What opens devices for the broker."""
    lender = Lender()
    monkeypatch.setattr(broker_server, "lease_device", lender)
    return lender


@pytest.fixture(autouse=True)
def listened(caplog: pytest.LogCaptureFixture) -> None:
    """Hear what is logged."""
    caplog.set_level(logging.DEBUG, "aiotun.broker")


@asynccontextmanager
async def serving(tmp_path: Path, *rules: Rule, **options: Any) -> AsyncIterator[str]:
    """Run a broker until the block ends; yields where it listens."""
    path = str(tmp_path / "broker")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    broker = Broker(listener, Policy(rules or (RULE,)), **options)
    broker.listen()
    task = asyncio.create_task(broker.serve())
    try:
        async with asyncio.timeout(20):
            yield path
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert listener.fileno() == -1


@contextmanager
def connected(path: str) -> Iterator[socket.socket]:
    """Connect to the broker."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.connect(path)
        yield sock


def wanted(name: str = "vpn0", **options: Any) -> bytes:
    """Return a request."""
    return Request.make("tun", name, options).encode()


async def answered(sock: socket.socket, message: bytes) -> str:
    """Send a message and return the name of the device that came, or the error's text."""
    await send_descriptors(sock, [], message)
    answer, fds = await receive_descriptors(sock, LIMIT, 8)
    for fd in fds:
        os.close(fd)
    assert bool(fds) == ("name" in json.loads(answer))
    try:
        return decode_answer(answer)
    except (OSError, ValueError, TypeError) as error:
        return str(error)


async def hung_up(sock: socket.socket) -> bool:
    """Wait until the broker hangs up."""
    try:
        return await receive_descriptors(sock, 1, 0) == (b"", [])
    except ConnectionResetError:
        return True


async def until(condition: Callable[[], bool]) -> None:
    """Give the loop turns until the condition holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


async def test_a_device_is_given_and_ended(tmp_path: Path, lender: Lender, caplog: pytest.LogCaptureFixture) -> None:
    """What is allowed is opened, sent, and released; it ends with the connection; each has a line in the log."""
    async with serving(tmp_path, attrs.evolve(RULE, mtu=(1, 2000), queues=3)) as path:
        with connected(path) as sock:
            request = Request.make("tun", "vpn0", {"mtu": 1400}, 3)
            assert await answered(sock, request.encode()) == "vpn0"
            await until(lambda: lender.did == ["released vpn0"])
        await until(lambda: "ended vpn0" in lender.did)
    assert lender.asked == [("tun", "vpn0", 1400, None, 3)]
    who = f"uid {os.geteuid()}, pid {os.getpid()}"
    assert [record.getMessage() for record in caplog.records if record.name == "aiotun.broker"] == [
        f"{who}: tun vpn0 mtu=1400 queues=3: allowed as vpn0",
        f"{who}: vpn0: ended",
    ]


async def test_a_refusal(tmp_path: Path, lender: Lender, caplog: pytest.LogCaptureFixture) -> None:
    """What is not allowed is not opened; the answer says why, the log as well, and the connection ends."""
    async with serving(tmp_path) as path, asyncio.TaskGroup():
        with connected(path) as sock:
            text = await answered(sock, wanted("eth0"))
            assert await hung_up(sock)
    assert text == "[Errno 1] eth0: the broker's rule 'tests' allows the names vpn[0-3], not eth0"
    assert lender.asked == []
    assert "tun eth0: refused: eth0: the broker's rule" in caplog.text


async def test_what_the_kernel_refuses(tmp_path: Path, lender: Lender) -> None:
    """An error of the opening reaches the client, and does not count as a device."""
    lender.error = DeviceBusy("vpn0: it is taken")
    async with serving(tmp_path, attrs.evolve(RULE, devices=1)) as path:
        for _ in range(3):
            with connected(path) as sock:
                assert await answered(sock, wanted()) == "vpn0: it is taken"
        lender.error = None
        with connected(path) as sock:
            assert await answered(sock, wanted()) == "vpn0"


async def test_a_fault_of_its_own(tmp_path: Path, lender: Lender, caplog: pytest.LogCaptureFixture) -> None:
    """A fault in the broker is logged with its trace, told without, and the next client is served."""
    lender.error = RuntimeError("a secret")
    async with serving(tmp_path) as path:
        with connected(path) as sock:
            assert await answered(sock, wanted()) == "broker: it failed; its log says how"
        lender.error = None
        with connected(path) as sock:
            assert await answered(sock, wanted()) == "vpn0"
    assert "a secret" in caplog.text


async def test_the_limit_counts_what_is_open(tmp_path: Path, lender: Lender) -> None:
    """A user has as many devices as the rule allows, and another one as soon as one has ended."""
    async with serving(tmp_path) as path:
        with connected(path) as first, connected(path) as second, connected(path) as third, connected(path) as fourth:
            assert await answered(first, wanted("vpn0")) == "vpn0"
            assert await answered(second, wanted("vpn1")) == "vpn1"
            assert "2 devices for each user, and there are 2" in await answered(third, wanted("vpn2"))
            first.shutdown(socket.SHUT_WR)
            assert await hung_up(first)
            assert await answered(fourth, wanted("vpn2")) == "vpn2"


async def test_requests_at_once_do_not_exceed_the_limit(tmp_path: Path, lender: Lender) -> None:
    """Of many requests of one user at the same moment, as many are allowed as there is room for."""
    lender.may_open.clear()
    async with serving(tmp_path) as path:
        sockets = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(6)]
        for sock in sockets:
            sock.connect(path)
        tasks = [asyncio.create_task(answered(sock, wanted("vpn0"))) for sock in sockets]
        await until(lambda: len(lender.asked) == 1)
        lender.may_open.set()
        answers = await asyncio.gather(*tasks)
        assert [answer for answer in answers if answer == "vpn0"] == ["vpn0", "vpn0"]
        for sock in sockets:
            sock.close()


async def test_the_next_number_may_not_be_allowed(tmp_path: Path, lender: Lender) -> None:
    """A device whose number the kernel chose is ended again if the rule does not allow the name."""
    lender.names["vpn%d"] = "vpn4"
    async with serving(tmp_path) as path:
        with connected(path) as sock:
            text = await answered(sock, wanted("vpn%d"))
    assert text == "[Errno 1] vpn%d: the next is vpn4, which the broker's rule 'tests' does not allow"
    assert lender.did == ["released vpn4", "ended vpn4"]


async def test_a_client_that_says_more(tmp_path: Path, lender: Lender) -> None:
    """After the answer there is nothing to say: who does, loses the device."""
    async with serving(tmp_path) as path:
        with connected(path) as sock:
            assert await answered(sock, wanted()) == "vpn0"
            sock.send(b"and another thing")
            await until(lambda: "ended vpn0" in lender.did)
            assert await hung_up(sock)


async def test_a_client_that_is_gone_before_the_answer(tmp_path: Path, lender: Lender) -> None:
    """A device that nobody waits for any more is ended."""
    lender.may_open.clear()
    async with serving(tmp_path) as path:
        with connected(path) as sock:
            await send_descriptors(sock, [], wanted())
            await until(lambda: bool(lender.asked))
        lender.may_open.set()
        await until(lambda: "ended vpn0" in lender.did)


async def test_a_silent_client(
    tmp_path: Path, lender: Lender, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that says nothing holds up nobody, and is hung up on after a while."""
    monkeypatch.setattr(broker_server, "PATIENCE", 0.05)
    async with serving(tmp_path) as path:
        with connected(path) as silent, connected(path) as sock:
            assert await answered(sock, wanted()) == "vpn0"
            assert await hung_up(silent)
    assert "no request: none came in time" in caplog.text


async def test_a_slow_opening_holds_up_nobody_else(
    tmp_path: Path, lender: Lender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one user's device takes long to open, another user's is opened."""
    uids = iter([os.geteuid(), 4321])
    monkeypatch.setattr(broker_server, "peer_of", lambda sock: attrs.evolve(peer_of(sock), uid=next(uids)))
    lender.may_open.clear()
    async with serving(tmp_path, attrs.evolve(RULE, users=RULE.users | {4321})) as path:
        with connected(path) as slow, connected(path) as quick:
            waiting = asyncio.create_task(answered(slow, wanted("vpn0")))
            await until(lambda: len(lender.asked) == 1)
            other = asyncio.create_task(answered(quick, wanted("vpn1")))
            await until(lambda: len(lender.asked) == 2)
            lender.may_open.set()
            assert (await waiting, await other) == ("vpn0", "vpn1")


@pytest.mark.parametrize("garbage", [b"\xff", b"{}", b"x" * (LIMIT + 1), b"[" * LIMIT])
async def test_garbage(tmp_path: Path, lender: Lender, garbage: bytes) -> None:
    """Garbage opens nothing, descriptors with it stay nowhere, and the next client is served."""
    async with serving(tmp_path) as path:
        with connected(path) as sock:
            await send_descriptors(sock, [sock.fileno()] * 3, garbage)
            assert await hung_up(sock)
        with connected(path) as sock:
            assert await answered(sock, wanted()) == "vpn0"
    assert len(lender.asked) == 1


async def test_the_log_has_one_line_each(tmp_path: Path, lender: Lender, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a client sends, it writes no line of its own into the log."""
    async with serving(tmp_path) as path:
        for message in (wanted(address="x\ny"), b'{"version": 1, "a\\nb": 1}', b'{"version": "\\n"}'):
            with connected(path) as sock:
                await answered(sock, message)
    lines = [record.getMessage() for record in caplog.records if record.name == "aiotun.broker"]
    assert len(lines) == 3
    assert not any("\n" in line for line in lines)


async def test_too_many_connections(tmp_path: Path, lender: Lender, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's connections are bounded; those beyond are hung up on, and others take their place later."""
    monkeypatch.setattr(broker_server, "SPARE", 1)
    async with serving(tmp_path) as path:  # two devices and one to spare
        with connected(path) as one, connected(path), connected(path):
            with connected(path) as beyond:
                assert await hung_up(beyond)
            assert await answered(one, wanted()) == "vpn0"
        with connected(path) as sock:
            await until(lambda: "ended vpn0" in lender.did)
            assert await answered(sock, wanted()) == "vpn0"


async def test_a_user_who_asks_much_waits(tmp_path: Path, lender: Lender, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a second's worth of requests a user's next ones are answered later, as the rate says."""
    slept: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        slept.append(seconds)
        await sleep(0)

    async with serving(tmp_path, attrs.evolve(RULE, rate=4), clock=lambda: 100.0) as path:
        monkeypatch.setattr(asyncio, "sleep", note)
        for _ in range(6):
            with connected(path) as sock:
                await answered(sock, wanted("eth0"))
        monkeypatch.undo()
    assert slept == [0, 0, 0, 0, 0.25, 0.5]


async def test_no_descriptor_for_a_connection(
    tmp_path: Path, lender: Lender, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When no descriptor is free for a connection, the broker says so, waits, and goes on."""
    monkeypatch.setattr(broker_server, "PAUSE", 0.0)

    class Exhausted(socket.socket):
        left = 3

        def accept(self) -> Any:
            if self.left:
                self.left -= 1
                raise OSError(errno.EMFILE if self.left % 2 else errno.ECONNABORTED, "Too many open files")
            return super().accept()

    monkeypatch.setattr(socket, "socket", Exhausted)
    async with serving(tmp_path) as path:
        monkeypatch.undo()
        monkeypatch.setattr(broker_server, "lease_device", lender)
        with connected(path) as sock:
            assert await answered(sock, wanted()) == "vpn0"
    assert "cannot accept: Too many open files" in caplog.text


async def test_stopping_undoes_everything(tmp_path: Path, lender: Lender) -> None:
    """Cancelled, the broker accepts nobody any more, and returns when every lease has ended."""
    path = str(tmp_path / "broker")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    task = asyncio.create_task(Broker(listener, Policy((RULE,))).serve())
    await asyncio.sleep(0)
    with connected(path) as first, connected(path) as second, connected(path):
        assert await answered(first, wanted("vpn0")) == "vpn0"
        assert await answered(second, wanted("vpn1")) == "vpn1"
        lender.may_end.clear()
        task.cancel()
        await until(lambda: listener.fileno() == -1)
        with pytest.raises(ConnectionRefusedError), connected(path):
            pass
        assert not task.done()
        lender.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert {"ended vpn0", "ended vpn1"} <= set(lender.did)
        assert await hung_up(first)


async def test_a_client_who_cannot_be_told(
    tmp_path: Path, lender: Lender, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A client of whom the kernel tells nothing gets nothing, and the next one is served."""
    failing = iter([True, False])

    def peer(sock: socket.socket) -> Any:
        if next(failing):
            raise OSError(errno.EBADF, "nothing is known")
        return peer_of(sock)

    monkeypatch.setattr(broker_server, "peer_of", peer)
    async with serving(tmp_path) as path:
        with connected(path) as unknown, connected(path) as sock:
            assert await hung_up(unknown)
            assert await answered(sock, wanted()) == "vpn0"
    assert "nothing is known" in caplog.text
