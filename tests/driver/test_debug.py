"""The tun driver's debug switch."""

from __future__ import annotations

import logging

import pytest

from aiotun.driver import Debug, SockAddr, TunDevice

from .fakes import Stack, open_tun


@pytest.mark.parametrize(("level", "told"), [(0, []), (1, ["tun0: open"]), (7, ["tun0: open"]), (-1, ["tun0: open"])])
def test_the_level(caplog: pytest.LogCaptureFixture, level: int, told: list[str]) -> None:
    """The log is told while the level is not 0."""
    debug = Debug()
    debug.level = level
    with caplog.at_level(logging.DEBUG, "aiotun.driver"):
        debug("tun0", "open")
    assert caplog.messages == told


def test_off_at_first() -> None:
    """The switch is off until it is set."""
    assert Debug().level == 0


def test_what_a_tun_tells(caplog: pytest.LogCaptureFixture) -> None:
    """A tun tells where if_tun.c does: opening, closing, address, destination, mtu."""
    tun = open_tun(up=False)
    tun.debug.level = 1
    with caplog.at_level(logging.DEBUG, "aiotun.driver"):
        tun.change_mtu(1400)
        tun.set_address(SockAddr.of("10.0.0.1"))
        tun.set_destination(SockAddr.of("10.0.0.2"))
        tun.close()
        tun.open()
    assert caplog.messages == [
        "dev0: mtu set",
        "dev0: tuninit",
        "dev0: address set",
        "dev0: tuninit",
        "dev0: destination address set",
        "dev0: closed",
        "dev0: open",
    ]


def test_one_switch_for_several() -> None:
    """Tuns that are given one switch share it; others have their own."""
    debug = Debug()
    tuns = [TunDevice(f"tun{unit}", Stack(), debug=debug) for unit in range(2)]
    tuns[0].set_debug(3)
    assert (tuns[1].debug_level(), TunDevice("tun2", Stack()).debug_level()) == (3, 0)
