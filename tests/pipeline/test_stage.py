"""Marking stages, and lifting functions of one packet."""

from __future__ import annotations

import functools

from aiotun.pipeline import Batch, Path, per_packet, stage
from aiotun.pipeline.stage import stage_name, unwrapped


def shout(packet: bytes) -> bytes | None:
    return packet.upper() if packet != b"no" else None


def test_a_lifted_function_sees_each_packet() -> None:
    """per_packet() calls the function with each packet, in order."""
    assert per_packet(shout)([b"a", b"b"]) == [b"A", b"B"]


def test_none_drops_the_packet() -> None:
    """A packet the function returns None for does not go on, and an empty one does."""
    assert per_packet(shout)([b"a", b"no", b""]) == [b"A", b""]


def test_a_lifted_function_keeps_its_name() -> None:
    """A lifted stage is called as its function is."""
    assert stage_name(per_packet(shout)) == "shout"


def test_a_callable_object_is_called_as_its_class() -> None:
    """A stage that is an object has its class's name."""

    class Squeeze:
        def __call__(self, packet: bytes) -> bytes:
            return packet

    assert stage_name(Squeeze()) == "Squeeze"


def test_a_lambda_is_called_stage() -> None:
    """A stage without a name of its own is called stage."""
    assert stage_name(lambda packet: packet) == "stage"


def test_the_reason_of_a_stage_is_what_its_drops_are_counted_under() -> None:
    """stage(reason=...) names the drops."""

    @stage(reason="odd")
    def even(batch: Batch) -> Batch:
        return batch[::2]

    path = Path("x", [("even", even)])
    path([b"1", b"2", b"3"])
    assert path.statistics().dropped == {"odd": 1}


def test_a_stage_that_counts_by_itself_is_not_counted_twice() -> None:
    """The owner of the path is told of drops, but not of those a stage counted."""
    told: list[tuple[str, int]] = []

    @stage(reason="odd", counted=True)
    def even(batch: Batch) -> Batch:
        return batch[::2]

    @stage(reason="first")
    def rest(batch: Batch) -> Batch:
        return batch[1:]

    path = Path("x", [("even", even), ("rest", rest)], drop=lambda reason, count: told.append((reason, count)))
    path([b"1", b"2", b"3", b"4"])
    assert told == [("first", 1)]
    assert path.statistics().dropped == {"odd": 2, "first": 1}


def test_behind_a_stage_that_delivers_nothing_is_lost() -> None:
    """What a stage behind the delivery leaves out is counted at the stage, and is no loss to the owner."""
    told: list[tuple[str, int]] = []

    @stage(delivers=True)
    def arrive(batch: Batch) -> Batch:
        return batch[1:]

    def rest(batch: Batch) -> Batch:
        return batch[1:]

    path = Path("x", [("arrive", arrive), ("rest", rest)], drop=lambda reason, count: told.append((reason, count)))
    path([b"1", b"2", b"3", b"4"])
    assert told == [("arrive", 1)]
    assert [one.dropped for one in path.statistics().stages] == [{"arrive": 1}, {"rest": 1}]


def test_what_is_under_a_probe() -> None:
    """unwrapped() returns the stage from under all that looks at it, and a stage without that as it is."""
    inner = functools.wraps(same)(lambda batch: same(batch))
    outer = functools.wraps(inner)(lambda batch: inner(batch))
    assert (unwrapped(outer), unwrapped(same)) == (same, same)


def same(batch: Batch) -> Batch:
    return batch
