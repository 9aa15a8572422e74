"""Tests of benchmarks/programs and benchmarks/c: each does what it is measured at, on the kernel."""

from __future__ import annotations

import importlib.util
import select
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
from programs.child import within
from questions.offload import KINDS, command, read_off
from rig.commands import BY_HAND, Command, by_hand, c, ours
from rig.lab import Counts, Lab, Place, lab
from rig.measuring import snapshot
from rig.program import SOURCE_CPU, Program, running

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(
        not all(map(shutil.which, ("cc", "nsenter", "setpriv", "taskset"))), reason="the benchmarks need these programs"
    ),
]

NEAR, FAR = "10.9.0.1", "10.9.0.2"

Make = Callable[..., Command]
T = TypeVar("T")


def present(names: list[str]) -> list[str]:
    """Leave out what is not installed here."""
    needs = {name: BY_HAND[name][1] for name in names}
    return [name for name, need in needs.items() if not need or shutil.which(need) or importlib.util.find_spec(need)]


@pytest.fixture
def bench() -> Iterator[Lab]:
    with lab() as made:
        yield made


def until(child: Program, done: Callable[[], T | None]) -> T:
    """Return what *done* does, once it is something; fail if the program ends before."""
    while not (found := done()):
        assert child.status is None, child.last_words()
        time.sleep(0.001)
    return found


class Stack:
    """A socket in a place, connected to the pingpong behind its tun."""

    def __init__(self, place: Place) -> None:
        with within(place.namespace):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((FAR, 7))

    def send(self, datagram: bytes) -> None:
        """Send; the kernel drops what comes before it has noticed that a program opened the tun."""
        self.socket.send(datagram)

    def ask(self, datagram: bytes) -> bytes | None:
        """Send, and return an answer, if there is one by now."""
        self.send(datagram)
        readable, _, _ = select.select([self.socket], [], [], 0.05)
        return self.socket.recv(100) if readable else None


@pytest.fixture
def place(bench: Lab) -> Place:
    return bench.place(f"{NEAR}/24")


@pytest.fixture
def stack(place: Place) -> Iterator[Stack]:
    made = Stack(place)
    with made.socket:
        yield made


READERS: dict[str, Make] = {
    "C": lambda where: c("read_loop", where),
    "C, many": lambda where: c("read_many", where.partition("/")[0], 1),
    "async for": lambda where: ours("readers", where, "--variant=async_for", pure=True),
    "interfaces": lambda where: ours("interfaces", where.partition("/")[0], pure=True),
    **{name: lambda where, name=name: by_hand("readers", where)[name] for name in present(["naive asyncio", "socat"])},
}


@pytest.mark.parametrize("name", READERS)
def test_a_reader_reads(place: Place, stack: Stack, name: str) -> None:
    """Packets that the stack sends into the tun are read by the program, 92 bytes each, and counted as read."""

    def read() -> Counts | None:
        stack.send(bytes(64))
        return place.counts() if place.counts().read else None

    with running(READERS[name](place.where())) as child:
        counts = until(child, read)
    assert counts.read_bytes == 92 * counts.read


WRITERS: dict[str, Make] = {
    "C": lambda where: c("write_loop", where, 64),
    "send_many()": lambda where: ours("writers", where, "--variant=send_many", pure=True),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_writer_writes(place: Place, name: str) -> None:
    """What the program writes is counted as written, 92 bytes each."""
    with running(WRITERS[name](place.where())) as child:
        until(child, lambda: place.counts().written)
    counts = place.counts()
    assert counts.written_bytes == 92 * counts.written


FORWARDERS: dict[str, Make] = {
    "C": lambda *tuns: c("forward", *tuns),
    "C, whole": lambda *tuns: c("passthrough", *tuns),
    "C, resegmented": lambda *tuns: c("resegment", *tuns),
    "plain": lambda *tuns: ours("forwarders", *tuns, "--variant=plain", pure=True),
    **{
        name: lambda *tuns, name=name: by_hand("forwarders", *tuns)[name]
        for name in present(["one read a callback", "thread per packet", "python-pytun", "socat"])
    },
}


@pytest.mark.parametrize("name", FORWARDERS)
def test_a_forwarder_forwards_both_ways(bench: Lab, place: Place, stack: Stack, name: str) -> None:
    """A datagram crosses it, and its answer comes back."""
    far = bench.place(f"{FAR}/24")
    with (
        running(FORWARDERS[name](place.where(), far.where())) as child,
        running(c("pingpong", "serve"), SOURCE_CPU, far.namespace),
    ):
        assert until(child, lambda: stack.ask(b"there and back")) == b"there and back"


def test_a_lab_leaves_nothing(bench: Lab, place: Place) -> None:
    """After close() its namespaces are gone."""
    bench.close()
    with pytest.raises(FileNotFoundError), within(place.namespace):
        pass


def test_cpu_time_is_that_of_the_program(place: Place) -> None:
    """The clock of a process that works goes on, as another process reads it."""
    with running(c("write_loop", place.where(), 64)) as child:
        before = snapshot([child], [place])
        until(child, lambda: snapshot([child], [place]).cpu > before.cpu)


def test_a_program_that_fails_says_why() -> None:
    """The error is the last thing that the program said."""
    with pytest.raises(RuntimeError, match="expected NAMESPACE/NAME"), running(c("read_loop", "nowhere")):
        pass


def test_a_source_that_fails_is_the_reason() -> None:
    """Where nothing passed because a program failed, the error says what that program said."""
    with pytest.raises(RuntimeError, match="usage: flood"), running(c("flood"), ready=False) as child:
        child.output()
        raise RuntimeError("nothing passed")


def test_offloading_is_read_off() -> None:
    """What offloading.py prints is understood for every kind of packet."""
    with running(command(pure=True, repeat=1), ready=False) as child:
        text = child.output()
    assert all(read_off(text, kind, "Python")["segment"] > 0 for kind in KINDS)
