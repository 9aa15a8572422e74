"""TLS around a framing: byte by byte, with an end that only TLS can say."""

from __future__ import annotations

import ssl

import pytest

from aiotun import DeviceGone
from aiotun.channel import StreamBroken
from aiotun.channel.stream_framing import LengthFraming
from aiotun.channel.stream_tls import TlsFraming
from aiotun.testing.tls import tls_contexts


def pair(
    hostname: str = "localhost", client_context: ssl.SSLContext | None = None, mtu: int = 1500
) -> tuple[TlsFraming, TlsFraming]:
    """Return a client and a server."""
    server, client = tls_contexts()
    return (
        TlsFraming(
            "client", LengthFraming("client", mtu), client_context or client, server=False, server_hostname=hostname
        ),
        TlsFraming("server", LengthFraming("server", mtu), server, server=True),
    )


def carry(one: TlsFraming, other: TlsFraming, piece: int = 1 << 16) -> None:
    """Bring to each what the other says, in pieces, until both are silent."""
    said = True
    while said:
        said = False
        for speaker, listener in ((one, other), (other, one)):
            answer = speaker.answer()
            said = said or bool(answer)
            for start in range(0, len(answer), piece):
                listener.feed(answer[start : start + piece])


def established(mtu: int = 1500) -> tuple[TlsFraming, TlsFraming]:
    client, server = pair(mtu=mtu)
    carry(client, server)
    return client, server


@pytest.mark.parametrize("piece", [1, 100, 1 << 16])
def test_the_handshake_in_pieces(piece: int) -> None:
    """The handshake is done however its bytes are cut, and not before both sides spoke."""
    client, server = pair()
    assert (client.established, server.established) == (False, False)
    carry(client, server, piece)
    assert (client.established, server.established) == (True, True)


@pytest.mark.parametrize("piece", [1, 7, 1 << 16])
def test_packets_in_pieces(piece: int) -> None:
    """Packets of several records, cut anywhere, come out whole and in order."""
    client, server = established(mtu=65535)
    packets = [b"1", bytes(65535), b"2" * 20000, b"3"]
    wire = client.encode(packets)
    taken: list[bytes] = []
    for start in range(0, len(wire), piece):
        server.feed(wire[start : start + piece])
        taken += server.take(64)
    assert taken == packets


def test_the_peers_end_is_clean() -> None:
    """After close_notify what came before is received, and then the end is DeviceGone."""
    client, server = established()
    server.feed(client.encode([b"1", b"2"]) + client.finish())
    assert server.ready
    assert server.take(64) == [b"1", b"2"]
    with pytest.raises(DeviceGone, match="^server: the peer closed the connection$") as caught:
        server.take(64)
    assert type(caught.value) is DeviceGone


def test_asking_takes_nothing() -> None:
    """take(0) says nothing of the end while packets are left."""
    client, server = established()
    server.feed(client.encode([b"1"]) + client.finish())
    assert (server.take(0), server.take(1)) == ([], [b"1"])


def test_an_end_that_tls_did_not_say_is_truncation() -> None:
    """A connection that ends without close_notify may have been cut by anybody, even between packets."""
    client, server = established()
    server.feed(client.encode([b"1"]))
    assert server.take(1) == [b"1"]
    gone = server.ended()
    assert type(gone) is StreamBroken
    assert str(gone) == "server: the connection ended without an end of TLS (close_notify)"


def test_an_end_in_the_handshake() -> None:
    """A peer that leaves in the handshake is said to have."""
    client, _ = pair()
    client.answer()
    assert str(client.ended()) == "client: the connection ended in the middle of the TLS handshake"


def test_a_changed_byte_breaks_the_stream() -> None:
    """A record that was changed on the way ends the stream, and gives no packet."""
    client, server = established()
    wire = bytearray(client.encode([b"1" * 100]))
    wire[-1] ^= 1
    server.feed(bytes(wire))
    with pytest.raises(StreamBroken, match="^server: TLS failed: "):
        server.take(1)


def test_what_is_not_tls_breaks_the_handshake() -> None:
    """A peer that does not speak TLS is told so, and named by the error."""
    _, server = pair()
    server.feed(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(StreamBroken, match="^server: TLS failed: http request$"):
        server.take(1)


def test_an_unknown_authority_is_refused() -> None:
    """A certificate that the client has no reason to trust ends the handshake, with the reason."""
    client, server = pair(client_context=ssl.create_default_context())
    carry(client, server)
    with pytest.raises(StreamBroken, match="^client: TLS failed: certificate verify failed: self-signed certificate$"):
        client.take(1)
    with pytest.raises(StreamBroken, match="^server: TLS failed: .*unknown ca$"):
        server.take(1)


def test_another_name_is_refused() -> None:
    """A certificate for another name ends the handshake."""
    client, server = pair(hostname="example.org")
    carry(client, server)
    with pytest.raises(StreamBroken, match="certificate is not valid for 'example.org'"):
        client.take(1)


def test_sending_after_the_end_is_refused() -> None:
    """A framing whose TLS is broken does not pretend to send."""
    _, server = pair()
    server.feed(b"\0" * 100)
    with pytest.raises(StreamBroken, match="^server: TLS failed: "):
        server.encode([b"1"])


def test_keys_do_not_leave() -> None:
    """A stream in TLS cannot go on in other hands."""
    assert not pair()[0].plain
