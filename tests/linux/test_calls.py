"""Batches of system calls, in both forms, on sockets that keep packets apart."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twins import both, only_c

from aiotun import speedups
from aiotun.linux.calls import ReadBatch, WriteBatch, read_batch, reading_by, write_batch, writing_by

SIZE = 65536 + 14 + 8


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """Two non-blocking descriptors: what is written to one, a packet each, is read from the other."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in pair:
        end.setblocking(False)
    yield pair[0].fileno(), pair[1].fileno()
    for end in pair:
        end.close()


def packets(count: int, size: int = 40) -> list[bytes]:
    return [number.to_bytes(4, "big") * (size // 4) for number in range(count)]


# --- reading --------------------------------------------------------------------------------------


@both(read_batch)
def test_what_is_queued_is_read(form: ReadBatch, ends: tuple[int, int]) -> None:
    """Packets come in order, each of its own size, and EAGAIN says that nothing is left."""
    sent = [b"1", b"22" * 300, b"333" * 5000]
    for packet in sent:
        os.write(ends[0], packet)
    assert form(ends[1], 64, SIZE) == (sent, errno.EAGAIN, 0)


@both(read_batch)
def test_an_empty_device(form: ReadBatch, ends: tuple[int, int]) -> None:
    """Where nothing is queued the batch is empty, and EAGAIN says why."""
    assert form(ends[1], 64, SIZE) == ([], errno.EAGAIN, 0)


@both(read_batch)
@pytest.mark.parametrize("limit", [0, 1, 3, 64, 65, 150])
def test_the_limit(form: ReadBatch, ends: tuple[int, int], limit: int) -> None:
    """A batch of the limit is full, which is 0; what is beyond it stays queued."""
    sent = packets(200)
    for packet in sent:
        os.write(ends[0], packet)
    assert form(ends[1], limit, SIZE) == (sent[:limit], 0, 0)
    assert form(ends[1], 201, SIZE) == (sent[limit:], errno.EAGAIN, 0)


@both(read_batch)
def test_a_batch_of_the_largest(form: ReadBatch, ends: tuple[int, int]) -> None:
    """Packets of 64 KiB each, more than there is room for in one pass, come whole and in order."""
    sent = [bytes([number]) * 65535 for number in range(3)]
    for packet in sent:
        os.write(ends[0], packet)
    taken = form(ends[1], 64, SIZE)[0]
    assert taken == sent


@both(read_batch)
@pytest.mark.parametrize("size", [1, 10, 300_000])
def test_the_size_of_a_read(form: ReadBatch, ends: tuple[int, int], size: int) -> None:
    """A read has room for that many bytes and no more, however many they are."""
    os.write(ends[0], b"0123456789abcdef")
    assert form(ends[1], 1, size)[0] == [b"0123456789abcdef"[:size]]


@both(read_batch)
def test_an_error_keeps_its_errno(form: ReadBatch) -> None:
    """What the system call refuses is told by its errno."""
    assert form(-1, 64, SIZE) == ([], errno.EBADF, 0)


@both(read_batch)
@pytest.mark.parametrize("arguments", [("fd", 1, 1), (0, "limit", 1), (0, 1, "size"), (0, 1), (0, 1, 1, 1)])
def test_reading_with_wrong_arguments(form: Any, arguments: Any) -> None:
    """Arguments of other types, or another number of them, are a TypeError."""
    with pytest.raises(TypeError):
        form(*arguments)


@pytest.fixture
def alarm() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Sets an alarm of 20 ms, and what its handler does."""
    before = signal.getsignal(signal.SIGALRM)

    def start(does: Callable[[], None]) -> None:
        signal.signal(signal.SIGALRM, lambda *_: does())
        signal.setitimer(signal.ITIMER_REAL, 0.02)

    yield start
    signal.signal(signal.SIGALRM, before)


class HandlerError(Exception):
    pass


def fail() -> None:
    raise HandlerError


@both(read_batch)
def test_a_read_interrupted_by_a_handler_that_raises(form: ReadBatch, ends: tuple[int, int], alarm: Any) -> None:
    """A signal's handler runs when it interrupts a read that blocks, and what it raises comes out (PEP 475)."""
    os.set_blocking(ends[1], True)
    alarm(fail)
    with pytest.raises(HandlerError):
        form(ends[1], 64, SIZE)


@both(read_batch)
def test_a_read_interrupted_by_a_handler_that_returns(form: ReadBatch, ends: tuple[int, int], alarm: Any) -> None:
    """After a handler that returns, the read goes on."""
    os.set_blocking(ends[1], True)
    alarm(lambda: os.write(ends[0], b"from the handler") and None)
    assert form(ends[1], 1, SIZE) == ([b"from the handler"], 0, 0)


@only_c
def test_a_signal_between_packets_loses_none(ends: tuple[int, int], alarm: Any) -> None:
    """A read that is interrupted after others of its batch ends it, whatever the handler does later."""
    os.set_blocking(ends[1], True)
    os.write(ends[0], b"first")
    alarm(lambda: None)
    assert read_batch(ends[1], 64, SIZE) == ([b"first"], errno.EINTR, 0)


@both(read_batch)
def test_reads_of_several_threads(form: ReadBatch) -> None:
    """Threads that read at once do not hold each other up, and each gets its own packets."""
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(4)]
    taken: dict[int, list[bytes]] = {}
    threads = [
        threading.Thread(target=lambda at=at: taken.update({at: form(pairs[at][1].fileno(), 3, SIZE)[0]}))
        for at in range(4)
    ]
    for thread in threads:
        thread.start()
    for number in range(3):  # each waits in a read until its packet comes
        for at, pair in enumerate(pairs):
            pair[0].send(f"{at}: {number}".encode())
    for thread in threads:
        thread.join()
    assert taken == {at: [f"{at}: {number}".encode() for number in range(3)] for at in range(4)}
    for pair in pairs:
        for end in pair:
            end.close()


@only_c
@pytest.mark.parametrize("allocations", range(12))
def test_no_memory_for_a_packet(ends: tuple[int, int], allocations: int) -> None:
    """Packets read that Python has no memory for are counted; those before them come, and no more are read."""
    testcapi = pytest.importorskip("_testcapi")
    sent = packets(8, 1000)
    for packet in sent:
        os.write(ends[0], packet)
    fd, arguments = ends[1], (3, SIZE)
    read_batch(fd, 0, SIZE)  # the arena is there
    testcapi.set_nomemory(allocations, allocations + 1)
    try:
        taken, ended, lost = read_batch(fd, *arguments)
    except MemoryError:  # before anything was read
        taken, ended, lost = [], errno.ENOMEM, 0
    finally:
        testcapi.remove_mem_hooks()
    assert (ended, lost > 0) in [(0, False), (errno.ENOMEM, True), (errno.ENOMEM, False)]
    assert taken == sent[: len(taken)]
    assert read_batch(fd, 64, SIZE)[0] == sent[len(taken) + lost :]


# --- reading, one call at a time --------------------------------------------------------------------


def test_what_was_read_before_an_error_is_kept() -> None:
    """An error ends the batch with what came before it, and its errno."""
    answers: Iterator[Any] = iter([b"one", OSError(errno.EBADFD, "gone")])

    def read(fd: int, size: int) -> bytes:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return bytes(answer)

    assert reading_by(read)(0, 64, SIZE) == ([b"one"], errno.EBADFD, 0)


@pytest.mark.parametrize(
    ("error", "code"),
    [(BlockingIOError(), errno.EAGAIN), (MemoryError(), errno.ENOMEM), (OSError("without a number"), errno.EIO)],
)
def test_every_error_has_a_number(error: Exception, code: int) -> None:
    """An exception without an errno of its own ends the batch with one that fits."""

    def read(fd: int, size: int) -> bytes:
        raise error

    assert reading_by(read)(0, 64, SIZE) == ([], code, 0)


# --- writing --------------------------------------------------------------------------------------


def received(fd: int) -> list[bytes]:
    found: list[bytes] = []
    while True:
        try:
            found.append(os.read(fd, SIZE))
        except BlockingIOError:
            return found


@both(write_batch)
@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 150])
@pytest.mark.parametrize("kind", [list, tuple])
def test_a_batch_is_written(form: WriteBatch, ends: tuple[int, int], count: int, kind: Any) -> None:
    """Every packet of a batch is one write, in order."""
    assert form(ends[0], kind(packets(count))) == (count, 0)
    assert received(ends[1]) == packets(count)


@both(write_batch)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_written(form: WriteBatch, ends: tuple[int, int], kind: Any) -> None:
    """A packet may be any buffer, and is free to change afterwards."""
    packet = kind(b"packet")
    assert form(ends[0], [packet]) == (1, 0)
    if kind is bytearray:
        packet.append(0)  # BufferError while somebody holds it
    assert received(ends[1]) == [b"packet"]


@both(write_batch)
def test_a_full_device(form: WriteBatch, ends: tuple[int, int]) -> None:
    """Where no more fits, EAGAIN says so, and the number what went before."""
    written, ended = form(ends[0], packets(5000))
    assert ended == errno.EAGAIN
    assert received(ends[1]) == packets(5000)[:written]


@both(write_batch)
def test_a_refused_packet(form: WriteBatch, ends: tuple[int, int]) -> None:
    """A refusal ends the batch with its errno, behind what was written."""
    os.set_blocking(ends[0], False)
    batch = [b"fits", bytes(10_000_000), b"behind"]
    assert form(ends[0], batch) == (1, errno.EMSGSIZE)
    assert received(ends[1]) == [b"fits"]


@both(write_batch)
def test_a_part_of_a_packet(form: WriteBatch) -> None:
    """A packet of which a part was taken is not counted, and ends the batch with EPROTO."""
    read, write = os.pipe2(os.O_NONBLOCK)
    room = fcntl.fcntl(write, fcntl.F_GETPIPE_SZ)
    try:
        assert form(write, [bytes(room // 2), bytes(room), b"behind"]) == (1, errno.EPROTO)
    finally:
        os.close(read)
        os.close(write)


@both(write_batch)
def test_what_is_no_packet(form: WriteBatch, ends: tuple[int, int]) -> None:
    """What has no bytes is a TypeError, behind those before it."""
    with pytest.raises(TypeError, match="bytes-like object is required, not 'str'"):
        form(ends[0], [b"one", "two", b"three"])  # type: ignore[list-item]
    assert received(ends[1]) == [b"one"]


@both(write_batch)
@pytest.mark.parametrize("arguments", [("fd", [b"packet"]), (0, 5), (0,), (0, [], 1)])
def test_writing_with_wrong_arguments(form: Any, arguments: Any) -> None:
    """Arguments of other types, or another number of them, are a TypeError."""
    with pytest.raises(TypeError):
        form(*arguments)


@both(write_batch)
def test_a_write_interrupted_by_a_handler_that_raises(form: WriteBatch, ends: tuple[int, int], alarm: Any) -> None:
    """A signal's handler runs when it interrupts a write that blocks, and what it raises comes out."""
    fill = form(ends[0], packets(5000))[0]
    assert fill
    os.set_blocking(ends[0], True)
    alarm(fail)
    with pytest.raises(HandlerError):
        form(ends[0], packets(1))


@both(write_batch)
def test_a_closed_descriptor(form: WriteBatch) -> None:
    """What the system call refuses is told by its errno."""
    assert form(-1, [b"packet"]) == (0, errno.EBADF)


def test_a_write_without_an_errno() -> None:
    """An OSError without a number of its own is EIO."""

    def write(fd: int, packet: bytes) -> int:
        raise OSError("without a number")

    assert writing_by(write)(0, [b"packet"]) == (0, errno.EIO)


@given(batch=st.lists(st.binary(min_size=1, max_size=2000), max_size=80), limit=st.integers(1, 80))
def test_there_and_back(batch: list[bytes], limit: int) -> None:
    """Whatever one form writes the other reads, in batches of any limit."""
    for write, read in ((write_batch, speedups.pure["read_batch"]), (speedups.pure["write_batch"], read_batch)):
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with one, other:
            one.setblocking(False)
            other.setblocking(False)
            written = write(one.fileno(), batch)[0]
            taken: list[bytes] = []
            ended = 0
            while not ended:
                some, ended, lost = read(other.fileno(), limit, SIZE)
                assert (len(some) <= limit, lost) == (True, 0)
                taken += some
            assert taken == batch[:written]
