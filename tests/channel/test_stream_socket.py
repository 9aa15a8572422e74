"""The options of stream sockets, and who may set them."""

from __future__ import annotations

import errno
import socket

import pytest

from aiotun import DeviceError
from aiotun.channel import StreamOptions

MARK = 36


class FakeSocket:
    """Remembers the options that are set, and refuses one."""

    def __init__(self, family: int = socket.AF_INET, refused: int = -1, code: int = errno.EPERM) -> None:
        self.family = family
        self.options: list[tuple[int, int, object]] = []
        self._refused = refused
        self._code = code

    def setsockopt(self, level: int, option: int, value: object) -> None:
        if option == self._refused:
            raise OSError(self._code, "refused")
        self.options.append((level, option, value))


def applied(options: StreamOptions, fake: FakeSocket) -> list[tuple[int, int, object]]:
    options.apply(fake, "tcp peer")  # type: ignore[arg-type]
    return fake.options


def test_without_wishes_only_the_delay_is_off() -> None:
    """Of a TCP socket nothing but TCP_NODELAY is set when nothing is asked."""
    assert applied(StreamOptions(), FakeSocket()) == [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]


def test_a_unix_socket_has_buffers_only() -> None:
    """What is TCP's is left out on a unix socket."""
    options = StreamOptions(keepalive=5, mark=1, receive_buffer=1000)
    assert applied(options, FakeSocket(socket.AF_UNIX)) == [(socket.SOL_SOCKET, socket.SO_RCVBUF, 1000)]


def test_a_mark_takes_a_privilege() -> None:
    """Without the privilege for a mark the error names it."""
    with pytest.raises(PermissionError, match=r"tcp peer: may not set a mark; it takes CAP_NET_ADMIN"):
        applied(StreamOptions(mark=7), FakeSocket(refused=MARK))


def test_another_refusal_has_the_value() -> None:
    """An option that the system refuses is a DeviceError with what was asked, and its errno."""
    with pytest.raises(DeviceError, match=r"^tcp peer: cannot set a mark \(7\): refused$") as caught:
        applied(StreamOptions(mark=7), FakeSocket(refused=MARK, code=errno.EINVAL))
    assert caught.value.errno == errno.EINVAL
