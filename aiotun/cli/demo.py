"""``aiotun demo``: run a job, show it, judge it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType

import attrs
from rich.console import Console

from ..errors import AiotunError
from .progress import Job, Progress
from .summary import print_summary, problems, summary_json
from .table import Display

__all__ = ["Options", "run_demo", "run_job"]

Show = Callable[[asyncio.Event], Coroutine[object, object, None]]
"""Displays the job until the event is set."""

FAILED = 1
UNUSABLE = 2
"""Exit status where the demo could not even begin: a right, a program or an event loop is missing."""


@attrs.frozen(kw_only=True)
class Options:
    """What was asked for on the command line; see ``aiotun demo --help``."""

    host: str = "soft"
    seconds: float = 10.0
    size: int = 1420
    loop: str = "auto"
    json: bool = False
    live: bool = True


def run_demo(options: Options) -> int:
    """Run the demo and return its exit status: 0, 1 if packets are missing, 2 if it could not begin."""
    console = Console()
    try:
        factory = loop_factory(options.loop)
        with asyncio.Runner(loop_factory=factory) as runner:
            job = make_job(options)
            display = Display(console, job, options.seconds, live=options.live and not options.json)
            progress = runner.run(run_job(job, options.seconds, display.show))
    except KeyboardInterrupt:  # a second Ctrl-C: whoever presses it knows what is missing
        print("aiotun demo: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except PermissionError as error:
        print(f"aiotun demo: {error.strerror or error}", file=sys.stderr)
        return UNUSABLE
    except ExceptionGroup as group:
        for leaf in _leaves(group):
            print(f"aiotun demo: {leaf}", file=sys.stderr)
        return FAILED
    except (AiotunError, OSError, ValueError) as error:
        print(f"aiotun demo: {error}", file=sys.stderr)
        return UNUSABLE
    if options.json:
        print(summary_json(progress))
    else:
        print_summary(console, job.title, progress)
    return FAILED if problems(progress) else 0


async def run_job(job: Job, seconds: float, show: Show) -> Progress:
    """Run *job* for so many seconds, or until Ctrl-C, and return where it ended."""
    stop, ended = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    with _interrupting(stop, loop):
        async with job, asyncio.TaskGroup() as tasks:
            carrying = tasks.create_task(job.carry())
            showing = tasks.create_task(show(ended))
            timer = loop.call_later(seconds, stop.set)
            try:
                await job.run(stop)
            finally:
                timer.cancel()
            progress = job.progress()
            ended.set()
            await showing
            carrying.cancel()
    return progress


def make_job(options: Options) -> Job:
    """Return the job for the chosen host."""
    if options.host == "system":
        from .system_job import SystemJob

        return SystemJob(size=options.size)
    from .soft_job import SoftJob

    return SoftJob(size=options.size)


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """
    Return what makes the event loop called *name*; None is asyncio's own.

    Raises:
        ValueError: If uvloop is asked for and not installed.
    """
    if sys.platform == "win32" and name != "uvloop":
        return asyncio.SelectorEventLoop  # the default there cannot watch sockets
    if name == "asyncio":
        return None
    try:
        import uvloop
    except ImportError:
        if name == "uvloop":
            raise ValueError("uvloop is not installed: pip install 'aiotun[uvloop]'") from None
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


@contextlib.contextmanager
def _interrupting(stop: asyncio.Event, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Let the first Ctrl-C, or a SIGTERM, set *stop*; a second one does what it did before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def interrupt(number: int, frame: FrameType | None) -> None:
        restore()
        loop.call_soon_threadsafe(stop.set)

    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        restore()


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Yield the errors in a group of groups."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
