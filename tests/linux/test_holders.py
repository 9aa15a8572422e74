"""Naming who holds a device."""

from __future__ import annotations

from pathlib import Path

from aiotun.linux.holders import holders


def process(
    proc: Path, pid: int, *, iff: str | None, program: str | None = "vpnd", device: str = "/dev/net/tun"
) -> Path:
    """Lay out a process as /proc shows it, with descriptor 5 open on a tun."""
    entry = proc / str(pid)
    (entry / "fdinfo").mkdir(parents=True)
    (entry / "fd").mkdir()
    if program:
        (entry / "comm").write_text(program + "\n")
    if iff is not None:
        (entry / "fdinfo" / "5").write_text(f"pos:\t0\nflags:\t02104002\niff:\t{iff}\n")
        (entry / "fd" / "5").symlink_to(device)
    return entry


def test_the_holder_is_named_with_its_pid(tmp_path: Path) -> None:
    """The program that has the device open is found by the driver's fdinfo line."""
    process(tmp_path, 42, iff="tun0")
    process(tmp_path, 43, iff="tun1", program="other")
    assert holders("tun0", proc=tmp_path) == ["vpnd (pid 42)"]


def test_a_longer_name_is_another_device(tmp_path: Path) -> None:
    """tun1 is not held by whoever holds tun10."""
    process(tmp_path, 42, iff="tun10")
    assert holders("tun1", proc=tmp_path) == []


def test_a_process_that_ended_is_passed_over(tmp_path: Path) -> None:
    """A process without a readable fdinfo is nobody."""
    (tmp_path / "44").mkdir()
    assert holders("tun0", proc=tmp_path) == []


def test_a_nameless_program_still_has_a_pid(tmp_path: Path) -> None:
    """When the program's name cannot be read, the pid is enough."""
    process(tmp_path, 45, iff="tun0", program=None)
    assert holders("tun0", proc=tmp_path) == ["a program (pid 45)"]


def test_other_files_are_not_looked_into(tmp_path: Path) -> None:
    """Only descriptors of the tun device count."""
    process(tmp_path, 46, iff="tun0", device="/dev/null")
    assert holders("tun0", proc=tmp_path) == []
