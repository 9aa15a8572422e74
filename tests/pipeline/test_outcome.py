"""What a stage says beside the packets that go on."""

from __future__ import annotations

from collections import Counter

import pytest

from aiotun.pipeline import Batch, Outcome, Path, StageStatistics


def sort_out(batch: Batch) -> Batch:
    """Doubles "2", drops "odd" and "short" ones, each under its reason."""
    outcome = Outcome()
    for packet in batch:
        if packet == b"odd" or not packet:
            outcome.dropped["odd" if packet else "short"] += 1
            continue
        outcome.append(packet)
        if packet == b"2":
            outcome.append(packet)
            outcome.created += 1
    return outcome


def test_it_is_a_list_of_packets() -> None:
    """Without a path an outcome is its packets, with nothing created and nothing dropped until told."""
    assert Outcome() == []
    assert (Outcome().created, Outcome().dropped) == (0, Counter())


def test_every_reason_is_counted() -> None:
    """One batch may be dropped from under several reasons."""
    path = Path("p", [("sort", sort_out)])
    assert path([b"1", b"odd", b"", b"odd"]) == [b"1"]
    counted = StageStatistics(name="sort", entered=4, created=0, left=1, dropped={"odd": 2, "short": 1})
    assert path.statistics().stages == (counted,)


def test_what_is_created_does_not_hide_what_is_dropped() -> None:
    """A batch that is as long behind the stage as before it may have been dropped from, and added to."""
    path = Path("p", [("sort", sort_out)])
    assert path([b"2", b"odd"]) == [b"2", b"2"]
    assert path.statistics().stages == (StageStatistics(name="sort", entered=2, created=1, left=2, dropped={"odd": 1}),)


def test_the_sums_of_the_path() -> None:
    """The path's own counters have what an outcome says."""
    path = Path("p", [("sort", sort_out)])
    path([b"2", b"odd"])
    counted = path.statistics()
    assert (counted.entered, counted.created, counted.left, counted.dropped) == (2, 1, 2, {"odd": 1})


def test_the_owner_is_told_of_every_reason() -> None:
    """The path's drop callback gets each reason with its number."""
    told: list[tuple[str, int]] = []
    Path("p", [("sort", sort_out)], drop=lambda reason, count: told.append((reason, count)))([b"", b"odd", b"odd"])
    assert sorted(told) == [("odd", 2), ("short", 1)]


def test_it_is_counted_once() -> None:
    """A later stage that returns its batch as it is does not count the outcome again."""
    path = Path("p", [("sort", sort_out), ("keep", lambda batch: batch)])
    path([b"2", b"odd"])
    assert path.statistics().stages[1] == StageStatistics(name="keep", entered=2, created=0, left=2, dropped={})


@pytest.mark.parametrize("packets", [[b"odd"], [b"", b"odd"]])
def test_nothing_left(packets: list[bytes]) -> None:
    """Where nothing is left the path ends."""
    path = Path("p", [("sort", sort_out), ("behind", sort_out)])
    assert path(packets) == []
    assert path.statistics().stages[1].entered == 0
