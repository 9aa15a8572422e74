"""
Is anything lost, changed or reordered, and do Python and C agree? Random packets for as long as you like.

    python tests/offload/fuzz.py batches --count 1000000     mixed packets: coalesced, segmented, compared
    python tests/offload/fuzz.py trains --count 1000000      whole trains: one super-packet each, cut into the same
    python tests/offload/fuzz.py twins --count 10000000      both forms of every function, on the same arguments

Ends with a verdict, and status 0 if the law held, 1 if not; then with the seed that broke it.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from aiotun import speedups  # noqa: E402
from offload.differences import difference, random_call  # noqa: E402
from offload.quick_trains import check_train, random_train  # noqa: E402
from offload.trains import check, random_batch  # noqa: E402

EVERY = 5.0
"""Seconds between two lines of progress."""


def batches(rng: random.Random) -> None:
    ethernet = rng.random() < 0.5
    check(random_batch(rng, ethernet), ethernet)


def trains(rng: random.Random) -> None:
    check_train(*random_train(rng))


def twins(rng: random.Random) -> None:
    call = random_call(rng)
    found = difference(call)
    if found is not None:
        raise AssertionError(f"{call}:\nPython: {found[0]}\nC:      {found[1]}")


LAWS: dict[str, Callable[[random.Random], None]] = {"batches": batches, "trains": trains, "twins": twins}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("law", choices=LAWS, nargs="?", default="batches", help="which (default batches)")
    parser.add_argument("--count", type=int, default=1_000_000, help="how many (default 1000000)")
    parser.add_argument("--seed", type=int, default=1, help="the first one's seed; the others count up (default 1)")
    given = parser.parse_args()
    if given.law == "twins" and not speedups.active:
        parser.error(f"there is nothing to compare: {speedups.reason}")
    rng = random.Random()
    start = told = time.monotonic()
    for seed in range(given.seed, given.seed + given.count):
        rng.seed(seed)
        try:
            LAWS[given.law](rng)
        except Exception:
            traceback.print_exc()
            print(f"broken: {given.law} --seed {seed} --count 1 shows it again")
            return 1
        if time.monotonic() - told > EVERY:
            told = time.monotonic()
            print(f"{seed - given.seed + 1} {given.law}, {told - start:.0f} s", flush=True)
    print(f"{given.count} {given.law}, {time.monotonic() - start:.0f} s: the law held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
