"""Addresses: what is awaited, and what ends the wait."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from collections.abc import Iterator
from ipaddress import ip_interface
from typing import Any

import pytest

from aiotun.errors import DeviceError
from aiotun.linux import addressing
from aiotun.linux.addressing import Address, wait_usable
from aiotun.linux.links import link_index
from aiotun.linux.messages import decode
from aiotun.linux.transaction import Transaction

pytestmark = pytest.mark.kernel

SIX = Address(ip_interface("fd00:8::2/64"))


@pytest.fixture
def link() -> Iterator[str]:
    """A link whose other end is down, so that no address of it is ever checked."""
    subprocess.run(["ip", "link", "add", "wait0", "type", "veth", "peer", "name", "wait1"], check=True)
    subprocess.run(["ip", "link", "set", "wait0", "up"], check=True)
    subprocess.run(["ip", "address", "add", str(SIX.local), "dev", "wait0"], check=True)
    yield "wait0"
    subprocess.run(["ip", "link", "del", "wait0"], check=True)


@pytest.fixture
def transaction(link: str) -> Iterator[Transaction]:
    made = Transaction(link)
    yield made
    made.end()


def wait(transaction: Transaction, **options: Any) -> None:
    wait_usable(transaction, link_index(transaction, transaction.name), [SIX], **options)


def test_ipv4_is_not_waited_for(transaction: Transaction) -> None:
    """An IPv4 address can be used at once."""
    wait_usable(transaction, 1, [Address(ip_interface("10.0.0.1/8"))])


def test_the_wait_has_an_end(transaction: Transaction, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that nobody checks is given up after a while."""
    monkeypatch.setattr(addressing, "PATIENCE", 0.01)
    with pytest.raises(DeviceError, match="wait0: address fd00:8::2/64 is still tentative after 0.01 s") as caught:
        wait(transaction)
    assert caught.value.errno == errno.ETIMEDOUT


def test_the_wait_can_be_stopped(transaction: Transaction) -> None:
    """A descriptor that becomes readable ends the wait."""
    stop = os.eventfd(1)
    with pytest.raises(DeviceError) as caught:
        wait(transaction, stop=stop)
    os.close(stop)
    assert caught.value.errno == errno.ECANCELED


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["ip", "address", "del", "fd00:8::2/64", "dev", "wait0"], errno.EADDRNOTAVAIL),
        (["ip", "link", "set", "wait1", "up"], None),
    ],
)
def test_news_end_the_wait(transaction: Transaction, command: list[str], code: int | None) -> None:
    """The wait ends when the address is usable, and with an error when somebody removes it."""
    subprocess.run(["sysctl", "-qw", "net.ipv6.conf.wait0.dad_transmits=0"], check=True)
    change = threading.Thread(target=lambda: subprocess.run(command, check=True))
    change.start()
    try:
        wait(transaction)
        assert code is None
    except DeviceError as error:
        assert error.errno == code
    finally:
        change.join()


def test_an_address_that_went_before_is_not_waited_for(transaction: Transaction) -> None:
    """An address that was removed before the wait began ends it at once."""
    subprocess.run(["ip", "address", "del", "fd00:8::2/64", "dev", "wait0"], check=True)
    with pytest.raises(DeviceError, match="^wait0: address fd00:8::2/64 was removed by somebody else$") as caught:
        wait(transaction)
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_lost_news_are_made_up_for(transaction: Transaction, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an overrun the addresses are asked for once more."""

    class Overrun:
        def recv(self, size: int) -> bytes:
            raise OSError(errno.ENOBUFS, "No buffer space available")

    told: Any = Overrun()
    index = link_index(transaction, "wait0")
    asked = addressing._heard(told, transaction, index, {SIX.local.ip: SIX})
    assert SIX.local.ip in {addressing._key(decode(message))[0] for message in asked}
