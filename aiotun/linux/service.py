"""
What a service manager and its services tell each other: the protocols of sd_listen_fds(3) and sd_notify(3).

systemd is not alone in speaking them. LISTEN_PID says for whom descriptors are, LISTEN_FDS how many, from 3 on, and
LISTEN_FDNAMES what they are called; NOTIFY_SOCKET is where to say how far a service is.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

__all__ = ["listen_fds", "notify"]

FIRST = 3
"""SD_LISTEN_FDS_START of systemd's sd-daemon.h."""

UNNAMED = "unknown"
"""What sd_listen_fds_with_names(3) calls a descriptor without a name."""

VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")


def listen_fds(*, unset: bool = True, environ: MutableMapping[str, str] = os.environ) -> dict[str, list[int]]:
    """
    Return the descriptors that the service manager passed to this process, by name; ``{}`` if there are none.

    They are the caller's from now on, and no program inherits them. Several may have one name, so each name has a
    list, in the order in which they were passed; without a name it is ``unknown``. Does not wait.

    ::

        tun = aiotun.Tun.from_fd(aiotun.listen_fds()["vpn0"][0])

    Args:
        unset: Whether to take the variables out of the environment, so that neither a second call nor a program that
            this one starts finds them.

    Raises:
        ValueError: If the variables contradict each other; the descriptors stay as they are.

    After sd_listen_fds_with_names(3) of systemd.
    """
    told = {name: environ.get(name, "") for name in VARIABLES}
    if unset:
        for name in VARIABLES:
            environ.pop(name, None)
    if told["LISTEN_PID"] != str(os.getpid()):  # for the parent that this process inherited the variables from
        return {}
    count = told["LISTEN_FDS"]
    if not (count.isascii() and count.isdigit()):
        raise ValueError(f"LISTEN_FDS is a number of descriptors, not {count!r}")
    fds = range(FIRST, FIRST + int(count))
    names = told["LISTEN_FDNAMES"].split(":") if told["LISTEN_FDNAMES"] else [UNNAMED] * len(fds)
    if len(names) != len(fds):
        raise ValueError(f"LISTEN_FDNAMES has {len(names)} names, LISTEN_FDS says {len(fds)}")
    found: dict[str, list[int]] = {}
    for fd, name in zip(fds, names, strict=True):
        try:
            os.set_inheritable(fd, False)
        except OSError as error:
            raise ValueError(f"LISTEN_FDS says {len(fds)} descriptors, but {fd} is not open") from error
        found.setdefault(name, []).append(fd)
    return found


def notify(state: str, *, environ: MutableMapping[str, str] = os.environ) -> bool:
    """
    Tell the service manager how far this service is: ``READY=1``. Return whether there is one to tell.

    Raises:
        OSError: If it does not listen.

    After sd_notify(3) of systemd.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)
    return True
