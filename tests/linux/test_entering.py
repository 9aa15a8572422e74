"""The stand-in of a program inside a private network: signals in, its end out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiotun.linux import kept
from aiotun.linux.kept import ENTERING, KeptNamespace
from aiotun.linux.small_programs import python

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def network() -> Iterator[KeptNamespace]:
    """A private network."""
    network = KeptNamespace.start()
    yield network
    network.close()


def start(network: KeptNamespace, *command: str, **options: Any) -> subprocess.Popen[str]:
    """Start a command inside, its output to be read."""
    outer, fds = network.entering(list(command))
    return subprocess.Popen(outer, pass_fds=fds, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize("status", [0, 1, 77])
def test_the_exit_status_is_the_programs(network: KeptNamespace, status: int) -> None:
    """The stand-in exits with the program's status."""
    with start(network, "sh", "-c", f"exit {status}") as process:
        assert process.wait() == status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGABRT])
def test_it_is_killed_as_the_program_was(network: KeptNamespace, number: signal.Signals) -> None:
    """A program that a signal killed is reported as killed by that signal."""
    with start(network, "sh", "-c", f"kill -{number} $$") as process:
        assert process.wait() == -number


@pytest.fixture(params=[signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def caught(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal that programs may catch: under nohup SIGHUP is ignored, and a shell leaves what it finds ignored."""
    before = signal.getsignal(request.param)
    if before is signal.SIG_IGN:
        signal.signal(request.param, signal.SIG_DFL)
    yield request.param
    signal.signal(request.param, before)


def test_a_signal_reaches_the_program(network: KeptNamespace, caught: signal.Signals) -> None:
    """A signal sent to the stand-in is the program's, which may catch it and go on."""
    script = f"trap 'echo caught; exit 5' {caught}; echo ready; while :; do sleep 0.01; done"
    with start(network, "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(caught)
        assert (process.stdout.read(), process.wait()) == ("caught\n", 5)


def test_when_it_is_killed_so_is_the_program(network: KeptNamespace) -> None:
    """SIGKILL cannot be passed on; the program ends with its stand-in, and lets go of its output."""
    with start(network, "sh", "-c", "echo ready; exec sleep 1000") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        assert (process.stdout.read(), process.wait()) == ("", -signal.SIGKILL)


def test_a_pipe_that_the_program_closes_is_closed(network: KeptNamespace) -> None:
    """Nobody else keeps the program's standard output open."""
    with start(network, "sh", "-c", "exec >&- 2>&-; read line", stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read() == ""
        assert process.poll() is None


def test_the_program_inherits_no_descriptor(network: KeptNamespace) -> None:
    """The program has the three standard descriptors, and no namespace to enter."""
    with start(network, "sh", "-c", "ls /proc/self/fd") as process:
        assert process.communicate()[0].split() == ["0", "1", "2", "3"]  # the last is the directory


def test_a_starter_without_standard_streams_loses_nothing() -> None:
    """Where 0, 1 and 2 are closed no descriptor of ours takes their place: the program starts, and its end is told."""
    script = textwrap.dedent("""
        import os, subprocess
        from aiotun.linux.kept import KeptNamespace
        os.closerange(0, 3)
        network = KeptNamespace.start()
        command, fds = network.entering(["sh", "-c", "exit 7"])
        ends = [subprocess.run(command, pass_fds=fds, stdin=stdin).returncode for stdin in (None, subprocess.DEVNULL)]
        network.close()
        os._exit(0 if ends == [7, 7] else 1)
    """)
    path = os.pathsep.join([str(Path(kept.__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    assert subprocess.run([sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": path}).returncode == 0


def signals(status: str) -> tuple[int, int]:
    """Return which signals a process blocks, and which it ignores."""
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return int(fields["SigBlk"], 16), int(fields["SigIgn"], 16)


def test_the_program_has_default_signals(network: KeptNamespace) -> None:
    """No signal is blocked or ignored for the program that was not for its starter."""
    python = sum(1 << number - 1 for number in (signal.SIGPIPE, signal.SIGXFSZ))  # which it ignores at its start
    blocked, ignored = signals(Path("/proc/self/status").read_text())
    with start(network, "cat", "/proc/self/status") as process:
        assert signals(process.communicate()[0]) == (blocked, ignored & ~python)


def test_a_killed_stand_in_does_not_hold_up_the_end() -> None:
    """A network whose program was killed with its stand-in ends as soon as any, whoever the machine's init is."""
    network = KeptNamespace.start()
    with start(network, "sh", "-c", "echo ready; exec sleep 1000") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    init = Path(f"/proc/{network.pid}/task/{network.pid}/children").read_text().strip()
    network.close()
    assert not Path("/proc", init).exists()
    assert network._process.returncode == 0


def test_what_cannot_be_run_is_said(network: KeptNamespace) -> None:
    """A program that vanished meanwhile is an exit status of 127, as a shell has it."""
    with start(network, "/nowhere/program") as process:
        assert process.communicate() == ("", "/nowhere/program: No such file or directory\n")
        assert process.returncode == 127


def test_a_program_that_comes_too_late_is_killed() -> None:
    """A program started while the network ends does not run, and is reported as killed with it."""
    network = KeptNamespace.start()
    command, fds = network.entering(["echo", "ran"])
    fds = tuple(map(os.dup, fds))
    network.close()
    command[4:7] = map(str, fds)
    done = subprocess.run(command, pass_fds=fds, capture_output=True, text=True)
    for fd in fds:
        os.close(fd)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGKILL, "", "")


def test_a_namespace_that_cannot_be_entered_is_said() -> None:
    """A program whose network cannot be entered does not run, and says why."""
    with open("/dev/null") as file:
        command = [*python(ENTERING, "test"), *[str(file.fileno())] * 3, "echo", "ran"]
        done = subprocess.run(command, pass_fds=[file.fileno()], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "cannot run echo in a private network: Invalid argument\n"
