"""
How near is iteration to C?

A flood of UDP datagrams leaves through a tun; a C poll/read loop and each way of reading in Python fetch them, in turn.
Two figures: packets a second, and CPU time (user + system) a packet.

Two sources. With one datagram a message the source is slower than C: a reader can keep up, and the packets a second say
whether it does. With 16 datagrams a message (UDP_SEGMENT) the source is faster than any reader: each runs at its limit.
"""

from __future__ import annotations

import functools

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

VARIANTS = ["async_for", "batches", "recv", "naive", "queue"]
WARM_UP = 0.5
FAR = "10.9.0.2"


def measure(place: Lab, tun: str, reader: list[str], flood: list[str]) -> Figures:
    """Run *reader* under *flood* once."""
    child = place.measured(reader)
    source = place.start(flood, SOURCE_CPU, within=tun)
    try:
        found = figures(child)
    finally:
        place.stop(source)
        place.stop(child)
    found["packets_per_second"] = found["packets"] / found["seconds"]
    found["cpu_ns_per_packet"] = (found["user"] + found["sys"]) / found["packets"] * 1e9
    found["load"] = (found["user"] + found["sys"]) / found["seconds"]
    return found


def show(results: dict[str, list[Figures]]) -> None:
    reference = results["C"]
    rows = [
        [
            name,
            f"{median(found, 'packets_per_second') / 1e3:.0f}k",
            spread(ratios(found, reference, "packets_per_second")),
            f"{median(found, 'cpu_ns_per_packet'):.0f}",
            spread(ratios(found, reference, "cpu_ns_per_packet")),
            f"{median(found, 'load'):.2f}",
        ]
        for name, found in results.items()
    ]
    table(["variant", "packets/s", "ratio to C", "CPU ns/packet", "ratio to C", "load"], rows)


def main() -> None:
    parser = arguments(__doc__, 2.0, VARIANTS)
    parser.add_argument("--payloads", nargs="+", type=int, default=[64, 1400], help="UDP bytes (default 64 1400)")
    parser.add_argument("--segments", nargs="+", type=int, default=[1, 16], help="datagrams a message (default 1 16)")
    given = parser.parse_args()
    need("ip", "taskset", "cc")
    show_header("How near is iteration to C?")
    everything = {}
    with lab() as place:
        tun = place.tun("a", "10.9.0.1/24")
        interval = [str(WARM_UP), str(given.seconds)]
        commands = {"C": [build("read_loop"), tun, *interval]} | {
            f"{variant} {loop}": python(
                "readers.py", tun, f"--variant={variant}", f"--loop={loop}",
                f"--warm-up={WARM_UP}", f"--seconds={given.seconds}",
            )
            for loop in given.loops
            for variant in given.variants
        }  # fmt: skip
        for payload in given.payloads:
            for segments in given.segments:
                flood = [build("flood"), FAR, str(payload), str(given.seconds + WARM_UP + 30), str(segments)]
                runs: dict[str, Run] = {
                    name: functools.partial(measure, place, tun, command, flood) for name, command in commands.items()
                }
                title = f"{payload} bytes of UDP payload, {segments} datagrams a message"
                print(f"\n{title}, {given.pairs} rounds of {given.seconds:g} s")
                everything[title] = alternate(runs, given.pairs)
                show(everything[title])
    save(given.json, {"results": everything})


if __name__ == "__main__":
    main()
