"""
Does the event loop stay fair while a tun is flooded?

A timer of 1 ms runs in the loop that consumes the flooded tun. Its lateness is how long after its millisecond a tick
comes; the goal is a 99th percentile under 5 ms. The row "idle" is the same program with no flood: what loop and machine
are late by themselves.
"""

from __future__ import annotations

import functools

from iterate import FAR, WARM_UP
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
    save,
    show_header,
    spread,
    table,
)

VARIANTS = ["async_for", "batches", "recv", "naive", "queue"]
PERIOD = 1.0
GOAL = 5.0


def measure(place: Lab, tun: str, reader: list[str], flood: list[str] | None) -> Figures:
    """Run *reader* once, under *flood* if there is one."""
    child = place.measured(reader)
    source = None if flood is None else place.start(flood, SOURCE_CPU, within=tun)
    try:
        return figures(child)
    finally:
        if source is not None:
            place.stop(source)
        place.stop(child)


def show(results: dict[str, list[Figures]]) -> None:
    rows = [
        [
            name,
            f"{median(found, 'packets') / median(found, 'seconds') / 1e3:.0f}k",
            f"{median(found, 'late_p50'):.2f}",
            spread([one["late_p99"] for one in found]),
            f"{max(one['late_max'] for one in found):.1f}",
            "yes" if median(found, "late_p99") < GOAL else "NO",
        ]
        for name, found in results.items()
    ]
    table(["variant", "packets/s", "p50 ms", "p99 ms", "worst ms", f"p99 under {GOAL:g} ms"], rows)


def main() -> None:
    parser = arguments(__doc__, 2.0, VARIANTS)
    parser.add_argument("--payload", type=int, default=64, help="UDP bytes (default 64)")
    parser.add_argument("--segments", type=int, default=16, help="datagrams a message (default 16: no reader keeps up)")
    given = parser.parse_args()
    need("ip", "taskset", "cc")
    show_header("Does the event loop stay fair while a tun is flooded?")
    with lab() as place:
        tun = place.tun("a", "10.9.0.1/24")
        flood = [build("flood"), FAR, str(given.payload), str(given.seconds + WARM_UP + 30), str(given.segments)]
        runs: dict[str, Run] = {}
        for loop in given.loops:
            for variant in ["idle", *given.variants]:
                reader = python(
                    "readers.py", tun, f"--variant={'naive' if variant == 'idle' else variant}", f"--loop={loop}",
                    f"--warm-up={WARM_UP}", f"--seconds={given.seconds}", f"--timer={PERIOD}",
                )  # fmt: skip
                load = None if variant == "idle" else flood
                runs[f"{variant} {loop}"] = functools.partial(measure, place, tun, reader, load)
        print(f"\na {PERIOD:g} ms timer, {given.payload} bytes of payload, {given.pairs} rounds of {given.seconds:g} s")
        results = alternate(runs, given.pairs)
        show(results)
    save(given.json, {"results": results})


if __name__ == "__main__":
    main()
