"""The VPN over TLS: who is let in, connections that end, and two namespaces joined by the real thing."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import tls_vpn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import aiotun
from aiotun.channel import StreamBroken, StreamChannel, open_stream, serve_stream
from aiotun.packet import UDP, IPv4, Protocol

from .program import Program, free_of_complaints, namespaces, ping, run

HERE = "127.0.0.1"
PACKET = IPv4("10.8.0.1", "10.8.0.2", Protocol.UDP, UDP(1, 2, b"inside").build("10.8.0.1", "10.8.0.2")).build()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the keys and certificates of both sides."""
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Path:
    """Return a folder with keys of somebody who knows the sides' certificates, as everybody may."""
    folder = make_keys(tmp_path_factory.mktemp("strangers"))
    for side in tls_vpn.OTHER:
        (folder / f"{side}.own").write_bytes((folder / f"{side}.crt").read_bytes())
        (folder / f"{side}.crt").write_bytes((keys / f"{side}.crt").read_bytes())
    return folder


def make_keys(folder: Path) -> Path:
    for side in tls_vpn.OTHER:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, side)])
        now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), 1)
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (folder / f"{side}.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, none))
        (folder / f"{side}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return folder


def stranger(side: str, folder: Path) -> ssl.SSLContext:
    """Return the context of a stranger who plays a side with a certificate of his own, and trusts everybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if side == "server" else ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(folder / f"{side}.own", folder / f"{side}.key")
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@asynccontextmanager
async def joined(server: ssl.SSLContext, client: ssl.SSLContext) -> AsyncIterator[tuple[StreamChannel, StreamChannel]]:
    """Connect a client to a server; give both ends."""
    async with asyncio.timeout(10), serve_stream(HERE, 0, ssl=server) as listening:
        accepting = asyncio.ensure_future(anext(listening))
        try:
            async with open_stream(*listening.address, ssl=client) as there, await accepting as here:
                yield here, there
        finally:
            accepting.cancel()
            await asyncio.wait([accepting])


async def test_the_two_sides_let_each_other_in(keys: Path) -> None:
    """With each other's certificates, whatever the names in them, both sides carry packets; by TLS 1.3 at least."""
    async with joined(tls_vpn.tls("server", keys), tls_vpn.tls("client", keys)) as (server, client):
        await client.send(PACKET)
        assert await server.recv() == PACKET


async def test_a_client_with_another_certificate_is_refused(keys: Path, strangers: Path) -> None:
    """Who has no key to the client's certificate is not let in, and gets no packet."""
    dropped: dict[str, int] = {}
    async with asyncio.timeout(10), serve_stream(HERE, 0, ssl=tls_vpn.tls("server", keys)) as server:
        accepting = asyncio.ensure_future(anext(server))
        async with open_stream(*server.address, ssl=stranger("client", strangers)) as client:
            with pytest.raises(StreamBroken):
                await client.recv()
        while not dropped:
            await asyncio.sleep(0)
            dropped = dict(server.dropped)
        accepting.cancel()
        await asyncio.wait([accepting])
    assert dropped == {"handshake_failed": 1}


async def test_a_client_without_a_certificate_is_refused(keys: Path) -> None:
    """A server lets nobody in who shows no certificate."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE
    async with asyncio.timeout(10), serve_stream(HERE, 0, ssl=tls_vpn.tls("server", keys)) as server:
        accepting = asyncio.ensure_future(anext(server))
        async with open_stream(*server.address, ssl=anybody) as client:
            with pytest.raises(StreamBroken, match="certificate required"):
                await client.recv()
        accepting.cancel()
        await asyncio.wait([accepting])


async def test_a_server_with_another_certificate_is_refused(keys: Path, strangers: Path) -> None:
    """A client does not talk to who has no key to the server's certificate."""
    with pytest.raises(StreamBroken, match="certificate verify failed"):
        async with joined(stranger("server", strangers), tls_vpn.tls("client", keys)):
            pass


@asynccontextmanager
async def serving(keys: Path) -> AsyncIterator[tuple[aiotun.Endpoint, tuple[str, int]]]:
    """Run the server's side over an in-process tun; give the tun's network side, and where it listens."""
    with socket.create_server((HERE, 0)) as free:
        port = free.getsockname()[1]
    async with asyncio.timeout(10), aiotun.SoftHost() as host, host.open_tun("tun0") as tun, asyncio.TaskGroup() as run:
        task = run.create_task(tls_vpn.serve(tun, HERE, port, tls_vpn.tls("server", keys)))
        yield host.network_side("tun0"), (HERE, port)
        task.cancel()


async def connected(where: tuple[str, int], keys: Path) -> StreamChannel:
    """Return a client's channel, as soon as the server listens."""
    while True:
        try:
            return await open_stream(*where, ssl=tls_vpn.tls("client", keys))
        except aiotun.DeviceError:
            await asyncio.sleep(0)


async def test_the_server_serves_who_connected_last(keys: Path) -> None:
    """A client that comes again gets the tun, and the connection it had before is closed."""
    async with serving(keys) as (network, where):
        async with await connected(where, keys) as first:
            await network.send(PACKET)
            assert await first.recv() == PACKET
            async with await connected(where, keys) as second:
                with pytest.raises(aiotun.DeviceGone):
                    await first.recv()
                await network.send(PACKET)
                assert await second.recv() == PACKET


async def test_the_server_goes_on_after_a_client_left(keys: Path) -> None:
    """A client that closes its connection makes room for the next."""
    async with serving(keys) as (network, where):
        for _ in range(2):
            async with await connected(where, keys) as client:
                await client.send(PACKET)
                assert await network.recv() == PACKET


async def test_the_client_connects_again(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the server closes the connection, or is not there at first, the client makes another."""
    monkeypatch.setattr(tls_vpn, "PAUSE", 0)
    with socket.create_server((HERE, 0)) as free:
        port = free.getsockname()[1]
    async with asyncio.timeout(10), aiotun.SoftHost() as host, host.open_tun("tun0") as tun, asyncio.TaskGroup() as run:
        network = host.network_side("tun0")
        task = run.create_task(tls_vpn.connect(tun, HERE, port, tls_vpn.tls("client", keys)))
        async with serve_stream(HERE, port, ssl=tls_vpn.tls("server", keys)) as server:
            for last in (False, False, True):
                async with await anext(server) as channel:
                    await channel.send(PACKET)
                    assert await network.recv() == PACKET
                    if last:
                        task.cancel()
                        await asyncio.wait([task])


@pytest.mark.kernel
@pytest.mark.parametrize("inner, outer", [("10.8.0.2", "127.0.0.1"), ("fd00:8::2", "::1")])
def test_two_namespaces_ping_each_other_through_tls(keys: Path, inner: str, outer: str) -> None:
    """
    Kernel pings between two namespaces go through two processes, and all come back.

        red --vpn0-- tls_vpn --(loopback, TLS)-- tls_vpn --vpn0-- blue
    """
    with namespaces("red", "blue"):
        with vpn("server", keys, 1, outer, "red") as server, vpn("client", keys, 2, outer, "blue") as client:
            for number, name in enumerate(("red", "blue"), 1):
                run("ip", "-n", name, "address", "add", f"fd00:8::{number}/64", "dev", "vpn0", "nodad")
            received = ping("red", inner, 300)
        assert (received, free_of_complaints(server), free_of_complaints(client)) == (300, [], [])
        assert client.ready == f"vpn0: joined to tls {f'[{outer}]' if ':' in outer else outer}:4433"


def vpn(side: str, keys: Path, number: int, host: str, netns: str) -> Program:
    """Return one side of the VPN, with its tun in a namespace."""
    return Program("tls_vpn.py", side, str(keys), f"10.8.0.{number}/24", host, "4433", f"--netns={netns}")
