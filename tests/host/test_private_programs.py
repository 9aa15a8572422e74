"""Programs inside a private network."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from processes import children, watchers_ended

from aiotun.host.private import PrivateHost

__all__ = ["watchers_ended"]

pytestmark = pytest.mark.kernel


async def test_run_returns_what_the_program_did() -> None:
    """run() returns the command, its status, and both outputs apart."""
    async with PrivateHost() as host:
        command = ["sh", "-c", "echo out; echo err >&2; exit 3"]
        done = await host.run(command)
    assert (done.args, done.returncode, done.stdout, done.stderr) == (command, 3, b"out\n", b"err\n")


async def test_input_is_read_and_ends() -> None:
    """``input`` is the program's standard input, and its end is the end; without it there is none."""
    async with PrivateHost() as host:
        assert (await host.run(["cat"], input=b"all of it")).stdout == b"all of it"
        assert (await host.run(["cat"])).stdout == b""


async def test_much_output_is_no_matter() -> None:
    """More output than a pipe holds comes whole."""
    async with PrivateHost() as host:
        done = await host.run(["sh", "-c", "head -c 1000000 /dev/zero"])
    assert len(done.stdout) == 1_000_000


async def test_check_raises() -> None:
    """With ``check=True`` a status other than 0 raises, with the outputs."""
    async with PrivateHost() as host:
        await host.run(["true"], check=True)
        await host.run(["false"])
        with pytest.raises(subprocess.CalledProcessError) as caught:
            await host.run(["sh", "-c", "echo why >&2; exit 4"], check=True)
    assert (caught.value.returncode, caught.value.stderr) == (4, b"why\n")


async def test_environment_and_directory_are_the_programs(tmp_path: Path) -> None:
    """``env`` and ``cwd`` are given to the program."""
    async with PrivateHost() as host:
        done = await host.run(["sh", "-c", "echo $WORD; pwd"], env={"WORD": "given", "PATH": "/bin"}, cwd=tmp_path)
    assert done.stdout.decode().splitlines() == ["given", str(tmp_path)]


async def test_a_program_is_found_where_it_will_be(tmp_path: Path) -> None:
    """A relative path is one from ``cwd``, and a name is one on the PATH of ``env``."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(stat.S_IRWXU)
    async with PrivateHost() as host:
        assert (await host.run(["./program"], cwd=tmp_path)).stdout == b"found\n"
        assert (await host.run(["program"], env={"PATH": str(tmp_path)})).stdout == b"found\n"
        assert (await host.run([program])).stdout == b"found\n"


async def test_outputs_can_be_opened_anew() -> None:
    """What is written to /dev/stdout, opened by its name, comes after what was written before, and not over it."""
    async with PrivateHost() as host:
        done = await host.run(["sh", "-c", "echo one; echo two > /dev/stdout; echo three; echo four | tee /dev/stderr"])
    assert (done.stdout, done.stderr) == (b"one\ntwo\nthree\nfour\n", b"four\n")


async def test_a_child_that_writes_for_ever_does_not_hold_up_run() -> None:
    """run() returns what there is at the program's end, however fast a child that it left behind goes on."""
    async with PrivateHost() as host, asyncio.timeout(10):
        done = await host.run(["sh", "-c", "yes & echo done"])
    assert b"done\n" in done.stdout


async def test_an_environment_without_a_path_is_searched_as_the_system_does() -> None:
    """With an empty ``env`` a program is looked for where the system has them, not on this process's PATH."""
    async with PrivateHost() as host:
        assert (await host.run(["true"], env={})).returncode == 0
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setenv("PATH", "/none")
            assert (await host.run(["true"], env={})).returncode == 0


@pytest.mark.parametrize("command", ["ip link", b"ip link"])
async def test_a_command_is_no_text(command: Any) -> None:
    """One text, which a shell would take apart, is refused with what to write."""
    text = rf"^private host: a command is a list, \[\"ip\", \"link\"\], not {type(command).__name__}$"
    async with PrivateHost() as host:
        with pytest.raises(TypeError, match=text):
            await host.run(command)


@pytest.mark.parametrize("ticks", range(12))
async def test_a_run_cancelled_at_any_turn_leaves_nothing(ticks: int) -> None:
    """Cancelled at any of its turns, run() leaves no process behind."""
    async with PrivateHost() as host:
        before = children()
        running = asyncio.create_task(host.run(["sleep", "1000"]))
        for _ in range(ticks):
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert children() == before


@pytest.mark.parametrize("command", ["none-such", "./none-such", "/none/such"])
async def test_a_missing_program_is_said(command: str) -> None:
    """There is nothing started for a program that is not there."""
    async with PrivateHost() as host:
        with pytest.raises(FileNotFoundError, match=f"private host: there is no program '{command}'"):
            await host.run([command])
        with pytest.raises(FileNotFoundError):
            await host.run(["true"], env={"PATH": "/none"})


async def test_an_empty_command_is_refused() -> None:
    """A command has a program."""
    async with PrivateHost() as host:
        with pytest.raises(ValueError, match="^private host: a command has at least the program's name$"):
            await host.spawn([])


async def test_a_child_left_behind_does_not_hold_up_run() -> None:
    """run() returns when the program ends, although a child of it could still write; the close ends the child."""
    async with PrivateHost() as host, asyncio.timeout(10):
        assert (await host.run(["sh", "-c", "sleep 1000 & echo done"])).stdout == b"done\n"


async def test_a_cancelled_run_kills_the_program(tmp_path: Path) -> None:
    """When run() was cancelled, the program is gone."""
    mark = tmp_path / "mark"
    os.mkfifo(mark)
    async with PrivateHost() as host:
        running = asyncio.create_task(host.run(["sh", "-c", f"exec 3>{mark}; exec sleep 1000"]))
        fd = os.open(mark, os.O_RDONLY | os.O_NONBLOCK)
        while not await opened(fd):
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        os.set_blocking(fd, True)
        assert os.read(fd, 1) == b""  # the end, once nobody has it open for writing
        os.close(fd)


async def opened(fifo: int) -> bool:
    """Return whether somebody has the fifo open for writing: then nothing to read is no end."""
    try:
        return bool(os.read(fifo, 1))
    except BlockingIOError:
        return True


async def test_spawn_gives_a_process() -> None:
    """spawn() returns asyncio's Process, whose streams are the program's."""
    async with PrivateHost() as host:
        process = await host.spawn(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert (await process.communicate(b"through"))[0] == b"through"
        assert process.returncode == 0


async def test_a_spawned_program_can_be_ended() -> None:
    """terminate() reaches the program, which ends as that signal ends it."""
    async with PrivateHost() as host:
        process = await host.spawn(["sleep", "1000"])
        process.terminate()
        assert await process.wait() == -signal.SIGTERM


async def test_descriptors_can_be_passed() -> None:
    """``pass_fds`` reach the program, and those of the namespaces do not."""
    reader, writer = os.pipe()
    async with PrivateHost() as host:
        script = f"echo passed >&{writer}; ls -l /proc/self/fd >&{writer}"
        process = await host.spawn(["bash", "-c", script], pass_fds=[writer])
        assert await process.wait() == 0
    os.close(writer)
    with open(reader) as file:
        told = file.read()
    assert told.startswith("passed\n")
    assert not re.search(r"(user|net|pid):\[|pidfd", told)


async def test_closing_ends_every_program() -> None:
    """aclose() kills what was spawned, and what that started, whatever it does about signals."""
    async with PrivateHost() as host:
        script = "trap '' TERM HUP INT; setsid sleep 1000 & echo ready; wait"
        process = await host.spawn(["sh", "-c", script], stdout=subprocess.PIPE)
        assert process.stdout is not None
        await process.stdout.readline()
    assert await process.stdout.read() == b""  # the end, once nobody has it open for writing
    assert await process.wait() == -signal.SIGKILL


async def test_a_program_sees_the_private_network_only() -> None:
    """A program's interfaces are those inside."""
    async with PrivateHost() as host, host.open_tun("inside0"):
        done = await host.run(["ip", "-br", "link"])
    assert [line.split()[0] for line in done.stdout.decode().splitlines()] == ["lo", "inside0"]
