"""Programs inside a private network, as subprocesses of this one."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Coroutine, Iterator, Sequence
from typing import IO, Any

from .private_network import PrivateNetwork
from .private_output import output

__all__ = ["Command", "PrivatePrograms"]

Command = Sequence[str | os.PathLike[str]]
"""A program and its arguments; no shell reads them."""


class PrivatePrograms(PrivateNetwork):
    """The programs that a private host runs inside."""

    async def run(
        self,
        command: Command,
        *,
        input: bytes | None = None,
        check: bool = False,
        **options: Any,
    ) -> subprocess.CompletedProcess[bytes]:
        """
        Run a program inside this network to its end: ``(await host.run(["ip", "route"])).stdout``.

        It is root there, which is this user outside; files are the machine's, /proc among them. Waits; if
        cancelled, the program is killed first.

        Args:
            command: The program and its arguments; no shell reads them.
            input: What it reads from its standard input, in bytes.
            check: Whether an exit status other than 0 raises CalledProcessError.
            options: ``env`` and ``cwd``, as of subprocess.run().

        Returns:
            Its exit status, and in bytes what it wrote to its standard output and error.

        Raises:
            FileNotFoundError: If there is no such program.
        """
        with _file(input or b"") as stdin, output() as (out, stdout), output() as (err, stderr):
            process = await self.spawn(command, stdin=stdin, stdout=stdout, stderr=stderr, **options)
            try:
                status = await process.wait()
            except BaseException:
                await _kill(process)
                raise
            done = subprocess.CompletedProcess(list(command), status, out.written(), err.written())
        if check:
            done.check_returncode()
        return done

    async def spawn(self, command: Command, **options: Any) -> asyncio.subprocess.Process:
        """
        Start a program inside this network; *options* are those of asyncio.create_subprocess_exec().

        The process is the caller's to wait for. Signals sent to it reach the program; closing the host kills it. If
        cancelled, there is none.
        """
        if isinstance(command, str | bytes):
            raise TypeError(f'private host: a command is a list, ["ip", "link"], not {type(command).__name__}')
        words = [os.fspath(word) for word in command]
        if not words:
            raise ValueError("private host: a command has at least the program's name")
        # Looked up here, where it can be raised: what starts it is running already when it finds out.
        program = os.path.join(options.get("cwd") or "", words[0]) if os.path.dirname(words[0]) else words[0]
        environment = os.environ if options.get("env") is None else options["env"]
        if shutil.which(program, path=environment.get("PATH", os.defpath)) is None:
            raise FileNotFoundError(errno.ENOENT, f"private host: there is no program {words[0]!r}")
        outer, fds = self._network().entering(words)
        fds += tuple(options.pop("pass_fds", ()))
        return await _started(asyncio.create_subprocess_exec(*outer, pass_fds=fds, **options))


async def _started(starting: Coroutine[Any, Any, asyncio.subprocess.Process]) -> asyncio.subprocess.Process:
    """Return the process; if cancelled, once it is killed: uvloop forgets one that it was still starting."""
    task = asyncio.ensure_future(starting)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    if task.exception() is None:
        await _kill(task.result())
    raise cancelled


async def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


@contextlib.contextmanager
def _file(content: bytes) -> Iterator[IO[bytes]]:
    """Make a file in memory that has no name, and go to its begin."""
    with open(os.memfd_create("aiotun"), "w+b", buffering=0) as file:
        file.write(content)
        file.seek(0)
        yield file
