"""
What do two queues bring?

One multi-queue tun, flooded by 64 flows. Read through one queue by one process, and through two queues: in one loop, in
two threads, and by two processes. The first process runs on CPU 0; the second one shares CPU 1 with the source, so on
two CPUs it has what the source leaves: little beside a flood, most beside a source with a pace. Before that, the order
of each flow is looked at.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from rig import (
    MEASURED_CPU,
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

FAR = "10.9.0.2"
FLOWS = 64
SEGMENTS = 16
WARM_UP = 0.5

WORK = {
    "count": ("nothing done with a packet", 0),
    "hash": ("a hash of each packet", 0),
    "toil": ("8 hashes of each packet", 200_000),
}
"""What is done with packets, in words, and the source's packets a second; 0 is a flood, which takes CPU 1 whole."""

# What each variant starts: the arguments of each reader, and its CPU.
VARIANTS: dict[str, list[tuple[list[str], int]]] = {
    "one queue": [([], MEASURED_CPU)],
    "two queues, one loop": [(["--queues=2"], MEASURED_CPU)],
    "two queues, two threads": [(["--queues=2", "--threads"], MEASURED_CPU)],
    "two processes": [([], MEASURED_CPU), ([], SOURCE_CPU)],
}


def measure(place: Lab, tun: str, readers: Sequence[tuple[list[str], int]], source: list[str]) -> Figures:
    """Run the readers at once under the flood, and return what they took together, by the second."""
    children = [place.measured(python("queue_readers.py", tun, *options), cpu) for options, cpu in readers]
    flood = place.start(source, SOURCE_CPU, within=tun)
    try:
        found = [figures(child) for child in children]
    finally:
        place.stop(flood)
        for child in children:
            place.stop(child)
    return {
        "packets_per_second": sum(one["packets"] / one["seconds"] for one in found),
        "cpu_ns_per_packet": 1e9
        * sum(one["user"] + one["sys"] for one in found)
        / sum(one["packets"] for one in found),
        "least_share": min(one["packets"] for one in found) / sum(one["packets"] for one in found),
    }


def look_at_order(place: Lab, tun: str, source: list[str], seconds: float) -> list[Figures]:
    """Run two processes that look at the order of each flow in the queue they have."""
    reader = python("queue_readers.py", tun, "--order", f"--seconds={seconds}")
    children = [place.measured(reader, cpu) for cpu in (MEASURED_CPU, SOURCE_CPU)]
    flood = place.start(source, SOURCE_CPU, within=tun)
    try:
        return [figures(child) for child in children]
    finally:
        place.stop(flood)
        for child in children:
            place.stop(child)


def show(results: dict[str, list[Figures]]) -> None:
    reference = results["one queue"]
    rows = [
        [
            name,
            f"{median(found, 'packets_per_second') / 1e3:.0f}k",
            spread(ratios(found, reference, "packets_per_second")),
            f"{median(found, 'cpu_ns_per_packet'):.0f}",
            f"{100 * median(found, 'least_share'):.0f} %",
        ]
        for name, found in results.items()
    ]
    table(["variant", "packets/s", "ratio to one queue", "CPU ns/packet", "smaller share"], rows)


def main() -> None:
    parser = arguments(__doc__, 1.5, list(VARIANTS))
    parser.add_argument("--payload", type=int, default=1400, help="UDP bytes (default 1400)")
    given = parser.parse_args()
    need("ip", "taskset", "cc")
    show_header("What do two queues bring?")
    everything: dict[str, object] = {}
    with lab() as place:
        tun = place.tun("a", "10.9.0.1/24", multi_queue=True)
        source = [build("flows"), FAR, str(given.payload), "60", str(SEGMENTS), str(FLOWS)]
        seen = look_at_order(place, tun, [*source, "0"], given.seconds)
        everything["order"] = seen
        print(f"\norder of {FLOWS} flows in two processes, {given.seconds:g} s:")
        titles = ["packets", "flows", "late"]
        table(
            ["process", *titles], [[str(at), *(f"{one[what]:.0f}" for what in titles)] for at, one in enumerate(seen)]
        )
        for work, (words, rate) in WORK.items():
            runs: dict[str, Run] = {
                name: functools.partial(
                    measure,
                    place,
                    tun,
                    [
                        ([*options, f"--work={work}", f"--warm-up={WARM_UP}", f"--seconds={given.seconds}"], cpu)
                        for options, cpu in VARIANTS[name]
                    ],
                    [*source, str(rate)],
                )
                for name in VARIANTS
                if name in given.variants or name == "one queue"
            }
            pace = f"{rate / 1e3:.0f}k packets/s" if rate else "a flood"
            print(f"\n{words}, {pace} of {given.payload} bytes, {given.pairs} rounds of {given.seconds:g} s")
            found = alternate(runs, given.pairs)
            everything[work] = found
            show(found)
    save(given.json, {"results": everything})


if __name__ == "__main__":
    main()
