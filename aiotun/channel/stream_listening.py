"""Making the sockets that a StreamServer listens on."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl as tls
import stat

from ..endpoint import Opening
from ..errors import DeviceBusy, device_error
from .stream_framing import Framing, LengthBytes
from .stream_opening import LARGEST, Layers, length_framing
from .stream_serving import StreamServer
from .stream_socket import StreamOptions
from .stream_tls import TlsFraming, checked_context
from .udp_address import address_text

__all__ = [
    "BACKLOG",
    "HANDSHAKE_TIMEOUT",
    "MAX_CONNECTIONS",
    "listening",
    "serve_stream",
    "serve_unix",
    "server_layers",
]

BACKLOG = 128
"""Connections that the kernel completes before they are accepted, at most."""
MAX_CONNECTIONS = 1024
"""Connections of one server that may be open at once."""
HANDSHAKE_TIMEOUT = 10.0
"""Seconds that a handshake may take."""


def serve_stream(
    host: str,
    port: int,
    *,
    ssl: tls.SSLContext | None = None,
    mtu: int = LARGEST,
    length_bytes: LengthBytes = 2,
    max_connections: int = MAX_CONNECTIONS,
    handshake_timeout: float = HANDSHAKE_TIMEOUT,
    backlog: int = BACKLOG,
    options: StreamOptions | None = None,
) -> Opening[StreamServer]:
    """
    Listen for channels over TCP, or over TLS; await the result, or enter it with ``async with``.

    Args:
        host: The name or address to listen on; ``"0.0.0.0"`` or ``"::"`` for all.
        port: The port, 0 for any free one: StreamServer.address says which.
        ssl: Use TLS, with the certificate of this context.
        mtu: The longest packet, in bytes, either way. A longer one from a peer ends its channel.
        length_bytes: Bytes of length in front of each packet, 2 or 4; both ends have to agree.
        max_connections: Connections that may be open at once; the kernel lets *backlog* more wait.
        handshake_timeout: Seconds that a TLS handshake may take.
        backlog: Connections that the kernel completes before they are accepted, at most.
        options: What to ask of the sockets.

    Raises:
        ValueError: If *mtu* cannot be said in *length_bytes*, or *ssl* is a client's context.
        TypeError: If *ssl* is no context.
        DeviceBusy: If the port is taken.
        DeviceError: If the address isn't ours, or the system refuses for another reason.
        PermissionError: If the port, or an option, takes a privilege.
    """
    layers, kind = server_layers(length_framing(mtu, length_bytes), ssl)

    async def open() -> StreamServer:
        sock = await listening(host, port, backlog, options or StreamOptions())
        return StreamServer(
            sock, kind, mtu, layers, max_connections=max_connections, handshake_timeout=handshake_timeout
        )

    return Opening(open)


def serve_unix(
    path: str,
    *,
    mtu: int = LARGEST,
    length_bytes: LengthBytes = 2,
    max_connections: int = MAX_CONNECTIONS,
    backlog: int = BACKLOG,
    options: StreamOptions | None = None,
) -> Opening[StreamServer]:
    """
    Listen for channels over the unix stream socket *path*, which is made, and removed at the end.

    A path that is left from a server that died is used again. Who may connect, the permissions of its directory say,
    and the umask. Arguments and errors as serve_stream().
    """
    layers = length_framing(mtu, length_bytes)

    async def open() -> StreamServer:
        with contextlib.ExitStack() as undo:
            sock = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            (options or StreamOptions()).apply(sock, f"unix {path}")
            try:
                if _is_left(path):
                    os.unlink(path)
                sock.bind(path)
                sock.listen(backlog)
            except OSError as error:
                raise _refused(error, f"unix: cannot listen at {path}") from error
            undo.pop_all()
        return StreamServer(
            sock,
            "unix",
            mtu,
            layers,
            max_connections=max_connections,
            handshake_timeout=HANDSHAKE_TIMEOUT,
            path=path,
        )

    return Opening(open)


# --- inside ---------------------------------------------------------------------------------------


async def listening(host: str, port: int, backlog: int, options: StreamOptions) -> socket.socket:
    """Return a socket that listens; what is accepted on it inherits the options (sk_clone_lock() of Linux)."""
    where = address_text((host, port))
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, here = found[0]
    with contextlib.ExitStack() as undo:
        sock = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
        options.apply(sock, f"tcp {where}")
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(here)
            sock.listen(backlog)
        except OSError as error:
            raise _refused(error, f"tcp: cannot listen on {where}") from error
        undo.pop_all()
    return sock


def server_layers(plain: Layers, ssl: tls.SSLContext | None) -> tuple[Layers, str]:
    """Return the layers of the end that listens, and the word for them."""
    if ssl is None:
        return plain, "tcp"
    context = checked_context(ssl, server=True)

    def layers(name: str) -> Framing:
        return TlsFraming(name, plain(name), context, server=True)

    return layers, "tls"


def _refused(error: OSError, what: str) -> OSError:
    message = f"{what}: {error.strerror}"
    if error.errno == errno.EADDRINUSE:
        return DeviceBusy(message, error.errno)
    if isinstance(error, PermissionError):
        return PermissionError(error.errno, message)
    return device_error(error, message)


def _is_left(path: str) -> bool:
    """Return whether a unix socket at *path* has nobody who listens any more."""
    if not os.path.exists(path):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return stat.S_ISSOCK(os.stat(path).st_mode)
        except OSError:
            pass
    return False
