"""
The broker: opens devices for who may have them by the policy, and gives them away.

It keeps no descriptor of a device, and runs nothing. A connection stands for one device: when it ends, whoever ended
it, the device is deleted and what was done for it undone. Clients are strangers: a message is one datagram of bounded
size, each has seconds to send it, and what a user asks for waits behind that user's other requests alone.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from ..endpoint import FdReadiness, check_offload, turn
from ..linux import Terms
from ..linux.leasing import Lease, lease_device
from ..linux.passing import receive_descriptors, send_descriptors
from ..linux.peer import Peer, peer_of
from .broker_messages import LIMIT, Request, encode_answer, encode_error
from .broker_policy import Policy, Rule
from .broker_users import User, Users

__all__ = ["Broker"]

log = logging.getLogger("aiotun.broker")

PATIENCE = 5.0
"""Seconds in which a client must have sent its request, and taken the answer."""

SPARE = 16
"""Connections that a user may have beyond one for each device: for requests that will be refused."""

BACKLOG = 1024
PAUSE = 0.1
"""Seconds without new connections when the broker has no descriptor for one."""

EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Broker:
    """
    Serves the clients of one listening socket, a unix socket of sequential packets, which it owns.

    Works in the network namespace of the thread that runs it.
    """

    def __init__(self, listener: socket.socket, policy: Policy, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._listener = listener
        self._policy = policy
        self._clock = clock
        self._users = Users(clock)

    def listen(self) -> None:
        """Begin to listen; clients wait from now on until they are served."""
        self._listener.setblocking(False)
        self._listener.listen(BACKLOG)

    async def serve(self) -> None:
        """Serve until cancelled; then stop accepting, end every lease, and return when everything is undone."""
        self.listen()
        async with asyncio.TaskGroup() as clients:
            ready = FdReadiness("accepting", self._listener.fileno())
            try:
                while True:
                    clients.create_task(self._client(await self._accept(ready)))
            finally:
                ready.disarm()
                self._listener.close()

    async def _accept(self, ready: FdReadiness) -> socket.socket:
        while True:
            await turn()  # whoever connects in a loop shall not keep others from their turns
            try:
                return self._listener.accept()[0]
            except BlockingIOError:
                await ready.wait()
            except OSError as error:
                if error.errno in EXHAUSTED:
                    log.warning("cannot accept: %s", error.strerror)
                    await asyncio.sleep(PAUSE)

    async def _client(self, sock: socket.socket) -> None:
        """Serve one connection to its end; raises nothing, for other clients' sake."""
        with sock:
            sock.setblocking(False)
            try:
                peer = peer_of(sock)
                user = self._users[peer.uid]
                user.connections += 1
                try:
                    await self._serve(sock, peer, user)
                finally:
                    user.connections -= 1
            except Exception:
                log.exception("a client's request failed")

    async def _serve(self, sock: socket.socket, peer: Peer, user: User) -> None:
        rules = self._policy.rules_for(peer)
        if user.connections > SPARE + sum(rule.devices for rule in rules):
            log.debug("%s: too many connections", peer)
            return
        try:
            async with asyncio.timeout(PATIENCE):
                message, _ = await receive_descriptors(sock, LIMIT, 0)
        except (OSError, TimeoutError) as error:
            await self._wait_turn(user, rules)
            log.info("%s: no request: %s", peer, _reason(error) or "none came in time")
            return
        if message:
            await self._wait_turn(user, rules)
            await self._answer(sock, peer, user, message)

    async def _wait_turn(self, user: User, rules: Sequence[Rule]) -> None:
        """Wait as long as the user's rate says: neither the devices nor the log shall be flooded."""
        await asyncio.sleep(user.delay(self._clock(), max((rule.rate for rule in rules), default=1)))

    async def _answer(self, sock: socket.socket, peer: Peer, user: User, message: bytes) -> None:
        what = "request"
        try:
            request = Request.decode(message)
            what = _described(request)
            async with self._leased(peer, user, request) as lease:
                log.info("%s: %s: allowed as %s", peer, what, _line(lease.name))
                await _send(sock, encode_answer(lease.name), *lease.fds)
                await lease.release()
                await _end(sock)
            log.info("%s: %s: ended", peer, _line(lease.name))
        except (OSError, ValueError, TypeError) as error:
            log.info("%s: %s: refused: %s", peer, what, _line(_reason(error)))
            await _send(sock, encode_error(error))
        except Exception as error:
            log.exception("%s: %s: failed", peer, what)
            await _send(sock, encode_error(error))

    @asynccontextmanager
    async def _leased(self, peer: Peer, user: User, request: Request) -> AsyncIterator[Lease]:
        """Open what is asked for, if it is allowed, and end it after the block."""
        settings = request.settings()
        async with user.turn:
            rule = self._policy.judge(peer, request, settings, lambda rule: user.devices[rule.name])
            terms = Terms(queues=request.queues, offload=check_offload(request.options.get("offload")))
            lease = await lease_device(request.kind, request.name, settings, request.netns, terms)
            user.devices[rule.name] += 1
        try:
            if not rule.fits(lease.name):  # the kernel chose the number
                raise PermissionError(
                    errno.EPERM,
                    f"{request.name}: the next is {lease.name}, which the broker's rule {rule.name!r} does not allow",
                )
            yield lease
        finally:
            try:
                await lease.end()
            finally:
                user.devices[rule.name] -= 1


async def _send(sock: socket.socket, message: bytes, *fds: int) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            await send_descriptors(sock, fds, message)
    except (OSError, TimeoutError):  # it hung up, or takes no answer
        pass


async def _end(sock: socket.socket) -> None:
    """Wait until the client hangs up, or says what it has no business to say."""
    ready = FdReadiness("waiting for the end", sock.fileno())
    try:
        await ready.wait()
    finally:
        ready.disarm()


def _described(request: Request) -> str:
    words = [request.kind, request.name, *(f"{option}={value!a}" for option, value in request.options.items())]
    for word, value in (("queues", request.queues), ("netns", request.netns)):
        words += [] if value is None else [f"{word}={value!a}"]
    return " ".join(words)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _line(text: str) -> str:
    """Return text on one line of a log, whoever wrote it."""
    return "".join(char if char.isprintable() else "?" for char in text)
