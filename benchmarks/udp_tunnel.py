"""
A plain tunnel, tun -> UDP -> tun, between two namespaces over veth: how much TCP goes through it?

aiotun, socat and a C program with the same offloads carry one iperf3 stream, in turn. Needs root, iproute2, iperf3,
socat and a C compiler::

    python benchmarks/udp_tunnel.py

All traffic stays in namespaces made here, and they go when the benchmark ends. There is no encryption: it asks what the
I/O costs, and nobody should use such a tunnel.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).parent
MTU = 1420
PORT = 5555
SIDES = ("left", "right")
OUTER = {"left": "192.0.2.1", "right": "192.0.2.2"}
INNER = {"left": "10.8.0.1", "right": "10.8.0.2"}

VARIANTS = ("C", "aiotun", "aiotun, gro off", "aiotun, gso and gro off", "aiotun, no offload", "socat")

Command = Callable[[str, str], list[str]]
"""What runs a side, given its address and the other's."""


# --- one side of the tunnel ---------------------------------------------------------------------------------


async def side(local: str, remote: str, *, offload: bool, gso: bool, gro: bool) -> None:
    """Carry packets between the tun of this namespace and the other side."""
    import aiotun
    from aiotun.channel import open_udp

    async with (
        open_udp((local, PORT), (remote, PORT), carries="ip" if offload else None, gso=gso, gro=gro) as channel,
        aiotun.open_tun("tun0", offload=offload) as tun,
    ):
        print("ready", flush=True)
        await aiotun.pump(tun, channel)


def run_side(options: argparse.Namespace) -> None:
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(
        side(options.local, options.remote, offload=options.offload, gso=options.gso, gro=options.gro),
    )


# --- the lab ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def lab() -> Iterator[dict[str, str]]:
    """Make two namespaces, joined by veth, each with a tun; take them down at the end."""
    names = {one: f"aiotun-udp-{os.getpid()}-{one}" for one in SIDES}
    with contextlib.ExitStack() as undo:
        for name in names.values():
            ip("netns", "add", name)
            undo.callback(ip, "netns", "delete", name)
        ip("-n", names["left"], "link", "add", "veth0", "type", "veth", "peer", "veth0", "netns", names["right"])
        for one, name in names.items():
            ip("-n", name, "address", "add", f"{OUTER[one]}/24", "dev", "veth0")
            ip("-n", name, "link", "set", "veth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def inside(name: str, *command: str) -> list[str]:
    return ["ip", "netns", "exec", name, *command]


@contextlib.contextmanager
def tunnel(names: dict[str, str], command: Command, *, ready: bool) -> Iterator[list[int]]:
    """Run one program on both sides, each over a new tun, ahead of the machine's other work; give the processes."""
    processes = []
    with contextlib.ExitStack() as undo:
        for one, other in (SIDES, SIDES[::-1]):
            name = names[one]
            ip("-n", name, "tuntap", "add", "tun0", "mode", "tun", "user", "root")
            undo.callback(ip, "-n", name, "link", "delete", "tun0")
            ip("-n", name, "address", "add", f"{INNER[one]}/24", "dev", "tun0")
            ip("-n", name, "link", "set", "tun0", "up", "mtu", str(MTU), "txqueuelen", "1000")
            program = undo.enter_context(
                subprocess.Popen(
                    ["nice", "-n", "-20", *inside(name, *command(OUTER[one], OUTER[other]))],
                    start_new_session=True,
                    stdout=subprocess.PIPE,
                    text=True,
                    env=os.environ | {"PYTHONPATH": str(HERE.parent)},
                )
            )
            undo.callback(program.kill)
            processes.append(program.pid)
            favour(program.pid)
            assert program.stdout is not None
            if ready and program.stdout.readline() != "ready\n":
                raise RuntimeError(f"{command(OUTER[one], OUTER[other])} did not become ready")
        wait_for_tunnel(names)
        yield processes


def favour(process: int) -> None:
    """Put a session ahead: with autogroups, nice counts only among the processes of one."""
    group = Path(f"/proc/{process}/autogroup")
    if group.exists():
        group.write_text("-20")


def cpu_seconds(processes: list[int]) -> float:
    """Return the seconds of CPU that processes have taken."""
    fields = [Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split() for process in processes]
    return sum(int(one[11]) + int(one[12]) for one in fields) / os.sysconf("SC_CLK_TCK")


def wait_for_tunnel(names: dict[str, str]) -> None:
    for _ in range(100):
        ping = inside(names["left"], "ping", "-c", "1", "-W", "0.1", "-q", INNER["right"])
        if not subprocess.run(ping, stdout=subprocess.DEVNULL).returncode:
            return
    raise RuntimeError("nothing comes through the tunnel")


def measure(names: dict[str, str], seconds: float, processes: list[int]) -> tuple[float, float]:
    """Return what iperf3 received in Gbit/s, and the tunnel's seconds of CPU for each GB."""
    with subprocess.Popen(inside(names["right"], "iperf3", "-s", "-1"), stdout=subprocess.DEVNULL) as server:
        try:
            for _ in range(100):
                before = cpu_seconds(processes)
                client = inside(names["left"], "iperf3", "-J", "-c", INNER["right"], "-t", str(seconds))
                done = subprocess.run(client, capture_output=True, text=True)
                told = json.loads(done.stdout or "{}")
                if "error" not in told:
                    received = told["end"]["sum_received"]
                    cost = (cpu_seconds(processes) - before) / received["bytes"] * 1e9
                    return received["bits_per_second"] / 1e9, cost
                time.sleep(0.1)  # the server does not listen yet
            raise RuntimeError(f"iperf3: {told}")
        finally:
            server.kill()


def python(*switches: str) -> Command:
    return lambda local, remote: [sys.executable, __file__, "--side", local, remote, *switches]


def build() -> str:
    binary = HERE / "build" / "udp_tunnel"
    source = HERE / "c" / "udp_tunnel.c"
    binary.parent.mkdir(exist_ok=True)
    subprocess.run(["cc", "-O3", "-Wall", "-Wextra", "-o", str(binary), str(source)], check=True)
    return str(binary)


def socat(local: str, remote: str) -> list[str]:
    return ["socat", "-b", "65536", f"UDP-DATAGRAM:{remote}:{PORT},bind={local}:{PORT}", "TUN,tun-name=tun0,iff-no-pi"]


def variants() -> dict[str, tuple[Command, bool]]:
    """Return each variant's command for a side, and whether it says that it is ready."""
    c = build()
    runs: tuple[tuple[Command, bool], ...] = (
        (lambda local, remote: [c, "tun0", local, remote, str(PORT)], True),
        (python(), True),
        (python("--no-gro"), True),
        (python("--no-gro", "--no-gso"), True),
        (python("--no-gro", "--no-gso", "--no-offload"), True),
        (socat, False),
    )
    return dict(zip(VARIANTS, runs, strict=True))


def main(options: argparse.Namespace) -> None:
    runs = {name: run for name, run in variants().items() if name in options.variants}
    found: dict[str, list[float]] = {name: [] for name in runs}
    costs: dict[str, list[float]] = {name: [] for name in runs}
    with lab() as names:
        for number in range(options.rounds):
            for name in list(runs)[:: 1 if number % 2 == 0 else -1]:
                command, ready = runs[name]
                with tunnel(names, command, ready=ready) as processes:
                    speed, cost = measure(names, options.seconds, processes)
                found[name].append(speed)
                costs[name].append(cost)
    print((__doc__ or "").strip().splitlines()[0])
    print(
        f"{time.strftime('%Y-%m-%d')}, {platform.release()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    )
    print(f"{options.rounds} rounds of {options.seconds:g} s each, in turn; load {os.getloadavg()[0]:.1f}\n")
    print(f"{'':24}{'Gbit/s':>8}{'of C':>22}{'times socat':>24}{'CPU s/GB':>10}{'of C':>24}")
    for name, speeds in found.items():
        print(
            f"{name:24}{statistics.median(speeds):8.2f}{ratios(speeds, found.get('C')):>22}"
            f"{ratios(speeds, found.get('socat')):>24}{statistics.median(costs[name]):10.2f}"
            f"{ratios(costs[name], costs.get('C')):>24}"
        )


def ratios(figures: list[float], reference: list[float] | None) -> str:
    if reference is None:
        return "-"
    each = [one / other for one, other in zip(figures, reference, strict=True)]
    return f"{statistics.median(each):.2f} [{min(each):.2f} to {max(each):.2f}]"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds that iperf3 counts")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--side", nargs=2, metavar=("LOCAL", "REMOTE"), help=argparse.SUPPRESS)
    for name in ("gso", "gro", "offload"):
        parser.add_argument(f"--no-{name}", dest=name, action="store_false", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.local, options.remote = options.side or (None, None)
    return options


if __name__ == "__main__":
    given = arguments()
    if given.side:
        run_side(given)
    elif os.geteuid() != 0:
        sys.exit("the benchmark makes network namespaces: run it as root")
    else:
        main(given)
