"""
What does a segment cost, cut from 64 KiB or merged into it?

Nanoseconds of CPU time a segment, for ``segment()``, ``coalesce()``, ``complete()`` and ``checksum()`` over the same
bytes, in Python and in C where that is built, beside a copy of them (``bytearray(packet)``, one memcpy) and a copy in
equal pieces. Everything in one process, pinned to one CPU; the variants alternate, and ratios are taken within each
round. Needs no privilege.

``alone`` is a batch in which nothing follows anything: what looking at a packet costs. ``lookup`` is that of pure
acknowledgments, which are passed on at a glance.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial

from aiotun import offload, speedups
from aiotun.packet import TCP, UDP, IPv4, IPv6, SuperPacket, checksum

ENDS = {4: ("10.0.0.1", "10.0.0.2"), 6: ("fd00::1", "fd00::2")}
ROOM = 65535 - 40 - 32
TIMESTAMPS = b"\x01\x01\x08\x0a" + bytes(8)


def train(version: int, protocol: str, size: int, gap: int = 0) -> list[bytes]:
    """Return as many packets as one super-packet takes; *gap* bytes are missing between any two."""
    packets = []
    for number in range(max(1, min(ROOM // max(1, size), 64))):
        payload = os.urandom(size)
        if protocol == "tcp":
            seq = number * (size + gap)
            body = TCP(1000, 80, payload, seq=seq, flags=0x10, options=TIMESTAMPS).build(*ENDS[version])
        else:
            body = UDP(1000 + number * gap, 80, payload).build(*ENDS[version])
        number_of = 6 if protocol == "tcp" else 17
        if version == 4:
            packets.append(IPv4(*ENDS[4], number_of, body, identification=number).build())
        else:
            packets.append(IPv6(*ENDS[6], number_of, body).build())
    return packets


def cost(work: Callable[[], object], segments: int, repeat: int) -> float:
    """Return the nanoseconds a segment."""
    start = time.process_time_ns()
    for _ in range(repeat):
        work()
    return (time.process_time_ns() - start) / repeat / segments


def unfinished(packet: bytes, of: SuperPacket) -> SuperPacket:
    """Return a packet whose checksum is still to be computed, where that of a super-packet is."""
    return SuperPacket(packet, csum_start=of.csum_start, csum_offset=of.csum_offset, needs_csum=True)


def each(form: Callable[[bytes], bytes], batch: list[SuperPacket]) -> list[bytes]:
    return [form(packet) for packet in batch]


def measure(version: int, protocol: str, size: int, rounds: int, repeat: int) -> None:
    batch = train(version, protocol, size)
    strangers = train(version, protocol, size, gap=1)
    acks = train(version, "tcp", 0) * 64
    (packet,) = offload.coalesce(batch)
    assert isinstance(packet, SuperPacket)
    plain, count = bytes(packet), len(batch)
    bare = [unfinished(one, packet) for one in batch]
    starts = range(0, len(plain), len(batch[0]))
    runs: dict[str, tuple[Callable[[], object], int, int]] = {
        "memcpy": (lambda: bytearray(plain), count, repeat * 20),
        "memcpy in pieces": (lambda: [plain[at : at + len(batch[0])] for at in starts], count, repeat),
        "checksum": (lambda: [checksum(one) for one in batch], count, repeat),
    }
    for form in ("Python", "C")[: 1 + speedups.active]:
        names = ("segment", "complete", "coalesce")
        segment, complete, coalesce = (
            speedups.pure[name] if form == "Python" else getattr(offload, name) for name in names
        )
        runs |= {
            f"{form}: segment": (partial(segment, packet), count, repeat),
            f"{form}: complete": (partial(each, complete, bare), count, repeat),
            f"{form}: coalesce": (partial(coalesce, batch), count, repeat),
            f"{form}: alone": (partial(coalesce, strangers), len(strangers), repeat),
            f"{form}: lookup": (partial(coalesce, acks), len(acks), repeat),
        }
    found: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        for name in list(runs)[:: 1 if number % 2 == 0 else -1]:
            found[name].append(cost(*runs[name]))
    print(f"\nIPv{version}, {protocol}, {count} segments of {size} bytes: {len(plain)} bytes")
    print(f"  {'':<16} {'ns/segment':>10} {'Gb/s':>7}  times memcpy [least to most]")
    for name, figures in found.items():
        ratios = [one / other for one, other in zip(figures, found["memcpy"], strict=True)]
        median = statistics.median(figures)
        rate = " " * 7 if "lookup" in name else f"{size * 8 / median:7.2f}"
        span = f"{statistics.median(ratios):7.1f} [{min(ratios):.1f} to {max(ratios):.1f}]"
        print(f"  {name:<16} {median:>10.0f} {rate}  {span}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="rounds, each with every variant (default 9)")
    parser.add_argument("--repeat", type=int, default=100, help="super-packets of a variant in a round (default 100)")
    parser.add_argument("--sizes", nargs="+", type=int, default=[1448], help="payload of a segment (default 1448)")
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for size in given.sizes:
        for version in (4, 6):
            for protocol in ("tcp", "udp"):
                measure(version, protocol, size, given.rounds, given.repeat)


if __name__ == "__main__":
    main()
