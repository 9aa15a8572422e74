"""Opening stream channels to a peer that listens."""

from __future__ import annotations

import contextlib
import socket
import ssl as tls
from collections.abc import Awaitable, Callable

from ..endpoint import Opening
from .stream import StreamChannel, StreamPort
from .stream_framing import Framing, LengthBytes, LengthFraming
from .stream_socket import StreamOptions, connect_tcp, connect_unix, establish
from .stream_tls import TlsFraming, checked_context
from .udp_address import Address, address_text

__all__ = ["LARGEST", "Layers", "client_layers", "length_framing", "open_stream", "open_unix", "opened", "peer_text"]

LARGEST = 65535
"""Bytes in one packet, at most, unless said otherwise: what a length of 2 bytes can say, and an IP header too."""

Layers = Callable[[str], Framing]
"""Makes the framing of a new connection, which is called by a name."""


def open_stream(
    host: str,
    port: int,
    *,
    ssl: tls.SSLContext | bool | None = None,
    server_hostname: str | None = None,
    local: Address | None = None,
    mtu: int = LARGEST,
    length_bytes: LengthBytes = 2,
    options: StreamOptions | None = None,
) -> Opening[StreamChannel]:
    """
    Open a channel over TCP, or over TLS, to a peer that listens; await the result, or enter it with ``async with``.

    Waits for the name to be looked up, the connection and the handshake: limit that with asyncio.timeout(). Canceling
    is safe: nothing stays open. The channel owns its socket.

    Args:
        host: The peer's name or address; its addresses are tried in the system's order.
        port: The peer's port.
        ssl: Use TLS: a context, or True for one that trusts the system's authorities.
        server_hostname: The name that the peer's certificate is for; *host* if not given.
        local: Host and port to connect from.
        mtu: The longest packet, in bytes, either way. A longer one from the peer ends the channel.
        length_bytes: Bytes of length in front of each packet, 2 or 4; both ends have to agree.
        options: What to ask of the socket.

    Raises:
        ValueError: If *mtu* cannot be said in *length_bytes*, or *ssl* is a server's context.
        TypeError: If *ssl* is no context.
        PermissionError: If an option takes a privilege; the text names it.
        DeviceError: If no address of the peer answers; the text has each reason.
        StreamBroken: If the TLS handshake fails; the text says why.
        OSError: If a name cannot be looked up.
    """
    plain = length_framing(mtu, length_bytes)
    layers, kind = client_layers(plain, ssl, host if server_hostname is None else server_hostname)
    connect = lambda: connect_tcp(host, port, local, options or StreamOptions())  # noqa: E731
    return Opening(lambda: opened(connect, lambda sock: f"{kind} {peer_text(sock)}", mtu, layers))


def open_unix(
    path: str, *, mtu: int = LARGEST, length_bytes: LengthBytes = 2, options: StreamOptions | None = None
) -> Opening[StreamChannel]:
    """
    Open a channel over a unix stream socket to a peer that listens at *path*.

    Waits while the peer's backlog is full. Arguments, cancels and errors as open_stream().
    """
    layers = length_framing(mtu, length_bytes)
    return Opening(lambda: opened(lambda: connect_unix(path, options or StreamOptions()), f"unix {path}", mtu, layers))


# --- inside ---------------------------------------------------------------------------------------


def length_framing(mtu: int, length_bytes: LengthBytes) -> Layers:
    """Return what makes a plain framing; raise ValueError if *mtu* and *length_bytes* do not go together."""
    if length_bytes not in (2, 4):
        raise ValueError(f"a length has 2 or 4 bytes, not {length_bytes}")
    if not 0 < mtu < 1 << 8 * length_bytes:
        raise ValueError(
            f"an mtu is 1 to {(1 << 8 * length_bytes) - 1} with a length of {length_bytes} bytes, not {mtu}"
        )
    return lambda name: LengthFraming(name, mtu, length_bytes)


async def opened(
    connect: Callable[[], Awaitable[socket.socket]],
    name: str | Callable[[socket.socket], str],
    mtu: int,
    layers: Layers,
    closed: Callable[[], None] | None = None,
) -> StreamChannel:
    """Return a channel over the socket that *connect* gives, once the handshakes of *layers* are done."""
    with contextlib.ExitStack() as undo:
        sock = undo.enter_context(await connect())
        sock.setblocking(False)
        called = name if isinstance(name, str) else name(sock)
        framing = layers(called)
        await establish(sock, called, framing)
        undo.pop_all()
    return StreamChannel(StreamPort(sock, called, mtu, framing, closed))


def peer_text(sock: socket.socket) -> str:
    """Return the peer's address as text; a unix socket that connected has none, and is called by the other's."""
    peer = sock.getpeername()
    if isinstance(peer, tuple):
        return address_text(peer[:2])
    return str(peer or sock.getsockname() or "pair")


def client_layers(plain: Layers, ssl: tls.SSLContext | bool | None, server_hostname: str) -> tuple[Layers, str]:
    """Return the layers of the end that connects, and the word for them."""
    if not ssl:
        return plain, "tcp"
    context = tls.create_default_context() if ssl is True else checked_context(ssl, server=False)

    def layers(name: str) -> Framing:
        return TlsFraming(name, plain(name), context, server=False, server_hostname=server_hostname)

    return layers, "tls"
