"""Routes: which of those that are there are the same, and what is removed again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from network import told

from aiotun.errors import DeviceError
from aiotun.linux.links import link_index
from aiotun.linux.routes import add_routes
from aiotun.linux.transaction import Transaction
from aiotun.routing import Route

pytestmark = pytest.mark.kernel


@pytest.fixture
def transaction() -> Iterator[Transaction]:
    """A transaction in the name of a link that is up, with an address and another link beside it."""
    subprocess.run("ip link add way0 type veth peer name way1".split(), check=True)
    for command in ("address add 10.20.0.1/24 dev way0", "link set way0 up", "link set way1 up"):
        subprocess.run(["ip", *command.split()], check=True)
    made = Transaction("way0")
    yield made
    made.end()
    subprocess.run("ip link del way0".split(), check=True)


def routes(*what: str) -> list[str]:
    return [one["dst"] for one in told("route", "show", *what)]


def everything() -> list[str]:
    """Return all routes, without the flags that follow a link's carrier late."""
    return [str(one | {"flags": None}) for one in told("-4", "route", "show", "table", "all")]


def add(transaction: Transaction, *wanted: Route, lasting: bool = True) -> None:
    add_routes(transaction, link_index(transaction, "way0"), wanted, lasting=lasting)


@pytest.mark.parametrize(
    "route",
    [
        Route("10.20.0.0/24"),
        Route("10.20.0.0/24", source="10.20.0.1"),
        Route("10.20.0.0/24", interface="way0", metric=0, table=254),
    ],
)
def test_the_same_route(transaction: Transaction, route: Route) -> None:
    """A route that says the same, the kernel's own too, is the route."""
    add(transaction, route)
    assert transaction.pid is None


@pytest.mark.parametrize(
    "route",
    [
        Route("10.20.0.0/24", metric=5),
        Route("10.20.0.0/24", interface="way1", metric=5),
        Route("10.20.0.0/24", table=20),
        Route("10.20.0.0/25"),
        Route("10.20.0.0/24", kind="throw", metric=6),
    ],
)
def test_another_route(transaction: Transaction, route: Route) -> None:
    """A route with another metric, link, table, length or kind is added beside it, and removed again."""
    before = everything()
    add(transaction, route)
    assert len(everything()) == len(before) + 1
    transaction.end()
    assert everything() == before


def test_what_dies_with_the_link_is_not_noted(transaction: Transaction) -> None:
    """Out of a link that goes, a route needs no undo; out of another it does."""
    add(transaction, Route("10.30.0.0/16"), Route("fd00:30::/32"), lasting=False)
    assert transaction.pid is None
    add(transaction, Route("10.31.0.0/16", interface="way1"), lasting=False)
    assert transaction.pid is not None
    transaction.end()
    assert routes("10.30.0.0/16") == ["10.30.0.0/16"]
    assert routes("10.31.0.0/16") == []


def test_a_link_that_is_not_there(transaction: Transaction) -> None:
    """A route out of no interface is refused with both names."""
    with pytest.raises(DeviceError, match="way0: cannot set route 10.30.0.0/16 dev none0: there is no interface none0"):
        add(transaction, Route("10.30.0.0/16", interface="none0"))


def test_only_ours_is_removed(transaction: Transaction) -> None:
    """A route of the same prefix with another metric stays when ours is removed."""
    subprocess.run("ip route add 10.30.0.0/16 dev way0 metric 9".split(), check=True)
    add(transaction, Route("10.30.0.0/16", metric=5))
    transaction.end()
    assert [one["metric"] for one in told("route", "show", "10.30.0.0/16")] == [9]
