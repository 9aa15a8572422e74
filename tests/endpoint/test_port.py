"""The port that a closed endpoint stands on, and what ports are by default."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aiotun.endpoint import Capabilities, ClosedPort, InterfaceCounters, Port
from aiotun.errors import DeviceClosed

from .fakes import FakePort

COUNTERS = InterfaceCounters(ipackets=1, ibytes=2, opackets=3, obytes=4)

REFUSED: list[Callable[[ClosedPort], object]] = [
    lambda port: port.read_many(1),
    lambda port: port.write_many([b"x"]),
    lambda port: port.is_up(),
    lambda port: port.detach(),
    lambda port: port.watch(print),
]


@pytest.fixture
def port() -> ClosedPort:
    was = FakePort(mtu=1400)
    was.name = "tun0"
    was.capabilities = Capabilities(asked=frozenset({"IFF_TUN"}))
    was.interface = COUNTERS
    return ClosedPort(was)


@pytest.mark.parametrize("operation", REFUSED)
def test_a_closed_port_refuses(operation: Callable[[ClosedPort], object], port: ClosedPort) -> None:
    """Whatever needs the device raises DeviceClosed, with the device's name."""
    with pytest.raises(DeviceClosed, match="tun0: the endpoint is closed"):
        operation(port)


def test_a_closed_port_says_what_it_was(port: ClosedPort) -> None:
    """A closed port keeps name, mtu and capabilities through refresh(), and has no descriptor."""
    port.refresh()
    assert (port.name, port.mtu, port.fileno()) == ("tun0", 1400, -1)
    assert port.capabilities.asked == {"IFF_TUN"}


def test_a_closed_port_keeps_the_last_figures(port: ClosedPort) -> None:
    """A closed port shows the counters as they were at close."""
    assert port.counters() is COUNTERS


async def test_a_closed_port_makes_nobody_wait(port: ClosedPort) -> None:
    """Both directions of a closed port are ready, so whoever comes learns that it is closed."""
    await port.readable.wait()
    await port.writable.wait()


async def test_closing_a_closed_port(port: ClosedPort) -> None:
    """A closed port can be disarmed and closed again."""
    port.disarm()
    port.close_now()
    await port.aclose()


def test_a_port_counts_nothing_by_default(port: ClosedPort) -> None:
    """A port without counters of its own says None."""
    assert Port.counters(port) is None


def test_a_port_grants_nothing_by_default() -> None:
    """A port that says nothing of capabilities was asked nothing and granted nothing."""
    assert Port.capabilities == Capabilities(asked=frozenset(), granted=frozenset())


def test_counters_drop_nothing_by_default() -> None:
    """Counters without drops have an empty table of them."""
    assert COUNTERS.dropped == {}


def test_capabilities_read_well() -> None:
    """As text they are a line for each set that is not empty, and one for each reason why something is off."""
    found = Capabilities(
        asked=frozenset({"IFF_TUN", "IFF_NO_PI"}),
        granted=frozenset({"IFF_TUN"}),
        off={"IFF_VNET_HDR": "not asked for", "IFF_NAPI": "not asked for", "TUN_F_USO4": "EINVAL"},
    )
    assert str(found).splitlines() == [
        "asked    IFF_NO_PI IFF_TUN",
        "granted  IFF_TUN",
        "off      TUN_F_USO4: EINVAL",
        "off      IFF_NAPI IFF_VNET_HDR: not asked for",
    ]
