"""Packets as the binary messages of a WebSocket, without any I/O: around the websockets library (RFC 6455)."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Sequence
from http import HTTPStatus

from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from ..errors import DeviceGone
from .stream_framing import Framing, StreamBroken

__all__ = ["WebSocketFraming"]


class WebSocketFraming(Framing):
    """
    Each packet is one binary message; a text message ends the connection, with close code 1003.

    Pings are answered, the latest for all where several wait. Compression is not offered: packets of a tunnel are
    encrypted, and do not shrink.
    """

    established = False

    def __init__(self, name: str, protocol: ClientProtocol | ServerProtocol, path: str | None = None) -> None:
        self._name = name
        self._protocol = protocol
        self._path = path  # the only one that is served
        self._packets: deque[bytes] = deque()
        self._held = 0
        self._message = bytearray()  # the fragments of one that is not whole
        self._answer = b""  # of the handshakes
        self._pong = b""
        self._end: DeviceGone | None = None
        if isinstance(protocol, ClientProtocol):
            protocol.send_request(protocol.connect())
            self._answer = b"".join(protocol.data_to_send())

    def feed(self, chunk: bytes) -> None:
        if self._end is not None:
            return
        protocol = self._protocol
        quiet = protocol.state is State.OPEN
        protocol.receive_data(chunk)
        for event in protocol.events_received():
            if isinstance(event, Frame):
                self._receive(event)
            elif isinstance(event, Request):
                self._respond(event)
        self._look()
        said = protocol.data_to_send()
        if quiet and protocol.state is State.OPEN and said:
            self._pong = said[-1]  # the latest for all, RFC 6455 section 5.5.3: a flood of pings is no flood of pongs
        else:
            self._answer += b"".join(said)

    def take(self, limit: int) -> list[bytes]:
        packets = self._packets
        batch = [packets.popleft() for _ in range(min(limit, len(packets)))]
        self._held -= sum(map(len, batch))
        if self._end is not None and not packets and not batch:
            raise self._end
        return batch

    @property
    def held(self) -> int:
        return self._held + len(self._message)

    @property
    def ready(self) -> bool:
        return bool(self._packets) or self._end is not None

    def encode(self, batch: Sequence[bytes]) -> bytes:
        if self._protocol.state is not State.OPEN:
            raise self.ended()
        for packet in batch:
            self._protocol.send_binary(packet)
        return self.answer() + b"".join(self._protocol.data_to_send())

    def answer(self) -> bytes:
        answer, self._answer, self._pong = self._answer + self._pong, b"", b""
        return answer

    def finish(self) -> bytes:
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(CloseCode.GOING_AWAY)
        return self.answer() + b"".join(self._protocol.data_to_send())

    def ended(self) -> DeviceGone:
        if self._end is not None:
            return self._end
        if self._protocol.state is State.CONNECTING:
            return StreamBroken(f"{self._name}: the connection ended in the middle of the WebSocket handshake")
        return StreamBroken(f"{self._name}: the connection ended without a close frame (close code 1006)")

    def _respond(self, request: Request) -> None:
        protocol = self._protocol
        assert isinstance(protocol, ServerProtocol)  # a client gets a Response
        if self._path is not None and request.path.partition("?")[0] != self._path:
            protocol.send_response(protocol.reject(HTTPStatus.NOT_FOUND, "Nothing here.\n"))
            self._end = DeviceGone(f"{self._name}: the peer asked for {request.path}, only {self._path} is served")
        else:
            protocol.send_response(protocol.accept(request))

    def _receive(self, frame: Frame) -> None:
        if self._end is not None:
            return
        if frame.opcode is Opcode.TEXT:
            self._fail(CloseCode.UNSUPPORTED_DATA, "sent a text message, packets are binary ones")
        elif frame.opcode in (Opcode.BINARY, Opcode.CONT):
            self._message += frame.data
            if frame.fin:
                self._finish_message()

    def _finish_message(self) -> None:
        if self._message:
            self._packets.append(bytes(self._message))
            self._held += len(self._message)
            self._message.clear()
        else:
            self._fail(CloseCode.INVALID_DATA, "sent an empty message, a packet is at least 1 byte")

    def _fail(self, code: CloseCode, what: str) -> None:
        self._protocol.fail(code, what)
        self._end = StreamBroken(f"{self._name}: the peer {what}")

    def _look(self) -> None:
        """Take note of how the connection stands."""
        protocol = self._protocol
        self.established = protocol.state is State.OPEN
        if self._end is not None:
            return
        if protocol.handshake_exc is not None:
            message = f"{self._name}: the WebSocket handshake failed: {protocol.handshake_exc}"
            self._end = DeviceGone(message, errno.ECONNREFUSED)
            self._end.__cause__ = protocol.handshake_exc
        elif protocol.close_rcvd is not None:
            self._end = DeviceGone(f"{self._name}: the peer closed the connection: {protocol.close_rcvd}")
        elif protocol.parser_exc is not None:
            self._end = StreamBroken(f"{self._name}: {protocol.parser_exc}")
            self._end.__cause__ = protocol.parser_exc
