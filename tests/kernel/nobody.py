"""Programs that run as the user nobody, from a library that user need not be able to read."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

import aiotun

__all__ = ["NOBODY", "ROOT", "as_nobody", "nobody_needed", "output_of", "tun_for_everybody"]

NOBODY = 65534

ROOT = Path(aiotun.__file__).parents[1]

PRELUDE = textwrap.dedent("""
    import asyncio, os, socket, sys
    import aiotun, aiotun.linux.leased, aiotun.linux.passing, aiotun.linux.service, aiotun.packet.replies
    import aiotun.linux.configure, pyroute2
    from aiotun.host.broker import BrokerHost

    def drop():
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
""")


def _other_users() -> bool:
    """Return whether this process may become another user that the kernel tells from it."""
    mapped = re.findall(r"(\d+)\s+\d+\s+(\d+)", Path("/proc/self/uid_map").read_text())
    return os.geteuid() == 0 and any(int(first) <= NOBODY < int(first) + int(count) for first, count in mapped)


nobody_needed = pytest.mark.skipif(not _other_users(), reason="it takes root, who may become nobody")


@contextmanager
def as_nobody(
    script: str,
    *arguments: str,
    pass_fds: tuple[int, ...] = (),
    wrapper: tuple[str, ...] = (),
    stderr: IO[str] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """
    Run a program until the block ends, as nobody once it calls drop(); every warning is an error in it.

    With *wrapper* it is what that command runs.
    """
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    command = [*wrapper, sys.executable, "-W", "error", "-c", PRELUDE + textwrap.dedent(script), *arguments]
    with subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        pass_fds=pass_fds,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def output_of(script: str, *arguments: str, pass_fds: tuple[int, ...] = ()) -> list[str]:
    """Run a program that ends by itself, and well; return the lines it printed."""
    with as_nobody(script, *arguments, pass_fds=pass_fds) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return output.splitlines()


@pytest.fixture
def tun_for_everybody(tmp_path: Path) -> Iterator[None]:
    """A /dev/net/tun that every user may open, as most systems have it; in the tests' own mounts."""
    device = os.stat("/dev/net/tun")
    if device.st_mode & 0o666 == 0o666:
        yield
        return
    node = tmp_path / "tun"
    os.mknod(node, stat.S_IFCHR | 0o666, device.st_rdev)
    node.chmod(0o666)
    subprocess.run(["mount", "--bind", node, "/dev/net/tun"], check=True)
    yield
    subprocess.run(["umount", "/dev/net/tun"], check=True)
