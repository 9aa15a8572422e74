"""
The conformance suite: what every endpoint promises, as checks that run over any host.

A check is an async function of one argument, which opens rigs; it raises if the promise is
broken. Its name and docstring are the promise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from . import cancelling, closing, iterating, lifecycle, receiving, sending
from .rig import Inapplicable, MakeRig

__all__ = ["CHECKS", "Check", "check_endpoint"]

Check = Callable[[MakeRig], Awaitable[None]]

CHECKS: tuple[Check, ...] = (
    *receiving.CHECKS,
    *iterating.CHECKS,
    *sending.CHECKS,
    *lifecycle.CHECKS,
    *cancelling.CHECKS,
    *closing.CHECKS,
)
"""Every check, in an order good for reading the first failure."""

TIME_LIMIT = 60.0
"""Seconds after which a check has failed, waiting for what does not come."""


async def check_endpoint(make: MakeRig) -> None:
    """
    Run every check on the endpoints that *make* opens.

    Takes some seconds, in the running event loop. If cancelled, the rig in use is closed. Checks of what the rig calls
    Inapplicable are left out.

    Raises:
        ExceptionGroup: If promises are broken: one exception each, with the check's name as a note.
    """
    failures: list[Exception] = []
    for check in CHECKS:
        try:
            async with asyncio.timeout(TIME_LIMIT):
                await check(make)
        except Inapplicable:
            continue
        except Exception as error:
            error.add_note(f"in {check.__name__}: {(check.__doc__ or '').strip()}")
            failures.append(error)
    if failures:
        raise ExceptionGroup(f"{len(failures)} of {len(CHECKS)} promises of the endpoint contract are broken", failures)
