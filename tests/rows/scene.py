"""What the rows are played with: a host, its devices opened by their nodes, and signals that are counted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from aiotun.driver import BpfListener, Credentials, Flags, Request, TapDevice, TunDevice
from aiotun.driver.requests import Value, encode
from aiotun.host import SoftHost
from aiotun.queueing import Classified, Fifo

ROOT = Credentials()
UUCP = Credentials(uid=66)

CHILD = """
import os, signal
from aiotun.driver import Credentials, Flags, Request
from aiotun.host import SoftHost

caught = []
signal.signal(signal.SIGIO, lambda number, frame: caught.append(number))
host = SoftHost()
device = host.dev["{node}"].open(Credentials())
device.ioctl(Request.SIOCSIFFLAGS, int(Flags.UP))
device.ioctl(Request.FIOASYNC, 1)
device.ioctl(Request.{request}, {group})
device.output([bytes.fromhex("{packet}")])
print(caught == [signal.SIGIO], device.ioctl(Request.FIOGETOWN) == -os.getpgrp())
"""


def open_tun(host: SoftHost, name: str = "tun0", *, up: bool = True) -> TunDevice:
    """A tun opened by its node."""
    tun = host.dev[name].open(ROOT)
    assert isinstance(tun, TunDevice)
    if up:
        tun.ioctl(Request.SIOCSIFFLAGS, int(Flags.UP))
    return tun


def open_tap(host: SoftHost, name: str = "tap", *, up: bool = True) -> TapDevice:
    """A tap opened by the cloning node, or by the node of one that there is."""
    tap = host.dev[name].open(ROOT)
    assert isinstance(tap, TapDevice)
    if up:
        tap.ioctl(Request.SIOCSIFFLAGS, int(Flags.UP))
    return tap


def packed(request: Request, value: Value) -> bytes:
    """The structure that a C program would give with a request."""
    return encode(request, value, "dev0" if request.size > 8 else "")


def captured(listener: BpfListener) -> list[bytes]:
    """What a packet filter saw since it was asked last."""
    queued = listener.statistics().queued
    return [one.packet for one in listener.recv_many_nowait(queued)] if queued else []


class Tracing(Fifo):
    """A send queue that keeps what it is given to classify and to queue, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.trace: list[tuple[str, bytes]] = []

    def classify(self, batch: Sequence[bytes]) -> Sequence[bytes]:
        self.trace += [("classify", packet) for packet in batch]
        return [Classified(packet, "class") for packet in batch]

    def enqueue_many(self, batch: Sequence[bytes], now: float = 0.0) -> Sequence[bytes]:
        self.trace += [("enqueue", packet) for packet in batch]
        return super().enqueue_many(batch, now)


@contextmanager
def sigio() -> Iterator[list[int]]:
    """Catch SIGIO in this process; yields where the signals go."""
    caught: list[int] = []

    def catch(number: int, frame: FrameType | None) -> None:
        caught.append(number)

    before = signal.signal(signal.SIGIO, catch)
    try:
        yield caught
    finally:
        signal.signal(signal.SIGIO, before)


def group_signalled(node: str, request: Request, group: str, packet: bytes) -> str:
    """Play an output in a process group of its own; say whether the signal came, and whether the group owns it."""
    code = CHILD.format(node=node, request=request.name, group=group, packet=packet.hex())
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env={**os.environ, "PYTHONPATH": str(root)},
        process_group=0, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    return result.stdout.strip()
