"""Programs that stand alone, and tell in their own words what they found."""

from __future__ import annotations

import sys

from rig.commands import HERE, Command
from rig.question import Effort, Question


def question(name: str, asks: str, says: str, quick: str, seconds: float, needs: str | None = None) -> Question:
    """Return the question that ``name.py`` answers by itself; *quick* are the arguments with which it hardly looks."""

    def program(effort: Effort) -> Command:
        arguments = quick.split() if effort.quick else ()
        return Command((sys.executable, str(HERE / f"{name}.py"), *arguments), needs=needs)

    return Question(name, asks, says, program=program, seconds=seconds)


QUESTIONS = (
    question(
        "udp_tunnel",
        "How much goes through a plain tunnel over UDP?",
        "One iperf3 stream through tun, UDP and tun, over veth: aiotun, socat, and C with the same offloads.",
        quick="--rounds 1 --seconds 1",
        seconds=170,
        needs="iperf3",
    ),
    question(
        "vpn",
        "How much goes through an encrypted tunnel, and what does OpenVPN do?",
        "One iperf3 stream, and pings, with every packet sealed by ChaCha20-Poly1305: examples/udp_vpn.py and OpenVPN.",
        quick="--rounds 1 --seconds 1 --pings 20",
        seconds=160,
        needs="openvpn",
    ),
    question(
        "router",
        "What do a pump and a router cost?",
        "CPU time of a pump beside a bare loop, of a router with slow and dead peers, and of looking up a route.",
        quick="--rounds 1 --packets 6400 --routes 1000",
        seconds=120,
    ),
    question(
        "stage_costs",
        "What does a stock stage cost for each packet?",
        "Nanoseconds of CPU time a packet, in batches of 64.",
        quick="--rounds 1 --repeat 2",
        seconds=45,
    ),
    question(
        "capturing",
        "What does recording cost for each packet?",
        "Nanoseconds a packet of a path with each way of recording, beside the bare path.",
        quick="--packets 640",
        seconds=15,
    ),
)
