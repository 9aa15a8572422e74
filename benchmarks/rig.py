"""
The rig the benchmarks stand on: namespaces with a tun in each, C programs, pinned children, statistics and the header.

All traffic stays in namespaces made here, and they go when the benchmark ends, by Ctrl-C too. The measured program runs
on CPU 0 and its traffic source on CPU 1, both at nice -20, whatever the variant. Needs root, iproute2, taskset and a C
compiler.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BUILD = HERE / "build"

MEASURED_CPU, SOURCE_CPU = 0, 1

QUEUE_LENGTH = 1000
"""Packets the kernel keeps for the reader: aiotun's default, given to every variant."""

Figures = dict[str, float]


def build(name: str) -> str:
    """Compile ``c/name.c`` if it is newer than its binary, and return the binary's path."""
    binary = BUILD / name
    sources = [HERE / "c" / f"{name}.c", *(HERE / "c").glob("*.h")]
    if not binary.exists() or binary.stat().st_mtime < max(source.stat().st_mtime for source in sources):
        BUILD.mkdir(exist_ok=True)
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", binary, sources[0]], check=True)
    return str(binary)


def python(program: str, *arguments: str) -> list[str]:
    """Return the command that runs a program of this directory on this interpreter."""
    return [sys.executable, str(HERE / program), *arguments]


class Lab:
    """Namespaces with one persistent tun each, and the processes started in them; close() removes all of it."""

    def __init__(self) -> None:
        self._namespaces: list[str] = []
        self._children: list[subprocess.Popen[str]] = []

    def tun(self, label: str, address: str, mtu: int = 1500, *, multi_queue: bool = False) -> str:
        """Make a namespace with a tun that has *address*; return it as ``NAMESPACE/NAME``."""
        namespace = f"aiotun-bench-{os.getpid()}-{label}"
        _ip("netns", "add", namespace)
        self._namespaces.append(namespace)
        _ip("netns", "exec", namespace, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        queues = ["multi_queue"] if multi_queue else []
        _ip("netns", "exec", namespace, "ip", "tuntap", "add", "tun0", "mode", "tun", "user", "root", *queues)
        _ip("-n", namespace, "address", "add", address, "dev", "tun0")
        _ip("-n", namespace, "link", "set", "tun0", "up", "mtu", str(mtu), "txqueuelen", str(QUEUE_LENGTH))
        return f"{namespace}/tun0"

    def start(self, command: Sequence[str], cpu: int, within: str | None = None) -> subprocess.Popen[str]:
        """Start *command* on one CPU, ahead of the machine's other work, in the namespace of the tun *within*."""
        inside = [] if within is None else ["ip", "netns", "exec", within.partition("/")[0]]
        child = subprocess.Popen(
            ["nice", "-n", "-20", "taskset", "-c", str(cpu), *inside, *command],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(HERE.parent)},
        )
        self._children.append(child)
        _favour(child)
        return child

    def measured(self, command: Sequence[str], cpu: int = MEASURED_CPU) -> subprocess.Popen[str]:
        """Start a program to be measured, and return once it says that it is ready for traffic."""
        child = self.start(command, cpu)
        if _line(child) != "ready":
            raise RuntimeError(f"{' '.join(command)} did not become ready")
        return child

    def stop(self, child: subprocess.Popen[str]) -> None:
        """End *child* and wait for its end, so that its tun is free again."""
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()
        self._children.remove(child)

    def close(self) -> None:
        for child in list(self._children):
            self.stop(child)
        while self._namespaces:
            _ip("netns", "delete", self._namespaces.pop())


@contextmanager
def lab() -> Iterator[Lab]:
    """A Lab that is taken down at the end, however that comes."""
    if os.geteuid() != 0:
        sys.exit("the benchmarks make network namespaces: run them as root")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    place = Lab()
    try:
        yield place
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        place.close()


def _favour(child: subprocess.Popen[str]) -> None:
    """Put the session of *child* ahead: with autogroups, nice counts only among the processes of one session."""
    group = Path(f"/proc/{child.pid}/autogroup")
    if group.exists():
        group.write_text("-20")


def figures(child: subprocess.Popen[str]) -> Figures:
    """Wait for the JSON line of a measured program."""
    found: Figures = json.loads(_line(child))
    return found


def _line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        raise RuntimeError(f"{child.args!r} ended with status {child.wait()} and no answer")
    return line.strip()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


# --- rounds ---------------------------------------------------------------------------------------

Run = Callable[[], Figures]


def alternate(runs: dict[str, Run], rounds: int) -> dict[str, list[Figures]]:
    """
    Run everything once a round, in turn, so that the machine's moods fall on all alike.

    Every second round goes backwards: who runs first or last changes too.
    """
    results: dict[str, list[Figures]] = {name: [] for name in runs}
    for number in range(rounds):
        for name in list(runs)[:: 1 if number % 2 == 0 else -1]:
            if sys.stderr.isatty():
                print(f"\r\033[Kround {number + 1} of {rounds}: {name}", end="", file=sys.stderr, flush=True)
            results[name].append(runs[name]())
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return results


def ratios(results: list[Figures], reference: list[Figures], key: str) -> list[float]:
    """Return result / reference, round by round."""
    return [one[key] / other[key] for one, other in zip(results, reference, strict=True)]


def median(results: list[Figures], key: str) -> float:
    return statistics.median(one[key] for one in results)


def spread(values: list[float]) -> str:
    """Return median, minimum and maximum as text."""
    return f"{statistics.median(values):5.2f} [{min(values):.2f} to {max(values):.2f}]"


# --- output ---------------------------------------------------------------------------------------


def header() -> dict[str, str]:
    """Return what a figure means nothing without: hardware, kernel, versions and date."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M %z"),
        "cpu": f"{_cpu_model()}, {os.cpu_count()} CPUs; measured program on CPU {MEASURED_CPU}, source on {SOURCE_CPU}",
        "load": f"{os.getloadavg()[0]:.2f} over the last minute (close to 0 on a quiet machine)",
        "kernel": platform.release(),
        "python": f"{platform.python_implementation()} {platform.python_version()}, uvloop {_version('uvloop')}",
        "compiler": subprocess.run(["cc", "--version"], capture_output=True, text=True).stdout.partition("\n")[0],
        "tun": f"mtu 1500, queue {QUEUE_LENGTH}, no offload",
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def show_header(question: str) -> None:
    print(question)
    for name, text in header().items():
        print(f"  {name:<9} {text}")


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print *rows* under *titles*, the first column left-aligned."""
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        first, *others = (
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *others]).rstrip())


def save(path: Path | None, results: dict[str, Any]) -> None:
    """Write every single figure, under the header, as JSON."""
    if path is not None:
        path.write_text(json.dumps({"header": header(), **results}, indent=1) + "\n")


def arguments(question: str | None, seconds: float, variants: Sequence[str]) -> argparse.ArgumentParser:
    """Return a parser with the options all benchmarks have."""
    parser = argparse.ArgumentParser(description=question, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7, help="rounds, each with every variant and C (default 7)")
    parser.add_argument("--seconds", type=float, default=seconds, help=f"seconds a run counts (default {seconds:g})")
    parser.add_argument("--variants", nargs="+", choices=variants, default=variants, help="what to measure")
    parser.add_argument(
        "--loops", nargs="+", choices=["uvloop", "asyncio"], default=["uvloop"], help="(default uvloop)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure here")
    return parser


def need(*programs: str) -> None:
    """Exit with a sentence if a program is missing."""
    for program in programs:
        if shutil.which(program) is None:
            sys.exit(f"this benchmark needs the program {program}")
