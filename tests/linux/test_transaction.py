"""A transaction's own promises: what it notes, whom it tells, what it says."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from network import guardians, told, wait_for_end

from aiotun.errors import DeviceError
from aiotun.linux.guarding import Guardian
from aiotun.linux.origin import HERE
from aiotun.linux.rules import add_rules
from aiotun.linux.transaction import Transaction
from aiotun.routing import Rule

pytestmark = pytest.mark.kernel

RULE = Rule(fwmark=5, table=50, priority=4242, version=4)


@pytest.fixture
def transaction() -> Iterator[Transaction]:
    """A transaction in the name of a device that need not be there."""
    made = Transaction("tx0")
    yield made
    made.end()


def priorities() -> list[int]:
    """Return the priorities of the rules that the kernel did not begin with."""
    return [one["priority"] for one in told("-4", "rule") if one["priority"] not in (0, 32766, 32767)]


def fail(code: int) -> Any:
    def make() -> None:
        raise OSError(code, os.strerror(code))

    return make


def test_a_change_is_undone(transaction: Transaction) -> None:
    """undo() undoes what was changed and has nothing left to do afterwards."""
    add_rules(transaction, [RULE])
    assert priorities() == [4242]
    assert (transaction.undo(), priorities()) == ([], [])
    assert transaction.undo() == []


def test_what_is_kept_stays(transaction: Transaction) -> None:
    """keep() lets changes be, and lets the guardian go."""
    guarding = guardians()
    add_rules(transaction, [RULE])
    transaction.keep()
    transaction.keep()
    transaction.end()
    assert (priorities(), guardians()) == ([4242], guarding)
    subprocess.run(["ip", "rule", "del", "priority", "4242"], check=True)


def test_the_guardian_is_told_before(transaction: Transaction) -> None:
    """When a change is made, the guardian is there already."""
    guarding = guardians()
    found: list[set[int]] = []
    transaction.step("it", lambda: found.append(guardians() - guarding), {"send": []})
    assert found == [{transaction.pid}]


def test_without_anything_to_undo_nobody_guards(transaction: Transaction) -> None:
    """A step that needs no undo starts no process, and settling closes the socket."""
    transaction.step("it", lambda: None, None)
    transaction.settle()
    assert transaction.pid is None
    with pytest.raises(OSError, match="Bad file descriptor"):
        transaction.ask(bytes(16))


def test_an_unguarded_one_undoes_itself() -> None:
    """Without a guardian the same is undone at the end."""
    transaction = Transaction("tx0", guarded=False)
    add_rules(transaction, [RULE])
    assert (transaction.pid, priorities()) == (None, [4242])
    transaction.end()
    assert priorities() == []


def test_what_was_found_is_adopted() -> None:
    """An adopting transaction undoes also what it found as it should be."""
    subprocess.run("ip rule add priority 4242 fwmark 5 table 50".split(), check=True)
    transaction = Transaction("tx0", adopting=True)
    add_rules(transaction, [RULE])
    transaction.end()
    assert priorities() == []


def test_a_step_that_fails_is_forgotten(transaction: Transaction) -> None:
    """The undo of a step that was not made is not carried out: it could hit what is somebody else's."""
    add_rules(transaction, [RULE])
    with pytest.raises(DeviceError):
        transaction.step("another", fail(errno.EEXIST), {"run": ["false"]})
    assert transaction.undo() == []


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (errno.EPERM, PermissionError, "tx0: cannot set it: Operation not permitted; it takes CAP_NET_ADMIN in the"),
        (errno.EEXIST, DeviceError, "tx0: cannot set it: File exists; there is one already; give this one a metric"),
        (errno.EROFS, DeviceError, "tx0: cannot set it: Read-only file system; /proc/sys is read-only here"),
        (errno.EINVAL, DeviceError, "tx0: cannot set it: Invalid argument"),
    ],
)
def test_a_refusal_names_the_step(transaction: Transaction, code: int, kind: type[OSError], text: str) -> None:
    """The error has the device, the step, the reason, what to do about it, and the errno."""
    with pytest.raises(kind, match=f"{text}") as caught:
        transaction.step("it", fail(code), None)
    assert caught.value.errno == code


def test_a_link_without_ipv6(transaction: Transaction) -> None:
    """To who gives an IPv6 address where IPv6 is off, the error says what to switch on, not which right it takes."""

    def refuse() -> None:
        raise PermissionError(errno.EACCES, "Permission denied (ipv6: IPv6 is disabled on this device)")

    with pytest.raises(PermissionError, match=r"device\); set sysctl net.ipv6.conf.tx0.disable_ipv6 to 0$") as caught:
        transaction.step("address fd00::1/64", refuse, None)
    assert caught.value.errno == errno.EACCES


def test_what_a_rollback_leaves_is_a_note(transaction: Transaction) -> None:
    """An exception that rolls back carries a note for everything that could not be undone."""
    with pytest.raises(KeyError) as caught:
        with transaction.rolled_back():
            transaction.step("it", lambda: None, {"run": ["false"]})
            raise KeyError
    assert caught.value.__notes__ == ["tx0: not undone: it: false ended with status 1"]


def test_no_guardian_to_be_had(transaction: Transaction, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no process can be started, the step is not made, and the reason is said."""
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: fail(errno.EAGAIN)())
    made: list[int] = []
    with pytest.raises(DeviceError, match="tx0: cannot set it: Resource temporarily unavailable"):
        transaction.step("it", lambda: made.append(1), {"send": []})
    assert made == []


def test_a_guardian_that_was_killed(transaction: Transaction) -> None:
    """Without its guardian a transaction makes no change that outlives it, and undoes those it made."""
    add_rules(transaction, [RULE])
    assert transaction.pid is not None
    os.kill(transaction.pid, signal.SIGKILL)
    wait_for_end({transaction.pid})
    with pytest.raises(DeviceError, match="tx0: cannot set it: "):
        transaction.step("it", lambda: None, {"send": []})
    assert (transaction.undo(), priorities()) == ([], [])


def test_a_forked_child_leaves_everything_to_its_parent(transaction: Transaction) -> None:
    """What a child has a copy of, it does not undo, nor does it end the guardian."""
    add_rules(transaction, [RULE])
    child = os.fork()
    if not child:
        failed = transaction.undo()
        os._exit(len(failed))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert priorities() == [4242]
    assert transaction.pid in guardians()


def test_privileges_may_be_dropped_meanwhile() -> None:
    """What was set with CAP_NET_ADMIN is undone though the process has given it up since: the guardian has it."""
    script = """
import ctypes, os
from aiotun.linux.rules import add_rules
from aiotun.linux.transaction import Transaction
from aiotun.routing import Rule
transaction = Transaction("tx0")
add_rules(transaction, [Rule(fwmark=5, table=50, priority=4242, version=4)])
header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
assert ctypes.CDLL(None).capset(header, nothing) == 0
try:
    add_rules(transaction, [Rule(fwmark=6, table=50, priority=4243, version=4)])
except PermissionError:
    print(transaction.undo())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
    assert priorities() == []


def test_a_guardians_socket_is_its_own() -> None:
    """The route socket given to a guardian is closed here, whatever becomes of it."""
    netlink = HERE.make_socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    guardian = Guardian(netlink)
    assert netlink.fileno() == -1
    assert guardian.undo() == []
