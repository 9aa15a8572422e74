"""
Name servers for as long as a device is there: the one thing here that only a program can change.

What resolves names is no part of the kernel, and has no one interface: resolvconf, of which there are three, is a
program, and systemd-resolved speaks D-Bus, which would be a dependency more; its program is resolvectl. Both are run
with a list of arguments, never through a shell.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

from .guardian import run
from .transaction import Transaction

__all__ = ["set_dns"]

EVERY_NAME = "~."
"""The domain that sends every query to this link's servers, as resolvconf's ``-x`` does; resolvectl(1)."""


def set_dns(transaction: Transaction, dns: Sequence[IPv4Address | IPv6Address | str]) -> None:
    """
    Send every query to these servers, and look for short names in these domains.

    Raises:
        DeviceError: If there is neither program, or it fails, or the device is in a network without a resolver.
    """
    name = transaction.name
    resolvconf, resolvectl = shutil.which("resolvconf"), shutil.which("resolvectl")
    servers, domains = (
        [str(one) for one in dns if not isinstance(one, str)],
        [one for one in dns if isinstance(one, str)],
    )
    what = " ".join(["dns", *servers, *domains])
    if resolvconf is not None:
        lines = [f"nameserver {server}" for server in servers]
        lines += [f"search {' '.join(domains)}"] if domains else []
        text = "".join(f"{line}\n" for line in lines)
        command = [resolvconf, "-a", name, "-m", "0", "-x"]
        transaction.step(what, lambda: run(command, text), {"run": [resolvconf, "-f", "-d", name]})
    elif resolvectl is not None:
        undo = {"run": [resolvectl, "revert", name]}
        transaction.step(what, lambda: run([resolvectl, "dns", name, *servers]), undo)
        transaction.step(what, lambda: run([resolvectl, "domain", name, *domains, EVERY_NAME]), None)
    else:
        with transaction.explained(what):
            raise OSError(errno.ENOENT, "there is neither resolvconf nor systemd-resolved's resolvectl; install one")
