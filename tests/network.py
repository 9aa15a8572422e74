"""What the kernel has of a network, to be compared, and processes that are killed in the middle of changing it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
from pathlib import Path
from typing import Any

__all__ = ["changed", "guardians", "snapshot", "told", "wait_for_end"]

VOLATILE = {"valid_life_time", "preferred_life_time", "operstate", "flags", "qdisc", "tentative"}
"""What differs from one moment to the next; whether a link is up is compared by itself."""


def told(*command: str, netns: str | None = None) -> Any:
    """Return what ``ip`` says: the kernel's word, not ours."""
    inside = [] if netns is None else ["ip", "netns", "exec", netns]
    done = subprocess.run([*inside, "ip", "-json", "-details", *command], check=True, capture_output=True, text=True)
    return json.loads(done.stdout or "[]")


def snapshot(netns: str | None = None) -> dict[str, Any]:
    """Return all rules, routes, links with their addresses, and settings that there are."""
    found: dict[str, Any] = {
        f"{what} {version}": [_stable(entry) for entry in told(version, *command, netns=netns) if _ours(entry)]
        for what, command in (("rules", ["rule"]), ("routes", ["route", "show", "table", "all"]))
        for version in ("-4", "-6")
    }
    for link in told("address", netns=netns):
        up = "UP" in link["flags"]
        addresses = [_stable(address) for address in link.pop("addr_info")]
        found[f"link {link['ifname']}"] = _stable(link), up, addresses
    inside = [] if netns is None else ["ip", "netns", "exec", netns]
    command = [*inside, "grep", "-rs", "", "/proc/sys/net/ipv4/conf", "/proc/sys/net/ipv6/conf"]
    settings = subprocess.run(command, capture_output=True, text=True).stdout
    found["sysctls"] = sorted(line for line in settings.splitlines() if "stable_secret" not in line)
    return found


def changed(before: dict[str, Any], netns: str | None = None) -> dict[str, Any]:
    """Return what there is now that was not there before, and what was and is not."""
    after = snapshot(netns)
    found: dict[str, Any] = {}
    for name in before.keys() | after.keys():
        was, now = before.get(name), after.get(name)
        if isinstance(was, list) and isinstance(now, list):
            was, now = [one for one in was if one not in now], [one for one in now if one not in was]
        if was != now:
            found[name] = {"was": was, "is": now}
    return found


def _stable(told: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the kernel, not a user, decides; that a link has no carrier is noticed late."""
    return {name: value for name, value in told.items() if name not in VOLATILE}


def _ours(entry: dict[str, Any]) -> bool:
    """Leave out what the kernel makes for each address, of IPv6 a moment later."""
    return entry.get("table") != "local" or "priority" in entry


def guardians(*names: str) -> set[int]:
    """Return the processes that guard somebody's changes here, or in a namespace of one of these names."""
    ours = [os.stat(path).st_ino for path in ("/proc/self/ns/net", *(f"/run/netns/{name}" for name in names))]
    found = set()
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # it ended meanwhile
            if process.name.isdigit() and (process / "ns/net").stat().st_ino in ours:
                while not (command := (process / "cmdline").read_bytes()):  # it is in the middle of its exec()
                    (process / "ns/net").stat()  # or a zombie, which has no namespace
                if b"/linux/guardian.py\0" in command:
                    found.add(int(process.name))
    return found


def wait_for_end(pids: set[int], patience: float = 30) -> None:
    """Wait until these processes have ended."""
    for pid in pids:
        try:
            ended = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            assert select.select([ended], [], [], patience)[0], f"process {pid} is still there"
        finally:
            os.close(ended)
