"""
What does a stock stage cost for each packet?

Nanoseconds of CPU time a packet, in batches of 64: ``data`` are TCP of one connection with 1400 bytes of payload,
``small`` are UDP of 64 flows with none; then one super-packet of 45 segments. ``copy`` makes a new list and nothing
else. Everything in one process, pinned to one CPU; the stages alternate, and ratios are taken within each round. Needs
no privilege; ``filter tcpdump`` needs libpcap.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

from aiotun import stages
from aiotun.offload import coalesce
from aiotun.packet import TCP, UDP, IPv4, IPv6, flow
from aiotun.pipeline import Batch
from aiotun.queueing import Fifo, TokenBucket

ENDS = {4: ("10.8.0.2", "192.0.2.7"), 6: ("fd00::2", "2001:db8::7")}
OUTSIDE = {4: "203.0.113.5", 6: "2001:db8:5::5"}
MANY = 10**12

Stage = Callable[[Batch], Batch]


def data(version: int, src: str, dst: str, ports: tuple[int, int] = (4000, 443)) -> list[bytes]:
    """Return 64 packets of one TCP connection, which follow each other."""
    packets = []
    for number in range(64):
        body = TCP(*ports, bytes(1400), seq=number * 1400, flags=0x10).build(src, dst)
        if version == 4:
            packets.append(IPv4(src, dst, 6, body, identification=number).build())
        else:
            packets.append(IPv6(src, dst, 6, body).build())
    return packets


def small(src: str, dst: str, outward: bool = True) -> list[bytes]:
    """Return an empty UDP datagram of each of 64 flows."""
    packets = []
    for number in range(4000, 4064):
        body = UDP(*((number, 53) if outward else (53, number))).build(src, dst)
        packets.append(IPv4(src, dst, 17, body).build())
    return packets


def table(batch: list[bytes], answers: list[bytes]) -> dict[str, tuple[Stage, list[bytes]]]:
    """Return what is measured, and with which batch."""
    sink: list[bytes] = []
    used = stages.Nat(OUTSIDE[4], OUTSIDE[6])
    for _ in range(2):  # the connection is established when both ends were heard
        used.outbound(batch)
        used.inbound(answers)

    def copy(packets: Batch) -> Batch:
        return [packet for packet in packets]

    found: dict[str, Stage] = {
        "copy": copy,
        "filter": stages.filter(lambda packet: packet[9] == 6),
        "filter tcpdump": stages.filter("tcp port 443"),
        "count": stages.count(),
        "count by flow": stages.count(flow),
        "clamp_mss": stages.clamp_mss(1400),
        "decrement_ttl": stages.decrement_ttl(),
        "packet_too_big": stages.packet_too_big(1500),
        "fragment": stages.fragment(1500),
        "police": stages.police(MANY, MANY),
        "shape": stages.shape(TokenBucket(MANY, MANY, Fifo(64))),
        "route": stages.route(lambda address: "on", {"on": None}),
        "reply": stages.reply(sink.extend, "10.8.0.1"),
        "nat outbound": used.outbound,
        "lose": stages.lose(0.01, seed=1),
        "reorder": stages.reorder(0.01, seed=1),
        "duplicate": stages.duplicate(0.01, seed=1),
        "corrupt": stages.corrupt(0.01, seed=1),
        "delay": stages.delay(0.0),
    }
    return {name: (stage, batch) for name, stage in found.items()} | {"nat inbound": (used.inbound, answers)}


def cost(stage: Stage, batch: list[bytes], packets: int, repeat: int) -> float:
    """Return the nanoseconds of CPU time a packet."""
    start = time.process_time_ns()
    for _ in range(repeat):
        stage(batch)
    return (time.process_time_ns() - start) / repeat / packets


def measure(title: str, runs: dict[str, tuple[Stage, list[bytes]]], packets: int, rounds: int, repeat: int) -> None:
    """Print what each costs."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        for name in list(runs)[:: 1 if number % 2 == 0 else -1]:
            found[name].append(cost(*runs[name], packets, repeat))
    print(f"\n{title}\n  {'':<16} {'ns/packet':>10}  times decrement_ttl [least to most]")
    for name, figures in found.items():
        ratios = [one / other for one, other in zip(figures, found["decrement_ttl"], strict=True)]
        print(
            f"  {name:<16} {statistics.median(figures):>10.0f}  "
            f"{statistics.median(ratios):7.2f} [{min(ratios):.2f} to {max(ratios):.2f}]"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="rounds, each with every stage (default 9)")
    parser.add_argument("--repeat", type=int, default=200, help="batches of a stage in a round (default 200)")
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for version in (4, 6):
        there, back = data(version, *ENDS[version]), data(version, ENDS[version][1], OUTSIDE[version], (443, 4000))
        measure(f"data, IPv{version}", table(there, back), 64, given.rounds, given.repeat)
    asked, answered = small(*ENDS[4]), small(ENDS[4][1], OUTSIDE[4], outward=False)
    measure("small, IPv4", table(asked, answered), 64, given.rounds, given.repeat)
    (there, back) = (coalesce(one[:45]) for one in (data(4, *ENDS[4]), data(4, ENDS[4][1], OUTSIDE[4], (443, 4000))))
    whole = {name: run for name, run in table(there, back).items() if getattr(run[0], "superpackets", True)}
    measure("super-packet of 45 segments, IPv4, for each segment", whole, 45, given.rounds, given.repeat)


if __name__ == "__main__":
    main()
