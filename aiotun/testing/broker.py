"""Rigs of endpoints that a broker opens, and the broker: the real program, in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Any, Literal

from ..host.broker import BrokerHost
from .kernel import KernelRig
from .rig import Rig

__all__ = ["broker_tap", "broker_tun", "running_broker"]

PATIENCE = 30.0
"""Seconds for the broker to start, which takes less than one."""

ROOT = Path(__file__).parents[2]

RULE = """
[[rule]]
name = "tests"
users = [{uid}]
kinds = ["tun", "tap"]
interfaces = ["*"]
addresses = ["0.0.0.0/0", "::/0"]
mtu = [68, 65521]
queue_length = 100000
devices = 1000
rate = 100000
"""


@contextmanager
def running_broker(policy: str | None = None, *, stderr: int | IO[str] | None = None) -> Iterator[str]:
    """
    Run ``aiotun broker`` in this network namespace until the block ends, then SIGTERM it; yields its socket's path.

    Blocks for some 0.5 s, until it is ready.

    Args:
        policy: The policy, in TOML; None allows this user whatever the conformance suite asks for.
        stderr: Where it logs to, as of subprocess.Popen(); None is this process's standard error.
    """
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        os.chmod(directory, 0o755)  # for other users to reach the socket
        file, path, ready = (f"{directory}/{name}" for name in ("policy.toml", "socket", "ready"))
        with open(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as writing:
            writing.write(RULE.format(uid=os.geteuid()) if policy is None else policy)
        told.bind(ready)
        told.settimeout(PATIENCE)
        search = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        command = [sys.executable, "-m", "aiotun", "broker", "--socket", path, "--policy", file]
        environment = os.environ | {"NOTIFY_SOCKET": ready, "PYTHONPATH": search}
        with subprocess.Popen(command, env=environment, stderr=stderr) as process:
            try:
                told.recv(100)
                yield path
            finally:
                process.terminate()
                status = process.wait()
        if status not in (0, -signal.SIGKILL):
            raise AssertionError(f"the broker ended with status {status}")


@asynccontextmanager
async def _rig(kind: Literal["tun", "tap"], path: str | None, options: dict[str, Any]) -> AsyncIterator[Rig]:
    if path is None:
        with running_broker() as own:
            async with _rig(kind, own, options) as rig:
                yield rig
        return
    async with BrokerHost(path) as host:
        open = host.open_tun if kind == "tun" else host.open_tap
        async with open("rig%d", **options) as endpoint:
            rig = KernelRig(endpoint, open)
            try:
                yield rig
            finally:
                rig.close()


def broker_tun(*, path: str | None = None, **options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of a tun by the broker that listens at *path*, or by one of its own."""
    return _rig("tun", path, options)


def broker_tap(*, path: str | None = None, **options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of a tap by the broker that listens at *path*, or by one of its own; without IPv6 chatter on it."""
    return _rig("tap", path, {"ipv6_linklocal": False, **options})
