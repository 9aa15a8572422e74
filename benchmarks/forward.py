"""
How near is forwarding to C?

One iperf3 TCP stream between two namespaces, through a program that moves packets between their tuns: MTU 1500, no
offload. The figures: what iperf3 received, and the forwarder's CPU time (user + system) a packet of either direction.
"""

from __future__ import annotations

import functools
import json
import subprocess
import time
from typing import Any

from rig import (
    SOURCE_CPU,
    Figures,
    Lab,
    Run,
    alternate,
    arguments,
    build,
    figures,
    lab,
    median,
    need,
    python,
    ratios,
    save,
    show_header,
    spread,
    table,
)

VARIANTS = ["aiotun", "naive", "queue"]
WARM_UP = 1
NEAR, FAR = "10.9.0.1", "10.9.0.2"


def measure(place: Lab, one: str, two: str, forwarder: list[str], seconds: float) -> Figures:
    """Run one iperf3 stream through *forwarder*."""
    child = place.measured(forwarder)
    server = place.start(["iperf3", "-s", "-1", "-J"], SOURCE_CPU, within=two)
    try:
        _wait_for_server(two)
        stream = ["iperf3", "-c", FAR, "-J", "-O", str(WARM_UP), "-t", f"{seconds + 1:.0f}"]
        client = place.start(stream, SOURCE_CPU, within=one)
        found = figures(child)
        report: dict[str, Any] = json.loads(client.communicate()[0])
        place.stop(client)
    finally:
        place.stop(server)
        place.stop(child)
    if "error" in report:
        raise RuntimeError(f"iperf3: {report['error']}")
    found["gigabits_per_second"] = report["end"]["sum_received"]["bits_per_second"] / 1e9
    found["retransmits"] = report["end"]["sum_sent"]["retransmits"]
    found["cpu_ns_per_packet"] = (found["user"] + found["sys"]) / found["packets"] * 1e9
    found["load"] = (found["user"] + found["sys"]) / found["seconds"]
    return found


def _wait_for_server(two: str) -> None:
    """Return once iperf3 listens."""
    namespace = two.partition("/")[0]
    for _ in range(200):
        listening = subprocess.run(
            ["ip", "netns", "exec", namespace, "ss", "-Hltn", "sport = :5201"],
            capture_output=True,
            text=True,
            check=True,
        )
        if listening.stdout.strip():
            return
        time.sleep(0.02)
    raise RuntimeError("iperf3 -s did not begin to listen")


def show(results: dict[str, list[Figures]]) -> None:
    reference = results["C"]
    rows = [
        [
            name,
            f"{median(found, 'gigabits_per_second'):.2f}",
            spread(ratios(found, reference, "gigabits_per_second")),
            f"{median(found, 'cpu_ns_per_packet'):.0f}",
            spread(ratios(found, reference, "cpu_ns_per_packet")),
            f"{median(found, 'load'):.2f}",
            f"{median(found, 'retransmits'):.0f}",
        ]
        for name, found in results.items()
    ]
    table(["variant", "Gb/s", "ratio to C", "CPU ns/packet", "ratio to C", "load", "retransmits"], rows)


def main() -> None:
    given = arguments(__doc__, 3.0, VARIANTS).parse_args()
    need("ip", "taskset", "cc", "iperf3", "ss")
    show_header("How near is forwarding to C?")
    with lab() as place:
        one, two = place.tun("a", f"{NEAR}/24"), place.tun("b", f"{FAR}/24")
        commands = {"C": [build("forward"), one, two, str(WARM_UP), str(given.seconds)]} | {
            f"{variant} {loop}": python(
                "forwarders.py", one, two, f"--variant={variant}", f"--loop={loop}",
                f"--warm-up={WARM_UP}", f"--seconds={given.seconds}",
            )
            for loop in given.loops
            for variant in given.variants
        }  # fmt: skip
        runs: dict[str, Run] = {
            name: functools.partial(measure, place, one, two, command, given.seconds)
            for name, command in commands.items()
        }
        print(f"\none iperf3 TCP stream, {given.pairs} rounds of {given.seconds:g} s")
        results = alternate(runs, given.pairs)
        show(results)
    save(given.json, {"results": results})


if __name__ == "__main__":
    main()
