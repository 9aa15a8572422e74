"""The table of faults names every row, and tests that are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from .page import page
from .rows import LETTERS, ROWS

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"test_([A-Z]\d+)_")


@cache
def functions(file: str) -> frozenset[str]:
    """Return the names of the functions of a file, in classes too."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return frozenset(node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, kinds))


def test_every_row_is_there_in_order() -> None:
    """The table has each row of each letter, once, in order."""
    assert list(ROWS) == [f"{letter}{number}" for letter, last in LETTERS.items() for number in range(1, last + 1)]


@pytest.mark.parametrize("row", ROWS)
def test_a_row_has_tests_that_exist_or_a_reason(row: str) -> None:
    """Every test that a row names is a function of its file; without a test there are words."""
    tests = ROWS[row]
    if isinstance(tests, str):
        assert len(tests.split()) > 3
        return
    assert tests
    for test in tests:
        file, _, name = test.partition("::")
        assert name in functions(file), f"{file} has no {name}"


def test_every_test_of_this_room_is_in_its_row() -> None:
    """A test here that is called after a row stands in that row of the table."""
    for file in sorted(Path(__file__).parent.glob("test_[a-z]_*.py")):
        for name in functions(str(file.relative_to(ROOT))):
            found = ROW.match(name)
            if found:
                assert f"{file.relative_to(ROOT)}::{name}" in ROWS[found[1]]


def test_the_page_is_what_the_table_says() -> None:
    """docs/faults.md is what tests/faults/page.py makes of the table."""
    assert (ROOT / "docs/faults.md").read_text() == page()
