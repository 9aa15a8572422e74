"""Announcements, read as the kernel writes them and in its order."""

from __future__ import annotations

import errno
import socket
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.linux.addresses import RTM_NEWADDR, AddressMessage
from aiotun.linux.announcements import RTM_DELLINK, LinkMessage, Overrun, announcements, drain, pending
from aiotun.linux.rtnetlink import RTM_NEWLINK, open_netlink

from .netlink import Scripted, address_message, attribute, link_message


def links(*answers: bytes | OSError) -> list[LinkMessage]:
    """Read scripted answers, which speak of links only."""
    found = announcements(Scripted(*answers))  # type: ignore[arg-type]
    return [one for one in found if isinstance(one, LinkMessage)]


def test_a_link_is_read_from_its_attributes() -> None:
    """Name, mtu, index and flags come from the message."""
    (found,) = links(link_message(RTM_NEWLINK))
    link = found.link
    assert (link.name, link.mtu, link.index, link.flags, found.deleted) == ("vpn0", 1400, 3, 1, False)


def test_several_messages_in_one_buffer_are_all_read() -> None:
    """One recv() may return several announcements."""
    found = links(link_message(RTM_NEWLINK, name=b"abc") + link_message(RTM_DELLINK, name=b"de"))
    assert [(one.link.name, one.deleted) for one in found] == [("abc", False), ("de", True)]


def test_links_and_addresses_keep_their_order() -> None:
    """What happened first is read first, whatever it speaks of."""
    buffer = link_message(RTM_NEWLINK) + address_message(RTM_NEWADDR) + link_message(RTM_NEWLINK)
    found = announcements(Scripted(buffer))  # type: ignore[arg-type]
    assert [type(one) for one in found] == [LinkMessage, AddressMessage, LinkMessage]


@pytest.mark.parametrize(("value", "carrier"), [(b"\0", False), (b"\1", True)])
def test_the_carrier_is_an_attribute(value: bytes, carrier: bool) -> None:
    """IFLA_CARRIER says it, whether the link is up or down."""
    (found,) = links(link_message(RTM_NEWLINK, extra=attribute(33, value)))
    assert found.link.carrier is carrier


def test_a_bridges_word_about_its_port_is_not_the_links() -> None:
    """Messages of the family AF_BRIDGE are passed over."""
    assert links(link_message(RTM_DELLINK, family=socket.AF_BRIDGE)) == []


def test_an_overrun_is_told() -> None:
    """ENOBUFS means announcements were lost."""
    with pytest.raises(Overrun):
        links(OSError(errno.ENOBUFS, ""))


def test_another_error_is_raised_as_it_is() -> None:
    """An error that is not an overrun is nobody's to hide."""
    with pytest.raises(OSError, match="boom"):
        links(OSError(errno.EBADF, "boom"))


def test_nor_does_draining_hide_it() -> None:
    """drain() knows ENOBUFS and no other error."""
    with pytest.raises(OSError, match="boom"):
        drain(Scripted(OSError(errno.EBADF, "boom")))  # type: ignore[arg-type]


def test_draining_outlives_an_overrun() -> None:
    """After drain() nothing waits, though an overrun was told in between."""
    script = Scripted(b"1", OSError(errno.ENOBUFS, ""), b"2")
    drain(script)  # type: ignore[arg-type]
    assert script.answers == []


@pytest.mark.kernel
def test_an_overrun_is_pending_until_it_is_read() -> None:
    """pending() does not take the error away: who reads next must hear of it."""
    with open_netlink(subscribe=True) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        changes = [f"link set lo mtu {size}" for size in (*range(60000, 60100), 65536)]
        subprocess.run(["ip", "-batch", "-"], input="\n".join(changes).encode(), check=True)
        assert pending(sock) and pending(sock)
        with pytest.raises(Overrun):
            announcements(sock)
        drain(sock)
        assert not pending(sock)


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(buffer: bytes) -> None:
    """Truncated and nonsensical messages raise nothing but the documented errors."""
    header = struct.pack("=IHHII", 16 + len(buffer), 99, 0, 1, 0)
    assert announcements(Scripted(header + buffer, buffer)) is not None  # type: ignore[arg-type]


@pytest.mark.kernel
def test_the_kernel_announces_both() -> None:
    """A real socket hears of an address, and of a link, in their order; peeking takes nothing."""
    with open_netlink(subscribe=True) as sock:
        subprocess.run(["ip", "address", "add", "10.44.0.1/32", "dev", "lo"], check=True)
        subprocess.run(["ip", "address", "del", "10.44.0.1/32", "dev", "lo"], check=True)
        subprocess.run(["ip", "link", "set", "lo", "mtu", "60000"], check=True)
        subprocess.run(["ip", "link", "set", "lo", "mtu", "65536"], check=True)
        assert pending(sock)
        found = announcements(sock)
        assert not pending(sock)
    told = [one.link.mtu if isinstance(one, LinkMessage) else one.change.state for one in found]
    assert told == ["usable", "removed", 60000, 65536]
