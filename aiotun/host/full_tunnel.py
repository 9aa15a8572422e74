"""A full tunnel: all that the machine sends goes into a tun, and nothing past it, while the tunnel is up."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self

from ..endpoint import Tun
from ..routing import Network
from .options import routes, word

if TYPE_CHECKING:
    from ..linux.transaction import Transaction

__all__ = ["FullTunnel", "HasFileno", "full_tunnel"]

MARK = 51820
"""The mark and the table if none are given: those that wg-quick(8) begins with."""

SHARED = (253, 254, 255)
"""The tables default, main and local, that the kernel's own rules ask: Linux include/uapi/linux/rtnetlink.h."""


class HasFileno(Protocol):
    """A socket, or a channel."""

    def fileno(self) -> int: ...


class FullTunnel:
    """What full_tunnel() returns: to be entered with ``async with``."""

    def __init__(
        self,
        tun: Tun,
        *,
        fwmark: int,
        table: int,
        kill_switch: bool | Literal["hold"],
        except_for: list[Network],
        sockets: list[HasFileno],
    ) -> None:
        self._tun = tun
        self._fwmark = fwmark
        self._table = table
        self._kill_switch = kill_switch
        self._except_for = except_for
        self._sockets = sockets
        self._transaction: Transaction | None = None

    def mark(self, sock: HasFileno) -> None:
        """
        Have what *sock* sends go past the tunnel: its SO_MARK is the tunnel's, for good. Does not wait.

        Raises:
            PermissionError: If the process has neither CAP_NET_ADMIN nor CAP_NET_RAW.
        """
        from ..linux.tunnel import set_mark

        try:
            set_mark(sock.fileno(), self._fwmark)
        except PermissionError as error:
            message = f"{self._tun.name}: cannot mark a socket: it takes CAP_NET_ADMIN or CAP_NET_RAW"
            raise PermissionError(error.errno, message) from error

    async def __aenter__(self) -> Self:
        from ..linux.tunnel import TunnelPlan, enter_tunnel
        from ..linux.worker import in_thread

        if self._transaction is not None:
            raise RuntimeError(f"{self._tun.name}: this full tunnel was entered before; make another one")
        for sock in self._sockets:  # before a packet of theirs could go into the tunnel
            self.mark(sock)
        plan = TunnelPlan(
            fwmark=self._fwmark, table=self._table, kill_switch=self._kill_switch, except_for=self._except_for
        )
        port = self._tun._port
        self._transaction = await in_thread(lambda: enter_tunnel(port, plan), discard=lambda made: made.end())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        from ..linux.worker import in_thread

        assert self._transaction is not None  # __aenter__ set it
        await in_thread(self._transaction.end)


def full_tunnel(
    tun: Tun,
    *,
    fwmark: int = MARK,
    table: int | None = None,
    kill_switch: bool | Literal["hold"] = True,
    except_for: str | Network | Iterable[str | Network] = (),
    sockets: Iterable[HasFileno] = (),
) -> FullTunnel:
    """
    Send everything into *tun*, as wg-quick(8) does, for as long as the ``async with`` block lasts.

    ::

        async with aiotun.full_tunnel(tun, sockets=[channel]):
            await carry(tun, channel)

    Default routes of both IP versions in a table of their own, and rules that have packets without the mark looked
    up there. Networks that the machine reaches other than by its default route stay as they are: what is on the link
    is not for the tunnel. Entering and leaving take some milliseconds, off the event loop; if cancelled, all is undone
    first. When the block ends, and when the process is killed, everything is as it was before.

    Args:
        fwmark: What marks the tunnel's own packets, which go past it.
        table: The routing table; the mark's number if not given.
        kill_switch: While the tunnel is up nothing goes past it, though the tun be down, or deleted: programs get
            "no route to host". No firewall is needed. ``"hold"`` keeps it so if the process is killed, until the next
            full tunnel like this one ends; otherwise the packets then go their old way.
        except_for: A prefix that goes past the tunnel, or several.
        sockets: What the tunnel itself sends by, sockets or channels: they are marked.

    Raises:
        ValueError: If a number or a prefix cannot be.
        TypeError: If *tun* is no tun of the kernel.
        PermissionError, DeviceError: On entering, if the kernel refuses; the text names the step.
    """
    if not isinstance(tun, Tun):
        raise TypeError(f"a full tunnel is a tun, not {type(tun).__name__}")
    if kill_switch not in (True, False, "hold"):
        raise ValueError(f'kill_switch is True, False or "hold", not {kill_switch!r}')
    table = word("table", word("fwmark", fwmark) if table is None else table)
    if table in SHARED:
        raise ValueError(f"table {table} is asked for marked packets too; give the tunnel one of its own, like {MARK}")
    return FullTunnel(
        tun,
        fwmark=word("fwmark", fwmark),
        table=table,
        kill_switch=kill_switch,
        except_for=[route.prefix for route in routes(except_for)],
        sockets=list(sockets),
    )
