"""How near is forwarding to C?"""

from __future__ import annotations

import json
import math
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from rig.commands import Command, by_hand, c, ours
from rig.lab import Place, lab
from rig.measuring import measure
from rig.program import running, source
from rig.question import Case, Column, Effort, Figures, Goal, Question, Run

from questions.figures import CPU, CPU_PER_BYTE, LOAD, RATE

NEAR, FAR = "10.9.0.1/24", "10.9.0.2/24"
RETRANSMITS = Column("retransmits", "retransmits", 0)
STREAMS = (1, 16, 128)
"""The last is as many as iperf3 takes."""
FIGURES = (RATE, CPU_PER_BYTE, CPU, LOAD, RETRANSMITS)


def forward(one: Place, two: Place, forwarder: Command, effort: Effort, streams: int = 1) -> Figures:
    """Run iperf3 from *one* to *two* through *forwarder*; it begins to count when it is in its stride."""
    server = Command(("iperf3", "-s", "-1", "-J"), needs="iperf3")
    stride, seconds = ("0", "1") if effort.quick else ("1", str(math.ceil(effort.seconds)))
    client = Command(("iperf3", "-c", FAR[:-3], "-J", "-P", str(streams), "-O", stride, "-t", seconds))
    with running(forwarder) as child, source(server, two.namespace):
        _wait_for_server(two)
        with source(client, one.namespace) as stream:
            time.sleep(float(stride))
            found = measure([child], [one, two], effort)
            report: dict[str, Any] = json.loads(stream.output())
    if "error" in report:
        raise RuntimeError(f"iperf3: {report['error']}")
    found["gigabits_per_second"] = report["end"]["sum_received"]["bits_per_second"] / 1e9
    found["retransmits"] = report["end"]["sum_sent"]["retransmits"]
    return found


def _wait_for_server(two: Place) -> None:
    """Return once iperf3 listens."""
    listening = ["nsenter", f"--net=/run/netns/{two.namespace}", "ss", "-Hltn", "sport = :5201"]
    for _ in range(200):
        if subprocess.run(listening, capture_output=True, check=True).stdout:
            return
        time.sleep(0.02)
    raise RuntimeError("iperf3 -s did not begin to listen")


def cases(effort: Effort) -> Iterator[Case]:
    with lab() as bench:
        one, two = bench.place(NEAR), bench.place(FAR)
        tuns = one.where(), two.where()

        def runs(commands: dict[str, Command], streams: int = 1) -> dict[str, Run]:
            return {name: partial(forward, one, two, command, effort, streams) for name, command in commands.items()}

        plain = {
            "C": c("forward", *tuns),
            "aiotun": ours("forwarders", *tuns, "--variant=plain"),
            "aiotun, pure Python": ours("forwarders", *tuns, "--variant=plain", pure=True),
            "aiotun, asyncio's loop": ours("forwarders", *tuns, "--variant=plain", "--loop=asyncio"),
        }
        yield Case(
            "without offload",
            runs(plain | by_hand("forwarders", *tuns)),
            FIGURES,
            goals=(Goal("aiotun", RATE.key, 0.97),),
        )
        whole = {
            "C": c("passthrough", *tuns),
            "aiotun": ours("forwarders", *tuns, "--variant=whole"),
            "aiotun, pure Python": ours("forwarders", *tuns, "--variant=whole", pure=True),
        }
        yield Case(
            "super-packets whole",
            runs(whole | by_hand("forwarders", *tuns, "--vnet", without=("python-pytun", "scapy"))),
            FIGURES,
            goals=(Goal("aiotun", RATE.key, 0.97), Goal("aiotun, pure Python", RATE.key, 0.93)),
        )
        split = {
            "C": c("resegment", *tuns),
            "aiotun": ours("forwarders", *tuns, "--variant=resegmented"),
            "aiotun, pure Python": ours("forwarders", *tuns, "--variant=resegmented", pure=True),
        }
        yield Case(
            "super-packets split and recoalesced",
            runs(split),
            FIGURES,
            goals=(Goal("aiotun", RATE.key, 0.90),),
        )
        del split["aiotun, pure Python"]
        for streams in STREAMS[1:]:
            yield Case(f"super-packets split and recoalesced, {streams} streams", runs(split, streams), FIGURES)


QUESTION = Question(
    "forward",
    "How near is forwarding to C?",
    """One iperf3 TCP stream between two namespaces, through a program that moves packets between their tuns, which have
an mtu of 1500. Gb/s is what iperf3 received; CPU time is the forwarder's, by the bytes and packets of either direction
that it read, a super-packet counting as one.

Whole, a program passes on what it is given: `c/passthrough` and everything by hand leave the `virtio_net_hdr` as it is,
aiotun reads and writes each as a `SuperPacket`. Split and recoalesced, each is cut into packets with finished checksums
and merged again: `segment()` and `coalesce()`, beside `c/resegment`, which does the same by the same rules, and writes
each train from where its packets lie. python-pytun and scapy know no `virtio_net_hdr`.""",
    cases,
    seconds=92,
)
