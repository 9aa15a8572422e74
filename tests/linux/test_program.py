"""Loading a BPF program, with the system call's answers injected."""

from __future__ import annotations

import errno
import os
import platform
from typing import Any

import pytest
from rights import programs_needed

from aiotun import DeviceError
from aiotun.linux import program

EXIT_WITH_1 = bytes.fromhex("b700000001000000 9500000000000000")


def refusing(code: int, log: str = "") -> Any:
    def load(bytecode: bytes, log_size: int = 0) -> tuple[int, str]:
        raise OSError(code, os.strerror(code) + (f"\n{log}" if log_size else ""))

    return load


@pytest.mark.kernel
@programs_needed
def test_a_program_is_loaded() -> None:
    """Bytecode becomes a descriptor of a BPF program, closed on exec."""
    fd = program.load_program("x", EXIT_WITH_1)
    try:
        assert os.readlink(f"/proc/self/fd/{fd}") == "anon_inode:bpf-prog"
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)


def test_the_missing_right_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """EPERM says what it takes, and what can be done without it."""
    monkeypatch.setattr(program, "_load", refusing(errno.EPERM))
    with pytest.raises(PermissionError, match="tun0: not allowed to load a BPF program; it takes CAP_BPF") as caught:
        program.load_program("tun0", EXIT_WITH_1)
    assert caught.value.errno == errno.EPERM


@pytest.mark.parametrize("code", [errno.EACCES, errno.EINVAL, errno.E2BIG])
def test_the_verifiers_log_is_shown(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal of the verifier has its log; its EACCES is no missing right of the process."""
    monkeypatch.setattr(program, "_load", refusing(code, "R7 looks odd"))
    with pytest.raises(DeviceError, match="tun0: the kernel refused the BPF program: (.|\n)*R7 looks odd") as caught:
        program.load_program("tun0", EXIT_WITH_1)
    assert caught.value.errno == code


def test_an_unknown_machine_takes_descriptors_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system call's number is not known, that is said."""
    monkeypatch.setattr(platform, "machine", lambda: "pdp11")
    with pytest.raises(DeviceError, match="no bytecode can be loaded on pdp11, only descriptors") as caught:
        program.load_program("tun0", EXIT_WITH_1)
    assert caught.value.errno == errno.ENOSYS


def test_a_program_that_passes_the_second_time_is_not_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the verifier has changed its mind as it is asked for its log, the descriptor of that is closed."""
    descriptors: list[int] = []

    def load(bytecode: bytes, log_size: int = 0) -> tuple[int, str]:
        if not log_size:
            raise OSError(errno.EAGAIN, "try again")
        descriptors.append(os.open(os.devnull, os.O_RDONLY))
        return descriptors[0], "fine"

    monkeypatch.setattr(program, "_load", load)
    with pytest.raises(DeviceError):
        program.load_program("tun0", EXIT_WITH_1)
    with pytest.raises(OSError):
        os.fstat(descriptors[0])
