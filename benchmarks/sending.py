"""
How near is sending to C?

One program writes packets into a tun as fast as it can: a C write loop, and each way of sending in Python, in turn.
The packets are UDP datagrams for the tun's own address, where the stack finds nobody to give them to.
"""

from __future__ import annotations

import functools

from iterate import show
from rig import Figures, Lab, Run, alternate, arguments, build, figures, lab, need, python, save, show_header

VARIANTS = ["send_many", "send", "naive"]
WARM_UP = 0.5


def measure(place: Lab, sender: list[str]) -> Figures:
    """Run *sender* once."""
    child = place.measured(sender)
    try:
        found = figures(child)
    finally:
        place.stop(child)
    found["packets_per_second"] = found["packets"] / found["seconds"]
    found["cpu_ns_per_packet"] = (found["user"] + found["sys"]) / found["packets"] * 1e9
    found["load"] = (found["user"] + found["sys"]) / found["seconds"]
    return found


def main() -> None:
    parser = arguments(__doc__, 2.0, VARIANTS)
    parser.add_argument("--payloads", nargs="+", type=int, default=[64, 1400], help="UDP bytes (default 64 1400)")
    given = parser.parse_args()
    need("ip", "taskset", "cc")
    show_header("How near is sending to C?")
    everything = {}
    with lab() as place:
        tun = place.tun("a", "10.9.0.1/24")
        for payload in given.payloads:
            commands = {"C": [build("write_loop"), tun, str(payload), str(WARM_UP), str(given.seconds)]} | {
                f"{variant} {loop}": python(
                    "senders.py", tun, f"--variant={variant}", f"--loop={loop}", f"--payload={payload}",
                    f"--warm-up={WARM_UP}", f"--seconds={given.seconds}",
                )
                for loop in given.loops
                for variant in given.variants
            }  # fmt: skip
            runs: dict[str, Run] = {
                name: functools.partial(measure, place, command) for name, command in commands.items()
            }
            title = f"{payload} bytes of UDP payload"
            print(f"\n{title}, {given.pairs} rounds of {given.seconds:g} s")
            everything[title] = alternate(runs, given.pairs)
            show(everything[title])
    save(given.json, {"results": everything})


if __name__ == "__main__":
    main()
