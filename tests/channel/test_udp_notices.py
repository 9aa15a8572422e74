"""What an endpoint makes of a notice: a count, an event, a size."""

from __future__ import annotations

import errno
from collections import Counter

import pytest

from aiotun import Event, EventKind
from aiotun.channel.udp_notices import Notices, payload_mtu
from aiotun.channel.udp_reports import Notice
from aiotun.endpoint import Report

PEER = ("192.0.2.1", 5)


def notice(code: int = errno.ECONNREFUSED, *, mtu: int | None = None, local: bool = False) -> Notice:
    return Notice(report=Report(PEER, code), local=local, mtu=mtu)


def taken(*notices: Notice) -> tuple[list[Event], dict[str, int], int | None]:
    dropped: Counter[str] = Counter()
    board = Notices(dropped)
    told: list[Event] = []
    board.tell = told.append
    for one in notices:
        board.take(one)
    return told, dict(dropped), board.mtu


def test_a_datagram_that_did_not_arrive() -> None:
    """It is counted, and told with who says so (G1)."""
    assert taken(notice()) == ([Event(EventKind.REPORTED, notice().report)], {"reported_lost": 1}, None)


def test_a_new_path_mtu_is_told_once() -> None:
    """The path's mtu is told in bytes of datagram when it changes, and each datagram lost for it counts (G3)."""
    told, dropped, mtu = taken(*[notice(errno.EMSGSIZE, mtu=size) for size in (1280, 1280, 1400)])
    assert (told, mtu) == ([Event(EventKind.MTU, 1252), Event(EventKind.MTU, 1372)], 1372)
    assert dropped == {"reported_lost": 3}


def test_what_was_not_sent_is_not_reported_lost() -> None:
    """What this host refused is counted where it was refused; the path's mtu is told all the same."""
    assert taken(notice(errno.EMSGSIZE, mtu=1500, local=True)) == ([Event(EventKind.MTU, 1472)], {}, 1472)


def test_nobody_need_listen() -> None:
    """Without anybody to tell, it is counted."""
    dropped: Counter[str] = Counter()
    Notices(dropped).take(notice())
    assert dropped == {"reported_lost": 1}


@pytest.mark.parametrize(("host", "fits"), [("192.0.2.1", 1472), ("2001:db8::1", 1452)])
def test_what_fits_into_a_packet(host: str, fits: int) -> None:
    """IPv4 and UDP take 28 bytes, IPv6 and UDP 48."""
    assert payload_mtu(1500, (host, 5)) == fits
