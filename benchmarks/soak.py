"""
Do the in-process drivers do what they say, step after step, for as long as you like?

Drives the machine of tests/machine, the drivers beside a naive model of them, in episodes: each a new host, a few
hundred random steps, and a look for leaks at its end. Everything is compared after every step. A share of the steps is
chosen by Hypothesis, the others by a seeded generator, which takes no time of its own. One process, one core.

Ends with a verdict, and status 0 if it held, 1 if not; then with the steps, as few as are needed, that show the fault.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from hypothesis import HealthCheck, Phase, seed, settings  # noqa: E402
from hypothesis.stateful import run_state_machine_as_test  # noqa: E402
from machine.drivers import Failure, HypothesisMachine, episode, replay, shrink  # noqa: E402
from machine.machine import Machine  # noqa: E402

EPISODE = 400
"""Steps of one host."""
EVERY = 5.0
"""Seconds between two lines of progress."""


class Progress:
    """How far it is, and how fast."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.done: Counter[str] = Counter()
        self.by_hypothesis = 0
        self.started = self.told = time.monotonic()

    @property
    def count(self) -> int:
        return self.done.total()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def add(self, hits: Counter[str], *, hypothesis: bool) -> None:
        self.done.update(hits)
        self.by_hypothesis += hits.total() if hypothesis else 0
        if time.monotonic() - self.told > EVERY:
            self.told = time.monotonic()
            rate = self.count / self.seconds
            left = max(self.steps - self.count, 0) / rate
            print(
                f"{self.count:>10,} of {self.steps:,} steps  {rate:6.0f}/s  {_clock(left)} left"
                f"  ({Machine.made:,} hosts, {self.by_hypothesis:,} steps by hypothesis)",
                flush=True,
            )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100_000, help="how many steps, at least (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="repeat a run; by default a new one, printed")
    parser.add_argument("--share", type=float, default=0.1, help="of the steps by hypothesis (default: %(default)s)")
    return parser.parse_args()


def by_hypothesis(number: int) -> Counter[str]:
    """Let Hypothesis choose about ten episodes."""
    before = HypothesisMachine.hits.copy()
    chosen = settings(
        max_examples=50,
        stateful_step_count=50,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(number)(HypothesisMachine), settings=chosen)
    return HypothesisMachine.hits - before


def run(options: argparse.Namespace, progress: Progress) -> bool:
    """Take the steps; return whether everything held."""
    seeds = random.Random(options.seed)
    while progress.count < options.steps:
        number = seeds.getrandbits(32)
        try:
            if progress.by_hypothesis < options.share * progress.count:
                progress.add(by_hypothesis(number), hypothesis=True)
            else:
                left = options.steps - progress.count
                progress.add(episode(number, min(EPISODE, left)), hypothesis=False)
        except Failure as failure:
            report(number, failure)
            return False
        except Exception:  # Hypothesis has printed the steps
            traceback.print_exc()
            return False
    return True


def report(number: int, failure: Failure) -> None:
    print(f"episode {number}: {failure}\nafter {len(failure.taken)} steps; as few as show it:", flush=True)
    few = shrink(failure.taken)
    for step in few:
        print(f"    {step!r},")
    try:
        replay(few)
    except Failure as again:
        traceback.print_exception(again.__cause__)


def main() -> int:
    options = arguments()
    if options.seed is None:
        options.seed = random.SystemRandom().getrandbits(32)
    print(f"soak: {options.steps:,} steps, seed {options.seed}", flush=True)
    progress = Progress(options.steps)
    held = run(options, progress)
    for name, count in sorted(progress.done.items()):
        print(f"    {name:<20} {count:>10,}")
    print(
        f"{'HELD' if held else 'BROKEN'}: {progress.count:,} steps ({progress.by_hypothesis:,} by hypothesis) on "
        f"{Machine.made:,} hosts in {_clock(progress.seconds)}, seed {options.seed}"
    )
    return 0 if held else 1


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


if __name__ == "__main__":
    sys.exit(main())
