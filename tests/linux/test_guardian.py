"""The guardian as a program, and how a step is undone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from network import told

from aiotun.linux import guardian, guarding
from aiotun.linux.guardian import ask, attribute, messages, undo_all
from aiotun.linux.messages import ADD, RTM_DELRULE, RTM_NEWROUTE, RTM_NEWRULE, encode
from aiotun.linux.routes import route_message
from aiotun.routing import Route

pytestmark = pytest.mark.kernel

TTL = Path("/proc/sys/net/ipv4/ip_default_ttl")


def rule(kind: int, priority: int, flags: int = 0) -> bytes:
    """Return the message that adds or removes a rule that looks up the main table."""
    fields = {"family": socket.AF_INET, "action": 1, "table": 254}
    return encode(kind, flags, fields, [("FRA_PRIORITY", priority), ("FRA_TABLE", 254)])


def priorities() -> list[int]:
    """Return the priorities of the rules that the kernel did not begin with."""
    return [one["priority"] for one in told("-4", "rule") if one["priority"] not in (0, 32766, 32767)]


@pytest.fixture
def netlink() -> Iterator[socket.socket]:
    """A route socket of this namespace."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        yield sock


def test_a_refusal_has_its_errno(netlink: socket.socket) -> None:
    """What the kernel refuses is raised with its errno."""
    with pytest.raises(FileNotFoundError, match="No such file or directory"):
        ask(netlink, rule(RTM_DELRULE, 4242))


def test_a_refusal_has_the_kernels_words(netlink: socket.socket) -> None:
    """Where the kernel says more than an errno, so does the error."""
    netlink.setsockopt(270, 11, 1)  # SOL_NETLINK, NETLINK_EXT_ACK
    request = route_message(RTM_NEWROUTE, Route("10.0.0.0/8", via="198.51.100.1"), None, ADD)
    with pytest.raises(OSError, match=r"^\[Errno 101\] Network is unreachable \(Nexthop has invalid gateway\)$"):
        ask(netlink, request)


def test_another_questions_answer_is_skipped(netlink: socket.socket) -> None:
    """An answer that nobody took is not taken for the next one's."""
    netlink.send(rule(RTM_DELRULE, 4242)[:6] + b"\5\0" + rule(RTM_DELRULE, 4242)[8:])
    ask(netlink, rule(RTM_NEWRULE, 4243, ADD))
    assert priorities() == [4243]
    ask(netlink, rule(RTM_DELRULE, 4243))


def test_steps_are_undone_last_first(netlink: socket.socket, tmp_path: Path) -> None:
    """The last step is undone first, and the list is empty afterwards."""
    log = tmp_path / "log"
    steps: list[Any] = [{"what": name, "run": ["sh", "-c", f"echo {name} >> {log}"]} for name in ("one", "two")]
    assert undo_all(steps, netlink) == []
    assert (log.read_text().split(), steps) == (["two", "one"], [])


def test_one_that_fails_does_not_keep_the_others(netlink: socket.socket, tmp_path: Path) -> None:
    """What cannot be undone is told with its reason, and the others are undone."""
    log = tmp_path / "log"
    steps: list[Any] = [
        {"what": "good", "run": ["sh", "-c", f"echo undone > {log}"]},
        {"what": "bad", "run": ["sh", "-c", "echo no >&2; exit 3"]},
        {"what": "silent", "run": ["false"]},
        {"what": "missing", "run": ["/nowhere/program"]},
    ]
    assert undo_all(steps, netlink) == [
        "missing: No such file or directory",
        "silent: false ended with status 1",
        "bad: no",
    ]
    assert log.read_text() == "undone\n"


def test_a_program_that_does_not_end_is_ended(netlink: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program is waited for so long, and no longer."""
    monkeypatch.setattr(guardian, "PATIENCE", 0.1)
    assert undo_all([{"what": "dns", "run": ["sleep", "1000"]}], netlink) == ["dns: sleep did not end within 0.1 s"]


def test_what_is_not_there_is_no_failure(netlink: socket.socket) -> None:
    """Removing what somebody removed already, and a link that is gone, is nothing to speak of."""
    link = {"what": "mtu", "link": 2**30, "path": [4], "ours": "00000000", "send": []}
    assert undo_all([{"what": "rule", "send": [rule(RTM_DELRULE, 4242).hex()]}, link], netlink) == []


@pytest.mark.parametrize(("now", "then"), [("99", "64"), ("98", "98")])
def test_a_setting_is_written_back_if_it_is_still_ours(netlink: socket.socket, now: str, then: str) -> None:
    """A file of /proc/sys gets back what it said, unless somebody else wrote to it."""
    TTL.write_text(now)
    with TTL.open("r+b", buffering=0) as file:
        step = {"what": "ttl", "fd": file.fileno(), "ours": "99", "before": "64\n"}
        assert undo_all([step], netlink) == []
    assert TTL.read_text() == f"{then}\n"
    TTL.write_text("64")


def test_attributes_are_found_by_their_path() -> None:
    """A nested attribute is found by the types on the way to it; one that is not there is None."""
    inner = b"\x05\x00\x08\x00\x01\x00\x00\x00"
    buffer = b"\x05\x00\x01\x00\xff\x00\x00\x00" + b"\x0c\x00\x1a\x80" + inner
    assert attribute(buffer, [1]) == b"\xff"
    assert attribute(buffer, [26, 8]) == b"\x01"
    assert attribute(buffer, [26, 9]) is None
    assert attribute(b"\0" * 64, [9]) is None


def test_messages_that_lie_about_their_length_end() -> None:
    """A length of nothing does not hold up the parser."""
    assert len(list(messages(bytes(64)))) == 4


def started() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a guardian whose owner is this process."""
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    owner = os.pidfd_open(os.getpid())
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    fds = (theirs.fileno(), owner, netlink.fileno())
    command = [sys.executable, "-I", "-S", guardian.__file__, *map(str, fds)]
    process = subprocess.Popen(command, pass_fds=fds, stderr=subprocess.PIPE)
    os.close(owner)
    theirs.close()
    netlink.close()
    return process, control


def test_it_is_told_and_asked() -> None:
    """Told steps, one taken back, and asked to undo, it undoes the others, answers, and ends."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        for priority in (4242, 4243):
            ask(netlink, rule(RTM_NEWRULE, priority, ADD))
        process, control = started()
        with process, control:
            for priority in (4242, 4243):
                step = {"what": "rule", "send": [rule(RTM_DELRULE, priority).hex()]}
                control.send(json.dumps({"step": step}).encode())
            control.send(b'{"forget": true}')
            control.send(b'{"undo": true}')
            assert json.loads(control.recv(1000)) == []
            assert process.wait() == 0
        assert priorities() == [4243]
        ask(netlink, rule(RTM_DELRULE, 4243))


def test_it_lets_be() -> None:
    """Asked to keep everything, it ends, and does nothing."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        ask(netlink, rule(RTM_NEWRULE, 4242, ADD))
        process, control = started()
        with process, control:
            step = {"what": "rule", "send": [rule(RTM_DELRULE, 4242).hex()]}
            control.send(json.dumps({"step": step}).encode())
            control.send(b'{"keep": true}')
            assert process.wait() == 0
        assert priorities() == [4242]
        ask(netlink, rule(RTM_DELRULE, 4242))


def test_it_says_what_it_could_not_undo() -> None:
    """When nobody is there to be answered, what could not be undone goes to standard error."""
    process, control = started()
    with process:
        control.send(json.dumps({"step": {"what": "dns", "run": ["false"]}}).encode())
        control.close()
        assert process.stderr is not None
        assert process.stderr.read() == b"aiotun: not undone: dns: false ended with status 1\n"
        assert process.wait() == 0


def test_of_one_owners_guardians_the_younger_undoes_first(tmp_path: Path) -> None:
    """A guardian whose owner is gone waits for the end of those that were started after it."""
    log = tmp_path / "log"
    (older, to_older), (younger, to_younger) = started(), started()
    with older, younger:
        for control, name in ((to_older, "older"), (to_younger, "younger")):
            step = {"what": name, "run": ["sh", "-c", f"echo {name} >> {log}"]}
            control.send(json.dumps({"step": step}).encode())
        process = os.pidfd_open(younger.pid)
        socket.send_fds(to_older, [b'{"younger": true}'], [process])
        os.close(process)
        to_older.close()
        to_younger.close()
        assert (older.wait(), younger.wait()) == (0, 0)
    assert log.read_text().split() == ["younger", "older"]


def test_guardians_of_one_process_know_the_younger_ones() -> None:
    """A guardian is introduced to those that were there before it, and forgotten at its end."""

    def made() -> guarding.Guardian:
        return guarding.Guardian(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE))

    told: list[int] = []
    older = made()
    older.wait_for = told.append  # type: ignore[assignment, method-assign]
    younger = made()
    assert (len(told), guarding._GUARDIANS) == (1, {older, younger})
    older.keep()
    younger.keep()
    assert guarding._GUARDIANS == set()
