"""The page itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from page.figures import Case, absolute, number, ratio, verdicts
from page.plots import draw

CHANGING = ("date", "load")
"""Conditions that belong to a question, where the others belong to the run."""


def write_page(results: dict[str, Any], output: Path, order: Sequence[str]) -> None:
    """Write ``results.md`` into *output*, and its plots, where matplotlib is there."""
    answers = {name: results["answers"][name] for name in order if name in results["answers"]}
    plots = draw(answers, output / "plots")
    (output / "results.md").write_text("\n".join(_page(answers, results["by_hand"], plots)) + "\n")


def _page(answers: dict[str, Any], by_hand: Sequence[dict[str, str]], plots: dict[str, Path]) -> Iterator[str]:
    yield "# Results"
    yield ""
    yield "Made by `python benchmarks/run.py` from `results.json`; what the columns mean is said in"
    yield "[README](README.md#what-a-number-means)."
    common = _common([answer["conditions"] for answer in answers.values()])
    took = _minutes(sum(answer["seconds"] for answer in answers.values()))
    yield ""
    yield from _table(("", ""), [*common.items(), ("took", f"{took} in all")])
    yield ""
    yield "## What was aimed at"
    yield ""
    yield "Medians of ratios taken round by round, with the least and the most."
    yield ""
    yield from _table(
        ("question", "case", "goal", "reached", "verdict"),
        (
            (f"[{one.question}](#{_anchor(answers[one.question]['asks'])})", one.case, one.goal, one.reached.text(2))
            + ("met" if one.met else "**missed**",)
            for name, answer in answers.items()
            for one in verdicts(name, answer)
        ),
    )
    for name, answer in answers.items():
        yield ""
        yield from _answer(answer, common, plots.get(name))
    if by_hand:
        yield ""
        yield "## By hand"
        yield ""
        yield from _table(
            ("date", "command", "found"), ((one["date"], f"`{one['command']}`", one["found"]) for one in by_hand)
        )


def _answer(answer: dict[str, Any], common: dict[str, str], plot: Path | None) -> Iterator[str]:
    conditions = answer["conditions"]
    yield f"## {answer['asks']}"
    yield ""
    yield answer["says"]
    yield ""
    yield f"`{answer['command']}`, {conditions['date']}, {_minutes(answer['seconds'])};"
    yield f"load {conditions['load']} at the start."
    for key in conditions:
        if key not in common and key not in CHANGING:
            yield f"{key.capitalize()}: {conditions[key]}."
    if plot is not None:
        yield ""
        yield f"![{answer['asks']}]({plot.parent.name}/{plot.name})"
    for case in answer["cases"]:
        yield ""
        yield from _case(case)
    if "told" in answer:
        yield ""
        yield "```text"
        yield answer["told"]
        yield "```"


def _case(case: Case) -> Iterator[str]:
    rounds = max((len(found) for found in case["rounds"].values()), default=0)
    yield f"### {case['title'][0].upper()}{case['title'][1:]}"
    yield ""
    if case["rounds"]:
        titles, rows = ["variant"], [[name] for name in case["rounds"]]
        for column in case["columns"]:
            titles.append(column["title"])
            told_alone = not (column["ratio"] and case["reference"])
            for row in rows:
                figure = absolute(case, row[0], column)
                row.append(figure.text(column["digits"]) if told_alone else number(figure.median, column["digits"]))
            if not told_alone:
                titles.append(f"over {case['reference']}")
                for row in rows:
                    over = ratio(case, row[0], column["key"], case["reference"])
                    row.append("" if over is None else "1" if row[0] == case["reference"] else over.text(2))
        yield from _table(titles, rows)
        yield ""
    yield f"{rounds} round{'s' if rounds != 1 else ''}."
    for name, reason in case["missing"].items():
        yield f"Not measured: {name}: {reason}."


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield f"|{'---|' * len(titles)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _common(conditions: Sequence[dict[str, str]]) -> dict[str, str]:
    """Return what is the same for all of them."""
    first = conditions[0] if conditions else {}
    return {
        key: value
        for key, value in first.items()
        if key not in CHANGING and all(other.get(key) == value for other in conditions)
    }


def _anchor(heading: str) -> str:
    """Return what GitHub calls a heading in a link."""
    return "".join(letter for letter in heading.lower().replace(" ", "-") if letter.isalnum() or letter == "-")


def _minutes(seconds: int) -> str:
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"
