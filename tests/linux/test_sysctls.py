"""Settings in /proc/sys: what is written, and what is refused."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiotun.errors import DeviceError
from aiotun.linux.sysctls import set_sysctl, set_sysctls
from aiotun.linux.transaction import Transaction

pytestmark = pytest.mark.kernel

TTL = "net.ipv4.ip_default_ttl"


@pytest.fixture
def transaction() -> Iterator[Transaction]:
    """A transaction in the name of lo."""
    made = Transaction("lo")
    yield made
    made.end()


def value(name: str) -> str:
    return Path("/proc/sys", *name.split(".")).read_text().strip()


def test_what_differs_is_written_and_written_back(transaction: Transaction) -> None:
    """The setting is as asked for until the transaction ends."""
    set_sysctls(transaction, {TTL: "99"}, lasting=True)
    assert value(TTL) == "99"
    assert (transaction.undo(), value(TTL)) == ([], "64")


def test_what_is_so_already_is_left(transaction: Transaction) -> None:
    """A setting that is as asked for, in other blanks too, is not written, nor undone."""
    set_sysctls(
        transaction, {TTL: "64", "net.ipv4.tcp_rmem": " ".join(value("net.ipv4.tcp_rmem").split())}, lasting=True
    )
    assert transaction.pid is None


def test_only_what_it_was(transaction: Transaction) -> None:
    """``only`` writes where it is that, and nowhere else."""
    set_sysctl(transaction, TTL.split("."), "99", only="63")
    assert value(TTL) == "64"
    set_sysctl(transaction, TTL.split("."), "99", only="64")
    assert value(TTL) == "99"


def test_the_devices_own_dies_with_it(transaction: Transaction) -> None:
    """A setting of a device that goes needs no undo; the network's does."""
    name = "net.ipv4.conf.lo.tag"
    set_sysctls(transaction, {"net.ipv4.conf.{name}.tag": "7"}, lasting=False)
    assert (value(name), transaction.pid) == ("7", None)
    Path("/proc/sys/net/ipv4/conf/lo/tag").write_text("0")
    set_sysctls(transaction, {name: "7"}, lasting=True)
    assert transaction.pid is not None


@pytest.mark.parametrize(
    ("name", "wanted", "code"),
    [("net.ipv4.nothing", "1", errno.ENOENT), (TTL, "999", errno.EINVAL), (TTL, "many", errno.EINVAL)],
)
def test_what_cannot_be_is_refused(transaction: Transaction, name: str, wanted: str, code: int) -> None:
    """A setting that is not there, or a value the kernel does not take, is named, and nothing is changed."""
    with pytest.raises(DeviceError, match=f"lo: cannot set sysctl {name} to {wanted}: ") as caught:
        set_sysctls(transaction, {name: wanted}, lasting=True)
    assert (caught.value.errno, value(TTL)) == (code, "64")


def test_what_the_kernel_makes_something_else_of_is_put_back(transaction: Transaction) -> None:
    """A value that is not what can be read afterwards is refused, and the old one written back."""
    name = "net.ipv4.ip_local_port_range"
    before = value(name)
    with pytest.raises(DeviceError, match="the kernel made something else of it"):
        set_sysctls(transaction, {name: "010000 060000"}, lasting=True)
    assert value(name) == before
