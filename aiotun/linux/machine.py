"""Where the checks look, and what they try: this machine, or in a test another."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import resource
import socket
import stat
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

import attrs

from ..endpoint import Capabilities
from .constants import CLONE_DEVICE
from .kept import KeptNamespace
from .probing import probe_now
from .tunfile import TunFile
from .tunopen import open_device

__all__ = ["SCRATCH", "Machine", "Node"]

SCRATCH = "aiotun%d"
"""The name of a device that is opened to see whether it can be; closed at once, down and without an address."""

CAPABILITY_BITS = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}  # Linux include/uapi/linux/capability.h


@attrs.frozen
class Node:
    """A file of /dev."""

    character: bool
    number: tuple[int, int]
    mode: int
    """Permission bits."""
    owner: tuple[int, int]
    """User and group."""


def _try_system() -> None:
    open_device("tun", SCRATCH).close()


def _try_private() -> None:
    kept = KeptNamespace.start()
    try:
        file: TunFile = open_device("tun", SCRATCH, kept)
        file.close()
    finally:
        kept.close()


def _try_broker(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(1.0)
        sock.connect(path)


def _version_of(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _has_module(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _node(path: Path) -> Node:
    found = path.stat()
    return Node(
        stat.S_ISCHR(found.st_mode),
        (os.major(found.st_rdev), os.minor(found.st_rdev)),
        stat.S_IMODE(found.st_mode),
        (found.st_uid, found.st_gid),
    )


def _may_open(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK, effective_ids=True)


@attrs.frozen(kw_only=True, slots=False)
class Machine:
    """
    The machine as this process sees it. What is tried is tried once; all of it blocks, for some 0.3 s together.
    """

    broker: str = "/run/aiotun.sock"
    """Where a broker would listen."""
    root: Path = Path("/")
    uid: int = attrs.field(factory=os.geteuid)
    release: str = attrs.field(factory=platform.release)
    environ: Mapping[str, str] = attrs.field(factory=lambda: os.environ)
    file_limits: tuple[int, int] = attrs.field(factory=lambda: resource.getrlimit(resource.RLIMIT_NOFILE))
    """Descriptors: the soft limit and the hard one."""
    node: Callable[[Path], Node] = _node
    may_open: Callable[[Path], bool] = _may_open
    version_of: Callable[[str], str | None] = _version_of
    has_module: Callable[[str], bool] = _has_module
    try_system: Callable[[], None] = _try_system
    try_private: Callable[[], None] = _try_private
    try_broker: Callable[[str], None] = _try_broker
    probe: Callable[[], Capabilities] = probe_now

    def text(self, path: str) -> str | None:
        """Return what a file says, without the blanks around it; None if it cannot be read."""
        try:
            return (self.root / path.lstrip("/")).read_text(errors="replace").strip()
        except OSError:
            return None

    def exists(self, path: str) -> bool:
        """Return whether there is such a file."""
        try:
            return (self.root / path.lstrip("/")).exists()
        except OSError:  # behind a directory that is not ours to look into
            return False

    def status(self, field: str) -> str:
        """Return a field of /proc/self/status; empty if there is none."""
        for line in (self.text("/proc/self/status") or "").splitlines():
            name, _, value = line.partition(":")
            if name == field:
                return value.strip()
        return ""

    @property
    def clone_device(self) -> Path:
        """``/dev/net/tun``."""
        return self.root / CLONE_DEVICE.lstrip("/")

    def has(self, capability: str) -> bool:
        """Return whether the process has a capability, effective."""
        return bool(int(self.status("CapEff") or "0", 16) >> CAPABILITY_BITS[capability] & 1)

    @cached_property
    def system_refusal(self) -> OSError | None:
        """What became of opening a device here; None if it could be opened."""
        return _refusal(self.try_system)

    @cached_property
    def private_refusal(self) -> OSError | None:
        """What became of opening a device in a private network."""
        return _refusal(self.try_private)

    @cached_property
    def broker_refusal(self) -> OSError | None:
        """What became of connecting to the broker."""
        return _refusal(lambda: self.try_broker(self.broker))


def _refusal(attempt: Callable[[], None]) -> OSError | None:
    try:
        attempt()
    except OSError as error:
        return error
    return None
