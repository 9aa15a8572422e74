"""What a program writes into a pipe, until its end."""

from __future__ import annotations

import asyncio
import os

from aiotun.host.private_output import output


async def test_what_is_written_is_collected() -> None:
    """More than a pipe holds arrives while the loop turns, and the rest when it is asked for."""
    with output() as (taken, writing):
        os.set_blocking(writing, False)
        count = 0
        for _ in range(5):
            count += os.write(writing, b"x" * 65536)
            while len(b"".join(taken._chunks)) < count:
                await asyncio.sleep(0)
        os.write(writing, b"end")
        assert taken.written() == b"x" * count + b"end"
    assert count == 5 * 65536


async def test_nothing_written_is_nothing() -> None:
    """Without a word from the program its output is empty, and asking does not wait."""
    with output() as (taken, _):
        assert taken.written() == b""
