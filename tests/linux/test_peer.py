"""Who is at the other end of a unix socket."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Any

import pytest

from aiotun.linux.peer import Peer, peer_of


def test_ourselves() -> None:
    """The other end of a socket pair is this process, with its user and all its groups."""
    near, far = socket.socketpair()
    with near, far:
        assert peer_of(near) == Peer(pid=os.getpid(), uid=os.geteuid(), gids=frozenset([os.getegid(), *os.getgroups()]))


class Fake:
    """A socket whose peer has more groups than can be told, or a kernel that tells none."""

    def __init__(self, code: int) -> None:
        self.code = code

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        if option == socket.SO_PEERCRED:
            return struct.pack("3i", 42, 1000, 100)
        raise OSError(self.code, os.strerror(self.code))


@pytest.mark.parametrize("code", [errno.ERANGE, errno.ENOPROTOOPT])
def test_groups_that_cannot_be_told(code: int) -> None:
    """Where the groups cannot be told, the first alone is known."""
    sock: Any = Fake(code)
    assert peer_of(sock) == Peer(pid=42, uid=1000, gids=frozenset([100]))


def test_another_failure() -> None:
    """Any other failure is raised: who is not known has no rights."""
    sock: Any = Fake(errno.EBADF)
    with pytest.raises(OSError):
        peer_of(sock)


def test_a_line_for_the_log() -> None:
    """A peer is written with its user and process."""
    assert str(Peer(pid=42, uid=1000, gids=frozenset())) == "uid 1000, pid 42"
