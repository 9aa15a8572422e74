"""
Is anything left after thousands of devices were opened, configured and closed, or their process killed?

Each cycle opens a device of some kind, with everything set that can be set, and closes it: new and persistent tuns,
taps, in this namespace, in a named one, in a private network, with a full tunnel. With --kill, every so many cycles a
process that does the same is killed with SIGKILL at a random moment. All of it in a network namespace of its own.

What there is at the end is compared with what there was after the first cycles: descriptors, tasks, threads, processes,
links, addresses, routes, rules, settings, namespaces. Ends with a verdict, and status 0 if nothing is left, 1 if not.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from isolation import isolate  # noqa: E402
from network import guardians, snapshot, told, wait_for_end  # noqa: E402
from processes import children  # noqa: E402

import aiotun  # noqa: E402
from aiotun import Route, Rule  # noqa: E402

EVERY = 5.0
"""Seconds between two lines of progress."""

WARM_UP = 20
"""Cycles after which everything that is loaded once is loaded."""

NETNS = "cycles"
PERSISTENT = "keep0"

ADDRESSES = ["10.8.0.2/24", "fd00:8::2/64"]
PLAIN: dict[str, Any] = {"address": ADDRESSES, "mtu": 1400}
EVERYTHING: dict[str, Any] = PLAIN | {
    "queue_length": 77,
    "group": 7,
    "routes": [
        "10.0.0.0/8",
        "2001:db8::/32",
        Route("172.16.0.0/12", via="192.0.2.9", interface="real0", metric=7),
        Route("192.168.0.0/16", kind="unreachable"),
    ],
    "rules": [Rule(fwmark=5, table=50), Rule(source="10.1.0.0/16", table=77, priority=100)],
    "sysctl": {"net.ipv4.conf.{name}.rp_filter": 2, "net.ipv4.ip_default_ttl": 99},
}


async def plain() -> None:
    async with aiotun.open_tun("plain%d", **PLAIN):
        pass


async def everything() -> None:
    async with aiotun.open_tun("all%d", **EVERYTHING):
        pass


async def tap() -> None:
    async with aiotun.open_tap("tap%d", address=ADDRESSES[0], mac="02:00:00:00:00:2a", ipv6_linklocal=False):
        pass


async def persistent() -> None:
    async with aiotun.open_tun(PERSISTENT, **EVERYTHING):
        pass


async def elsewhere() -> None:
    async with aiotun.open_tun("far%d", netns=NETNS, **PLAIN, rules=EVERYTHING["rules"], sysctl=EVERYTHING["sysctl"]):
        pass


async def tunnel() -> None:
    async with aiotun.open_tun("full%d", **PLAIN) as tun, aiotun.full_tunnel(tun, except_for=["192.0.2.0/24"]):
        pass


async def private() -> None:
    async with aiotun.PrivateHost() as host, host.open_tun(**PLAIN, rules=EVERYTHING["rules"]):
        pass


async def cancelled() -> None:
    """Open, and be cancelled at some turn of the loop."""
    opening = asyncio.ensure_future(everything())
    for _ in range(random.randrange(8)):
        await asyncio.sleep(0)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)


KINDS: tuple[Callable[[], Awaitable[None]], ...] = (
    *(plain, everything, tap, persistent, elsewhere, tunnel, cancelled) * 2,
    private,
)


def prepare() -> None:
    """Make what the cycles work with."""
    for command in (
        "ip link add real0 type veth peer name real1",
        "ip address add 192.0.2.1/24 dev real0",
        "ip link set real0 up",
        f"ip tuntap add dev {PERSISTENT} mode tun user root",
        f"ip address add fd00:77::1/64 dev {PERSISTENT}",
        f"ip netns add {NETNS}",
    ):
        subprocess.run(command.split(), check=True)


def left() -> dict[str, Any]:
    """Return what there is: figures to print, and descriptions to compare."""
    links = told("address")
    return {
        "fds": len(os.listdir("/proc/self/fd")),
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "processes": len(children()) + len(guardians(NETNS)),
        "links": len(links),
        "addresses": sum(len(link["addr_info"]) for link in links),
        "routes": sum(len(told(version, "route", "show", "table", "all")) for version in ("-4", "-6")),
        "rules": sum(len(told(version, "rule")) for version in ("-4", "-6")),
        "namespaces": len(told("netns")),
        "here": snapshot(),
        "elsewhere": snapshot(NETNS),
    }


def kill_one(seed: int) -> None:
    """Start a process that does what this one does, and kill it at a random moment."""
    chance = random.Random(seed)
    others = guardians(NETNS)
    command = [sys.executable, __file__, "--victim", "--seed", str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as victim:
        assert victim.stdout is not None
        if not victim.stdout.readline():
            raise RuntimeError(f"the process to be killed ended with status {victim.wait()}")
        time.sleep(chance.random() * 0.4)
        victim.kill()
    # A private network's processes notice that their owner is gone by themselves.
    wait_for_end(guardians(NETNS) - others)


async def victim(seed: int) -> None:
    """Cycle until killed."""
    print("ready", flush=True)
    random.seed(seed)
    while True:
        await random.choice(KINDS)()


async def run(options: argparse.Namespace) -> bool:
    """Do the cycles; return whether nothing was left."""
    random.seed(options.seed)
    for number in range(WARM_UP):
        await KINDS[number % len(KINDS)]()
    before = left()
    started = spoken = time.monotonic()
    killed = 0
    for number in range(1, options.cycles + 1):
        if options.kill and number % options.kill == 0:
            await asyncio.to_thread(kill_one, random.getrandbits(32))
            killed += 1
        else:
            await random.choice(KINDS)()
        if (now := time.monotonic()) - spoken > EVERY:
            spoken, rate = now, number / (now - started)
            remaining = (options.cycles - number) / rate
            print(f"{number:>7,} of {options.cycles:,} cycles  {rate:5.0f}/s  {remaining:4.0f} s left", flush=True)
    seconds = time.monotonic() - started
    await asyncio.get_running_loop().shutdown_default_executor()
    after = left()
    print(f"{options.cycles:,} cycles, {killed:,} of them killed, in {seconds:.0f} s; before and after:")
    for name, count in before.items():
        if isinstance(count, int):
            print(f"    {name:<12} {count:>5} {after[name]:>5}")
    wrong = [name for name in before if before[name] != after[name]]
    for name in wrong:
        for what in before[name] if isinstance(before[name], dict) else ():
            if before[name][what] != after[name].get(what):
                print(f"{name}: {what}: was {before[name][what]}, is {after[name].get(what)}")
    print(f"LEFT: {', '.join(wrong)}" if wrong else "NOTHING LEFT")
    return not wrong


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=10_000, help="how many (default: %(default)s)")
    parser.add_argument("--kill", type=int, default=0, metavar="N", help="kill a process at every N-th cycle")
    parser.add_argument("--seed", type=int, default=1, help="repeat a run (default: %(default)s)")
    parser.add_argument("--victim", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if options.victim:
        asyncio.run(victim(options.seed))
    refusal = isolate()
    if refusal:
        sys.exit(refusal)
    prepare()
    return 0 if asyncio.run(run(options)) else 1


if __name__ == "__main__":
    sys.exit(main())
