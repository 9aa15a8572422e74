"""The addresses of a link, as the kernel tells them."""

from __future__ import annotations

import errno
import subprocess
from ipaddress import ip_address, ip_interface

import pytest

from aiotun import AddressChange
from aiotun.linux.addresses import (
    NLM_F_DUMP_INTR,
    NLMSG_DONE,
    RTM_DELADDR,
    RTM_NEWADDR,
    TRIES,
    AddressMessage,
    parse_address,
    query_addresses,
)
from aiotun.linux.rtnetlink import NLMSG_ERROR, open_netlink

from .netlink import Scripted, address_message, message

DONE = message(NLMSG_DONE, bytes(4))


def parsed(message: bytes, kind: int = RTM_NEWADDR) -> AddressMessage:
    return parse_address(kind, message[16:])


def asked(*answers: bytes) -> list[str]:
    """Ask a scripted socket for the addresses of link 3."""
    return [str(one.address) for one in query_addresses(Scripted(*answers), 3)]  # type: ignore[arg-type]


def test_an_address_and_its_link_are_read() -> None:
    """The address has its prefix length, the message the link's index."""
    found = parsed(address_message(RTM_NEWADDR, "10.0.0.1", prefix=8, index=7))
    assert found == AddressMessage(7, AddressChange(ip_interface("10.0.0.1/8"), "usable"))


def test_of_a_pair_the_local_address_is_ours() -> None:
    """With a peer, IFA_LOCAL is the address and IFA_ADDRESS the peer."""
    change = parsed(address_message(RTM_NEWADDR, "10.0.0.2", local="10.0.0.1", prefix=32)).change
    assert change == AddressChange(ip_interface("10.0.0.1/32"), "usable", ip_address("10.0.0.2"))


def test_an_address_is_not_its_own_peer() -> None:
    """IPv4 without a peer has the same in both attributes."""
    assert parsed(address_message(RTM_NEWADDR, "10.0.0.1", local="10.0.0.1")).change.peer is None


@pytest.mark.parametrize(
    ("flags", "state"),
    [(0x80, "usable"), (0x40, "tentative"), (0x44, "usable"), (0x48, "duplicate"), (0x08, "duplicate")],
)
def test_flags_say_whether_it_is_usable(flags: int, state: str) -> None:
    """Tentative is not usable unless it is optimistic; one whose detection failed is a duplicate."""
    assert parsed(address_message(RTM_NEWADDR, "fd00::1", flags=flags)).change.state == state


def test_the_wide_flags_are_the_ones() -> None:
    """IFA_FLAGS, where there is one, is what counts; else the byte in the header."""
    assert parsed(address_message(RTM_NEWADDR, "fd00::1", low_flags=0x40, flags=0)).change.state == "usable"
    assert parsed(address_message(RTM_NEWADDR, "fd00::1", low_flags=0x40)).change.state == "tentative"


def test_a_deleted_address_is_removed() -> None:
    """RTM_DELADDR means removed, whatever the flags were."""
    assert parsed(address_message(RTM_DELADDR, "fd00::1", flags=0x40), RTM_DELADDR).change.state == "removed"


def test_a_dump_may_take_several_buffers() -> None:
    """All are read until the kernel says that it is done; other links' addresses are passed over."""
    first, second = address_message(RTM_NEWADDR, "10.0.0.1"), address_message(RTM_NEWADDR, "fd00::1", prefix=64)
    other = address_message(RTM_NEWADDR, "10.0.0.9", index=4)
    assert asked(first + other, second, DONE) == ["10.0.0.1/24", "fd00::1/64"]


def test_an_interrupted_dump_is_asked_for_again() -> None:
    """NLM_F_DUMP_INTR says that the addresses changed meanwhile: what was told is not to be relied on."""
    torn = address_message(RTM_NEWADDR, "10.0.0.1", message_flags=NLM_F_DUMP_INTR)
    assert asked(torn + DONE, address_message(RTM_NEWADDR, "10.0.0.2") + DONE) == ["10.0.0.2/24"]


def test_a_dump_that_is_always_interrupted_is_taken_as_it_is() -> None:
    """After so many tries the last answer must do."""
    torn = address_message(RTM_NEWADDR, "10.0.0.1", message_flags=NLM_F_DUMP_INTR) + DONE
    assert asked(*[torn] * TRIES) == ["10.0.0.1/24"]


def test_a_refusal_is_raised() -> None:
    """The kernel's errno is the error's."""
    refusal = message(NLMSG_ERROR, (-errno.EPERM).to_bytes(4, "little", signed=True))
    with pytest.raises(PermissionError, match="addresses: Operation not permitted"):
        asked(refusal)


def test_an_answer_that_ends_early_is_an_error() -> None:
    """An empty answer does not pass for an empty list."""
    with pytest.raises(OSError) as caught:
        asked(b"")
    assert caught.value.errno == errno.EPROTO


@pytest.mark.kernel
def test_the_kernel_tells_los_addresses() -> None:
    """lo, index 1, has 127.0.0.1/8 and ::1/128, and what it is given besides."""
    command = ["ip", "address", "{}", "10.55.0.1", "peer", "10.55.0.2/32", "dev", "lo"]
    subprocess.run([part.format("add") for part in command], check=True)
    try:
        with open_netlink() as sock:
            found = {str(one.address): one.peer for one in query_addresses(sock, 1)}
    finally:
        subprocess.run([part.format("del") for part in command], check=True)
    assert found == {"127.0.0.1/8": None, "::1/128": None, "10.55.0.1/32": ip_address("10.55.0.2")}
