"""What other programs find in a capture."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from scapy.layers import inet, inet6, l2
from scapy.utils import PcapNgReader

from aiotun.capture import Recorded, open_capture

__all__ = [
    "FRAME",
    "IPV4",
    "IPV6",
    "by_scapy",
    "by_tshark",
    "complaints",
    "counted_by_capinfos",
    "need",
    "packets",
    "read",
]

IPV4 = bytes(inet.IP(src="192.0.2.1", dst="192.0.2.2") / inet.UDP(sport=1, dport=2) / b"four")
IPV6 = bytes(inet6.IPv6(src="2001:db8::1", dst="2001:db8::2") / inet.UDP(sport=1, dport=2) / b"six")
FRAME = bytes(l2.Ether(src="f2:0b:a4:00:00:01", dst="f2:0b:a4:00:00:02", type=0x800)) + IPV4

packets = st.binary(min_size=1, max_size=90)


def by_tshark(path: Path, *fields: str) -> list[list[str]]:
    """Return what tshark says of each packet. It must have nothing to complain of."""
    need("tshark")
    asked = [word for field in fields for word in ("-e", field)]
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", *asked]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert complaints(done.stderr) == []
    return [line.split("\t") for line in done.stdout.splitlines()]


def counted_by_capinfos(files: list[Path]) -> list[int]:
    """Return how many packets Wireshark's own reader counts in each file; it must have nothing to complain of."""
    need("capinfos")
    done = subprocess.run(["capinfos", "-Trcm", *map(str, files)], capture_output=True, text=True, check=True)
    assert complaints(done.stderr) == []
    return [int(line.rpartition(",")[2]) for line in done.stdout.splitlines()]


def need(program: str) -> None:
    """Skip the test where a program of Wireshark's is not installed."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def complaints(stderr: str) -> list[str]:
    """Return the lines of tshark's errors but the one that it is root's."""
    return [line for line in stderr.splitlines() if line and "Running as user" not in line]


def by_scapy(path: Path) -> list[Any]:
    """Return the packets that scapy finds, with its metadata."""
    with PcapNgReader(str(path)) as reader:
        return [reader.read_packet() for _ in range(len(read(path)))]


def read(source: Path | bytes) -> list[Recorded]:
    """Return what open_capture() finds."""
    with open_capture(io.BytesIO(source) if isinstance(source, bytes) else source) as reader:
        return list(reader)
