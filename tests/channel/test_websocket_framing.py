"""Packets as WebSocket messages, without any I/O: what a peer may say, and what ends the connection."""

from __future__ import annotations

import errno

import pytest
from websockets.client import ClientProtocol
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from aiotun import DeviceGone
from aiotun.channel import StreamBroken
from aiotun.channel.websocket_framing import WebSocketFraming

MTU = 1500


def pair(path: str = "/", served: str | None = None) -> tuple[WebSocketFraming, WebSocketFraming, ClientProtocol]:
    """Return a client and a server, and the client's protocol, to say what no framing would."""
    protocol = ClientProtocol(parse_uri(f"ws://localhost{path}"), max_size=MTU)
    server = WebSocketFraming("server", ServerProtocol(max_size=MTU), path=served)
    return WebSocketFraming("client", protocol), server, protocol


def established() -> tuple[WebSocketFraming, WebSocketFraming, ClientProtocol]:
    client, server, protocol = pair()
    server.feed(client.answer())
    client.feed(server.answer())
    return client, server, protocol


def said(protocol: ClientProtocol) -> bytes:
    return b"".join(protocol.data_to_send())


@pytest.mark.parametrize("piece", [1, 10, 1 << 16])
def test_the_handshake_in_pieces(piece: int) -> None:
    """The handshake is done however its bytes are cut."""
    client, server, _ = pair()
    for speaker, listener in ((client, server), (server, client)):
        answer = speaker.answer()
        assert not listener.established
        for start in range(0, len(answer), piece):
            listener.feed(answer[start : start + piece])
    assert (client.established, server.established) == (True, True)


@pytest.mark.parametrize("piece", [1, 7, 1 << 16])
def test_messages_in_pieces(piece: int) -> None:
    """Packets come out whole and in order, cut anywhere, in both directions."""
    client, server, _ = established()
    packets = [b"1", bytes(MTU), b"2" * 126]
    for speaker, listener in ((client, server), (server, client)):
        wire = speaker.encode(packets)
        taken: list[bytes] = []
        for start in range(0, len(wire), piece):
            listener.feed(wire[start : start + piece])
            taken += listener.take(2)
        assert (taken + listener.take(2), listener.held) == (packets, 0)


def test_fragments_are_one_packet() -> None:
    """A message in fragments, empty ones among them, is one packet; until then it is held."""
    _, server, protocol = established()
    protocol.send_binary(b"", fin=False)
    for _ in range(100):
        protocol.send_continuation(b"", fin=False)
    protocol.send_continuation(b"1", fin=False)
    server.feed(said(protocol))
    assert (server.take(1), server.held, server.ready) == ([], 1, False)
    protocol.send_continuation(b"2", fin=True)
    server.feed(said(protocol))
    assert server.take(1) == [b"12"]


@pytest.mark.parametrize("fragments", [1, 2])
def test_a_message_over_the_mtu_ends_the_stream(fragments: int) -> None:
    """A message longer than the mtu, in fragments or not, is StreamBroken with both numbers; close code 1009."""
    client, server, protocol = established()
    protocol.send_binary(bytes(1501 - fragments + 1), fin=fragments == 1)
    if fragments == 2:
        protocol.send_continuation(b"1", fin=True)
    server.feed(said(protocol))
    with pytest.raises(StreamBroken, match=r"^server: .*15\d\d.*1500"):
        server.take(1)
    client.feed(server.answer())
    with pytest.raises(DeviceGone, match=r"^client: the peer closed the connection: 1009 \(message too big\)"):
        client.take(1)


def test_a_text_message_ends_the_stream() -> None:
    """A text message is StreamBroken, after the packets before it; the peer hears close code 1003."""
    client, server, protocol = established()
    protocol.send_binary(b"1")
    protocol.send_text(b"hello")
    protocol.send_binary(b"2")
    server.feed(said(protocol))
    assert server.take(64) == [b"1"]
    with pytest.raises(StreamBroken, match="^server: the peer sent a text message, packets are binary ones$"):
        server.take(64)
    client.feed(server.answer())
    with pytest.raises(DeviceGone, match="1003 .unsupported data."):
        client.take(1)


def test_an_empty_message_ends_the_stream() -> None:
    """A message of no bytes is no packet."""
    _, server, protocol = established()
    protocol.send_binary(b"")
    server.feed(said(protocol))
    with pytest.raises(StreamBroken, match="^server: the peer sent an empty message, a packet is at least 1 byte$"):
        server.take(1)


def test_what_is_no_frame_ends_the_stream() -> None:
    """Bytes that are no frame are StreamBroken."""
    client, server, _ = established()
    client.feed(b"\xff\xff\xff\xff")
    with pytest.raises(StreamBroken, match="^client: "):
        client.take(1)


def test_a_flood_of_pings_is_answered_once() -> None:
    """Of pings that come together the latest is answered, so that a flood of them holds no memory (F4)."""
    _, server, protocol = established()
    for number in range(1000):
        protocol.send_ping(b"%d" % number)
    server.feed(said(protocol))
    for number in range(1000, 2000):
        protocol.send_ping(b"%d" % number)
    server.feed(said(protocol))
    answer = server.answer()
    assert (answer[2:], server.answer()) == (b"1999", b"")


@pytest.mark.parametrize(
    ("code", "text"),
    [(1000, r"1000 \(OK\)"), (1001, r"1001 \(going away\)"), (4000, r"4000 \(private use\) done")],
)
def test_a_close_code_is_the_end(code: int, text: str) -> None:
    """The peer's close is DeviceGone with its code and reason, after the packets before it; nothing is sent then."""
    _, server, protocol = established()
    protocol.send_binary(b"1")
    protocol.send_close(code, "done" if code == 4000 else "")
    server.feed(said(protocol))
    assert server.take(64) == [b"1"]
    with pytest.raises(DeviceGone, match=f"^server: the peer closed the connection: {text}") as caught:
        server.take(64)
    assert type(caught.value) is DeviceGone
    with pytest.raises(DeviceGone, match="the peer closed the connection"):
        server.encode([b"2"])


def test_an_end_without_a_close_frame() -> None:
    """A connection that ends without a close frame was cut: StreamBroken, close code 1006."""
    _, server, _ = established()
    assert type(server.ended()) is StreamBroken
    assert str(server.ended()) == "server: the connection ended without a close frame (close code 1006)"


def test_an_end_in_the_handshake() -> None:
    """A peer that leaves in the handshake is said to have."""
    client, _, _ = pair()
    assert str(client.ended()) == "client: the connection ended in the middle of the WebSocket handshake"


def test_another_path_is_not_found() -> None:
    """A server of one path answers others with 404, which the client tells, with ECONNREFUSED."""
    client, server, _ = pair(path="/other", served="/vpn")
    server.feed(client.answer())
    with pytest.raises(DeviceGone, match="^server: the peer asked for /other, only /vpn is served$"):
        server.take(0)
    client.feed(server.answer())
    with pytest.raises(DeviceGone, match="^client: the WebSocket handshake failed: .*404") as caught:
        client.take(0)
    assert caught.value.errno == errno.ECONNREFUSED


def test_a_request_that_is_none() -> None:
    """A peer that does not ask for a WebSocket is refused, and told."""
    _, server, _ = pair()
    server.feed(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert server.answer().startswith(b"HTTP/1.1 426 ")
    with pytest.raises(DeviceGone, match="^server: the WebSocket handshake failed: "):
        server.take(0)
