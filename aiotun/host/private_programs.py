"""Programs inside a private network, as subprocesses of this one."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from typing import IO, Any

from .private_network import PrivateNetwork

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
        # Files, not pipes: a program that left a child behind is at its end although the child could still write.
        with _file(input or b"") as stdin, _file() as stdout, _file() as stderr:
            process = await self.spawn(command, stdin=stdin, stdout=stdout, stderr=stderr, **options)
            try:
                status = await process.wait()
            except BaseException:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
                raise
            done = subprocess.CompletedProcess(list(command), status, _text(stdout), _text(stderr))
        if check:
            done.check_returncode()
        return done

    async def spawn(self, command: Command, **options: Any) -> asyncio.subprocess.Process:
        """
        Start a program inside this network; *options* are those of asyncio.create_subprocess_exec().

        The process is the caller's to wait for. Signals sent to it reach the program; closing the host kills it.
        """
        words = [os.fspath(word) for word in command]
        if not words:
            raise ValueError("private host: a command has at least the program's name")
        # Looked up here, where it can be raised: what starts it is running already when it finds out.
        program = os.path.join(options.get("cwd") or "", words[0]) if os.path.dirname(words[0]) else words[0]
        if shutil.which(program, path=(options.get("env") or os.environ).get("PATH", os.defpath)) is None:
            raise FileNotFoundError(errno.ENOENT, f"private host: there is no program {words[0]!r}")
        outer, fds = self._network().entering(words)
        return await asyncio.create_subprocess_exec(*outer, pass_fds=(*options.pop("pass_fds", ()), *fds), **options)


@contextlib.contextmanager
def _file(content: bytes = b"") -> Iterator[IO[bytes]]:
    """Make a file in memory that has no name, and go to its begin."""
    with open(os.memfd_create("aiotun"), "w+b", buffering=0) as file:
        file.write(content)
        file.seek(0)
        yield file


def _text(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()
