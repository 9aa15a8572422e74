"""Channels over WebSockets, where nothing else gets through: each packet is one binary message (RFC 6455)."""

from __future__ import annotations

import importlib
import ssl as tls
from typing import Any

from ..endpoint import Opening
from .stream import StreamChannel
from .stream_framing import Framing
from .stream_listening import BACKLOG, HANDSHAKE_TIMEOUT, MAX_CONNECTIONS, listening, server_layers
from .stream_opening import LARGEST, Layers, client_layers, opened, peer_text
from .stream_serving import StreamServer
from .stream_socket import StreamOptions, connect_tcp
from .udp_address import Address

__all__ = ["open_websocket", "serve_websocket"]


def open_websocket(
    uri: str,
    *,
    ssl: tls.SSLContext | None = None,
    server_hostname: str | None = None,
    local: Address | None = None,
    mtu: int = LARGEST,
    options: StreamOptions | None = None,
) -> Opening[StreamChannel]:
    """
    Open a channel to a WebSocket server; await the result, or enter it with ``async with``.

    Waits for the name to be looked up, the connection and the handshakes: limit that with asyncio.timeout(). The
    channel answers pings while it is received from; a peer's text message or protocol error ends it.

    Args:
        uri: ``ws://host:port/path``, or ``wss://`` for TLS; a user and password in it are sent (RFC 7617).
        ssl: The context of ``wss://``, if not one that trusts the system's authorities.
        server_hostname: The name that the peer's certificate is for; the host's if not given.
        local: Host and port to connect from.
        mtu: The longest packet, in bytes, either way. A longer message from the peer ends the channel.
        options: What to ask of the socket.

    Raises:
        ImportError: If the library websockets is missing; the text names the extra.
        ValueError: If *uri* is no WebSocket's, or *ssl* is given for ``ws://``.
        DeviceError: If no address of the peer answers; the text has each reason.
        DeviceGone: If the server refuses the handshake; the text has its status.
        OSError: If a name cannot be looked up.
    """
    framing = _framing()
    try:
        target = importlib.import_module("websockets.uri").parse_uri(uri)
    except importlib.import_module("websockets.exceptions").InvalidURI as error:
        raise ValueError(f"websocket: {error}") from error
    if ssl is not None and not target.secure:
        raise ValueError(f"websocket: {uri} is without TLS, so there is no use for a context; write wss://")
    protocol = importlib.import_module("websockets.client").ClientProtocol

    def messages(name: str) -> Framing:
        made: Framing = framing(name, protocol(target, max_size=mtu))
        return made

    hostname = target.host if server_hostname is None else server_hostname
    layers, _ = client_layers(messages, ssl or target.secure, hostname)
    word = "wss" if target.secure else "ws"
    return Opening(
        lambda: opened(
            lambda: connect_tcp(target.host, target.port, local, options or StreamOptions()),
            lambda sock: f"{word} {peer_text(sock)}",
            mtu,
            layers,
        )
    )


def serve_websocket(
    host: str,
    port: int,
    *,
    ssl: tls.SSLContext | None = None,
    path: str | None = None,
    mtu: int = LARGEST,
    max_connections: int = MAX_CONNECTIONS,
    handshake_timeout: float = HANDSHAKE_TIMEOUT,
    backlog: int = BACKLOG,
    options: StreamOptions | None = None,
) -> Opening[StreamServer]:
    """
    Listen for channels over WebSockets; await the result, or enter it with ``async with``.

    Args:
        host: The name or address to listen on; ``"0.0.0.0"`` or ``"::"`` for all.
        port: The port, 0 for any free one: StreamServer.address says which.
        ssl: Use TLS (``wss://``), with the certificate of this context.
        path: The only path to serve; another is answered by 404. All of them if not given.
        mtu: The longest packet, in bytes, either way. A longer message from a peer ends its channel.
        max_connections: Connections that may be open at once; the kernel lets *backlog* more wait.
        handshake_timeout: Seconds that the handshakes of a connection may take.
        backlog: Connections that the kernel completes before they are accepted, at most.
        options: What to ask of the sockets.

    Raises:
        ImportError: If the library websockets is missing; the text names the extra.
        As serve_stream() otherwise.
    """
    framing = _framing()
    protocol = importlib.import_module("websockets.server").ServerProtocol

    def messages(name: str) -> Framing:
        made: Framing = framing(name, protocol(max_size=mtu), path=path)
        return made

    layers: Layers = server_layers(messages, ssl)[0]
    word = "ws" if ssl is None else "wss"

    async def open() -> StreamServer:
        sock = await listening(host, port, backlog, options or StreamOptions())
        return StreamServer(
            sock, word, mtu, layers, max_connections=max_connections, handshake_timeout=handshake_timeout
        )

    return Opening(open)


def _framing() -> Any:
    """Return the framing over the library, which is loaded when it is first asked for."""
    try:
        return importlib.import_module(".websocket_framing", __package__).WebSocketFraming
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "websockets":
            raise
        missing = "websocket: the library websockets is missing: install the extra, aiotun[websocket]"
        raise ImportError(missing, name="websockets") from error
