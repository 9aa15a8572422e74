"""What a broker remembers of its users: how much each has, and how much each asks."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

__all__ = ["User", "Users"]

MANY = 1024
"""Users after which those who have nothing are forgotten."""


class User:
    """What one user has open, and when the next request is answered."""

    __slots__ = ("connections", "devices", "due", "turn")

    def __init__(self) -> None:
        self.connections = 0
        self.devices: Counter[str] = Counter()
        """Devices, by the name of the rule."""
        self.turn = asyncio.Lock()
        """One request at a time: a user who asks for much waits for that, and nobody else does."""
        self.due = 0.0

    def delay(self, now: float, rate: int) -> float:
        """
        Take a place among the requests of this user, and return the seconds until it comes up.

        One second's worth may come at once. The generic cell rate algorithm of ITU-T I.371.
        """
        self.due = max(now, self.due) + 1 / rate
        return max(0.0, self.due - now - 1)


class Users:
    """Every user of late, by uid. Bounded: who has nothing open is forgotten."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._users: dict[int, User] = {}

    def __getitem__(self, uid: int) -> User:
        if uid not in self._users:
            if len(self._users) >= MANY:
                self._forget()
            self._users[uid] = User()
        return self._users[uid]

    def __len__(self) -> int:
        return len(self._users)

    def _forget(self) -> None:
        now = self._clock()
        self._users = {uid: user for uid, user in self._users.items() if user.connections or user.due > now}
