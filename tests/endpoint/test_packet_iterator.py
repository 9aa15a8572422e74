"""A step of a PacketIterator, in both forms: what ``__anext__()`` returns is a coroutine, or like one."""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twins import both

from aiotun import speedups
from aiotun.endpoint import PacketIterator
from aiotun.errors import DeviceClosed

Make = Callable[[Callable[[], Any], Callable[[], Awaitable[None]]], PacketIterator]
Step = Coroutine[Any, Any, Any]


class Pausing:
    """Awaits so many turns, each of which gives its number and may be sent a value."""

    def __init__(self, turns: int) -> None:
        self.turns = turns
        self.sent: list[Any] = []

    def __await__(self) -> Generator[Any, Any, None]:
        for number in range(self.turns):
            self.sent.append((yield number))


class Source:
    """What an iterator stands on: packets that are held, newest first, and a fill() that waits and holds some."""

    def __init__(
        self, *held: Any, waits: int = 0, fills: tuple[Any, ...] = (), ends: BaseException | None = None
    ) -> None:
        self.held = list(reversed(held))
        self.pausing = Pausing(waits)
        self.fills = fills
        self.ends = ends
        self.filled = 0

    async def fill(self) -> None:
        self.filled += 1
        await self.pausing
        if self.ends is not None:
            raise self.ends
        self.held.extend(reversed(self.fills))

    def steps(self, form: Make) -> PacketIterator:
        return form(self.held.pop, self.fill)


def result_of(step: Any) -> Any:
    """Step once; return what it ends with."""
    with pytest.raises(StopIteration) as caught:
        step.send(None)
    return caught.value.value


def anext_of(source: Source, form: Make) -> Step:
    step: Step = source.steps(form).__anext__()
    return step


@both(PacketIterator)
def test_a_held_packet(form: Make) -> None:
    """A step ends at once with the oldest packet that is held, without asking for more."""
    source = Source(b"one", b"two")
    assert result_of(anext_of(source, form)) == b"one"
    assert (source.held, source.filled) == ([b"two"], 0)


@both(PacketIterator)
@pytest.mark.parametrize("packet", [(), (1, 2), None, ValueError("a packet?"), [b""]])
def test_anything_may_be_held(form: Make, packet: Any) -> None:
    """What is popped comes out as it is, also where StopIteration would take it apart."""
    assert result_of(anext_of(Source(packet), form)) is packet


@both(PacketIterator)
def test_a_filled_packet(form: Make) -> None:
    """Where none is held a step goes on as fill() does: gives its turns, takes what is sent, ends with a packet."""
    source = Source(waits=3, fills=(b"one", b"two"))
    step = anext_of(source, form)
    assert [step.send(None), step.send("a"), step.send("b")] == [0, 1, 2]
    with pytest.raises(StopIteration) as caught:
        step.send("c")
    assert (caught.value.value, source.pausing.sent, source.held) == (b"one", ["a", "b", "c"], [b"two"])


@both(PacketIterator)
def test_nothing_is_taken_before_it_is_awaited(form: Make) -> None:
    """A step that is closed, or cancelled, before it began has taken no packet."""
    source = Source(b"one")
    anext_of(source, form).close()
    with pytest.raises(asyncio.CancelledError):
        anext_of(source, form).throw(asyncio.CancelledError())
    assert source.held == [b"one"]


@both(PacketIterator)
def test_steps_are_their_own(form: Make) -> None:
    """Steps that are kept take packets in the order they are awaited, and each once."""
    iterator = Source(b"one", b"two", b"three").steps(form)
    steps: list[Any] = [iterator.__anext__() for _ in range(3)]
    assert [result_of(step) for step in reversed(steps)] == [b"one", b"two", b"three"]
    for step in steps:
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            step.send(None)


@both(PacketIterator)
async def test_a_step_is_awaitable(form: Make) -> None:
    """A step can be awaited, made a task of, and waited for with a timeout."""
    iterator = Source(b"one", b"two", b"three", b"four").steps(form)
    step: Any = iterator.__anext__()
    assert inspect.isawaitable(step) and asyncio.iscoroutine(step)
    assert await step == b"one"
    assert await asyncio.create_task(iterator.__anext__()) == b"two"
    assert await asyncio.wait_for(iterator.__anext__(), 1) == b"three"
    assert await anext(iterator) == b"four"


@both(PacketIterator)
async def test_anext_with_a_default(form: Make) -> None:
    """anext() gives its default once the endpoint is closed."""
    iterator = Source(ends=DeviceClosed("closed")).steps(form)
    assert await anext(iterator, b"the end") == b"the end"


@both(PacketIterator)
@pytest.mark.parametrize("waits", [0, 1])
def test_closing_ends_it(form: Make, waits: int) -> None:
    """DeviceClosed out of fill() is the end of iteration."""
    step = anext_of(Source(waits=waits, ends=DeviceClosed("closed")), form)
    for _ in range(waits):
        step.send(None)
    with pytest.raises(StopAsyncIteration):
        step.send(None)


@both(PacketIterator)
@pytest.mark.parametrize("error", [ValueError("no"), IndexError("no"), KeyboardInterrupt()])
def test_what_fill_raises(form: Make, error: BaseException) -> None:
    """Any other exception out of fill() comes out as it is."""
    with pytest.raises(type(error)) as caught:
        anext_of(Source(ends=error), form).send(None)
    assert caught.value is error


@both(PacketIterator)
def test_what_pop_raises(form: Make) -> None:
    """An exception of pop() that does not mean "none" comes out as it is."""

    def pop() -> bytes:
        raise DeviceClosed("by pop")

    with pytest.raises(DeviceClosed):
        form(pop, Source().fill).__anext__().send(None)


@both(PacketIterator)
def test_a_fill_that_gives_nothing(form: Make) -> None:
    """A fill() that ends without a packet is a fault, and shows as one."""
    with pytest.raises(IndexError):
        anext_of(Source(), form).send(None)


@both(PacketIterator)
def test_another_awaitable(form: Make) -> None:
    """fill() may return anything that can be awaited."""
    held = [b"one"]
    pausing = Pausing(1)
    step: Any = form(list[bytes]().pop, lambda: pausing).__anext__()
    assert step.send(None) == 0
    with pytest.raises(IndexError):
        step.send("sent")
    step = form(held.pop, lambda: pausing).__anext__()
    assert (pausing.sent, result_of(step)) == (["sent"], b"one")


@both(PacketIterator)
@pytest.mark.parametrize("filling", [None, 5, iter(())])
def test_no_awaitable(form: Make, filling: Any) -> None:
    """A fill() whose result cannot be awaited is a TypeError that says what it was."""
    step: Any = form(list[bytes]().pop, lambda: filling).__anext__()
    with pytest.raises(TypeError, match=f"object {type(filling).__name__} can't be used in 'await' expression"):
        step.send(None)


@both(PacketIterator)
def test_a_step_inside_itself(form: Make) -> None:
    """A step cannot be stepped, thrown into or closed from inside, and goes on after the attempt."""
    found: list[str] = []
    held: list[bytes] = []

    async def fill() -> None:
        for attempt in (lambda: step.send(None), lambda: step.throw(KeyError()), step.close):
            with pytest.raises(ValueError) as caught:
                attempt()
            found.append(str(caught.value))
        held.append(b"one")

    step: Any = form(held.pop, fill).__anext__()
    assert result_of(step) == b"one"
    assert found == ["coroutine already executing"] * 3


@both(PacketIterator)
def test_the_iterator_is_its_own(form: Make) -> None:
    """An iterator is its own, by type and by slot, and makes do with two arguments."""
    iterator = Source().steps(form)
    assert aiter(iterator) is iterator
    with pytest.raises(TypeError):
        form(list[bytes]().pop)  # type: ignore[call-arg]


@both(PacketIterator)
def test_a_kept_end_stays_whole(form: Make) -> None:
    """Who keeps the StopIteration that a step ended with has its packet for good, whatever the next steps are."""
    iterator = Source(b"one", b"two").steps(form)
    with pytest.raises(StopIteration) as caught:
        next(iterator.__anext__().__await__())
    assert result_of(iterator.__anext__()) == b"two"
    assert caught.value.value == b"one"


@both(PacketIterator)
def test_a_step_from_within_the_end_of_another(form: Make) -> None:
    """A step that is asked for while a half-run one is dropped is another than the one that follows it."""
    held: list[bytes] = []
    inner: list[Any] = []

    async def fill() -> None:
        try:
            await Pausing(1)
        finally:
            inner.append(iterator.__anext__())

    iterator = form(held.pop, fill)
    iterator.__anext__().send(None)
    step = iterator.__anext__()
    held += [b"two", b"one"]
    assert [result_of(step), result_of(inner[0])] == [b"one", b"two"]


# --- the forms beside each other --------------------------------------------------------------------


class Scripted:
    """An awaitable that does what it is told at each turn, and notes what came in."""

    def __init__(self, script: list[str]) -> None:
        self.script = script
        self.seen: list[object] = []

    def __await__(self) -> Generator[Any, Any, None]:
        for turn in self.script:
            if turn == "raise":
                raise LookupError("scripted")
            if turn == "closed":
                raise DeviceClosed("scripted")
            if turn == "return":
                return
            try:
                self.seen.append((yield turn))
            except KeyError as error:  # swallowed
                self.seen.append(repr(error))
            except ValueError:
                return


def play(form: Make, held: list[int], script: list[str], acts: list[str], plain: bool) -> list[object]:
    """Do *acts* to the steps of an iterator; return everything that can be seen of it."""
    seen: list[object] = []
    inner = Scripted(script)
    left = list(held)

    async def coroutine() -> None:
        await inner
        left.append(7)

    iterator = form(left.pop, (lambda: inner) if plain else coroutine)
    step: Any = iterator.__anext__()
    for act in acts:
        if act == "next":
            step.close()
            step = iterator.__anext__()
            continue
        kind, _, name = act.partition(" ")
        thrown = {"KeyError": KeyError, "ValueError": ValueError, "Cancelled": asyncio.CancelledError}
        thrown |= {"DeviceClosed": DeviceClosed, "GeneratorExit": GeneratorExit}
        try:
            if kind == "send":
                seen.append(("gave", step.send(name or None)))
            elif kind == "close":
                seen.append(("closed", step.close()))
            else:
                seen.append(("gave", step.throw(thrown[name]("thrown"))))
        except StopIteration as stop:
            seen.append(("ended", stop.value))
        except BaseException as error:
            seen.append((type(error), str(error)))
        seen.append(list(left))
    step.close()
    return [*seen, inner.seen]


ACTS = ["send", "send", "send", "send value", "throw KeyError", "throw ValueError", "throw Cancelled"]
ACTS += ["throw DeviceClosed", "throw GeneratorExit", "close", "next", "next"]


@given(
    held=st.lists(st.integers(0, 9), max_size=3),
    script=st.lists(st.sampled_from(["turn", "turn", "raise", "closed", "return"]), max_size=4),
    acts=st.lists(st.sampled_from(ACTS), max_size=8),
    plain=st.booleans(),
)
def test_the_forms_agree(held: list[int], script: list[str], acts: list[str], plain: bool) -> None:
    """Whatever is done to their steps, both forms give, raise and leave the same."""
    python = play(speedups.pure["PacketIterator"], held, script, acts, plain)
    assert play(PacketIterator, held, script, acts, plain) == python


# --- memory -----------------------------------------------------------------------------------------


async def take(iterator: PacketIterator, source: Source, count: int) -> None:
    """Take packets, every third through fill()."""
    for number in range(count):
        source.fills = (b"filled",)
        if number % 3:
            source.held.append(b"held")
        await anext(iterator)


@both(PacketIterator)
async def test_references_are_let_go(form: Make) -> None:
    """After thousands of packets nobody holds more of anything than before."""
    source = Source(waits=0)
    iterator = source.steps(form)
    packet = bytes(100)
    await take(iterator, source, 100)
    gc.collect()
    watched = [packet, iterator, source, type(iterator), source.fill, PacketIterator]
    before = [sys.getrefcount(one) for one in watched]
    objects = len(gc.get_objects())
    await take(iterator, source, 10_000)
    for _ in range(10_000):
        source.held.append(packet)
        async for _ in iterator:
            break
    for _ in range(1000):
        source.held.append(packet)
        iterator.__anext__().close()
        source.held.clear()
    gc.collect()
    assert [sys.getrefcount(one) for one in watched] == before
    assert len(gc.get_objects()) <= objects + 5


@both(PacketIterator)
def test_a_cycle_is_collected(form: Make) -> None:
    """An iterator that is part of a cycle, with a step under way, is found by the garbage collector."""

    class Knot:
        iterator: PacketIterator
        step: Any

        async def fill(self) -> None:
            await Pausing(1)

    knot = Knot()
    knot.iterator = form(list[bytes]().pop, knot.fill)
    knot.step = knot.iterator.__anext__()
    knot.step.send(None)
    del knot
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one).__name__ == "Knot"]
