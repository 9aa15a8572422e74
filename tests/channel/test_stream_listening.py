"""Listening for streams: ports and paths that are free, taken, or left behind."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from aiotun import DeviceBusy, DeviceError
from aiotun.channel import open_stream, open_unix, serve_stream, serve_unix
from aiotun.testing.tls import tls_contexts


async def test_a_server_says_where_it_listens() -> None:
    """Port 0 is any free one, which address and name tell."""
    async with serve_stream("::1", 0) as server:
        host, port = server.address
        assert (host, server.name) == ("::1", f"tcp [::1]:{port}")


async def test_an_address_that_is_not_ours() -> None:
    """An address of another machine cannot be listened on."""
    with pytest.raises(DeviceError, match=r"^tcp: cannot listen on 192\.0\.2\.1:0: Cannot assign requested address$"):
        await serve_stream("192.0.2.1", 0)


async def test_a_port_that_is_taken() -> None:
    """The port's other owner is a DeviceBusy, by address."""
    async with serve_stream("127.0.0.1", 0) as server:
        with pytest.raises(
            DeviceBusy, match=rf"^tcp: cannot listen on 127\.0\.0\.1:{server.address[1]}: Address already"
        ):
            await serve_stream(*server.address)


async def test_a_unix_path_is_removed_at_the_end(tmp_path: Path) -> None:
    """A unix server's path is there while it listens, and gone afterwards."""
    path = tmp_path / "socket"
    async with serve_unix(str(path)):
        assert path.is_socket()
    assert not path.exists()


async def test_a_unix_path_in_use_is_refused(tmp_path: Path) -> None:
    """A path that another server listens at is not taken from it."""
    path = str(tmp_path / "socket")
    async with serve_unix(path) as server:
        with pytest.raises(DeviceBusy, match=f"^unix: cannot listen at {path}: Address already in use$"):
            await serve_unix(path)
        await (await anext(server)).aclose()  # the question whether somebody listens was a connection
        async with open_unix(path), await anext(server):
            pass


async def test_a_unix_path_left_behind_is_used_again(tmp_path: Path) -> None:
    """A path whose server died is taken over."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(path)
    async with serve_unix(path) as server, open_unix(path), await anext(server):
        pass


async def test_a_path_that_is_no_socket_stays(tmp_path: Path) -> None:
    """A file at the path is not removed."""
    path = tmp_path / "file"
    path.write_text("kept")
    with pytest.raises(DeviceBusy):
        await serve_unix(str(path))
    assert path.read_text() == "kept"


class TestContexts:
    @pytest.mark.parametrize("ssl", [True, "cert.pem"])
    def test_what_is_no_context(self, ssl: Any) -> None:
        """What is no context is refused at the call, by both ends."""
        with pytest.raises(TypeError, match=f"^ssl is an ssl.SSLContext with a certificate, not {ssl!r}$"):
            serve_stream("127.0.0.1", 0, ssl=ssl)
        with pytest.raises(TypeError, match="^ssl is an ssl.SSLContext, not 'cert.pem'$"):
            open_stream("127.0.0.1", 1, ssl="cert.pem")  # type: ignore[arg-type]

    def test_the_other_ends(self) -> None:
        """A client's context is no server's, nor the other way round; the remedy is named."""
        theirs, ours = tls_contexts()
        with pytest.raises(ValueError, match=r"a client's context, but this end listens: .*Purpose\.CLIENT_AUTH\)$"):
            serve_stream("127.0.0.1", 0, ssl=ours)
        with pytest.raises(ValueError, match=r"a server's context, but this end connects: .*Purpose\.SERVER_AUTH\)$"):
            open_stream("127.0.0.1", 1, ssl=theirs)
