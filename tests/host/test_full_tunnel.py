"""What a full tunnel accepts."""

from __future__ import annotations

import errno
import os
import socket
from ipaddress import ip_network
from typing import Any

import pytest

import aiotun
from aiotun import SoftHost
from aiotun.linux import tunnel


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"fwmark": 0}, "fwmark is a number from 1 to"),
        ({"table": 2**32}, "table is a number"),
        ({"table": 254}, "table 254 is asked for marked packets too; give the tunnel one of its own, like 51820"),
        ({"fwmark": 255}, "table 255 is asked"),
        ({"kill_switch": "off"}, "kill_switch is True, False or \"hold\", not 'off'"),
        ({"except_for": ["nowhere"]}, "nowhere"),
    ],
)
async def test_a_value_that_cannot_be(options: dict[str, Any], text: str) -> None:
    """What cannot be is refused when the tunnel is made, before anything is asked of the kernel."""
    async with SoftHost() as host, host.open_tun() as tun:
        with pytest.raises(ValueError, match=text):
            aiotun.full_tunnel(tun, **options)


async def test_one_exception() -> None:
    """A single prefix may stand for a list of one; a number is no prefix."""
    async with SoftHost() as host, host.open_tun() as tun:
        for one in ("10.0.0.0/8", ip_network("10.0.0.0/8")):
            assert aiotun.full_tunnel(tun, except_for=one)._except_for == [ip_network("10.0.0.0/8")]
        with pytest.raises(TypeError, match="a prefix is text like"):
            aiotun.full_tunnel(tun, except_for=[5])  # type: ignore[list-item]


async def test_a_tap_is_refused() -> None:
    """A tap carries frames: there is no full tunnel by one."""
    async with SoftHost() as host, host.open_tap() as tap:
        with pytest.raises(TypeError, match="a full tunnel is a tun, not Tap"):
            aiotun.full_tunnel(tap)  # type: ignore[arg-type]


@pytest.mark.kernel
async def test_a_tun_of_another_host_is_refused() -> None:
    """The machine's packets cannot be sent into a tun that its kernel does not know."""
    async with SoftHost() as host, host.open_tun() as tun:
        with pytest.raises(TypeError, match="tun0: a full tunnel needs a tun of the kernel that is open"):
            async with aiotun.full_tunnel(tun):
                pass


async def test_who_may_not_mark_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the right to mark a socket, the error names what it takes."""

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(tunnel, "set_mark", refuse)
    async with SoftHost() as host, host.open_tun() as tun:
        with socket.socket() as sock, pytest.raises(PermissionError, match="CAP_NET_ADMIN or CAP_NET_RAW"):
            aiotun.full_tunnel(tun).mark(sock)
