"""What a forked child keeps of endpoints: nothing. See tests/faults/test_e_races.py for whole endpoints."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from children import in_child

from aiotun.endpoint import Endpoint
from aiotun.endpoint.forking import abandon_in_child, close_copy

from .fakes import FakePort, packets


class Owner:
    """Counts what it is told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.abandoned = 0
        self._error = error

    def abandon(self) -> None:
        self.abandoned += 1
        if self._error is not None:
            raise self._error


def forked(look: Callable[[], object]) -> str:
    """Return what *look* says in a forked child."""
    return in_child(lambda: str(look()))


def test_a_child_abandons_and_the_parent_does_not() -> None:
    """abandon() is called once in a forked child, and never in its parent."""
    owner = Owner()
    abandon_in_child(owner)
    assert forked(lambda: owner.abandoned) == "1"
    assert owner.abandoned == 0


def test_a_grandchild_abandons_nothing_again() -> None:
    """What a child gave up, its own children do not."""
    owner = Owner()
    abandon_in_child(owner)
    assert forked(lambda: forked(lambda: owner.abandoned)) == "1"


def test_a_grandchild_abandons_nothing_again_though_one_raised() -> None:
    """An owner that raised in the child is not asked again in a grandchild, nor is any other."""
    owners = [Owner(OSError(9, "Bad file descriptor")), Owner()]
    for owner in owners:
        abandon_in_child(owner)
    assert forked(lambda: forked(lambda: [owner.abandoned for owner in owners])) == "[1, 1]"


def test_an_owner_that_is_no_more_is_not_kept() -> None:
    """To be told of forks keeps nothing alive."""
    owner = Owner()
    abandon_in_child(owner)
    counted = sys.getrefcount(owner)
    abandon_in_child(owner)
    assert sys.getrefcount(owner) == counted


def test_a_descriptor_that_is_closed_already_keeps_nobody_from_the_others() -> None:
    """An owner that raises, as one whose descriptor somebody else closed, does not keep the others from theirs."""
    owners = [Owner(OSError(9, "Bad file descriptor")) for _ in range(4)]
    for owner in owners:
        abandon_in_child(owner)
    assert forked(lambda: [owner.abandoned for owner in owners]) == "[1, 1, 1, 1]"


def test_a_copy_for_the_next_program_stays_open() -> None:
    """A descriptor that was made inheritable is for the program the child runs; any other is closed."""
    kept, closed = os.memfd_create("kept"), os.memfd_create("closed")
    os.set_inheritable(kept, True)
    for fd in (kept, closed, -1):
        close_copy(fd)
    os.close(kept)
    with pytest.raises(OSError):
        os.fstat(closed)


def test_a_program_gets_what_is_passed_to_it() -> None:
    """With a preexec_fn a subprocess is forked by Python; a descriptor passed to it arrives all the same."""
    fd = os.memfd_create("passed")

    class Holder:
        def abandon(self) -> None:
            close_copy(fd)

    holder = Holder()
    abandon_in_child(holder)
    program = [sys.executable, "-c", f"import os; os.fstat({fd})"]
    status = subprocess.run(program, pass_fds=[fd], preexec_fn=lambda: None).returncode
    os.close(fd)
    assert status == 0


@pytest.mark.parametrize(
    "use",
    [
        Endpoint.recv_nowait,
        Endpoint.detach_fd,
        lambda endpoint: endpoint.send_nowait(packets(1)[0]),
        lambda endpoint: asyncio.run(endpoint.recv()),
        lambda endpoint: asyncio.run(endpoint.readable()),
        lambda endpoint: asyncio.run(endpoint.send(packets(1)[0])),
        lambda endpoint: asyncio.run(endpoint.writable()),
        lambda endpoint: asyncio.run(first_event(endpoint)),
    ],
)
def test_an_endpoint_says_whose_it_is(use: Callable[[Endpoint], object]) -> None:
    """Used in a forked child, an endpoint names its process, also with packets read ahead that are the parent's."""
    endpoint = Endpoint(FakePort(read=[packets(3)]))
    endpoint._held += endpoint.recv_many_nowait(2)

    def used() -> str:
        try:
            use(endpoint)
        except RuntimeError as error:
            return str(error)
        return "it was done"

    told = forked(used)
    asyncio.run(endpoint.aclose())
    assert told == f"fake0: it belongs to process {os.getpid()}, which forked this one; open another"


async def first_event(endpoint: Endpoint) -> object:
    return await anext(endpoint.events())
