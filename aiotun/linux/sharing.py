"""What several queues of one device share: the changes to undo when the last of them is closed."""

from __future__ import annotations

import threading

from .transaction import Transaction

__all__ = ["SharedTransaction"]


class SharedTransaction:
    """A transaction that ends with its last holder. Holders may end in any thread."""

    def __init__(self, transaction: Transaction, holders: int) -> None:
        self._transaction = transaction
        self._holders = holders
        self._kept = False
        self._lock = threading.Lock()

    def end(self) -> None:
        """Undo everything, if nobody else holds on to it, and nobody asked to keep it."""
        if self._last():
            if self._kept:
                self._transaction.keep()
            else:
                self._transaction.end()

    def keep(self) -> None:
        """Let every change be, for the device lives on under another owner; once nobody else holds on to it."""
        self._kept = True
        self.end()

    def _last(self) -> bool:
        with self._lock:
            self._holders -= 1
            return self._holders == 0
