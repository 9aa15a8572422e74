"""What a broker remembers of its users."""

from __future__ import annotations

import pytest

from aiotun.host import broker_users
from aiotun.host.broker_users import User, Users


def test_a_second_s_worth_at_once() -> None:
    """So many requests as a second may have are answered at once; the next ones wait for their turn."""
    user = User()
    assert [user.delay(100.0, 4) for _ in range(6)] == [0, 0, 0, 0, 0.25, 0.5]


def test_time_gives_room_again() -> None:
    """After a pause as many may come at once again, and no more for a longer one."""
    user = User()
    for _ in range(4):
        user.delay(100.0, 4)
    assert user.delay(100.25, 4) == 0
    assert [user.delay(200.0, 4) for _ in range(5)] == [0, 0, 0, 0, 0.25]


def test_one_user_is_one() -> None:
    """Asked again, a user is the same."""
    users = Users()
    users[7].connections += 1
    assert (users[7].connections, users[8].connections, len(users)) == (1, 0, 2)


def test_who_has_nothing_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many users who have nothing leave no trace; one with a connection, or whose turn is to come, stays."""
    monkeypatch.setattr(broker_users, "MANY", 10)
    users = Users(lambda: 100.0)
    users[1].connections = 1
    users[2].due = 101.0
    for uid in range(3, 100):
        users[uid].due = 99.0
    assert len(users) <= 10
    assert (users[1].connections, users[2].due) == (1, 101.0)
