"""
What does recording cost a packet?

Batches of packets go through a path of four stages that do nothing, as it is and with each way of recording: what is
beyond the bare path is what recording costs. Then the files: writing them, reading them, replaying them. Times are in
nanoseconds a packet, the best of several rounds, of one process.

::

    python benchmarks/capturing.py --batch 64 --size 1420
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path as FilePath

from aiotun.capture import FlightRecorder, PcapngWriter, PcapWriter, open_capture, replay, watch
from aiotun.pipeline import Batch, Path, stage

SINK = os.devnull
ROUNDS = 7


@stage(superpackets=True)
def nothing(batch: Batch) -> Batch:
    return batch


def bare() -> Path:
    return Path("bench", [(f"stage {number}", nothing) for number in range(4)])


def best(run: Callable[[], object], packets: int) -> float:
    """Return the shortest of some rounds, in nanoseconds a packet."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter_ns()
        run()
        times.append(time.perf_counter_ns() - start)
    return min(times) / packets


def through(path: Callable[[Batch], object], batch: list[bytes], count: int) -> float:
    def run() -> None:
        for _ in range(count):
            path(batch)

    return best(run, count * len(batch))


def each(batch: list[bytes], write: Callable[[bytes], object]) -> None:
    for packet in batch:
        write(packet)


def recording(batch: list[bytes], count: int) -> dict[str, float]:
    """Return what a packet costs on a path, by how it is recorded."""
    found = {"bare path": through(bare(), batch, count)}
    with ExitStack() as stack:
        path = bare()
        writer = stack.enter_context(PcapngWriter(SINK))
        path.append(writer.interface("edge").stage("out"), name="capture")
        found["capture stage"] = through(path, batch, count)
    with ExitStack() as stack:
        path = bare()
        recorder = stack.enter_context(FlightRecorder())
        recorder.watch(path)
        found["flight recorder"] = through(path, batch, count)
    with ExitStack() as stack:
        path = bare()
        writer = stack.enter_context(PcapngWriter(SINK))
        stack.enter_context(watch(path, writer))
        found["watch, 5 edges"] = through(path, batch, count)
    return found


def files(batch: list[bytes], count: int) -> dict[str, float]:
    """Return what a packet costs in a file."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = FilePath(folder) / "bench.pcapng"
        with PcapngWriter(path) as writer:
            found["write pcapng"] = through(writer.interface("edge").write_many, batch, count)
        with PcapngWriter(path) as writer:
            write = writer.interface("edge").write
            found["write pcapng, one by one, a comment each"] = best(
                lambda: each(batch, lambda packet: write(packet, comments="dropped by filter: no_route")), len(batch)
            )
        with path.open("wb") as file:
            pcap = PcapWriter(file, 101)
            found["write pcap, one by one"] = best(
                lambda: each(batch, lambda packet: pcap.write(packet, 1.0)), len(batch)
            )
        with PcapngWriter(path) as writer:
            interface = writer.interface("edge")
            for _ in range(count):
                interface.write_many(batch)
        octets = path.read_bytes()
        packets = count * len(batch)
        found["read pcapng"] = best(lambda: sum(1 for _ in open_capture(io.BytesIO(octets))), packets)
        found["replay"] = best(lambda: asyncio.run(replayed(octets)), packets)
    return found


async def replayed(octets: bytes) -> None:
    async with replay(io.BytesIO(octets), speed=None) as trace:
        async for _ in trace.batches():
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description="What recording costs a packet.")
    parser.add_argument("--batch", type=int, default=64, help="packets of a batch (default: 64)")
    parser.add_argument("--size", type=int, default=1420, help="bytes of a packet (default: 1420)")
    parser.add_argument("--packets", type=int, default=20_000, help="packets of a round (default: 20000)")
    options = parser.parse_args()
    batch = [bytes([0x45, 0]) + os.urandom(options.size - 2) for _ in range(options.batch)]
    count = max(1, options.packets // options.batch)
    print(f"batches of {options.batch}, packets of {options.size} bytes; ns a packet\n")
    paths = recording(batch, count)
    for name, cost in paths.items():
        print(f"{name:<42} {cost:8.0f}   {cost - paths['bare path']:+8.0f}")
    print()
    for name, cost in files(batch, count).items():
        print(f"{name:<42} {cost:8.0f}")


if __name__ == "__main__":
    main()
