"""
Does coalescing lose, change or reorder a packet? Random batches for as long as you like.

    python tests/offload/fuzz.py --batches 1000000 --seed 1

Ends with a verdict, and status 0 if the law held, 1 if not; then with the seed of the first batch that broke it.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from offload.trains import check, random_batch  # noqa: E402

EVERY = 5.0
"""Seconds between two lines of progress."""


def tell(batches: int, packets: int, saved: int, seconds: float) -> None:
    print(f"{batches} batches, {packets} packets, {saved} merged away, {seconds:.0f} s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=1_000_000, help="how many (default 1000000)")
    parser.add_argument("--seed", type=int, default=1, help="the first batch's seed; the others count up (default 1)")
    given = parser.parse_args()
    packets = saved = 0
    start = told = time.monotonic()
    for seed in range(given.seed, given.seed + given.batches):
        rng = random.Random(seed)
        ethernet = rng.random() < 0.5
        batch = random_batch(rng, ethernet)
        try:
            saved += check(batch, ethernet)
        except Exception:
            traceback.print_exc()
            print(f"broken by the batch of seed {seed}: --seed {seed} --batches 1 shows it again")
            return 1
        packets += len(batch)
        if time.monotonic() - told > EVERY:
            told = time.monotonic()
            tell(seed - given.seed + 1, packets, saved, told - start)
    tell(given.batches, packets, saved, time.monotonic() - start)
    print("the law held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
