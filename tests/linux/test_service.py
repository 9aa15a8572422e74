"""The service manager's protocols: descriptors by name, and telling how far a service is."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiotun.linux import service
from aiotun.linux.service import listen_fds, notify


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Three descriptors in a row, which a program would inherit, where the protocol has the first."""
    first = 100
    fds = [os.dup2(0, number, inheritable=True) for number in range(first, first + 3)]
    monkeypatch.setattr(service, "FIRST", first)
    yield fds
    for fd in fds:
        os.close(fd)


def told(count: object, names: str | None = None) -> dict[str, str]:
    """Return an environment that speaks of so many descriptors."""
    variables = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(count), "OTHER": "stays"}
    return variables if names is None else variables | {"LISTEN_FDNAMES": names}


def test_by_name(passed: list[int]) -> None:
    """Descriptors are found by name, those of one name in order."""
    assert listen_fds(environ=told(3, "vpn0:web:vpn0")) == {"vpn0": [passed[0], passed[2]], "web": [passed[1]]}


def test_without_names(passed: list[int]) -> None:
    """Without names all of them are called unknown."""
    assert listen_fds(environ=told(3)) == {"unknown": passed}


def test_no_program_inherits_them(passed: list[int]) -> None:
    """What was found is close-on-exec."""
    listen_fds(environ=told(3))
    assert [os.get_inheritable(fd) for fd in passed] == [False, False, False]


def test_the_environment_forgets(passed: list[int]) -> None:
    """The variables are taken out, so that nobody finds the same descriptors again; others stay."""
    environ = told(3, "a:b:c")
    listen_fds(environ=environ)
    assert environ == {"OTHER": "stays"}


def test_the_environment_may_stay(passed: list[int]) -> None:
    """With ``unset=False`` a second call finds the same."""
    environ = told(3)
    assert listen_fds(unset=False, environ=environ) == listen_fds(unset=False, environ=environ)


@pytest.mark.parametrize("pid", ["1", "", "x"])
def test_for_another_process(passed: list[int], pid: str) -> None:
    """Variables that were meant for another process, a parent, name nothing here, and nothing is touched."""
    assert listen_fds(environ=told(3) | {"LISTEN_PID": pid}) == {}
    assert os.get_inheritable(passed[0])


def test_the_real_environment(passed: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument the process's own environment is read."""
    for name, value in told(1, "vpn0").items():
        monkeypatch.setenv(name, value)
    assert listen_fds() == {"vpn0": passed[:1]}
    assert "LISTEN_FDS" not in os.environ


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        (told("many"), "LISTEN_FDS is a number of descriptors, not 'many'"),
        (told("-1"), "LISTEN_FDS is a number of descriptors, not '-1'"),
        (told(""), "LISTEN_FDS is a number of descriptors, not ''"),
        (told(3, "a:b"), "LISTEN_FDNAMES has 2 names, LISTEN_FDS says 3"),
        (told(4), "LISTEN_FDS says 4 descriptors, but 103 is not open"),
    ],
)
def test_contradictions(passed: list[int], environ: dict[str, str], text: str) -> None:
    """Variables that contradict each other are refused, saying how."""
    with pytest.raises(ValueError, match=f"^{text}$"):
        listen_fds(environ=environ)


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_telling(tmp_path: Path, abstract: bool) -> None:
    """The state arrives at the manager's socket, a path or an abstract name."""
    name = f"@aiotun-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name[1:] if abstract else name)
        assert notify("READY=1", environ={"NOTIFY_SOCKET": name})
        assert listener.recv(100) == b"READY=1"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}])
def test_nobody_to_tell(environ: dict[str, str]) -> None:
    """Without a manager, or one at an address of another kind, nothing is told."""
    assert not notify("READY=1", environ=environ)
