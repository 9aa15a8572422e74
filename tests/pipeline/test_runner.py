"""Taking batches through stages, in Python's form and in C's."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from twins import both, forms, only_c

from aiotun import speedups
from aiotun.pipeline import Batch, stage
from aiotun.pipeline.runner import Node, Runner

every_form = pytest.mark.parametrize("form", forms(Runner))


def node_of(form: Any) -> Any:
    """Return the Node that goes with a form of Runner."""
    return speedups.pure["Node"] if form is speedups.pure["Runner"] else Node


def runner_of(form: Any, *stages: Callable[..., object]) -> Any:
    """Return a runner over stages called 0, 1 and so on, that notes what it is told."""

    class Noting(form):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__("p")
            self.told: list[object] = []
            self._nodes = tuple(node_of(form)(str(index), stage) for index, stage in enumerate(stages))

        def _unlisted(self, node: Any, result: Any, entered: int) -> tuple[Batch, int]:
            self.told.append(("unlisted", node.name, result, entered))
            if result is None:
                raise TypeError("no batch")
            return list(result), len(result)

        def _changed(self, node: Any, entered: int, left: int) -> None:
            self.told.append(("changed", node.name, entered, left))

        def _raised(self, node: Any, error: BaseException, entered: int) -> None:
            self.told.append(("raised", node.name, repr(error), entered))

    return Noting()


def counts(runner: Any) -> list[int]:
    return [node.entered for node in runner._nodes]


def keep(batch: Batch) -> Batch:
    return batch


def nothing(batch: Batch) -> Batch:
    return []


def fail(batch: Batch) -> Batch:
    raise ValueError("a fault")


class Listed(list[bytes]):
    """A list that says more than one."""


class Switch:
    """A stage with a switch, that notes its batches."""

    def __init__(self) -> None:
        self.on: object = False
        self.inner = self
        self.seen: list[Batch] = []

    @stage(when="inner.on")
    def mark(self, batch: Batch) -> Batch:
        self.seen.append(batch)
        return batch

    @stage(when="missing")
    def broken(self, batch: Batch) -> Batch:
        raise AssertionError("is not called")


# --- nodes ----------------------------------------------------------------------------------------


@both(Node)
def test_a_node_has_its_stage(form: Any) -> None:
    """A node gives back the stage it was made of, with counters at the start."""
    node = form("n", keep)
    assert (node.name, node.stage, node.entered, node.created, node.dropped) == ("n", keep, 0, 0, None)


@both(Node)
def test_a_node_has_its_method(form: Any) -> None:
    """Of a bound method it gives back an equal one."""
    assert form("n", [].append).stage is not form("n", Switch().mark).stage
    switch = Switch()
    assert form("n", switch.mark).stage == switch.mark


@both(Node)
def test_what_cannot_be_called(form: Any) -> None:
    """What cannot be called is refused, with both names in the text."""
    with pytest.raises(TypeError, match=r"^stage 'n' cannot be called: 7$"):
        form("n", 7)


@both(Node)
def test_another_stage(form: Any) -> None:
    """A node that gets another stage keeps its name and its counters."""
    node = form("n", Switch().mark)
    node.entered = 5
    node.stage = keep
    assert (node.name, node.stage, node.owner, node.when, node.entered) == ("n", keep, None, None, 5)


@both(Node)
def test_a_node_is_collected(form: Any) -> None:
    """A node in a cycle with its stage's object is collected."""

    class Owner(Switch):
        node: Any

    owner = Owner()
    owner.node = form("n", owner.mark)
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None


# --- running --------------------------------------------------------------------------------------


@every_form
def test_counting(form: Any) -> None:
    """Each stage counts what enters it, and the runner what leaves the last."""
    runner = runner_of(form, keep, keep)
    assert (runner([b"1", b"2"]), counts(runner), runner._left, runner.told) == ([b"1", b"2"], [2, 2], 2, [])


@every_form
def test_the_batch_by_name(form: Any) -> None:
    """The batch may be given by its name."""
    assert runner_of(form, keep)(batch=(b"1",)) == [b"1"]


@pytest.mark.parametrize(("args", "keywords"), [((), {}), (([], []), {}), (([],), {"other": 1})])
@every_form
def test_other_arguments(form: Any, args: Any, keywords: Any) -> None:
    """Anything but one batch is refused."""
    with pytest.raises(TypeError):
        runner_of(form, keep)(*args, **keywords)


@every_form
def test_a_packet_for_a_batch(form: Any) -> None:
    """One packet is refused, and what is no batch at all."""
    runner = runner_of(form, keep)
    with pytest.raises(TypeError, match=r"^p: a batch is a list of packets, not one packet, b'1'$"):
        runner(b"1")
    with pytest.raises(TypeError):
        runner(7)
    assert counts(runner) == [0]


@every_form
def test_the_callers_batch_stays(form: Any) -> None:
    """The stages get a list of their own."""
    given, seen = [b"1"], Switch()
    seen.on = True
    assert runner_of(form, seen.mark)(given) == given
    assert seen.seen[0] is not given


@every_form
def test_the_end_of_a_batch(form: Any) -> None:
    """Where nothing is left the batch ends: later stages are not called."""
    runner = runner_of(form, nothing, fail)
    assert (runner([b"1"]), counts(runner), runner._left) == ([], [1, 0], 0)
    assert runner.told == [("changed", "0", 1, 0)]


@every_form
def test_more_packets(form: Any) -> None:
    """A batch that grew is told of, and goes on as it is."""
    runner = runner_of(form, lambda batch: [*batch, *batch], keep)
    assert (runner([b"1"]), counts(runner), runner._left) == ([b"1", b"1"], [1, 2], 2)
    assert runner.told == [("changed", "0", 1, 2)]


@every_form
def test_what_is_no_list(form: Any) -> None:
    """What is no list goes through _unlisted(), which says what to compare it with; a list of a subclass too."""
    runner = runner_of(form, lambda batch: (b"2",), lambda batch: Listed(batch), keep)
    assert (runner([b"1", b"1"]), counts(runner)) == ([b"2"], [2, 1, 1])
    assert runner.told == [("unlisted", "0", (b"2",), 2), ("unlisted", "1", [b"2"], 1)]


@every_form
def test_what_is_no_batch(form: Any) -> None:
    """What _unlisted() refuses is told of like what a stage raises."""
    runner = runner_of(form, lambda batch: None)
    with pytest.raises(TypeError, match="^no batch$"):
        runner([b"1"])
    assert runner.told == [("unlisted", "0", None, 1), ("raised", "0", "TypeError('no batch')", 1)]


@every_form
def test_a_stage_that_raises(form: Any) -> None:
    """What a stage raises is told of and raised on; nothing has left."""
    runner = runner_of(form, keep, fail)
    with pytest.raises(ValueError, match="^a fault$") as caught:
        runner([b"1"])
    assert (counts(runner), runner._left) == ([1, 1], 0)
    assert runner.told == [("raised", "1", "ValueError('a fault')", 1)]
    assert caught.traceback[-1].name == "fail"


@every_form
def test_counting_that_raises(form: Any) -> None:
    """If counting raises, that is raised, with what the stage raised as its context."""

    class Broken(form):  # type: ignore[misc]
        def _raised(self, node: Any, error: BaseException, entered: int) -> None:
            raise LookupError("instead")

        def _changed(self, node: Any, entered: int, left: int) -> None:
            raise LookupError("changed")

    runner = Broken("p")
    runner._nodes = (node_of(form)("0", fail),)
    with pytest.raises(LookupError, match="^instead$") as caught:
        runner([b"1"])
    assert repr(caught.value.__context__) == "ValueError('a fault')"
    assert sys.exc_info() == (None, None, None)
    runner._nodes = (node_of(form)("0", nothing),)
    with pytest.raises(LookupError, match="^changed$"):
        runner([b"1"])


@every_form
def test_a_stage_that_changes_the_path(form: Any) -> None:
    """A batch under way finishes on the nodes it started on."""

    def leave(batch: Batch) -> Batch:
        runner._nodes = ()
        return batch

    runner = runner_of(form, leave, nothing)
    assert runner([b"1"]) == []
    assert runner([b"1"]) == [b"1"]


@every_form
def test_a_runner_in_itself(form: Any) -> None:
    """One that is its own stage ends with RecursionError."""
    runner = runner_of(form)
    runner._nodes = (node_of(form)("0", runner),)
    with pytest.raises(RecursionError):
        runner([b"1"])


@every_form
def test_a_runner_is_collected(form: Any) -> None:
    """A runner in a cycle with its own stage is collected."""
    runner = runner_of(form)
    runner._nodes = (node_of(form)("0", runner),)
    gone = weakref.ref(runner)
    del runner
    gc.collect()
    assert gone() is None


@only_c
@pytest.mark.parametrize("nodes", [[], None, (keep,), (1,)])
def test_what_are_no_nodes(nodes: Any) -> None:
    """In C only a tuple of Nodes can be set."""
    with pytest.raises(TypeError, match="^a path's nodes are"):
        runner_of(Runner)._nodes = nodes


# --- stages with a condition ----------------------------------------------------------------------


@every_form
def test_a_stage_that_does_nothing_now(form: Any) -> None:
    """While its condition is false a method is not called, though its packets are counted; then it is."""
    switch = Switch()
    runner = runner_of(form, switch.mark)
    assert (runner([b"1"]), counts(runner), switch.seen) == ([b"1"], [1], [])
    switch.on = [0]
    assert (runner([b"2"]), counts(runner), switch.seen) == ([b"2"], [2], [[b"2"]])


@every_form
def test_a_condition_of_no_method(form: Any) -> None:
    """A function that is no method has no object to ask: it is called always."""
    seen = []

    @stage(when="on")
    def mark(batch: Batch) -> Batch:
        seen.append(batch)
        return batch

    runner_of(form, mark)([b"1"])
    assert seen == [[b"1"]]


@every_form
def test_a_condition_that_raises(form: Any) -> None:
    """A condition that cannot be asked counts as the stage raising."""
    runner = runner_of(form, Switch().broken)
    with pytest.raises(AttributeError, match="missing"):
        runner([b"1"])
    assert [told[:2] for told in runner.told] == [("raised", "0")]
