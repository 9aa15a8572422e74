"""Paths: order, changing them, and the counters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.errors import DeviceDown
from aiotun.pipeline import Batch, Path, PathStatistics, StageStatistics, stage


def add(letter: bytes) -> object:
    def stage(batch: Batch) -> Batch:
        return [packet + letter for packet in batch]

    return stage


def path_of(letters: str) -> Path:
    return Path("p", [(letter, add(letter.encode())) for letter in letters])  # type: ignore[misc]


def drop_all(batch: Batch) -> Batch:
    return []


def drop_last(batch: Batch) -> Batch:
    return batch[:-1]


def double(batch: Batch) -> Batch:
    return [*batch, *batch]


def fail(batch: Batch) -> Batch:
    raise DeviceDown("down")


def break_down(batch: Batch) -> Batch:
    raise RuntimeError("a fault")


class TestRunning:
    def test_a_batch_passes_the_stages_in_order(self) -> None:
        """Each stage gets what the one before it returned."""
        assert path_of("abc")([b"1", b"2"]) == [b"1abc", b"2abc"]

    def test_an_empty_path_passes_the_batch(self) -> None:
        """Without stages a batch goes through as it is."""
        assert Path("p")([b"1"]) == [b"1"]

    def test_a_stage_may_change_its_batch(self) -> None:
        """What a stage does to its batch in place is counted, and leaves the caller's alone."""

        def shrink(batch: Batch) -> Batch:
            assert isinstance(batch, list)
            batch.pop()
            return batch

        path, batch = Path("p", [("shrink", shrink)]), [b"1", b"2"]
        assert path(batch) == [b"1"]
        assert batch == [b"1", b"2"]
        assert path.statistics().dropped == {"shrink": 1}

    def test_no_stage_sees_an_empty_batch(self) -> None:
        """Where nothing is left the path ends."""
        path = Path("p", [("all", drop_all), ("fails", fail)])
        assert path([b"1"]) == []
        assert path([]) == []

    def test_a_path_is_a_stage(self) -> None:
        """A path may stand in a path."""
        assert Path("outer", [("inner", path_of("ab")), ("c", add(b"c"))])([b"1"]) == [b"1abc"]  # type: ignore[list-item]

    def test_an_error_goes_to_the_caller(self) -> None:
        """What a stage raises is raised."""
        with pytest.raises(RuntimeError, match="a fault"):
            Path("p", [("x", break_down)])([b"1"])

    @pytest.mark.parametrize("result", [None, b"12", 5, {b"1"}, "text"])
    def test_a_stage_that_returns_no_batch_is_named(self, result: object) -> None:
        """What is no list of packets is an error that says which stage returned it; the batch is dropped."""
        path = path_of("a")
        path.append(lambda batch: result, name="odd")  # type: ignore[arg-type, return-value]
        with pytest.raises(TypeError, match=f"^p: stage 'odd' returned {result!r}, not a list of packets$"):
            path([b"1"])
        assert path.statistics().dropped == {"odd": 1}

    def test_an_async_stage_is_named(self) -> None:
        """A stage that is a coroutine function is no stage."""

        async def late(batch: Batch) -> Batch:
            return batch

        with pytest.raises(TypeError, match="^p: stage 'late' returned <coroutine"):
            Path("p", [("late", late)])([b"1"])  # type: ignore[list-item]

    def test_a_packet_is_no_batch(self) -> None:
        """Giving a path one packet is an error that says what a batch is, and nothing is counted."""
        path = path_of("a")
        with pytest.raises(TypeError, match="^p: a batch is a list of packets, not one packet, b'12'$"):
            path(b"12")  # type: ignore[arg-type]
        assert path.statistics().entered == 0


class TestChanging:
    def test_insert_before(self) -> None:
        """A stage can be put in front of another."""
        path = path_of("abc")
        path.insert_before("b", add(b"x"), name="x")  # type: ignore[arg-type]
        assert list(path) == ["a", "x", "b", "c"]
        assert path([b""]) == [b"axbc"]

    def test_insert_after(self) -> None:
        """A stage can be put behind another."""
        path = path_of("abc")
        path.insert_after("b", add(b"x"), name="x")  # type: ignore[arg-type]
        assert list(path) == ["a", "b", "x", "c"]
        assert path([b""]) == [b"abxc"]

    def test_append(self) -> None:
        """A stage can be put at the end."""
        path = path_of("ab")
        path.append(drop_all)
        assert list(path) == ["a", "b", "drop_all"]
        assert len(path) == 3

    def test_a_name_comes_from_the_function(self) -> None:
        """A stage that is given no name has its function's."""
        path = path_of("a")
        path.insert_before("a", drop_last)
        path.insert_after("a", double)
        assert list(path) == ["drop_last", "a", "double"]

    def test_replace_returns_the_old_stage(self) -> None:
        """A replaced stage is returned, and its place and name are the new one's."""
        path = Path("p", [("a", double), ("b", drop_last), ("c", double)])
        assert path.replace("b", drop_all) is drop_last
        assert list(path) == ["a", "b", "c"]
        assert path["b"] is drop_all

    def test_remove_returns_the_stage(self) -> None:
        """A removed stage is returned, and the others stay."""
        path = Path("p", [("a", double), ("b", drop_last), ("c", double)])
        assert path.remove("b") is drop_last
        assert list(path) == ["a", "c"]
        assert path([b"1"]) == [b"1"] * 4

    def test_a_stage_is_looked_up_by_name(self) -> None:
        """path[name] is the stage."""
        assert Path("p", [("a", double), ("b", drop_all)])["b"] is drop_all

    @pytest.mark.parametrize(
        "change",
        [
            lambda path: path.insert_before("z", double),
            lambda path: path.insert_after("z", double),
            lambda path: path.replace("z", double),
            lambda path: path.remove("z"),
            lambda path: path["z"],
        ],
    )
    def test_an_unknown_place_is_named(self, change: object) -> None:
        """Naming a stage that is not there says which are."""
        with pytest.raises(LookupError, match="^p: no stage 'z'; it has a, b$"):
            change(path_of("ab"))  # type: ignore[operator]

    def test_an_empty_path_says_that_it_is(self) -> None:
        """An empty path has none to name."""
        with pytest.raises(LookupError, match="it has none$"):
            Path("p").remove("z")

    def test_a_name_is_taken_once(self) -> None:
        """Two stages of one name are refused, and nothing changes."""
        path = path_of("ab")
        with pytest.raises(ValueError, match="^p: there is a stage 'a' already; give this one another name$"):
            path.append(double, name="a")
        assert list(path) == ["a", "b"]

    def test_what_cannot_be_called_is_refused(self) -> None:
        """A stage has to be callable."""
        with pytest.raises(TypeError, match="^stage 'x' cannot be called: 5$"):
            path_of("a").append(5, name="x")  # type: ignore[arg-type]

    def test_a_stage_may_change_its_path(self) -> None:
        """The batch under way finishes on the stages it started on; the next one has the new ones."""
        path = path_of("ab")

        def once(batch: Batch) -> Batch:
            path.remove("once")
            path.remove("b")
            path.append(add(b"c"), name="c")  # type: ignore[arg-type]
            return batch

        path.insert_after("a", once)
        assert path([b""]) == [b"ab"]
        assert path([b""]) == [b"ac"]


class TestCounting:
    def test_each_stage_counts_what_entered_and_left(self) -> None:
        """The edges in front of and behind a stage are counted."""
        path = Path("p", [("a", double), ("b", drop_last)])
        path([b"1", b"2", b"3"])
        assert path.statistics().stages == (
            StageStatistics(name="a", entered=3, created=3, left=6, dropped={}),
            StageStatistics(name="b", entered=6, created=0, left=5, dropped={"b": 1}),
        )

    def test_the_path_counts_what_entered_and_left(self) -> None:
        """The sums are those of the whole path."""
        path = Path("p", [("a", double), ("b", drop_last)])
        path([b"1", b"2", b"3"])
        path([b"1"])
        counted = path.statistics()
        assert (counted.name, counted.entered, counted.created, counted.left) == ("p", 4, 4, 6)
        assert counted.dropped == {"b": 2}

    def test_a_stage_that_raises_drops_the_batch(self) -> None:
        """The batch is counted under the error's reason."""
        path = Path("p", [("a", double), ("b", fail)])
        with pytest.raises(DeviceDown):
            path([b"1"])
        assert path.statistics().dropped == {"down": 2}
        assert path.statistics().stages[1].dropped == {"down": 2}

    def test_a_foreign_error_has_no_reason(self) -> None:
        """An attribute called reason of somebody else's error is no word of ours."""

        def decode(batch: Batch) -> Batch:
            return [packet.decode("ascii").encode() for packet in batch]

        path = Path("p", [("decode", decode)])
        with pytest.raises(UnicodeDecodeError):
            path([b"\xff"])
        assert path.statistics().dropped == {"decode": 1}

    def test_a_stage_that_raises_has_counted_nothing(self) -> None:
        """The owner is told of a batch lost to an error, also by a stage that counts its own drops."""
        told: list[tuple[str, int]] = []

        @stage(counted=True)
        def counts(batch: Batch) -> Batch:
            raise RuntimeError

        path = Path("p", [("counts", counts)], drop=lambda reason, count: told.append((reason, count)))
        with pytest.raises(RuntimeError):
            path([b"1", b"2"])
        assert told == [("counts", 2)]

    def test_an_error_without_a_reason_counts_under_the_stage(self) -> None:
        """A fault of a stage is counted under its name."""
        path = Path("p", [("oops", break_down)])
        with pytest.raises(RuntimeError):
            path([b"1"])
        assert path.statistics().dropped == {"oops": 1}

    def test_the_owner_is_told_of_drops(self) -> None:
        """The path's drop callback gets reason and number."""
        told: list[tuple[str, int]] = []
        path = Path("p", [("b", drop_last)], drop=lambda reason, count: told.append((reason, count)))
        path([b"1", b"2"])
        assert told == [("b", 1)]

    def test_what_a_removed_stage_dropped_stays_counted(self) -> None:
        """The sums outlive the stage."""
        path = Path("p", [("b", drop_last), ("d", double)])
        path([b"1", b"2"])
        path.remove("b")
        path.replace("d", drop_all)
        path([b"1"])
        counted = path.statistics()
        assert (counted.entered, counted.created, counted.left) == (3, 1, 2)
        assert counted.dropped == {"b": 1, "d": 1}

    def test_a_replaced_stage_counts_anew(self) -> None:
        """The counters of a place begin at nothing with its new stage."""
        path = Path("p", [("b", drop_last)])
        path([b"1", b"2"])
        path.replace("b", double)
        assert path.statistics().stages == (StageStatistics(name="b", entered=0, created=0, left=0, dropped={}),)

    @given(
        st.lists(st.sampled_from([double, drop_last, drop_all, fail, break_down]), max_size=6),
        st.lists(st.integers(0, 5), max_size=8),
    )
    def test_the_law_holds(self, stages: list[object], sizes: list[int]) -> None:
        """For each stage and for the path: entered + created == left + dropped, whatever happens."""
        told = 0

        def drop(reason: str, count: int) -> None:
            nonlocal told
            told += count

        numbered = [(str(index), stage) for index, stage in enumerate(stages)]
        path = Path("p", numbered, drop=drop)  # type: ignore[arg-type]
        out = 0
        for size in sizes:
            try:
                out += len(path([b"x"] * size))
            except (DeviceDown, RuntimeError):
                pass
        counted = path.statistics()
        assert (counted.entered, counted.left) == (sum(sizes), out)
        assert sum(counted.dropped.values()) == told
        edges = [counted.entered, *(stage.left for stage in counted.stages)]
        assert [stage.entered for stage in counted.stages] == edges[: len(stages)]
        assert edges[-1] == counted.left
        every: list[PathStatistics | StageStatistics] = [counted, *counted.stages]
        for one in every:
            assert one.entered + one.created == one.left + sum(one.dropped.values())


class TestLooking:
    def test_the_repr_shows_the_way(self) -> None:
        """A path prints as its stages."""
        assert repr(path_of("ab")) == "<Path p: a -> b>"

    def test_describe_is_a_table(self) -> None:
        """describe() shows each stage with its counters and reasons."""
        path = Path("tun0 output", [("ready", double), ("drop_last", drop_last)])
        path([b"1", b"2"])
        assert path.describe().splitlines() == [
            "tun0 output",
            "  stage        entered       left  dropped",
            "  ready              2          4",
            "  drop_last          4          3  1 drop_last",
        ]

    def test_an_unknown_format_is_refused(self) -> None:
        """graph() says which formats there are."""
        with pytest.raises(ValueError, match="^p: no graph format 'svg'; there are mermaid, dot$"):
            path_of("a").graph("svg")
