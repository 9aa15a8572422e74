"""
Writes docs/faults.md: what the tests of each row of the fault catalogue claim.

::

    python tests/faults/page.py > docs/faults.md
"""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests")]

from faults.rows import ROWS  # noqa: E402

__all__ = ["page"]

HEAD = """\
# What becomes of a fault

A device can fail its user in many ways. These are the rows of our catalogue, each with what its tests claim: a test's
docstring is its claim. The table is [tests/faults/rows.py](../tests/faults/rows.py), this page is made of it by
[tests/faults/page.py](../tests/faults/page.py), and a test holds the two together.
"""

LETTERS = {
    "A": "Reading and writing a device",
    "B": "The life of an interface",
    "E": "Cancelling, closing, and event loops",
    "G": "The transport of a VPN",
    "I": "Privileges",
    "J": "Running out of something",
}


SOURCES = re.compile(r" \((?:(?:[A-J]\d+|facts? \d+)(?:, | and )?)+\)")
"""Rows and facts of the catalogue that a claim names."""


def page() -> str:
    """Return the page."""
    lines = [HEAD]
    for letter, title in LETTERS.items():
        lines += [f"## {letter}: {title}", "", "| row | what is shown |", "|---|---|"]
        lines += [f"| {row} | {_shown(tests)} |" for row, tests in ROWS.items() if row[0] == letter]
        lines.append("")
    return "\n".join(lines)


def _shown(tests: list[str] | str) -> str:
    if isinstance(tests, str):
        return f"No test: {tests}"
    return " ".join(dict.fromkeys(_claims(file)[name] for file, name in (test.split("::") for test in tests)))


@cache
def _claims(file: str) -> dict[str, str]:
    """Return the first lines of the docstrings of a file's functions."""
    tree = ast.parse((ROOT / file).read_text())
    return {
        node.name: SOURCES.sub("", (ast.get_docstring(node) or "").split("\n")[0]).replace("|", "\\|")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


if __name__ == "__main__":
    sys.stdout.write(page())
