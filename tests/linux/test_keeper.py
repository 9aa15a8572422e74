"""The keeper's answers, asked in this process."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiotun.linux import keeper

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """The owner's and the keeper's end of a control socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def served(ends: Ends, *requests: object) -> list[tuple[Any, list[int]]]:
    """Serve requests until there are no more; return the answers and their descriptors."""
    ours, theirs = ends
    for request in requests:
        ours.send(json.dumps(request).encode())
    ours.shutdown(socket.SHUT_WR)
    owner = os.pidfd_open(os.getpid())
    keeper._serve(theirs, owner)
    os.close(owner)
    theirs.close()
    answers: list[tuple[Any, list[int]]] = []
    while True:
        message, fds, _, _ = socket.recv_fds(ours, 4096, 3)
        if not message:
            return answers
        answers.append((json.loads(message), fds))
        if fds:
            assert ours.recv(4096) == b"[]"


def test_a_socket_is_made_as_asked(ends: Ends) -> None:
    """``socket`` answers with a socket of that family, type and protocol."""
    wanted = [socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDP]
    ((answer, (fd,)),) = served(ends, {"socket": wanted})
    with socket.socket(fileno=fd) as sock:
        assert (answer, [sock.family, sock.type, sock.proto]) == ({}, wanted)


def test_a_file_is_opened_without_blocking(ends: Ends, tmp_path: Path) -> None:
    """``open`` answers with a descriptor to read and write, non-blocking."""
    path = tmp_path / "device"
    path.touch()
    ((answer, (fd,)),) = served(ends, {"open": str(path)})
    os.write(fd, b"device")
    os.lseek(fd, 0, os.SEEK_SET)
    assert (answer, os.read(fd, 10), os.get_blocking(fd)) == ({}, b"device", False)
    os.close(fd)


def test_a_refusal_is_told_and_the_next_request_served(ends: Ends, tmp_path: Path) -> None:
    """What the kernel refuses is answered with the errno and no descriptor, and the keeper goes on."""
    wanted = [socket.AF_INET, socket.SOCK_DGRAM, 0]
    first, second, (third, fds) = served(
        ends, {"open": str(tmp_path / "none")}, {"socket": [socket.AF_INET, 99, 0]}, {"socket": wanted}
    )
    assert first == ({"errno": errno.ENOENT, "doing": "open"}, [])
    assert second == ({"errno": errno.EINVAL, "doing": "socket"}, [])
    assert (third, len(fds)) == ({}, 1)
    os.close(fds[0])


def test_the_keeper_keeps_no_descriptor(ends: Ends) -> None:
    """What was answered is the other side's alone: closed there, it is closed."""
    before = os.listdir("/proc/self/fd")
    answers = served(ends, *[{"socket": [socket.AF_INET, socket.SOCK_DGRAM, 0]}] * 3)
    for _, (fd,) in answers:
        os.close(fd)
    assert len(os.listdir("/proc/self/fd")) == len(before) - 1  # its end of the control socket


def test_serving_ends_with_the_owner(ends: Ends) -> None:
    """When its owner ended, the keeper answers nothing any more, whoever else has the socket."""
    ours, theirs = ends
    pid = os.posix_spawn("/bin/true", ["true"], {})
    process = os.pidfd_open(pid)
    os.waitid(os.P_PIDFD, process, os.WEXITED)
    ours.send(json.dumps({"open": "/dev/null"}).encode())
    keeper._serve(theirs, process)
    os.close(process)
    ours.setblocking(False)
    with pytest.raises(BlockingIOError):
        ours.recv(1)
