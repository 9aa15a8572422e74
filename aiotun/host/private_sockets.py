"""Sockets of a private network, connected or bound, for the event loop outside it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from socket import AF_INET, SOCK_DGRAM, SOCK_STREAM
from socket import socket as Socket
from typing import Any

from .private_network import PrivateNetwork

__all__ = ["Address", "PrivateSockets"]

Address = tuple[str, int]
"""An IP address as text, and a port."""


class PrivateSockets(PrivateNetwork):
    """The sockets that a private host hands out. They are their owners', who may use them after it is closed."""

    def socket(self, family: int = AF_INET, type: int = SOCK_STREAM, proto: int = 0) -> Socket:
        """
        Make a socket of this network, non-blocking; the caller's, who may use it after the host is closed.

        Blocks for some 0.2 ms. Any kind the kernel has: packet sockets and raw ones need no privilege in here.

        Raises:
            DeviceClosed: If the host is closed.
            OSError: If the kernel refuses.
        """
        sock = self._network().make_socket(family, type, proto)
        sock.setblocking(False)
        return sock

    async def open_connection(
        self, address: str, port: int, *, local_addr: Address | None = None, **options: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """
        Connect from inside this network by TCP; like asyncio.open_connection(), which gets the *options*.

        Waits for the connection; if cancelled, there is none. The streams are the caller's to close.

        Args:
            address: An IP address. Names are not looked up in here; the machine's resolver is another network's.
            local_addr: Address and port to connect from.

        Raises:
            ValueError: If it is not an IP address.
            OSError: If the connection cannot be made.
        """
        family, remote = _parsed((address, port))
        with _closed_on_error(self.socket(family, SOCK_STREAM)) as sock:
            if local_addr is not None:
                sock.bind(_parsed(local_addr)[1])
            await asyncio.get_running_loop().sock_connect(sock, remote)
            return await asyncio.open_connection(sock=sock, **options)

    async def start_server(
        self,
        connected: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any],
        address: str,
        port: int,
        *,
        start_serving: bool = True,
        **options: Any,
    ) -> asyncio.Server:
        """
        Serve TCP inside this network; like asyncio.start_server(), which gets the *options*.

        Waits one turn of the loop; if cancelled, there is no server. It is the caller's to close.

        Args:
            connected: Called with the streams of each connection; may be a coroutine function.
            address: An IP address of this network; ``"0.0.0.0"`` and ``"::"`` are all of a family's.
            port: The port; 0 is any free one.
            start_serving: Whether to accept at once; otherwise with the server's own start_serving().

        Raises:
            ValueError: If it is not an IP address.
            OSError: If it is not one of this network, or the port is taken.
        """
        family, local = _parsed((address, port))
        with _closed_on_error(self.socket(family, SOCK_STREAM)) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:  # as asyncio has it, for a server of both families is two
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(local)
            # Not at once, for asyncio forgets a server that is cancelled between its start and its return.
            server = await asyncio.start_server(connected, sock=sock, start_serving=False, **options)
        if start_serving:
            try:
                await server.start_serving()
            except BaseException:
                server.close()
                raise
        return server

    async def datagram(self, *, local_addr: Address | None = None, remote_addr: Address | None = None) -> Socket:
        """
        Make a UDP socket of this network, non-blocking: bound, connected, or both.

        Connected it suits ``loop.sock_recv()`` and ``loop.sock_sendall()``, either way
        ``loop.create_datagram_endpoint(..., sock=sock)``. Does not wait. The socket is the caller's to close.

        Args:
            local_addr: IP address and port to receive on; port 0 is any free one.
            remote_addr: IP address and port of the only peer.

        Raises:
            ValueError: If neither is given, or one is not an IP address.
            OSError: If the kernel refuses.
        """
        given = [_parsed(address) for address in (local_addr, remote_addr) if address is not None]
        if not given:
            raise ValueError("private host: a datagram socket has a local_addr, a remote_addr, or both")
        with _closed_on_error(self.socket(given[0][0], SOCK_DGRAM)) as sock:
            if local_addr is not None:
                sock.bind(given[0][1])
            if remote_addr is not None:
                sock.connect(given[-1][1])
            return sock


def _parsed(address: Address) -> tuple[int, Any]:
    """Return the family, and the address as that family's sockets take it."""
    host, port = address
    try:
        found = socket.getaddrinfo(host, port, type=SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV)
    except socket.gaierror:
        raise ValueError(f"private host: {host!r} is not an IP address; names are not looked up in there") from None
    family, _, _, _, sockaddr = found[0]
    return family, sockaddr


@contextlib.contextmanager
def _closed_on_error(sock: Socket) -> Iterator[Socket]:
    try:
        yield sock
    except BaseException:
        sock.close()
        raise
