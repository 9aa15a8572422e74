"""The fenced blocks of our Markdown pages, and what their info strings say about them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


class Snippet(NamedTuple):
    """
    A block of Python in a page.

    Its info string may say ``runnable``: it runs as it stands, without privilege; or ``kernel``: it runs
    where a network namespace called ``play`` is, with the right to open devices there. ``needs:NAME`` names
    a module beyond what aiotun installs. A block of ``text output`` right after it is what it prints.
    """

    page: Path
    line: int
    words: frozenset[str]
    text: str
    output: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def needs(self) -> list[str]:
        return [word.removeprefix("needs:") for word in self.words if word.startswith("needs:")]


def snippets() -> Iterator[Snippet]:
    """Return every block of Python in every page."""
    for page in PAGES:
        text = page.read_text()
        fences = list(FENCE.finditer(text))
        for fence, following in zip_longest(fences, fences[1:]):
            language, *words = fence["info"].split() or [""]
            if language == "python":
                shown = following is not None and following["info"] == "text output" and adjacent(fence, following)
                output = following["text"] if following is not None and shown else None
                line = text.count("\n", 0, fence.start()) + 1
                yield Snippet(page, line, frozenset(words), fence["text"], output)


def adjacent(fence: re.Match[str], following: re.Match[str]) -> bool:
    """Return whether nothing but white space stands between two blocks."""
    return not fence.string[fence.end() : following.start()].strip()
