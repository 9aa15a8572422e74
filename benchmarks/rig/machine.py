"""What a figure means nothing without: hardware, kernel, versions and date."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import aiotun
from aiotun import speedups
from rig.commands import FLAGS
from rig.lab import QUEUE_LENGTH
from rig.program import MEASURED_CPU, SOURCE_CPU


def conditions() -> dict[str, str]:
    """Describe this machine and this moment."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M %z"),
        "load": f"{os.getloadavg()[0]:.2f}",
        "cpu": f"{_cpu_model()}, {os.cpu_count()} CPUs",
        "pinned": f"measured program on CPU {MEASURED_CPU}, source on CPU {SOURCE_CPU}, both at nice {_nice()}",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "aiotun": f"{aiotun.__version__}; C twin: {speedups.reason}",
        "packages": ", ".join(f"{name} {_version(name)}" for name in ("uvloop", "scapy", "python-pytun")),
        "programs": ", ".join(filter(None, map(_told, (("iperf3", "--version"), ("socat", "-V"))))),
        "compiler": f"{_told(('cc', '--version'))} {' '.join(FLAGS)}",
        "tun": f"mtu 1500, queue of {QUEUE_LENGTH} packets",
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _nice() -> str:
    """Return how far ahead of others this user may put a program."""
    told = subprocess.run(["nice", "-n", "-20", "nice"], capture_output=True, text=True)
    return told.stdout.strip()


def _told(command: tuple[str, ...]) -> str:
    """Return the line in which a program tells its version."""
    try:
        told = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    except OSError:
        return f"{command[0]} not installed"
    return next((line.partition(" on ")[0].partition(" (cJSON")[0] for line in told if any(map(str.isdigit, line))), "")
