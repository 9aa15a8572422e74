"""Programs of the package in processes of their own: how they are run, and waited for."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiotun.errors import DeviceError
from aiotun.linux.small_programs import no_standard_stream, python, readable, reap


@pytest.fixture
def high() -> Iterator[int]:
    """A descriptor above what select() takes, ready to be read."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, limits[1]), limits[1]))
    source = os.open("/dev/zero", os.O_RDONLY)
    fd = fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, 2000)
    os.close(source)
    yield fd
    os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_program_is_run_by_path_and_isolated() -> None:
    """A program is run by this interpreter, without the environment and without other packages."""
    executable, *options, path = python("keeper.py", "test")
    assert (executable, options) == (sys.executable, ["-I", "-S"])
    assert Path(path).name == "keeper.py"


@pytest.mark.parametrize("executable", [None, ""])
def test_no_interpreter_is_told(executable: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Python does not know its own interpreter, the error says who wants one, and for what."""
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.raises(DeviceError, match="^tun0: sys.executable is no Python interpreter") as raised:
        python("guardian.py", "tun0")
    assert raised.value.errno == errno.ENOENT


def test_a_frozen_program_is_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen program is its own interpreter, and is refused."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(DeviceError, match="no Python interpreter"):
        python("keeper.py", "test")


def test_new_descriptors_are_above_the_standard_streams() -> None:
    """Where standard streams are closed, what is opened inside the block does not take their numbers."""
    program = """
import os, sys
sys.path[:0] = [sys.argv[1]]
from aiotun.linux.small_programs import no_standard_stream
report = os.dup(1)
os.set_inheritable(report, False)
os.close(0)
os.close(1)
with no_standard_stream():
    fd = os.open(os.devnull, os.O_RDONLY)
os.write(report, b"%d %d" % (fd > 2, os.open(os.devnull, os.O_RDONLY)))
"""
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", program, root], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True
    )
    assert done.stdout == b"1 0"


def test_nothing_is_left_open_by_the_block() -> None:
    """The block itself leaves no descriptor."""
    before = os.listdir("/proc/self/fd")
    with no_standard_stream():
        pass
    assert os.listdir("/proc/self/fd") == before


def test_a_high_descriptor_is_waited_for(high: int) -> None:
    """A descriptor above 1023 is waited for like any other."""
    assert readable([high], 0) == [high]


def test_nothing_to_read_is_told_after_the_time() -> None:
    """When nothing can be read in time, none is returned; a time that is over is no time."""
    reading, writing = os.pipe()
    try:
        assert readable([reading], -1) == []
    finally:
        os.close(reading)
        os.close(writing)


def test_a_process_that_ended_is_reaped() -> None:
    """A process is waited for, and its status known."""
    process = subprocess.Popen(["true"])
    reap(process, 30)
    assert process.returncode == 0


def test_a_stopped_process_is_killed() -> None:
    """A process that does not end in time is killed, even when it is stopped."""
    process = subprocess.Popen(["sleep", "1000"])
    process.send_signal(signal.SIGSTOP)
    reap(process, 0)
    assert process.returncode == -signal.SIGKILL
