"""The summary: totals, and a verdict that is exact."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from aiotun.cli.progress import Progress
from aiotun.cli.summary import percentile, print_summary, problems, summary_json

from .samples import progress


def printed(shown: Progress) -> str:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    print_summary(console, "two in-process hosts", shown)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_nothing_wrong() -> None:
    """Drops with a reason are no problem."""
    assert problems(progress(dropped={"receive_buffer_full": 5})) == []


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        (3, "east to west, UDP to UDP: 3 packets lost without a reason"),
        (-2, "east to west, UDP to UDP: 2 packets from nowhere"),
    ],
)
def test_a_packet_too_few_or_too_many_is_a_problem(missing: int, sentence: str) -> None:
    """Either is named, with direction and hop."""
    assert problems(progress(missing=missing)) == [sentence]


def test_packets_still_queued_are_a_problem() -> None:
    """At the end nothing may wait for anybody."""
    assert problems(progress(waiting=4)) == ["east to west: 4 packets were still queued at the end"]


def test_damaged_content_is_a_problem() -> None:
    """So is a transfer that is not what was sent."""
    assert problems(progress(intact=False)) == ["the bulk transfer did not arrive as it was sent"]


@pytest.mark.parametrize(("percent", "value"), [(50, 50.5), (99, 99.01)])
def test_percentile(percent: int, value: float) -> None:
    """Percentiles of 1 to 100."""
    assert percentile([float(n) for n in range(1, 101)], percent) == pytest.approx(value)


@pytest.mark.parametrize(("values", "result"), [([], None), ([3.0], 3.0)])
def test_percentile_of_few(values: list[float], result: float | None) -> None:
    """None has none, and one is its own."""
    assert percentile(values, 99) == result


def test_the_summary_fits_80_columns() -> None:
    """Also with reasons in it, which wrap."""
    shown = printed(progress(dropped={"receive_buffer_full": 12_345, "auth_failed": 3}))
    assert max(map(len, shown.splitlines())) <= 80


def test_the_summary_tells_all() -> None:
    """Packets, rates, goodput, round trips, and that all is accounted for."""
    shown = printed(progress())
    for part in (
        "1,000,000 packets, 1,420.0 MB: 100,000 packets/s, 1.136 Gbit/s",
        "goodput 1.000 Gbit/s, intact, 7 packets sent again",
        "100 of 101 answered, RTT p50 50.50 ms, p99 99.01 ms",
        "Every packet is accounted for.",
    ):
        assert part in shown


def test_the_summary_tells_what_is_wrong() -> None:
    """A missing packet is said, and that all is well is not."""
    shown = printed(progress(missing=3))
    assert "UDP to UDP: 3 packets lost without a reason" in shown
    assert "accounted for" not in shown


def test_json_tells_the_same() -> None:
    """The numbers under names with their units."""
    told = json.loads(summary_json(progress(dropped={"replayed": 2}, missing=1)))
    assert told["unaccounted"] == 1
    assert told["rtt_seconds"] == {"p50": pytest.approx(0.0505), "p99": pytest.approx(0.09901)}
    east = told["directions"][0]
    assert (east["sent"], east["received"], east["dropped"]) == (1_000_000, 999_997, {"replayed": 2})
    assert east["bits_per_second"] == pytest.approx(1.136e9)
