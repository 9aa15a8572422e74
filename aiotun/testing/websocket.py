"""Rigs of channels over WebSockets."""

from __future__ import annotations

import socket
from contextlib import AbstractAsyncContextManager
from typing import Any

from .rig import Rig
from .stream import MTU, check_options, stream_rig

__all__ = ["websocket_channel"]


def websocket_channel(**options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of a channel over a WebSocket; the endpoint is the client."""
    from websockets.client import ClientProtocol
    from websockets.server import ServerProtocol
    from websockets.uri import parse_uri

    from ..channel.websocket_framing import WebSocketFraming

    check_options(options)
    uri = parse_uri("ws://localhost/")
    return stream_rig(
        socket.create_server(("127.0.0.1", 0)),
        lambda name: WebSocketFraming(name, ClientProtocol(uri, max_size=MTU)),
        lambda name: WebSocketFraming(name, ServerProtocol(max_size=MTU)),
    )
