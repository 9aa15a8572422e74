"""
What does importing aiotun cost, over importing asyncio?

Fresh interpreters, alternating; the figure is the difference of their medians, in milliseconds.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

SCRIPT = "import time; start = time.perf_counter(); import {}; print((time.perf_counter() - start) * 1e3)"


def cost(modules: str) -> float:
    """Return the milliseconds that a fresh interpreter takes to import *modules*."""
    told = subprocess.run([sys.executable, "-c", SCRIPT.format(modules)], check=True, capture_output=True)
    return float(told.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15, help="interpreters of each kind (default 15)")
    pairs = parser.parse_args().pairs
    both = [(cost("asyncio"), cost("asyncio, aiotun")) for _ in range(pairs)]
    without, with_aiotun = (statistics.median(column) for column in zip(*both, strict=True))
    print(f"import asyncio          {without:6.1f} ms")
    print(
        f"import asyncio, aiotun  {with_aiotun:6.1f} ms: {with_aiotun - without:.1f} ms more, median of {pairs} pairs"
    )


if __name__ == "__main__":
    main()
