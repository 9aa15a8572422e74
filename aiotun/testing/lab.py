"""
A network laboratory: hosts, routers, switches and links in this process, on a virtual clock.

::

    def test_a_ping_takes_two_delays(lab):
        alice, bob = lab.host("alice", "10.0.0.1"), lab.host("bob", "10.0.0.2")
        lab.link(alice, bob, delay=0.02)

        @lab.run
        async def main():
            assert await alice.ping("10.0.0.2") == 0.04

The fixture comes with ``from aiotun.testing.lab import lab`` in a conftest.py. Where it fails, the report ends with a
diagram of the packets. Hours of keepalive take milliseconds: no time passes but the clock's, which jumps.
"""

from __future__ import annotations

import asyncio
import importlib
import math
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ..endpoint.loops import running_loop
from .lab_capture import write_capture
from .lab_clock import VirtualLoop
from .lab_diagram import Describe, diagram, one_line
from .lab_interface import LabInterface
from .lab_record import Crossing
from .lab_topology import Topology

if TYPE_CHECKING:
    from .lab_fixture import lab as lab

__all__ = ["Lab"]

T = TypeVar("T")

TIME_LIMIT = 30 * 24 * 3600.0
"""Virtual seconds that a lab lives, unless it is told otherwise: a month."""
SHOWN = 100
"""Entries of the diagram that comes with a failure, at most."""
TITLE = "What happened in the lab"


class Lab(Topology):
    """
    Nodes, links, an event loop with a virtual clock, and a record of the packets. Use it as ``with Lab() as lab:``.

    Every node has addresses, given or the next of 10.0.0.0/8 and fd00::/64, and routes to those of all others, by the
    fewest links; routes stay as they are while links go down and up. The same seed gives the same packets at the same
    times, as far as the program under test does not look at a real clock.

    Args:
        seed: What all chance comes from.
        limit: Packets and notes that are remembered, the latest.
        describe: Returns one line about a packet for diagrams; for protocols that only the test knows. Frames, which
            are what links to a switch carry, are described by the lab.
        time_limit: The virtual time, in seconds, at which a run ends with TimeoutError: something waits for ever, and
            something else repeats itself.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        limit: int = 10_000,
        describe: Describe = one_line,
        time_limit: float = TIME_LIMIT,
    ) -> None:
        self._virtual = VirtualLoop(time_limit)
        self._runner = asyncio.Runner(loop_factory=lambda: self._virtual)
        super().__init__(self._virtual, seed, limit)
        self._describe = describe
        self._faults: list[BaseException] = []  # of nodes, or of stages that were put into them
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._explain(error)
        self.close()

    def __repr__(self) -> str:
        return f"<Lab at {self.time:.9g} s: {len(self.nodes)} nodes, {len(self.links)} links>"

    @property
    def time(self) -> float:
        """The virtual time, in seconds since the lab was made."""
        return self._loop.time()

    @property
    def packets(self) -> tuple[Crossing, ...]:
        """The packets that were sent over links and channels, the latest, oldest first."""
        return self.record.crossings

    def run(self, main: Callable[[], Coroutine[Any, Any, T]] | Coroutine[Any, Any, T]) -> T:
        """
        Run a coroutine, or an async function without arguments, to its end; return its result. ``@lab.run`` does too.

        May be called again: the clock goes on, as does what is under way. An exception that comes out has a diagram
        of the latest packets as its note.

        Raises:
            Deadlock: If everything waits, and nothing will ever happen.
            TimeoutError: If the time limit of the lab is over.
            RuntimeError: If it is called in an event loop, whose clock is real: use it in a plain function.
        """
        coroutine = main if isinstance(main, Coroutine) else main()
        if running_loop() is not None:
            coroutine.close()
            raise RuntimeError("lab.run() is for a plain function: here an event loop runs already, with a real clock")
        self._settle()
        try:
            try:
                return self._runner.run(coroutine)
            finally:
                if self._faults:
                    raise self._faults.pop(0) from None
        except BaseException as error:
            self._explain(error)
            raise

    def close(self) -> None:
        """End every task and close every endpoint, host and link of the lab. Idempotent."""
        if not self._closed:
            self._closed = True
            self._virtual.time_limit = math.inf
            try:
                self._runner.run(self._aclose())
            finally:
                self._runner.close()

    # --- looking at it ----------------------------------------------------------------------------

    def diagram(self, last: int | None = None) -> str:
        """Return what happened as a Mermaid sequence diagram: all that is remembered, or the *last* entries."""
        entries = list(self.record.entries)
        shown = entries if last is None else entries[max(0, len(entries) - last) :]
        return diagram(shown, self._names, self._describe, len(entries) - len(shown))

    def capture(self, path: str | PathLike[str]) -> None:
        """Write the packets that are remembered to a pcapng file, each link and way an interface of it."""
        write_capture(path, self.record.crossings)

    # --- inside -----------------------------------------------------------------------------------

    def _carry(self, interface: LabInterface) -> None:
        task = self._loop.create_task(interface.carry(), name=f"what arrives at {interface!r}")
        self._virtual.quiet.add(task)
        task.add_done_callback(self._carried)

    def _carried(self, task: asyncio.Task[None]) -> None:
        """End the run if a node broke: nobody else would hear of it."""
        self._virtual.quiet.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._faults.append(error)
            self._loop.stop()

    async def _aclose(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with AsyncExitStack() as stack:
            for closing in [*self.links, *self.nodes.values()]:
                stack.push_async_callback(closing.aclose)

    def _explain(self, error: BaseException) -> None:
        """Add the diagram to an exception, once."""
        notes: list[str] = getattr(error, "__notes__", [])
        if self.record.entries and not any(note.startswith(TITLE) for note in notes):
            error.add_note(f"{TITLE}:\n\n{self.diagram(SHOWN)}")


def __getattr__(name: str) -> object:
    """Load the fixture when it is first named: pytest is no dependency of aiotun."""
    if name != "lab":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(".lab_fixture", __package__).lab
