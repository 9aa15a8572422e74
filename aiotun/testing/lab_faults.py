"""Making an endpoint fail: chosen packets, chosen errors."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Self

from ..endpoint import Endpoint, Port
from ..errors import DeviceError, DeviceGone, device_error

__all__ = ["Faults", "faulty"]

# No faults: they are how a port says that it has to wait, which is another way to say nothing happened.
_WAITING = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR}

_METHODS = "read_many", "read_whole", "write_many"


class _Plan:
    """The faults of one direction: what goes well, and what fails, is counted from 0."""

    def __init__(self, faults: Mapping[int, int]) -> None:
        for number in faults.values():
            _check(number)
        self.faults = dict(faults)
        self.count = 0

    def ahead(self, limit: int) -> int:
        """Return how many of the next *limit* go well before one fails."""
        if not self.faults:
            return limit
        return next((index for index in range(limit) if self.count + index in self.faults), limit)

    def error(self, what: str, sent: int = 0) -> DeviceError:
        """Return the error of the one that is next."""
        number = self.faults[self.count]
        error = device_error(OSError(number, os.strerror(number)), f"{what}: {os.strerror(number)} (injected)")
        error.sent = sent
        if not isinstance(error, DeviceGone):  # what is gone stays so
            del self.faults[self.count]
            self.count += 1
        return error


class Faults:
    """
    The faults of one endpoint; made by faulty(). Ends at remove(), or with its block.

    What fails was not done: a packet refused was not sent, a packet to be received stays queued. An errno that means
    DeviceGone is the last.
    """

    def __init__(
        self, port: Port, read: Mapping[int, int], write: Mapping[int, int], tell: Callable[[DeviceError], None] | None
    ) -> None:
        self._port = port
        self._read, self._write = _Plan(read), _Plan(write)
        self._tell = tell
        self._removed = False
        self._read_many = port.read_many
        plain = type(port).read_whole is Port.read_whole  # it calls read_many(), and the fault would count twice
        self._read_whole = port.read_many if plain else port.read_whole
        self._write_many = port.write_many
        # On the object itself: whoever has the port has these, whatever its class.
        self._before = {name: vars(port)[name] for name in _METHODS if name in vars(port)}
        vars(port).update(zip(_METHODS, (self._read_plain, self._read_superpackets, self._write_batch), strict=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def fail_sending(self, number: int, *, next: int = 1) -> None:
        """Refuse the next packets to be sent with this errno."""
        self._fail(self._write, number, next)

    def fail_receiving(self, number: int, *, next: int = 1) -> None:
        """Raise this errno at the next attempts to receive; who waits to receive is woken for it."""
        self._fail(self._read, number, next)
        self._port.readable.wake()

    def remove(self) -> None:
        """Let the endpoint be as it was. Idempotent."""
        if not self._removed:
            self._removed = True
            for name in _METHODS:
                vars(self._port).pop(name)
            vars(self._port).update(self._before)

    # --- inside -----------------------------------------------------------------------------------

    def _fail(self, plan: _Plan, number: int, next: int) -> None:
        _check(number)
        plan.faults.update((plan.count + index, number) for index in range(next))

    def _read_plain(self, limit: int) -> list[bytes]:
        return self._read_batch(self._read_many, limit)

    def _read_superpackets(self, limit: int) -> list[bytes]:
        return self._read_batch(self._read_whole, limit)

    def _read_batch(self, read: Callable[[int], list[bytes]], limit: int) -> list[bytes]:
        plan, port = self._read, self._port
        ahead = plan.ahead(limit)
        if not ahead and limit:
            raise self._told(plan.error(port.name))
        batch = read(ahead)
        plan.count += len(batch)
        return batch

    def _write_batch(self, batch: Sequence[bytes]) -> int:
        plan = self._write
        ahead = plan.ahead(len(batch))
        try:
            sent = self._write_many(batch[:ahead] if ahead < len(batch) else batch) if ahead or not batch else 0
        except DeviceError as error:
            plan.count += error.sent + 1
            raise
        plan.count += sent
        if sent == ahead < len(batch):
            raise self._told(plan.error(self._port.name, sent))
        return sent

    def _told(self, error: DeviceError) -> DeviceError:
        if self._tell is not None:
            self._tell(error)
        return error


def faulty(
    endpoint: Endpoint | Port,
    *,
    read: Mapping[int, int] | None = None,
    write: Mapping[int, int] | None = None,
    tell: Callable[[DeviceError], None] | None = None,
) -> Faults:
    """
    Make chosen operations of an endpoint fail, while the block lasts: ``with faulty(tun, write={2: ENOBUFS}):``.

    The endpoint raises what it would if the device answered so: ENOBUFS becomes QueueFull, ENODEV DeviceGone. Does
    not wait.

    Args:
        endpoint: Any endpoint, or its port, on any host.
        read: Errno by number: the packets received, and the failures, are counted from 0.
        write: Errno by number: the packets sent, and those refused, are counted from 0.
        tell: Called with each error before it is raised.

    Raises:
        ValueError: If an errno is none, or only says to try again.
    """
    port = endpoint if isinstance(endpoint, Port) else endpoint._port
    return Faults(port, read or {}, write or {}, tell)


def _check(number: int) -> None:
    if number not in errno.errorcode or number in _WAITING:
        raise ValueError(f"{number} ({os.strerror(number)}) is no errno that a device fails with")
