"""The broker's program: its arguments, its socket, its table; the rest is in tests/kernel/test_broker.py."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aiotun.cli import broker
from aiotun.cli.app import app
from aiotun.cli.broker import Options, listening_socket, run_broker

POLICY = """
[[rule]]
name = "road warriors"
users = [1001, 1000]
kinds = ["tun"]
interfaces = ["vpn*"]
addresses = ["10.8.0.0/24", "fd00:8::/64"]
mtu = [1280, 1500]
"""


@pytest.fixture
def policy(tmp_path: Path) -> str:
    """A file with a policy."""
    file = tmp_path / "policy.toml"
    file.write_text(POLICY)
    file.chmod(0o600)
    return str(file)


def test_every_option_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option reaches the program, whose status is the command's."""
    ran: list[Options] = []

    def run(options: Options) -> int:
        ran.append(options)
        return 1

    monkeypatch.setattr(broker, "run_broker", run)
    arguments = "broker --socket /run/x --policy /etc/x --mode 0660 --check".split()
    assert CliRunner().invoke(app, arguments).exit_code == 1
    assert CliRunner().invoke(app, ["broker"]).exit_code == 1
    assert ran == [
        Options(socket="/run/x", policy="/etc/x", mode=0o660, check=True),
        Options(socket="/run/aiotun.sock", policy="/etc/aiotun/broker.toml"),
    ]


@pytest.mark.parametrize("mode", ["rw", "0888"])
def test_a_mode_that_is_none(mode: str) -> None:
    """A mode that is not octal is refused before anything runs."""
    assert CliRunner().invoke(app, ["broker", "--mode", mode]).exit_code == 2


def test_checking(policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--check shows the rules as a table, a line for each value, and nothing is served."""
    assert run_broker(Options(socket="/nowhere/x", policy=policy, check=True)) == 0
    told = capsys.readouterr().out
    for word in ("road warriors", "1000", "1001", "vpn*", "fd00:8::/64", "1280", "devices"):
        assert word in told
    assert told.index("1000") < told.index("1001")


def test_a_policy_that_is_wrong(policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A policy that cannot be read is one sentence and status 1."""
    Path(policy).write_text(POLICY + "color = 1")
    assert run_broker(Options(socket="/nowhere/x", policy=policy)) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"aiotun broker: {policy}: rule 1 'road warriors': there is no key color")
    assert told.count("\n") == 1


def test_nowhere_to_listen(policy: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A place where it cannot listen is one sentence and status 1."""
    monkeypatch.setattr("logging.basicConfig", lambda **options: None)
    monkeypatch.setattr("logging.captureWarnings", lambda capture: None)
    assert run_broker(Options(socket="/nowhere/x", policy=policy)) == 1
    assert capsys.readouterr().err == "aiotun broker: cannot listen at /nowhere/x: No such file or directory\n"


@pytest.mark.parametrize("mode", [0o600, 0o666])
def test_the_socket_has_its_mode(tmp_path: Path, mode: int) -> None:
    """The socket has its mode from the beginning, whatever the mask, which stays as it is."""
    mask = os.umask(0o077)
    try:
        with listening_socket(str(tmp_path / "x"), mode):
            assert stat.S_IMODE(os.stat(tmp_path / "x").st_mode) == mode
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(mask)


def test_after_a_broker_that_was_killed(tmp_path: Path) -> None:
    """A socket that nobody listens at is replaced."""
    path = str(tmp_path / "x")
    listening_socket(path, 0o600).close()
    with listening_socket(path, 0o600) as listener:
        listener.listen()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.connect(path)


def test_a_broker_is_there_already(tmp_path: Path) -> None:
    """Where a broker listens no other one does."""
    path = str(tmp_path / "x")
    with listening_socket(path, 0o600) as listener:
        listener.listen()
        with pytest.raises(OSError, match="a broker listens there already"):
            listening_socket(path, 0o600)


def test_another_file_is_there(tmp_path: Path) -> None:
    """A file that is no socket, or a socket of another kind, stays."""
    file = tmp_path / "x"
    file.write_text("precious")
    with pytest.raises(FileExistsError, match="there is a file, and it is not a socket"):
        listening_socket(str(file), 0o600)
    assert file.read_text() == "precious"
    other = str(tmp_path / "stream")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(other)
        sock.listen()
        with pytest.raises(OSError, match="somebody else listens there"):
            listening_socket(other, 0o600)
