"""
Asks every question of the benchmarks, and writes what it found: results.json, and results.md with its plots.

    sudo python benchmarks/run.py
    sudo python benchmarks/run.py --only forward latency --rounds 9
    python benchmarks/run.py --page

Everything runs in network namespaces of its own, which end with it. The page is made from the JSON alone; a question
that is not asked keeps the answer it had, with its date.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "tests")]

from isolation import isolate  # noqa: E402
from page import write_page  # noqa: E402
from questions import QUESTIONS  # noqa: E402
from rig.answering import ask  # noqa: E402
from rig.question import QUICK, Effort  # noqa: E402
from rig.rounds import Progress  # noqa: E402

NEEDS = ("cc", "ip", "nsenter", "setpriv", "taskset")
"""What no question can be asked without."""


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    names = [question.name for question in QUESTIONS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"ask only these: {', '.join(names)}")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, each with every variant (default 5)")
    parser.add_argument("--seconds", type=float, default=1.5, help="seconds that a run counts (default 1.5)")
    parser.add_argument("--quick", action="store_true", help="see that everything runs: one short round, no figures")
    parser.add_argument("--page", action="store_true", help="ask nothing, write the page again")
    parser.add_argument("--output", type=Path, metavar="DIRECTORY", help="write there (default: beside this program)")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    options = arguments(given)
    output = options.output or (HERE / "build" / "quick" if options.quick else HERE)
    output.mkdir(parents=True, exist_ok=True)
    file = output / "results.json"
    results: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"answers": {}, "by_hand": []}
    if not options.page:
        if refusal := _refusal():
            print(f"the benchmarks cannot run: {refusal}", file=sys.stderr)
            return 1
        effort = QUICK if options.quick else Effort(options.rounds, options.seconds)
        asked = [question for question in QUESTIONS if not options.only or question.name in options.only]
        progress = Progress(asked, effort)
        for question in asked:
            results["answers"][question.name] = ask(question, effort, progress)
            file.write_text(json.dumps(results, indent=1) + "\n")
    write_page(results, output, [question.name for question in QUESTIONS])
    print(output / "results.md")
    return 0


def _refusal() -> str | None:
    """Enter a network of its own, or return why nothing can be measured here."""
    for program in NEEDS:
        if shutil.which(program) is None:
            return f"they need the program {program}"
    return isolate()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
