"""Tests of benchmarks/page: tables, verdicts and plots are made from the JSON alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from page import write_page
from page.figures import verdicts

from .sample import results


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What makes the page of some results, without plots."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    def made(results: dict[str, Any]) -> str:
        write_page(results, tmp_path, list(results["answers"]))
        return (tmp_path / "results.md").read_text()

    return made


def test_a_figure_is_told_as_median_and_ratio(page: Any) -> None:
    """A row has the median of a figure, and the median of its ratios to the reference with least and most."""
    assert "| async for | 550 | 1.25 [1.00 to 1.50] | 0.80 [0.70 to 0.90] |" in page(results())


def test_the_reference_is_one(page: Any) -> None:
    """The reference's ratio to itself is told as 1."""
    assert "| C | 450 | 1 | 0.85 [0.80 to 0.90] |" in page(results())


def test_a_goal_that_is_reached_is_met() -> None:
    """The median of the ratios, round by round, is held against the goal."""
    (over_c, _) = verdicts("iterate", results()["answers"]["iterate"])
    assert (over_c.reached.median, over_c.met) == (1.25, True)


def test_a_goal_of_the_figure_itself_is_judged() -> None:
    """A goal against nothing is one of the figure by itself, and missed where it is too large."""
    (_, load) = verdicts("iterate", results()["answers"]["iterate"])
    assert (load.reached.median, load.limit, load.met) == (0.8, 0.5, False)


def test_a_goal_that_was_not_measured_has_no_verdict(page: Any) -> None:
    """A goal of a variant that did not run is not in the table of goals."""
    assert "scapy: k packets/s" not in page(results())


def test_the_page_says_what_was_missing(page: Any) -> None:
    """A variant that could not run is named with its reason."""
    assert "Not measured: scapy: scapy is not installed." in page(results())


def test_the_page_says_how_it_was_measured(page: Any) -> None:
    """A question tells its command, date, duration and load."""
    told = "`python benchmarks/run.py --only iterate`, 2026-11-21 10:00 +0000, 1 min 5 s;\nload 0.10 at the start."
    assert told in page(results())


def test_a_machine_of_its_own_is_told_with_the_question(page: Any) -> None:
    """What is the same for all questions stands once at the top, what is not with its question."""
    two = results()
    other = results()["answers"]["iterate"] | {"asks": "Is there another one?"}
    two["answers"]["other"] = other | {"conditions": other["conditions"] | {"kernel": "Linux 7.0"}}
    text = page(two)
    assert ("| cpu | a processor |" in text, "| kernel |" in text) == (True, False)
    assert "Kernel: Linux 6.18." in text and "Kernel: Linux 7.0." in text


def test_a_case_that_nothing_could_run_is_told(page: Any) -> None:
    """A case of which every variant is missing has no table, and its reasons."""
    text = page(results(rounds={}, missing={"C": "no compiler"}, goals=[]))
    assert "0 rounds.\nNot measured: C: no compiler." in text


def test_a_program_of_its_own_words_is_quoted(page: Any) -> None:
    """What a program that stands alone printed is told as it is."""
    alone = results()
    alone["answers"]["iterate"] |= {"cases": [], "told": "pump   1.02 times"}
    assert "```text\npump   1.02 times\n```" in page(alone)


def test_what_was_found_by_hand_is_kept(page: Any) -> None:
    """Verdicts of programs that stand alone have a table with their date."""
    found = {"date": "2026-11-20", "command": "python benchmarks/soak.py", "found": "it held"}
    assert "| 2026-11-20 | `python benchmarks/soak.py` | it held |" in page(results() | {"by_hand": [found]})


@pytest.fixture(scope="session")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> None:
    """matplotlib, which opens its fonts at the first plot and keeps them."""
    pytest.importorskip("matplotlib", reason="draws the plots")
    write_page(results(), tmp_path_factory.mktemp("first"), ["iterate"])


@pytest.mark.usefixtures("drawing")
def test_the_same_figures_make_the_same_plot(tmp_path: Path) -> None:
    """A plot depends on nothing but the JSON, so that a page that is made again does not change."""
    drawn = []
    for _ in range(2):
        write_page(results(), tmp_path, ["iterate"])
        drawn.append((tmp_path / "plots" / "iterate.svg").read_text())
    assert drawn[0] == drawn[1]


@pytest.mark.usefixtures("drawing")
def test_cases_that_differ_in_a_number_make_lines(tmp_path: Path) -> None:
    """A question whose cases have an x is drawn over it."""
    lines = results(x=10)
    lines["answers"]["iterate"]["x"] = "interfaces"
    write_page(lines, tmp_path, ["iterate"])
    assert ">interfaces<" in (tmp_path / "plots" / "iterate.svg").read_text()
