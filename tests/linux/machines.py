"""Machines for the checks to look at: one where all is well, and one thing changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiotun import Capabilities
from aiotun.linux.capabilities import OFFLOADS
from aiotun.linux.machine import Machine, Node

__all__ = ["FULL", "PLAIN", "machine", "refuse"]

ALL = frozenset(name for offload in OFFLOADS for name in offload.names)

FULL = "000001ffffffffff"
"""CapEff of root."""
PLAIN = "0000000000000000"

FILES = {
    "/proc/misc": "200 tun\n130 watchdog",
    "/proc/self/uid_map": "         0          0 4294967295",
    "/proc/sys/user/max_user_namespaces": "96365",
    "/proc/sys/user/max_net_namespaces": "96365",
    "/proc/sys/user/max_pid_namespaces": "96365",
    "/proc/sys/net/ipv6/conf/all/disable_ipv6": "0",
    "/proc/sys/net/ipv6/conf/default/disable_ipv6": "0",
    "/proc/1/cgroup": "0::/init.scope",
}


def machine(
    root: Path,
    *,
    files: dict[str, str | None] | None = None,
    capabilities: str = FULL,
    status: str = "NoNewPrivs:\t0\nSeccomp:\t0",
    **changes: Any,
) -> Machine:
    """Lay out a machine in the directory *root*; a file that is None is not there."""
    found: dict[str, str | None] = {**FILES, "/proc/self/status": f"Name:\tx\nCapEff:\t{capabilities}\n{status}"}
    for path, text in (found | (files or {})).items():
        if text is not None:
            file = root / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text + "\n")
    seams: dict[str, Any] = {
        "uid": 1000,
        "release": "6.18.1",
        "environ": {},
        "file_limits": (1024, 4096),
        "node": lambda path: Node(True, (10, 200), 0o666, (0, 0)),
        "may_open": lambda path: True,
        "version_of": lambda package: "1.2.3",
        "has_module": lambda name: True,
        "try_system": lambda: None,
        "try_private": lambda: None,
        "try_broker": lambda path: None,
        "probe": lambda: Capabilities(probed=ALL | {"IFF_NAPI"}),
    }
    return Machine(root=root, **(seams | changes))


def refuse(error: OSError | int) -> Callable[..., None]:
    """Return an attempt that fails."""

    def attempt(*_: object) -> None:
        raise OSError(error, os.strerror(error)) if isinstance(error, int) else error

    return attempt
