"""Device nodes: who may open a device, by its owner, its group and its mode."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

__all__ = ["Credentials", "DeviceNode"]

T = TypeVar("T")

# The numbers of the names, from DragonFly sys/sys/conf.h: UID_UUCP, GID_DIALER and the others.
_UIDS = {"root": 0, "uucp": 66}
_GIDS = {"wheel": 0, "operator": 5, "dialer": 68}


@attrs.frozen(kw_only=True)
class Credentials:
    """Who opens a device. By default root, in this process."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    pid: int = attrs.field(factory=os.getpid)

    @property
    def root(self) -> bool:
        """Whether it is root, whom no mode keeps out. Modelled on priv_check_cred() of DragonFly."""
        return self.uid == 0


@attrs.frozen(kw_only=True)
class DeviceNode(Generic[T]):
    """
    A name under /dev, and what opening it does.

    Modelled on make_dev() in DragonFly sys/kern/kern_conf.c and vaccess() in BSD sys/kern/vfs_subr.c.
    """

    name: str
    minor: int
    opens: Callable[[Credentials], T]
    """Called once the mode allows it; what it returns is the open device."""
    owner: str = "uucp"
    group: str = "dialer"
    mode: int = 0o600

    @property
    def uid(self) -> int:
        """The number of the owner."""
        return _UIDS[self.owner]

    @property
    def gid(self) -> int:
        """The number of the group."""
        return _GIDS[self.group]

    def open(self, credentials: Credentials | None = None) -> T:
        """
        Open the device for reading and writing, by default as root in this process.

        Raises:
            PermissionError: If the mode does not let *credentials* both read and write; with what to do about it.
        """
        credentials = credentials or Credentials()
        if not self.allows(credentials):
            text = (
                f"{self.name}: uid {credentials.uid} may not open a node of {self.owner}:{self.group} with mode "
                f"{self.mode:04o}; open it as {self._remedy()}"
            )
            raise PermissionError(errno.EACCES, text)
        return self.opens(credentials)

    def allows(self, credentials: Credentials) -> bool:
        """Return whether the mode lets *credentials* read and write: of owner, group and others the first that fits."""
        if credentials.root:
            return True
        if credentials.uid == self.uid:
            bits = self.mode >> 6
        elif self.gid in (credentials.gid, *credentials.groups):
            bits = self.mode >> 3
        else:
            bits = self.mode
        return bits & 0o6 == 0o6

    def _remedy(self) -> str:
        who = ["root"]
        if self.mode & 0o600 == 0o600 and self.owner != "root":
            who.append(self.owner)
        if self.mode & 0o060 == 0o060:
            who.append(f"a member of {self.group}")
        return " or ".join(who)
