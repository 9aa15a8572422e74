"""A plot of each question: bars of the first figure of its variants, or lines where its cases differ in a number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from page.figures import Case, Spread, absolute

REFERENCE, OURS, THEIRS = "#444444", "#2a6f97", "#c9a26b"
LINES = ("#444444", "#2a6f97", "#c98a1b", "#b3372f")
BAR = 0.3
"""Inches of a bar."""


def draw(answers: dict[str, Any], directory: Path) -> dict[str, Path]:
    """Draw every question, and return the files by its name; none without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return {}
    matplotlib.use("svg")
    # Text stays text and identifiers repeat: the file is small, and the same from the same figures.
    matplotlib.rcParams.update(
        {"svg.hashsalt": "aiotun", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}
    )
    directory.mkdir(exist_ok=True)
    files = {}
    for name, answer in answers.items():
        cases = [case for case in answer["cases"] if len(case["rounds"]) > 1]
        if cases:
            files[name] = directory / f"{name}.svg"
            (_lines if answer["x"] else _bars)(answer, cases, files[name])
    return files


def _bars(answer: dict[str, Any], cases: list[Case], file: Path) -> None:
    from matplotlib import pyplot

    heights = [len(case["rounds"]) for case in cases]
    figure, all_axes = pyplot.subplots(
        len(cases),
        1,
        figsize=(8, sum(heights) * BAR + len(cases) * 0.8),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for case, axes in zip(cases, all_axes[:, 0], strict=True):
        column, names = case["columns"][0], list(case["rounds"])
        spreads = [absolute(case, name, column) for name in names]
        colors = [
            REFERENCE if name == case["reference"] else THEIRS if name in case["by_hand"] else OURS for name in names
        ]
        axes.barh(names, [spread.median for spread in spreads], color=colors, height=0.7, xerr=_errors(spreads))
        axes.invert_yaxis()
        axes.set_title(case["title"], loc="left", fontsize=10)
        axes.set_xlabel(column["title"])
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="0.88", linewidth=0.8)
        axes.set_axisbelow(True)
    _save(figure, file)


def _lines(answer: dict[str, Any], cases: list[Case], file: Path) -> None:
    from matplotlib import pyplot

    column = cases[0]["columns"][0]
    figure, axes = pyplot.subplots(figsize=(8, 3.6), layout="constrained")
    for name, color in zip(cases[0]["rounds"], LINES, strict=False):
        there = [case for case in cases if name in case["rounds"]]
        spreads = [absolute(case, name, column) for case in there]
        axes.errorbar(
            [case["x"] for case in there],
            [spread.median for spread in spreads],
            yerr=_errors(spreads),
            color=color,
            marker="o",
            capsize=3,
            label=name,
        )
    axes.set_xscale("log")
    axes.set_xticks([case["x"] for case in cases], [f"{case['x']:,.0f}" for case in cases])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel(answer["x"])
    axes.set_ylabel(column["title"])
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.88", linewidth=0.8)
    axes.legend(frameon=False)
    _save(figure, file)


def _errors(spreads: list[Spread]) -> list[list[float]]:
    return [[one.median - one.least for one in spreads], [one.most - one.median for one in spreads]]


def _save(figure: Any, file: Path) -> None:
    from matplotlib import pyplot

    figure.savefig(file, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
