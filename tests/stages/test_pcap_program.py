"""Expressions compiled by libpcap: what they match, and what is said of those it does not take."""

from __future__ import annotations

import ctypes.util
import gc
import weakref

import pytest
from hypothesis import given
from packet import strategies as s

from aiotun.packet import Ethernet
from aiotun.stages import Program, pcap_program

from .packets import ENDS, echo, needs_libpcap, superpacket, tcp, udp

pytestmark = needs_libpcap

FRAME = Ethernet(b"\2" * 6, b"\4" * 6, 0x800, tcp()).build()


@pytest.mark.parametrize(
    ("expression", "packet", "expected"),
    [
        ("tcp port 443", tcp(), True),
        ("tcp port 443", tcp(6), True),
        ("tcp port 80", tcp(), False),
        ("udp", tcp(), False),
        ("ip6", udp(6), True),
        ("ip6", udp(), False),
        (f"src host {ENDS[4][0]}", udp(), True),
        ("net 10.8.0.0/16 and not net 192.0.2.0/24", udp(), False),
        ("icmp[icmptype] == icmp-echo", echo(), True),
        ("tcp[tcpflags] & tcp-syn != 0", tcp(flags=2), True),
        ("tcp[tcpflags] & tcp-syn != 0", tcp(), False),
        ("greater 3000", superpacket(), True),
        ("", udp(), True),
    ],
)
def test_an_expression_matches(expression: str, packet: bytes, expected: bool) -> None:
    """The expression is true of the packets that tcpdump would show."""
    assert Program(expression)(packet) is expected


@pytest.mark.parametrize(("expression", "expected"), [("ether host 02:02:02:02:02:02", True), ("ip6", False)])
def test_frames(expression: str, expected: bool) -> None:
    """With ethernet=True it looks at frames."""
    assert Program(expression, ethernet=True)(FRAME) is expected


def test_a_bad_expression() -> None:
    """The error has the expression, and libpcap's own reason."""
    with pytest.raises(ValueError, match=r"filter 'tcp prot 443': .*syntax error"):
        Program("tcp prot 443")


def test_an_expression_of_another_link() -> None:
    """What makes no sense on IP packets is refused with libpcap's reason."""
    with pytest.raises(ValueError, match="filter 'ether broadcast': "):
        Program("ether broadcast")


def test_a_zero_byte() -> None:
    """C would not see what comes behind a zero byte, so the expression is refused."""
    with pytest.raises(ValueError, match="there is a zero byte in it"):
        Program("tcp\0 port 80")


def test_without_libpcap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the library the error names the package; one that is installed later is found."""
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    pcap_program._library.cache_clear()
    with pytest.raises(FileNotFoundError, match="apt install libpcap0.8"):
        Program("tcp")
    monkeypatch.undo()
    assert Program("tcp")(tcp())


@given(s.hostile)
def test_hostile_packets(packet: bytes) -> None:
    """No packet makes it raise, and libpcap reads within its bounds."""
    assert Program("tcp[13] & 2 != 0 or ip6[6] == 17 or udp[100:4] = 5")(packet) in (True, False)


def test_it_is_freed() -> None:
    """A program that nobody has is gone, and its instructions with it."""
    gone = weakref.ref(Program("tcp"))
    gc.collect()
    assert gone() is None


def test_it_says_what_it_is() -> None:
    """The expression is there to read."""
    assert repr(Program("tcp")) == "<Program 'tcp'>"
