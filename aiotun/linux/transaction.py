"""
A transaction: changes made one by one, each noted before it is made, all undone in reverse.

What dies with a device that we made needs no note. What outlives it does, and a guardian is told of it as well, so
that it is undone though this process be killed. In a private network nothing outlives us, and there is no guardian.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from ..endpoint.forking import abandon_in_child
from ..errors import device_error
from .guardian import Step, ask, undo_all
from .guarding import Guardian
from .origin import HERE, Origin

__all__ = ["Transaction"]

# Linux include/uapi/linux/netlink.h
SOL_NETLINK = 270
NETLINK_EXT_ACK = 11
NETLINK_GET_STRICT_CHK = 12

REMEDIES = {
    errno.EEXIST: "there is one already; give this one a metric, a priority or a table of its own",
    errno.EROFS: "/proc/sys is read-only here",
}

FORBIDDEN = "it takes CAP_NET_ADMIN in the device's namespace"
DISABLED = "set sysctl net.ipv6.conf.{name}.disable_ipv6 to 0"
"""What to do about the kernel's EACCES to who gives an IPv6 address or route to a link that has no IPv6."""


class Transaction:
    """
    Changes to the network of *origin*, in the name of the device *name*. Calls block; one thread at a time.

    Args:
        guarded: Whether what outlives this process is undone when it is killed.
        adopting: Whether what is found as it should be is undone as well, as if it had been set here.
    """

    def __init__(self, name: str, origin: Origin = HERE, *, guarded: bool = True, adopting: bool = False) -> None:
        self.name = name
        self.origin = origin
        self.adopting = adopting
        self._guarded = guarded and origin is HERE
        self._guardian: Guardian | None = None
        self._steps: list[Step] = []
        self._files: list[int] = []
        self._netlink = self._open()
        abandon_in_child(self)

    @property
    def pid(self) -> int | None:
        """The guardian's process, if there is one."""
        return None if self._guardian is None else self._guardian.pid

    def ask(self, request: bytes) -> list[bytes]:
        """Ask the kernel, changing nothing."""
        return ask(self._netlink, request)

    def change(self, what: str, request: bytes, undo: Step | None = None) -> None:
        """
        Send rtnetlink a change, having noted how it is undone; None if it needs not be.

        Raises:
            PermissionError, DeviceError: If the kernel refuses; the text names the change.
        """
        self.step(what, lambda: ask(self._netlink, request), undo)

    def step(self, what: str, make: Callable[[], object], undo: Step | None, file: int | None = None) -> None:
        """Make one change, having noted how it is undone; the descriptor of a file is the transaction's from now on."""
        if file is not None:
            self._files.append(file)
        with self.explained(what):
            if undo is not None:
                self._note(dict(undo, what=what), file)
            try:
                make()
            except BaseException:
                if undo is not None:
                    self._forget()
                raise

    def found(self, what: str, undo: Step | None) -> None:
        """Note what was as it should be, where that is ours to undo too."""
        if self.adopting and undo is not None:
            self.step(what, lambda: None, undo)

    def settle(self) -> None:
        """Close what a transaction without anything to undo does not need."""
        if not self._steps:
            self._close()

    def undo(self) -> list[str]:
        """Undo everything, last first, where it still is as we left it; return what could not be. Idempotent."""
        failed = None
        if self._guardian is not None:  # its rights are still those of when it was started
            guardian, self._guardian = self._guardian, None
            failed = guardian.undo()
        if failed is None:
            failed = undo_all(self._steps, self._netlink)
        self._steps.clear()
        self._close()
        return failed

    def end(self) -> None:
        """Undo everything; warn of what could not be."""
        for what in self.undo():
            warnings.warn(f"{self.name}: not undone: {what}", RuntimeWarning, stacklevel=2)

    def keep(self) -> None:
        """Let every change be. Idempotent."""
        if self._guardian is not None:
            guardian, self._guardian = self._guardian, None
            guardian.keep()
        self._steps.clear()
        self._close()

    def abandon(self) -> None:
        """See Abandoning: everything is the parent's to undo."""
        if self._guardian is not None:
            self._guardian.abandon()
            self._guardian = None
        self._steps.clear()
        self._close()

    @contextlib.contextmanager
    def rolled_back(self) -> Iterator[None]:
        """Undo everything if the block raises; what could not be undone is a note at the exception."""
        try:
            yield
        except BaseException as error:
            for what in self.undo():
                error.add_note(f"{self.name}: not undone: {what}")
            raise

    def _open(self) -> socket.socket:
        netlink = self.origin.make_socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        try:
            netlink.bind((0, 0))
            netlink.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)  # so that a refusal has words
            netlink.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)  # so that questions are answered for one link
        except BaseException:
            netlink.close()
            raise
        return netlink

    def _note(self, step: dict[str, Any], file: int | None) -> None:
        if self._guarded:
            if self._guardian is None:
                self._guardian = Guardian(self._open())
            self._guardian.add(step, [] if file is None else [file])
        self._steps.append(step if file is None else step | {"fd": file})

    def _forget(self) -> None:
        self._steps.pop()
        if self._guardian is not None:
            with contextlib.suppress(OSError):  # then undo() will not find it there either
                self._guardian.forget()

    def _close(self) -> None:
        self._netlink.close()
        while self._files:
            os.close(self._files.pop())

    @contextlib.contextmanager
    def explained(self, what: str) -> Iterator[None]:
        """Say what was being set when it was refused."""
        try:
            yield
        except OSError as error:
            reason = "; ".join(filter(None, (error.strerror or str(error), REMEDIES.get(error.errno or 0))))
            message = f"{self.name}: cannot set {what}: {reason}"
            if error.errno in (errno.EPERM, errno.EACCES):
                remedy = DISABLED.format(name=self.name) if "IPv6 is disabled" in reason else FORBIDDEN
                raise PermissionError(error.errno, f"{message}; {remedy}") from error
            raise device_error(error, message) from error
